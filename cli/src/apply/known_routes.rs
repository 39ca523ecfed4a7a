//! The routes that requests take in a connection manager, known in advance: `attachment` of
//! a plugin configuration. It saves the filter its most expensive question.
//!
//! It must be certain: the connection manager itself contains all routes, and each request
//! takes one of them or has the same policy. `OPTIONS *`, which never matches a route,
//! counts as matched: Envoy answers it with 404 itself.

use std::fmt;

use btp_policy::Code;
use btp_policy::attach::Attachments;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problem;

use crate::envoy::files::{Config, problem_at};
use crate::envoy::model::{HttpConnectionManager, Model, RouteEntry, RouteSource};
use crate::envoy::plugin::{build_of, configuration_of};
use crate::envoy::route_metadata::Form;
use crate::envoy::tree::{field, items, text};

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KnownRoutes {
    /// The policy with this index governs all of them.
    All(usize),
    /// There is one, of this name.
    Only(String),
}

/// Why nothing is known. Prints as a predicate of the connection manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The routes come from elsewhere.
    Elsewhere,
    /// Requests may have no route.
    MayBeMissed,
    /// The policies of routes differ.
    Differ,
}

impl KnownRoutes {
    /// What is known of the routes of `manager`, each governed by the policy that
    /// `effective_policy` has for it.
    pub(crate) fn of(
        config: &Config,
        model: &Model,
        manager: &HttpConnectionManager,
        attachments: &Attachments,
        effective_policy: &[Option<usize>],
    ) -> Result<Self, Unknown> {
        let hcm = config.at(&manager.address).ok_or(Unknown::Elsewhere)?;
        let table = field(hcm, "route_config").ok_or(Unknown::Elsewhere)?;
        if !matches!(manager.route_source, RouteSource::Seen(_)) {
            return Err(Unknown::Elsewhere);
        }
        let routes = model.routes_of(manager);
        let first = effective_policy.first().copied().flatten();
        let is_one = effective_policy.iter().all(|it| *it == first);
        let (Some(policy), true) = (first, is_one && effective_policy.len() == routes.len()) else {
            return Err(Unknown::Differ);
        };
        if attachments.fallback() != Some(policy) && !takes_all(hcm, table) {
            return Err(Unknown::MayBeMissed);
        }
        match routes {
            [only] if !only.name.is_empty() => Ok(Self::Only(only.name.clone())),
            _ => Ok(Self::All(policy)),
        }
    }

    /// Whether that may be said, too, where this is so.
    fn includes(&self, told: &Self, effective_policy: &[Option<usize>]) -> bool {
        self == told
            || matches!(told, Self::All(policy) if effective_policy.first() == Some(&Some(*policy)))
    }
}

impl fmt::Display for KnownRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All(_) => "attachment.allRoutes",
            Self::Only(_) => "attachment.onlyRoute",
        })
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elsewhere => "does not contain its routes itself",
            Self::MayBeMissed => {
                "has requests that match no route, to which another policy applies, or none"
            }
            Self::Differ => "has routes with different policies",
        })
    }
}

/// The instances of the filter that are told something else of their routes than the
/// configuration says, each in the file with that index.
pub(crate) fn wrong(config: &Config, model: &Model) -> Vec<(usize, Problem)> {
    let mut found = Vec::new();
    for manager in &model.managers {
        let filters = config.at(&manager.address);
        let filters = filters.map_or(&[][..], |hcm| items(hcm, "http_filters"));
        for (place, filter) in filters.iter().enumerate() {
            let (Some(plugin), Some(build)) = (configuration_of(filter), build_of(filter)) else {
                continue;
            };
            let attachments = &plugin.attachments;
            let Some(told) = told(attachments) else {
                continue;
            };
            let form = Form::from(build);
            let effective_policy =
                |route: &RouteEntry| route.judged(form, |it| attachments.effective_policy_of(it));
            let effective_policy: Vec<Option<usize>> = model
                .routes_of(manager)
                .iter()
                .map(effective_policy)
                .collect();
            let true_ones = KnownRoutes::of(config, model, manager, attachments, &effective_policy);
            let reason = match true_ones {
                Ok(known) if known.includes(&told, &effective_policy) => continue,
                Ok(_) => "does not match the routes here".to_owned(),
                Err(unknown) => format!("cannot be known: the connection manager {unknown}"),
            };
            let address = manager.address.key("http_filters").item(place);
            let reason = format!(
                "has {told} in its plugin configuration, which {reason}: remove attachment, or \
                 run btp apply again"
            );
            found.push((
                address.file,
                problem_at(config, &address, Code::OutdatedAttachment, reason),
            ));
        }
    }
    found
}

/// What an instance is told.
fn told(attachments: &Attachments) -> Option<KnownRoutes> {
    let only = attachments.only_route().map(str::to_owned);
    only.map(KnownRoutes::Only)
        .or_else(|| attachments.of_all().map(KnownRoutes::All))
}

/// Whether each request to a connection manager takes a route of this table.
fn takes_all(hcm: &Node, table: &Node) -> bool {
    let hosts = items(table, "virtual_hosts");
    let is_for_all = |host: &Node| {
        let mut domains = items(host, "domains").iter();
        domains.any(|domain| domain.as_str() == Some("*"))
    };
    !takes_connect(hcm) && hosts.iter().any(is_for_all) && hosts.iter().all(host_takes_all)
}

/// Whether one of its routes takes whatever comes to a virtual host.
fn host_takes_all(host: &Node) -> bool {
    // A matcher decides in its own way, and a redirect to TLS has no route.
    let is_none = |it: &Node| matches!(&it.value, Value::String(name) if name == "NONE");
    let is_plain =
        field(host, "matcher").is_none() && field(host, "require_tls").is_none_or(is_none);
    let is_for_all = |route: &Node| {
        let Some(Value::Map(conditions)) = field(route, "match").map(|it| &it.value) else {
            return false;
        };
        // Any other condition, also one that this does not know.
        conditions.iter().all(|it| match it.key.as_str() {
            "prefix" => matches!(it.node.as_str(), Some("/" | "")),
            "case_sensitive" => true,
            _ => false,
        })
    };
    is_plain && items(host, "routes").iter().any(is_for_all)
}

/// Whether CONNECT is let in: only routes that say so take it.
fn takes_connect(hcm: &Node) -> bool {
    items(hcm, "upgrade_configs").iter().any(|it| {
        let kind = text(it, "upgrade_type").unwrap_or_default();
        kind.to_ascii_uppercase().starts_with("CONNECT")
    })
}
