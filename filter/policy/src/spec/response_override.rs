//! `spec.responseOverride`: other responses in place of the ones that came.
//!
//! Source: Envoy Gateway's `ResponseOverride`; statuses that Envoy's
//! `LocalResponsePolicy` refuses are refused here.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;

mod body;
mod escape;
mod matching;
mod redirect;
mod response;

pub use body::{NewBody, OverrideBody, Variant};
pub use escape::Escape;
pub use matching::{HeaderMatch, OverrideMatch, Source, StringMatch};
pub use redirect::{Redirect, RedirectMode};
pub use response::{HeaderChanges, KeepHeaders, OverrideResponse};

use std::collections::BTreeMap;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::scalar::{ObjectName, Part, Template};
use crate::spec::rule_identity;
use crate::spec::rule_name::read_name;

/// One override: which responses it replaces and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideRule {
    /// What it is known by among the rules of its policy: its name, which is an
    /// extension, or its conditions.
    identity: String,
    /// What is asked of a response and its request.
    pub matching: OverrideMatch,
    /// Whose responses match.
    pub source: Source,
    /// Headers of the original that survive. An extension.
    pub keep: KeepHeaders,
    /// What the client gets.
    pub instead: Instead,
}

/// What an override puts in place of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Instead {
    /// A response.
    Response(OverrideResponse),
    /// A redirect.
    Redirect(Redirect),
}

impl Instead {
    /// Everything in it that is filled in for each response.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        let response = match self {
            Self::Response(response) => response,
            Self::Redirect(redirect) => return redirect.path.iter().collect(),
        };
        let headers = response.headers.add.iter().chain(&response.headers.set);
        let mut found: Vec<&Template> = response.content_type.iter().collect();
        found.extend(headers.map(|header| &header.value));
        match &response.body {
            NewBody::One(body) => found.push(&body.template),
            NewBody::Variants(variants) => {
                found.extend(variants.iter().map(|it| &it.body.template))
            }
            NewBody::Empty | NewBody::Original => {}
        }
        found
    }
}

/// The most command operators in the rules of a policy: what of a request they
/// print is looked up in each.
const MOST_OPERATORS: usize = 1024;

/// The most rules of a policy that look at requests: what they find is kept
/// for the response in one bit each.
const MOST_WITH_REQUESTS: usize = 64;

