//! `btp explain --bootstrap`: which policy applies to a route or a request of a
//! configuration, and where each field is enforced.

use std::fmt::Write as _;
use std::path::Path;

use btp_policy::attach::Reason;
use btp_policy::node::Node;
use serde_json::Value;

use super::answer::{Answer, Decided, Enforced, Explained, Field, Governing, OfService};
use super::bodies;
use super::decisions::{self, Asked, Decision, Known};
use super::policies::refuse;
use crate::apply::effective::{Effective, Kept, Line};
use crate::apply::options::{FilterFile, Options, object_name};
use crate::apply::placement::Scope;
use crate::apply::plan::{self, Plan};
use crate::apply::services::overridden;
use crate::commands::files::{Files, Summary};
use crate::commands::json::{self, ReportFormat};
use crate::commands::{Error, Outcome};
use crate::diagnostics::{self, Format};
use crate::documents::Input;
use crate::envoy::files::Config;
use crate::envoy::l4::L4Proxy;
use crate::envoy::model::{HttpConnectionManager, RouteId};
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
    /// The route that takes this request, and what is decided of it.
    Request(&'a str, &'a Known),
}

/// Answers it; false if something was refused or nothing was found.
pub(super) fn run(
    bootstrap: &Path,
    files: &Files,
    gateway: Option<&str>,
    build: Option<Build>,
    question: Question<'_>,
    format: ReportFormat,
) -> Result<Outcome, Error> {
    let request = match question {
        Question::Request(text, known) => {
            let request = Request::parse(text);
            let request = request.ok_or_else(|| Error::NoRequest(text.to_owned()))?;
            Some((request.with_headers(known.headers.clone()), known))
        }
        _ => None,
    };
    let mut input = files.read(Some(bootstrap))?;
    let summary = Summary::of_explained(&input);
    let mut found = input.take_findings();
    files.refuse_none(&input, &mut found);
    let mut config = Config::read(bootstrap)?;
    let build = build.or_else(|| config.build()).unwrap_or(Build::Wasm);
    let options = Options {
        filter: FilterFile::usual(build),
        gateway: gateway.map(object_name),
        ecds: None,
        faults_behind: None,
        limits_behind: None,
        access_log: false,
        // To explain is not to enforce: who counts is for `apply` to know.
        rate_limits: Service::assumed(),
    };
    let plan = plan::apply(&mut config, &input, &options, &mut found);
    let mut sources = std::mem::take(&mut input.sources);
    sources.extend(config.files.iter().map(|file| file.source.clone()));
    let Some(plan) = plan.filter(|_| diagnostics::is_fine(&found)) else {
        refuse(summary, &found, &sources, format)?;
        return Ok(Outcome::Refused);
    };
    let specs = input.specs();
    let explainer = Explainer {
        plan: &plan,
        specs: &specs,
        input: &input,
    };
    let mut answer = Answer::default();
    match question {
        Question::All => {
            answer.policies = explainer.policies();
            answer.places = explainer.routes(|_| true);
            answer.places.extend(explainer.l4_proxies());
        }
        Question::Route(name) => answer.places = explainer.routes(|title| title == name),
        Question::Request(..) => {
            let request = request.iter();
            answer.places = request
                .flat_map(|(it, known)| explainer.request(it, known, &config))
                .collect();
        }
    }
    if plan.effective.iter().any(|it| !it.global_rules.is_empty()) {
        let note = "rateLimit.global is in force only with btp apply --rate-limit-service and \
            --rate-limit-config";
        answer.notes.push(note.to_owned());
    }
    let shown = |it: &&Effective| {
        let name = plan.policies[it.policy].name.to_string();
        let mut places = answer.places.iter();
        places.any(|place| {
            let governing = place.effective_policy.as_ref();
            governing.is_some_and(|it| it.policy == name)
        })
    };
    let retried = plan.effective.iter().filter(shown);
    let retried: Vec<String> = retried
        .flat_map(|it| bodies::notes(&plan, &config, it))
        .collect();
    answer.notes.extend(retried);
    let is_known = !answer.places.is_empty() || request.is_some();
    if format == ReportFormat::Json {
        json::print(answer.as_json(), summary, &found, &sources)?;
    } else {
        summary.print(&found, &sources, Format::Text)?;
        let mut out = String::new();
        if matches!(question, Question::All) {
            explainer.write_statuses(&mut out);
        }
        answer.places.iter().for_each(|it| it.write(&mut out));
        for note in &answer.notes {
            let _ = writeln!(out, "note: {note}");
        }
        output::print(&out)?;
    }
    if !is_known {
        terminal::say_error(None, &"no such route");
    }
    Ok(match is_known {
        true => Outcome::Fine,
        false => Outcome::Refused,
    })
}

