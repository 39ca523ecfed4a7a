//! The explanation, as text and as JSON: both come from the same data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::decisions::Decision;
use crate::apply::placement::Destination;
use crate::commands::json;

/// The complete answer.
#[derive(Default)]
pub(super) struct Answer {
    /// What became of each policy.
    pub(super) policies: Vec<Value>,
    pub(super) places: Vec<Explained>,
    pub(super) notes: Vec<String>,
}

/// A place in which a policy governs, or none.
#[derive(Default)]
pub(super) struct Explained {
    /// What it is, for people.
    pub(super) title: String,
    pub(super) listener: Option<String>,
    /// Its route; `None`: what no route takes.
    pub(super) route: Option<String>,
    /// What hands on connections and datagrams, in place of a listener and a route.
    pub(super) proxy: Option<String>,
    /// The host of the request, if it named none.
    pub(super) host: Option<String>,
    pub(super) effective_policy: Option<Governing>,
    /// What is in force there by the Service that requests are sent to.
    pub(super) services: Vec<OfService>,
    /// If it is about a request.
    pub(super) decided: Option<Decided>,
}

/// A policy of Services that a route sends to.
pub(super) struct OfService {
    pub(super) policy: String,
    /// The clusters that are its Services.
    pub(super) clusters: Vec<String>,
    /// Its fields for which the policy of the route is in force instead: that policy.
    pub(super) overridden: Vec<(&'static str, String)>,
}

/// What the filter decides of a request.
pub(super) struct Decided {
    /// The request, in a few words.
    pub(super) request: String,
    /// One for each capability that the policy has.
    pub(super) decisions: Vec<Decision>,
}

/// The policy that governs there.
pub(super) struct Governing {
    pub(super) policy: String,
    pub(super) merged_with: Option<String>,
    /// The `mergeType`, if it is known.
    pub(super) how: Option<&'static str>,
    pub(super) fields: Vec<Field>,
}

/// A field in force.
pub(super) struct Field {
    pub(super) name: String,
    /// Its value as JSON.
    pub(super) value: String,
    /// The policy that says it.
    pub(super) policy: String,
    pub(super) enforced: Enforced,
}

/// The side that enforces a field.
pub(super) enum Enforced {
    /// This one, wherever the policy governs.
    By(&'static str),
    /// In these places of the configuration.
    At(Vec<Destination>),
    /// Nobody: the route itself says this instead.
    Kept(String),
}

impl Answer {
    /// As one object.
    pub(super) fn as_json(&self) -> Value {
        let places = self.places.iter().map(Explained::as_json);
        json!({
            "policies": self.policies,
            "places": places.collect::<Vec<Value>>(),
            "notes": self.notes,
        })
    }
}

impl OfService {
    fn as_json(&self) -> Value {
        json!({
            "policy": self.policy,
            "clusters": self.clusters,
            "overridden": self.overridden.iter().cloned().collect::<BTreeMap<&str, String>>(),
        })
    }

    fn line(&self) -> String {
        let clusters = match self.clusters.is_empty() {
            true => "the cluster that a request names".to_owned(),
            false => format!("cluster {}", self.clusters.join(", ")),
        };
        let instead = self.overridden.iter();
        let instead = instead.map(|(field, by)| format!("; {field} of {by} is in force instead"));
        let instead: String = instead.collect();
        format!("  by its Service ({clusters}): {}{instead}\n", self.policy)
    }
}

impl Explained {
    /// What is in force there by the Service that requests are sent to.
    fn write_services(&self, out: &mut String) {
        out.extend(self.services.iter().map(OfService::line));
    }

    fn as_json(&self) -> Value {
        let effective_policy = self.effective_policy.as_ref();
        let fields = effective_policy.map_or(&[][..], |it| it.fields.as_slice());
        json!({
            "listener": self.listener,
            "route": self.route,
            "proxy": self.proxy,
            "host": self.host,
            "policy": effective_policy.map(|it| &it.policy),
            "mergedWith": effective_policy.and_then(|it| it.merged_with.as_ref()),
            "mergeType": effective_policy.and_then(|it| it.how),
            "fields": fields.iter().map(Field::as_json).collect::<Vec<Value>>(),
            "services": self.services.iter().map(OfService::as_json).collect::<Vec<Value>>(),
            "decisions": self.decided.as_ref().map(|it| {
                it.decisions.iter().map(Decision::as_json).collect::<Vec<Value>>()
            }),
        })
    }

    /// As text; false if no policy governs there.
    pub(super) fn write(&self, out: &mut String) {
        let title = &self.title;
        if let (Some(host), Some(listener)) = (&self.host, &self.listener) {
            let host = if host == "*" { "any host" } else { host };
            let _ = writeln!(out, "listener {listener}, host {host}:");
        }
        let Some(it) = &self.effective_policy else {
            let _ = writeln!(out, "{title}: no policy");
            self.write_services(out);
            return;
        };
        let _ = write!(out, "{title}: {}", it.policy);
        if let Some(parent) = &it.merged_with {
            let _ = write!(out, ", merged with {parent}");
        }
        let _ = match it.how {
            Some(how) => writeln!(out, " ({how})"),
            None => writeln!(out),
        };
        let width = |text: &dyn Fn(&Field) -> &str| {
            let widths = it.fields.iter().map(|field| text(field).chars().count());
            widths.max().unwrap_or(0)
        };
        let names = width(&|field| &field.name);
        let policies = width(&|field| &field.policy);
        let by = width(&|field| match field.enforced {
            Enforced::By(by) => by,
            _ => "",
        });
        for Field {
            name,
            value,
            policy,
            enforced,
        } in &it.fields
        {
            let _ = write!(out, "  {name:names$}  ");
            if let Enforced::By(who) = enforced {
                let _ = write!(out, "{who:by$}  ");
            }
            let _ = writeln!(out, "{policy:policies$}  {value}");
            match enforced {
                Enforced::By(_) => {}
                Enforced::At(places) => {
                    for place in places {
                        let _ = writeln!(out, "  {:names$}  {place}", "");
                    }
                }
                Enforced::Kept(value) => {
                    let _ = writeln!(
                        out,
                        "{:names$}  not here: the route itself sets {value}, and the policy does \
                         not target it by name",
                        ""
                    );
                }
            }
        }
        self.write_services(out);
        if let Some(decided) = self.decided.as_ref().filter(|it| !it.decisions.is_empty()) {
            let _ = writeln!(out, "  decisions of the filter for {}:", decided.request);
            decided.decisions.iter().for_each(|it| it.write(out));
        }
    }
}

impl Field {
    fn as_json(&self) -> Value {
        let mut field = json!({
            "field": self.name,
            "value": json::value(&self.value),
            "policy": self.policy,
        });
        match &self.enforced {
            Enforced::By(who) => {
                field["enforcedBy"] = json!(match *who {
                    "filter" => "Filter",
                    "nobody" => "Nobody",
                    other => other,
                });
            }
            Enforced::At(places) => {
                let places: Vec<Value> = places.iter().map(json::destination).collect();
                field["destinations"] = json!(places);
            }
            Enforced::Kept(value) => {
                let reason = format!("the route itself sets {value}");
                field["destinations"] = json!([{ "by": "Nobody", "reason": reason }]);
            }
        }
        field
    }
}