impl OverrideRule {
    /// Reads the list: the first rule that matches is taken. `owner` is its policy.
    pub fn read_all(
        at: Cursor<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Vec<Self>> {
        // The first with an identity, and how many have it.
        let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut place = 0;
        let rules = at.list(0..=usize::MAX, problems, |at, problems| {
            let (rule, index) = (Self::read(at, owner, regexes, problems), place);
            place += 1;
            let mut rule = rule?;
            let (first, count) = seen.entry(rule.identity.clone()).or_insert((index, 0));
            *count += 1;
            if *count > 1 && rule.is_named() {
                let reason =
                    format!("must have its own name: responseOverride[{first}] has the same name");
                at.refuse(problems, Code::NameTaken, reason);
            }
            rule_identity::tell_apart(&mut rule.identity, *count);
            Some(rule)
        })?;
        let with_requests = rules
            .iter()
            .filter(|rule: &&Self| !rule.matching.requests.is_empty());
        if with_requests.count() > MOST_WITH_REQUESTS {
            let reason =
                format!("must not have match.requests in more than {MOST_WITH_REQUESTS} rules");
            problems.note(&at.path, at.node.mark, Code::TooManyRequestRules, reason);
        }
        if let Err(reason) = Self::check_operators(&rules) {
            problems.note(&at.path, at.node.mark, Code::TooManyOperators, reason);
        }
        Some(rules)
    }

    /// What metrics and logs call it: by its name, or by its conditions.
    #[must_use]
    pub fn label(&self) -> String {
        rule_identity::label(&self.identity)
    }

    fn is_named(&self) -> bool {
        !self.identity.starts_with('.')
    }

    /// What is wrong with the number of command operators in these rules, once
    /// their bodies are there.
    ///
    /// # Errors
    /// There are too many: a predicate whose subject is the rules.
    pub fn check_operators(rules: &[Self]) -> Result<(), String> {
        let templates = rules.iter().flat_map(|rule| rule.instead.templates());
        let is_operator = |part: &&Part| matches!(part, Part::Operator { .. });
        let operators = templates
            .flat_map(Template::parts)
            .filter(is_operator)
            .count();
        if operators <= MOST_OPERATORS {
            return Ok(());
        }
        Err(format!(
            "has {operators} command operators; at most {MOST_OPERATORS} are allowed"
        ))
    }

    fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::RESPONSE_OVERRIDE, problems)?;
        let name = object.optional("name", problems, read_name);
        let source = object.or_default("source", problems, Source::read);
        let identity = match name.flatten() {
            Some(name) => name.to_owned(),
            None => rule_identity::of(object.get("match").map(|at| at.node)),
        };
        let matching = object
            .required("match", problems)
            .and_then(|at| OverrideMatch::read(at, regexes, problems));
        let keep = object.or_default("keepHeaders", problems, KeepHeaders::read);
        let instead = match (object.get("response"), object.get("redirect")) {
            (Some(at), None) => OverrideResponse::read(at, owner, problems).map(Instead::Response),
            (None, Some(at)) => Redirect::read(at, problems).map(Instead::Redirect),
            _ => {
                at.refuse(
                    problems,
                    Code::NotExactlyOne,
                    "must have exactly one of response and redirect",
                );
                None
            }
        };
        let rule = Self {
            identity,
            matching: matching?,
            source: source?,
            keep: keep?,
            instead: instead?,
        };
        rule.refuse_contradictions(at, problems);
        Some(rule)
    }

    fn refuse_contradictions(&self, at: Cursor<'_>, problems: &mut Problems) {
        let response = match &self.instead {
            Instead::Response(response) => response,
            Instead::Redirect(redirect) => {
                // Envoy is told one status for each that there may be.
                if redirect.keep_status && self.matching.statuses.is_empty() {
                    let reason = "has redirect.keepStatus without match.statusCodes: list the \
                        statuses to keep";
                    problems.note(&at.path, at.node.mark, Code::MissingField, reason);
                }
                return;
            }
        };
        let keeps_body = response.body == NewBody::Original;
        if keeps_body && matches!(self.keep, KeepHeaders::Named(_)) {
            let reason = "has keepHeaders beside keepBody: true, which keeps all headers: leave \
                it out, or list unwanted headers in header.remove";
            problems.note(&at.path, at.node.mark, Code::ExcludedField, reason);
        }
        if !keeps_body && self.keep == KeepHeaders::None && !response.headers.remove.is_empty() {
            let reason = "removes headers that an override drops anyway: leave \
                          response.header.remove out, or set keepHeaders or keepBody";
            problems.note(&at.path, at.node.mark, Code::ExcludedField, reason);
        }
    }

    /// The ConfigMaps that contain its bodies.
    pub fn sources(&self) -> impl Iterator<Item = &ObjectName> {
        let body = match &self.instead {
            Instead::Response(response) => Some(&response.body),
            Instead::Redirect(_) => None,
        };
        let (one, variants) = match body {
            Some(NewBody::One(body)) => (Some(body), &[][..]),
            Some(NewBody::Variants(variants)) => (None, variants.as_slice()),
            _ => (None, &[][..]),
        };
        let bodies = one.into_iter().chain(variants.iter().map(|it| &it.body));
        bodies.filter_map(|body| body.from.as_ref())
    }

    /// The bodies that may have to be taken from a ConfigMap; those of
    /// variants with their index.
    pub fn bodies_mut(&mut self) -> Vec<(Option<usize>, &mut OverrideBody)> {
        let Instead::Response(response) = &mut self.instead else {
            return Vec::new();
        };
        match &mut response.body {
            NewBody::One(body) => vec![(None, body)],
            NewBody::Variants(variants) => {
                let bodies = variants.iter_mut().map(|variant| &mut variant.body);
                bodies
                    .enumerate()
                    .map(|(i, body)| (Some(i), body))
                    .collect()
            }
            NewBody::Empty | NewBody::Original => Vec::new(),
        }
    }
}