struct Explainer<'a> {
    plan: &'a Plan,
    specs: &'a [Option<&'a Node>],
    input: &'a Input,
}

impl Explainer<'_> {
    /// What became of each policy, for programs.
    fn policies(&self) -> Vec<Value> {
        let statuses = self.plan.statuses.iter().map(json::status);
        let off = self.plan.off.iter();
        let off = off.map(|(name, by)| json::switched_off(name, by));
        statuses.chain(off).collect()
    }

    /// Says what became of each policy.
    fn write_statuses(&self, out: &mut String) {
        out.push_str("policies\n");
        for status in &self.plan.statuses {
            let _ = writeln!(out, "  {status}");
        }
        for (name, by) in &self.plan.off {
            let disabled = Reason::Disabled.as_condition();
            let _ = writeln!(out, "  {name}: {disabled}: disabled by {by}");
        }
        out.push('\n');
    }

    /// The routes whose titles are wanted.
    fn routes(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Explained> {
        let mut found = Vec::new();
        for (index, manager) in self.plan.model.managers.iter().enumerate() {
            for id in self.plan.model.ids_of(manager) {
                if is_wanted(&self.plan.model.route(id).title()) {
                    found.push(self.route(index, Some(id)));
                }
            }
        }
        found
    }

    /// The answer to a request, on each listener.
    fn request(&self, request: &Request, known: &Known, config: &Config) -> Vec<Explained> {
        let model = &self.plan.model;
        let managers = model.managers.iter().enumerate();
        let place = |(index, manager): (usize, &HttpConnectionManager)| {
            let seen = manager.route_source.config();
            let seen = seen.map(|index| &model.route_configs[index].address);
            let table = seen.and_then(|address| Some((address, config.at(address)?)));
            let asked = table.map(|(_, table)| request.in_table(table));
            let taken = asked.as_ref().zip(table);
            let taken = taken.and_then(|(request, (address, it))| request.route_in(it, address));
            let mut ids = model.ids_of(manager);
            let id = taken.and_then(|taken| ids.find(|id| model.route(*id).address == taken));
            let full = asked.clone().unwrap_or_else(|| request.clone());
            let asked = asked.filter(|_| !request.names_host());
            Explained {
                host: asked.map(|it| it.host().to_owned()),
                decided: self.decided(index, id, &Asked::new(full, known)),
                ..self.route(index, id)
            }
        };
        managers.map(place).collect()
    }

    /// What the filter decides of a request that takes this route, or none; `None` if no
    /// policy governs there.
    fn decided(&self, manager: usize, route: Option<RouteId>, asked: &Asked) -> Option<Decided> {
        let it = self.effective_for(manager, route)?;
        let policy = decisions::merged(it, &self.plan.policies, self.specs, self.input);
        Some(Decided {
            request: asked.title(),
            decisions: match policy {
                Ok(policy) => decisions::all(&policy, asked),
                Err(reason) => vec![Decision::unknown(&reason)],
            },
        })
    }

    /// The spec that is in force on a route, or on what no route takes.
    fn effective_for(&self, manager: usize, route: Option<RouteId>) -> Option<&Effective> {
        self.plan.effective.iter().find(|it| match route {
            Some(id) => it.routes.contains(&(manager, id)),
            None => it.default_for.contains(&manager),
        })
    }

    /// One route, or what no route takes.
    fn route(&self, index: usize, route: Option<RouteId>) -> Explained {
        let plan = self.plan;
        let manager = &plan.model.managers[index];
        let listener = &manager.listener_name;
        let name = route.map(|id| plan.model.route(id).title());
        let what = match &name {
            Some(name) => format!("route {name}"),
            None => "no route".to_owned(),
        };
        let effective_policy = self.effective_for(index, route);
        let scope = match route {
            Some(route) => Scope::Route {
                manager: index,
                route,
            },
            None => Scope::NoRoute { manager: index },
        };
        Explained {
            title: format!("listener {listener}, {what}"),
            listener: Some(listener.clone()),
            route: name,
            effective_policy: effective_policy.map(|it| self.effective_policy(it, scope)),
            services: route.map_or_else(Vec::new, |route| self.services(index, route)),
            ..Explained::default()
        }
    }

    /// What is in force on a route by the Services that it sends to.
    fn services(&self, manager: usize, route: RouteId) -> Vec<OfService> {
        let plan = self.plan;
        let name = |policy: usize| plan.policies[policy].name.to_string();
        let effective = plan.effective.iter();
        let of_services = effective.filter(|it| it.sends.contains(&(manager, route)));
        let of_service = |it: &Effective| {
            let clusters = it.clusters.iter();
            let clusters = clusters.filter(|(_, routes)| routes.contains(&route));
            OfService {
                policy: name(it.policy),
                clusters: clusters.map(|(name, _)| name.clone()).collect(),
                overridden: overridden(&plan.effective, it, manager, route)
                    .into_iter()
                    .map(|(field, by)| (field, name(by)))
                    .collect(),
            }
        };
        of_services.map(of_service).collect()
    }

    /// What hands on connections and datagrams.
    fn l4_proxies(&self) -> Vec<Explained> {
        let plan = self.plan;
        let proxies = plan.model.l4_proxies.iter().enumerate();
        let place = |(index, proxy): (usize, &L4Proxy)| {
            let mut effective = plan.effective.iter();
            let effective_policy = effective.find(|it| it.l4_proxies.contains(&index));
            Explained {
                title: proxy.title(),
                proxy: Some(proxy.title()),
                effective_policy: effective_policy
                    .map(|it| self.effective_policy(it, Scope::L4Proxy(index))),
                ..Explained::default()
            }
        };
        proxies.map(place).collect()
    }

    /// The policy that governs somewhere, and its fields in this scope.
    fn effective_policy(&self, it: &Effective, scope: Scope) -> Governing {
        let policies = &self.plan.policies;
        let field = |line: Line| {
            let kept = match scope {
                Scope::Route { route, .. } => it.kept_of(route, &line.field),
                _ => None,
            };
            Field {
                policy: self.origin(it, &line.field),
                enforced: match kept {
                    Some(Kept { value, .. }) => {
                        Enforced::Kept(format!("{} {}", value.path, value.excerpt()))
                    }
                    None => Enforced::At(line.destinations),
                },
                name: line.field,
                value: line.value,
            }
        };
        Governing {
            policy: policies[it.policy].name.to_string(),
            merged_with: (!it.parents.is_empty()).then(|| it.parents_in_words(policies)),
            how: None,
            fields: it.lines(scope).into_iter().map(field).collect(),
        }
    }

    /// The policy that says a field.
    fn origin(&self, it: &Effective, field: &str) -> String {
        // `retry (max_retries)` is due to `retry`; rules that are added are the parent's.
        let field = match field.split_once(" (") {
            Some((field, rest)) if rest != "added)" => field,
            _ => field,
        };
        let says = |policy: usize| {
            let spec = self.specs.get(policy).copied().flatten();
            let mut steps = field.split('.');
            spec.and_then(|spec| steps.try_fold(spec, |node, step| node.field(step)))
                .is_some()
        };
        // What is added to lists that a merge unites stands in no spec by that name.
        let mut all = std::iter::once(it.policy).chain(it.parents.iter().copied());
        let policy = all.find(|policy| says(*policy));
        let policy = policy.or(it.parents.last().copied()).unwrap_or(it.policy);
        self.plan.policies[policy].name.to_string()
    }
}
