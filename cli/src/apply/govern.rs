//! Who governs what: the Gateway that each connection manager stands for, the
//! policy of each of its routes, and the targets that are not there.

mod l4;

use std::collections::BTreeMap;
use std::fmt;

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Environment, Gateway};
use btp_policy::policy::{Target, TargetKind};
use btp_policy::read::nearest;
use btp_policy::scalar::ObjectName;

use crate::envoy::files::Config;
use crate::envoy::listener::ChainRef;
use crate::envoy::model::{Model, RouteEntry, labels_of, resources_of};
pub(crate) use l4::{L4Attached, govern_l4};

/// What governs one connection manager.
#[derive(Debug)]
pub(crate) struct AttachedPolicies {
    /// The Gateway and the listener that it stands for.
    pub(crate) gateway: Gateway,
    pub(crate) attachments: Attachments,
    /// The governing policy of each of its routes.
    pub(crate) routes: Vec<Option<usize>>,
}

/// A target that is not in the configuration.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) policy: usize,
    /// Its path, such as `spec.targetRefs[0]`.
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// A filter chain that could stand for either of two listeners.
#[derive(Debug)]
pub(crate) struct AmbiguousListener {
    chain: String,
    listener: String,
}

impl fmt::Display for AmbiguousListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the filter chain {} of the listener {} is the target of one policy and the \
             listener of another: target both by filter chains",
            self.chain, self.listener
        )
    }
}

/// Finds who governs each connection manager.
///
/// # Errors
/// A connection manager could stand for either of two listeners.
pub(crate) fn govern(
    config: &Config,
    model: &Model,
    policies: &[Policy],
    gateway: Option<&ObjectName>,
) -> Result<Vec<AttachedPolicies>, AmbiguousListener> {
    let managers = model.managers.iter();
    managers
        .map(|manager| {
            let gateway = gateway_of(config, manager.chain_ref(), policies, gateway)?;
            let environment = Environment {
                gateway: Some(gateway.clone()),
                namespaces: BTreeMap::new(),
            };
            let attachments = Attachments::resolve(policies, &environment);
            let routes = model.routes_of(manager);
            let judge = |route: &RouteEntry| route.judged(|it| attachments.governing_route(it));
            let routes = routes.iter().map(judge).collect();
            Ok(AttachedPolicies {
                gateway,
                attachments,
                routes,
            })
        })
        .collect()
}

/// The targets that are nowhere in the configuration.
pub(crate) fn missing(
    model: &Model,
    policies: &[Policy],
    attached: &[AttachedPolicies],
    l4: &[L4Attached],
) -> Vec<Missing> {
    let mut used = vec![0_usize; policies.len()];
    for policy in attached.iter().flat_map(|it| &it.routes).flatten() {
        used[*policy] += 1;
    }
    let mut missing = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let is_sure = used[index] > 0 && policy.targets.len() + policy.selectors.len() == 1;
        if is_sure {
            continue;
        }
        for (place, target) in policy.targets.iter().enumerate() {
            if let Err(reason) = find_target(model, policy, target, attached, l4) {
                missing.push(Missing {
                    policy: index,
                    path: format!("spec.targetRefs[{place}]"),
                    reason,
                });
            }
        }
        for place in 0..policy.selectors.len() {
            let alone = Policy {
                targets: Vec::new(),
                selectors: vec![policy.selectors[place].clone()],
                ..policy.clone()
            };
            let is_gateway = policy.selectors[place].kind == TargetKind::Gateway;
            if !is_somewhere(model, &alone, attached, l4, is_gateway) {
                missing.push(Missing {
                    policy: index,
                    path: format!("spec.targetSelectors[{place}]"),
                    reason: "TargetNotFound: nothing has these labels; labels of a route or \
                             listener stand in its metadata.filter_metadata.btp.labels"
                        .to_owned(),
                });
            }
        }
    }
    missing
}

