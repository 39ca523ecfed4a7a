//! `btp explain --bootstrap`: who governs a route or a request of a
//! configuration, and where each field is enforced.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use btp_policy::attach::Reason;
use btp_policy::node::Node;

use crate::apply::effective::{Effective, Kept};
use crate::apply::options::{FilterFile, Options, object_name};
use crate::apply::placement::Scope;
use crate::apply::plan::{self, Plan};
use crate::commands::{Error, Outcome};
use crate::diagnostics::{self, Format};
use crate::documents::Input;
use crate::envoy::files::Config;
use crate::envoy::model::RouteId;
use crate::envoy::plugin::Build;
use crate::envoy::route_match::Request;
use crate::translate::Service;
use crate::{output, terminal};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// Every route.
    All,
    /// The routes of this name.
    Route(&'a str),
    /// The route that takes this request.
    Request(&'a str),
}

/// Answers it; false if something was refused or nothing was found.
pub(super) fn run(
    bootstrap: &Path,
    files: &[PathBuf],
    gateway: Option<&str>,
    build: Option<Build>,
    question: Question<'_>,
) -> Result<Outcome, Error> {
    let request = match question {
        Question::Request(text) => {
            let request = Request::parse(text);
            Some(request.ok_or_else(|| Error::NoRequest(text.to_owned()))?)
        }
        _ => None,
    };
    let mut input = Input::read(files)?;
    let mut found = input.take_findings();
    let mut config = Config::read(bootstrap)?;
    let build = build.or_else(|| config.build()).unwrap_or(Build::Wasm);
    let options = Options {
        filter: FilterFile::usual(build),
        gateway: gateway.map(object_name),
        ecds: None,
        faults_behind: None,
        limits_behind: None,
        // To explain is not to enforce: who counts is for `apply` to know.
        rate_limits: Service::assumed(),
    };
    let plan = plan::apply(&mut config, &input, &options, &mut found);
    let mut sources = std::mem::take(&mut input.sources);
    sources.extend(config.files.iter().map(|file| file.source.clone()));
    diagnostics::print(&found, &sources, Format::Text)?;
    let Some(plan) = plan.filter(|_| diagnostics::is_fine(&found)) else {
        return Ok(Outcome::Refused);
    };
    let specs = input.specs();
    let answer = Answer {
        plan: &plan,
        specs: &specs,
    };
    let mut out = String::new();
    let known = match question {
        Question::All => {
            answer.policies(&mut out);
            answer.routes(|_| true, &mut out) | answer.l4_proxies(&mut out)
        }
        Question::Route(name) => answer.routes(|title| title == name, &mut out),
        Question::Request(_) => match &request {
            Some(request) => answer.request(request, &config, &mut out),
            None => false,
        },
    };
    if plan.effective.iter().any(|it| !it.global_rules.is_empty()) {
        out.push_str(
            "note: rateLimit.global is in force with btp apply --rate-limit-service and \
             --rate-limit-config alone\n",
        );
    }
    output::print(&out)?;
    if !known {
        terminal::say_error(None, &"no route is called that");
    }
    Ok(match known {
        true => Outcome::Fine,
        false => Outcome::Refused,
    })
}

struct Answer<'a> {
    plan: &'a Plan,
    specs: &'a [Option<&'a Node>],
}