fn find_target(
    model: &Model,
    policy: &Policy,
    target: &Target,
    attached: &[AttachedPolicies],
    l4: &[L4Attached],
) -> Result<(), String> {
    let kind = target.kind;
    if !kind.has_counterpart() {
        return Err(format!(
            "TargetNotFound: {}: an Envoy of one's own has no such thing",
            kind.as_str()
        ));
    }
    let alone = Policy {
        targets: vec![target.clone()],
        selectors: Vec::new(),
        ..policy.clone()
    };
    if is_somewhere(model, &alone, attached, l4, kind == TargetKind::Gateway) {
        return Ok(());
    }
    let whole = Policy {
        targets: vec![Target {
            section: None,
            ..target.clone()
        }],
        ..alone
    };
    let is_section = target.section.is_some()
        && is_somewhere(model, &whole, attached, l4, kind == TargetKind::Gateway);
    let wanted = match &target.section {
        Some(section) if is_section => section,
        _ => &target.object.name,
    };
    let (what, known, hint) = if kind == TargetKind::Gateway {
        let hint = if is_section {
            String::new()
        } else {
            let name = &target.object;
            format!("; if this Envoy as a whole stands for it, say --gateway {name}")
        };
        ("listeners", listener_names(model, attached, l4), hint)
    } else {
        let names = model.route_configs.iter().flat_map(|it| &it.routes);
        let names: Vec<String> = names
            .flat_map(|route| route.names().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        ("routes", names, String::new())
    };
    Err(format!(
        "TargetNotFound: {target} is not among the {what} there{}{hint}",
        suggestion(wanted, known)
    ))
}

/// Whether a policy governs anything if it is the only one.
fn is_somewhere(
    model: &Model,
    alone: &Policy,
    attached: &[AttachedPolicies],
    l4: &[L4Attached],
    is_gateway: bool,
) -> bool {
    let policies = std::slice::from_ref(alone);
    let governs = |it: &L4Attached| l4::governing(policies, &it.gateway).is_some();
    if is_gateway && l4.iter().any(governs) {
        return true;
    }
    model.managers.iter().zip(attached).any(|(manager, it)| {
        let environment = Environment {
            gateway: Some(it.gateway.clone()),
            namespaces: BTreeMap::new(),
        };
        let attachments = Attachments::resolve(policies, &environment);
        if is_gateway {
            return attachments.fallback().is_some();
        }
        let mut routes = model.routes_of(manager).iter();
        routes.any(|route| route.judged(|it| attachments.governing_route(it).is_some()))
    })
}

/// The nearest known name, or some of the known ones.
fn suggestion(wanted: &str, mut known: Vec<String>) -> String {
    const SHOWN: usize = 8;
    known.sort();
    known.dedup();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some(near) = nearest(wanted, &names) {
        return format!("; did you mean {near:?}?");
    }
    match names.len() {
        0 => "; none has a name".to_owned(),
        1..=SHOWN => format!("; there are {}", names.join(", ")),
        count => format!("; there are {}, … ({count})", names[..SHOWN].join(", ")),
    }
}

fn listener_names(model: &Model, attached: &[AttachedPolicies], l4: &[L4Attached]) -> Vec<String> {
    let managers = model.managers.iter().map(|it| it.chain_ref());
    let managers = managers.zip(attached.iter().map(|it| &it.gateway));
    let proxies = model.l4_proxies.iter().map(|it| it.chain_ref());
    let proxies = proxies.zip(l4.iter().map(|it| &it.gateway));
    let mut names = Vec::new();
    for (chain, gateway) in managers.chain(proxies) {
        names.push(chain.listener_name.to_owned());
        names.extend(chain.name.map(str::to_owned));
        names.extend(gateway.listener.clone());
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The Gateway that a filter chain stands for: what its listener's
/// metadata says, else what the person says, else what the listener's name
/// says.
fn gateway_of(
    config: &Config,
    chain: ChainRef<'_>,
    policies: &[Policy],
    said: Option<&ObjectName>,
) -> Result<Gateway, AmbiguousListener> {
    let listener = config.at(chain.listener);
    let resources = listener.map(resources_of).unwrap_or_default();
    let by_metadata = resources
        .into_iter()
        .find_map(|[kind, namespace, name, section]| {
            let name = ObjectName {
                namespace: namespace.unwrap_or_else(|| "default".to_owned()),
                name: name?,
            };
            (kind.as_deref() == Some("Gateway")).then_some((name, section))
        });
    let (name, section) = match (by_metadata, said) {
        (Some(found), _) => found,
        (None, Some(said)) => (said.clone(), None),
        (None, None) => by_name(chain.listener_name, policies),
    };
    let section = match section {
        Some(section) => Some(section),
        None => section_of(chain, &name, policies)?,
    };
    let labels = listener.map(labels_of).unwrap_or_default();
    Ok(Gateway {
        name,
        listener: section,
        labels: labels.into_iter().collect(),
    })
}

/// The listener's name as `name`, `namespace/name`, `name/section` or
/// `namespace/name/section`.
fn by_name(listener: &str, policies: &[Policy]) -> (ObjectName, Option<String>) {
    let object = |namespace: &str, name: &str| ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let parts: Vec<&str> = listener.split('/').collect();
    match parts.as_slice() {
        [first, second] => {
            let (whole, part) = (object(first, second), object("default", first));
            let is_wanted = |wanted: &ObjectName| {
                gateway_targets(policies).any(|target| target.object == *wanted)
            };
            if !is_wanted(&whole) && is_wanted(&part) {
                (part, Some((*second).to_owned()))
            } else {
                (whole, None)
            }
        }
        [namespace, name, section] => (object(namespace, name), Some((*section).to_owned())),
        [""] => (object("default", "unnamed"), None),
        _ => (object("default", listener), None),
    }
}

/// Which listener of the Gateway: the one that policies speak of, be it by
/// the name of the filter chain or of the listener.
fn section_of(
    chain: ChainRef<'_>,
    gateway: &ObjectName,
    policies: &[Policy],
) -> Result<Option<String>, AmbiguousListener> {
    let is_wanted = |section: &str| {
        let mut targets = gateway_targets(policies).filter(|it| it.object == *gateway);
        targets.any(|target| target.section.as_deref() == Some(section))
    };
    let listener = chain.listener_name;
    match chain.name {
        Some(chain) if is_wanted(chain) && is_wanted(listener) && chain != listener => {
            Err(AmbiguousListener {
                chain: chain.to_owned(),
                listener: listener.to_owned(),
            })
        }
        Some(chain) if is_wanted(chain) => Ok(Some(chain.to_owned())),
        _ => Ok((!listener.is_empty()).then(|| listener.to_owned())),
    }
}

fn gateway_targets(policies: &[Policy]) -> impl Iterator<Item = &Target> {
    let targets = policies.iter().flat_map(|policy| &policy.targets);
    targets.filter(|target| target.kind == TargetKind::Gateway)
}