impl Answer<'_> {
    /// Says what became of each policy.
    fn policies(&self, out: &mut String) {
        out.push_str("policies\n");
        for status in &self.plan.statuses {
            let _ = writeln!(out, "  {status}");
        }
        for (name, by) in &self.plan.off {
            let disabled = Reason::Disabled.as_condition();
            let _ = writeln!(out, "  {name}: {disabled}: switched off by {by}");
        }
        out.push('\n');
    }

    /// Explains the routes whose titles are wanted.
    fn routes(&self, is_wanted: impl Fn(&str) -> bool, out: &mut String) -> bool {
        let mut known = false;
        for (index, manager) in self.plan.model.managers.iter().enumerate() {
            for id in self.plan.model.ids_of(manager) {
                if is_wanted(&self.plan.model.route(id).title()) {
                    self.route(index, Some(id), out);
                    known = true;
                }
            }
        }
        known
    }

    /// Explains what becomes of a request, on each listener.
    fn request(&self, request: &Request, config: &Config, out: &mut String) -> bool {
        let model = &self.plan.model;
        for (index, manager) in model.managers.iter().enumerate() {
            let seen = manager.route_source.config();
            let seen = seen.map(|index| &model.route_configs[index].address);
            let taken = seen.and_then(|address| request.route_in(config.at(address)?, address));
            let mut ids = model.ids_of(manager);
            let id = taken.and_then(|taken| ids.find(|id| model.route(*id).address == taken));
            self.route(index, id, out);
        }
        true
    }

    /// Explains one route, or what no route takes.
    fn route(&self, index: usize, route: Option<RouteId>, out: &mut String) {
        let plan = self.plan;
        let manager = &plan.model.managers[index];
        let listener = &manager.listener_name;
        let what = match route {
            Some(id) => format!("route {}", plan.model.route(id).title()),
            None => "no route".to_owned(),
        };
        let governing = plan.effective.iter().find(|it| match route {
            Some(id) => it.routes.contains(&(index, id)),
            None => it.default_for.contains(&index),
        });
        let Some(it) = governing else {
            let _ = writeln!(out, "listener {listener}, {what}: no policy");
            return;
        };
        let what = format!("listener {listener}, {what}");
        let scope = match route {
            Some(route) => Scope::Route {
                manager: index,
                route,
            },
            None => Scope::NoRoute { manager: index },
        };
        self.fields(it, &what, scope, out);
    }

    /// Explains what hands on connections and datagrams.
    fn l4_proxies(&self, out: &mut String) -> bool {
        let plan = self.plan;
        for (index, proxy) in plan.model.l4_proxies.iter().enumerate() {
            let mut effective = plan.effective.iter();
            let governing = effective.find(|it| it.l4_proxies.contains(&index));
            let what = proxy.title();
            match governing {
                Some(it) => self.fields(it, &what, Scope::L4Proxy(index), out),
                None => {
                    let _ = writeln!(out, "{what}: no policy");
                }
            }
        }
        !plan.model.l4_proxies.is_empty()
    }

    /// The policy that governs `what`, and its fields in this scope.
    fn fields(&self, it: &Effective, what: &str, scope: Scope, out: &mut String) {
        let policies = &self.plan.policies;
        let name = &policies[it.policy].name;
        let _ = match it.parent {
            Some(parent) => {
                let parent = &policies[parent].name;
                writeln!(out, "{what}: {name}, merged with {parent}")
            }
            None => writeln!(out, "{what}: {name}"),
        };
        let lines = it.lines(scope);
        let origins: Vec<String> = lines
            .iter()
            .map(|line| self.origin(it, &line.field))
            .collect();
        let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let fields = widest(&mut lines.iter().map(|line| line.field.chars().count()));
        let names = widest(&mut origins.iter().map(|name| name.chars().count()));
        for (line, origin) in lines.iter().zip(&origins) {
            let (field, value) = (&line.field, &line.value);
            let _ = writeln!(out, "  {field:fields$}  {origin:names$}  {value}");
            let kept = match scope {
                Scope::Route { route, .. } => it.kept_of(route, &line.field),
                _ => None,
            };
            if let Some(Kept { value, .. }) = kept {
                let _ = writeln!(
                    out,
                    "  {:fields$}  not here: the route itself says {} {}, and the policy does \
                     not name it",
                    "",
                    value.path,
                    value.excerpt()
                );
                continue;
            }
            for destination in &line.destinations {
                let _ = writeln!(out, "  {:fields$}  {destination}", "");
            }
        }
    }

    /// The policy that says a field.
    fn origin(&self, it: &Effective, field: &str) -> String {
        let says = |policy: usize| {
            let spec = self.specs.get(policy).copied().flatten();
            let mut steps = field.split('.');
            spec.and_then(|spec| steps.try_fold(spec, |node, step| node.field(step)))
                .is_some()
        };
        let policy = match it.parent {
            Some(parent) if !says(it.policy) => parent,
            _ => it.policy,
        };
        self.plan.policies[policy].name.to_string()
    }
}
