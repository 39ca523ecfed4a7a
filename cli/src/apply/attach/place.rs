//! The Gateway, ListenerSet and listener of a filter chain: from the metadata of the chain
//! or its listener, else from the command line, else from names.

use btp_policy::Policy;
use btp_policy::attach::{Gateway, ListenerSet};
use btp_policy::policy::{Target, TargetKind};
use btp_policy::scalar::ObjectName;

use super::AmbiguousListener;
use crate::envoy::files::Config;
use crate::envoy::listener::ChainRef;
use crate::envoy::route_metadata::{labels_of, listener_set_labels_of, resources_of};

/// An object, and its listener.
type Named = (ObjectName, Option<String>);

/// The Gateway that a filter chain stands for, with its ListenerSet if it is of one.
///
/// # Errors
/// It could stand for either of two listeners.
pub(super) fn gateway_of(
    config: &Config,
    chain: ChainRef<'_>,
    policies: &[Policy],
    said: Option<&ObjectName>,
) -> Result<Gateway, AmbiguousListener> {
    let listener = config.at(chain.listener);
    let of_chain = config.at(&chain.chain());
    let resources = [of_chain, listener].into_iter().flatten();
    let noted = |kind: TargetKind| {
        let mut resources = resources.clone().flat_map(resources_of);
        resources.find_map(|[its, namespace, name, section]| {
            let name = ObjectName {
                namespace: namespace.unwrap_or_else(|| "default".to_owned()),
                name: name?,
            };
            (its.as_deref() == Some(kind.as_str())).then_some((name, section))
        })
    };
    // A chain that names its Gateway alone is no part of a set.
    let is_own = of_chain.map(resources_of).is_some_and(|resources| {
        let has = |kind: TargetKind| {
            let mut kinds = resources.iter().filter_map(|it| it[0].as_deref());
            kinds.any(|it| it == kind.as_str())
        };
        has(TargetKind::Gateway) && !has(TargetKind::ListenerSet)
    });
    let noted_set = noted(TargetKind::ListenerSet).filter(|_| !is_own);
    let noted_gateway = noted(TargetKind::Gateway);
    let named = match noted_set.is_none() && noted_gateway.is_none() {
        true => in_set_by_name(chain),
        false => None,
    };
    let (named_gateway, named_set) = named.unzip();
    let set = noted_set.or(named_set);
    let (name, section) = match (noted_gateway, said) {
        (Some(found), _) => found,
        (None, Some(said)) => (said.clone(), None),
        (None, None) => match named_gateway {
            Some(name) => (name, None),
            None => by_name(chain.listener_name, policies),
        },
    };
    let section = match (&set, section) {
        (Some((_, Some(section))), _) => Some(section.clone()),
        (_, Some(section)) => Some(section),
        (Some((set, None)), None) => section_of(chain, TargetKind::ListenerSet, set, policies)?,
        (None, None) => section_of(chain, TargetKind::Gateway, &name, policies)?,
    };
    let labels = listener.map(labels_of).unwrap_or_default();
    let of_set = || resources.clone().flat_map(listener_set_labels_of);
    Ok(Gateway {
        name,
        listener: section,
        listener_set: set.map(|(name, _)| ListenerSet {
            name,
            labels: of_set().collect(),
        }),
        labels: labels.into_iter().collect(),
    })
}

/// Envoy Gateway's name of a listener of a ListenerSet, which no other has so many parts
/// as: `<namespace>/<Gateway>/<namespace>/<ListenerSet>/<listener>`.
fn in_set_by_name(chain: ChainRef<'_>) -> Option<(ObjectName, Named)> {
    let names = chain.name.into_iter().chain([chain.listener_name]);
    names.into_iter().find_map(|name| {
        let parts: Vec<&str> = name.split('/').collect();
        let [of_gateway, gateway, of_set, set, listener] = parts.as_slice() else {
            return None;
        };
        let listener = Some((*listener).to_owned());
        Some((object(of_gateway, gateway), (object(of_set, set), listener)))
    })
}

/// The listener's name as `name`, `namespace/name`, `name/section` or
/// `namespace/name/section`.
fn by_name(listener: &str, policies: &[Policy]) -> Named {
    let parts: Vec<&str> = listener.split('/').collect();
    match parts.as_slice() {
        [first, second] => {
            let (whole, part) = (object(first, second), object("default", first));
            let is_wanted = |wanted: &ObjectName| {
                targets(policies, TargetKind::Gateway).any(|target| target.object == *wanted)
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

fn object(namespace: &str, name: &str) -> ObjectName {
    ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Which listener of the Gateway or set: the one that policies speak of, be it by
/// the name of the filter chain or of the listener.
fn section_of(
    chain: ChainRef<'_>,
    kind: TargetKind,
    object: &ObjectName,
    policies: &[Policy],
) -> Result<Option<String>, AmbiguousListener> {
    let is_wanted = |section: &str| {
        let mut targets = targets(policies, kind).filter(|it| it.object == *object);
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

fn targets(policies: &[Policy], kind: TargetKind) -> impl Iterator<Item = &Target> {
    let targets = policies.iter().flat_map(|policy| &policy.targets);
    targets.filter(move |target| target.kind == kind)
}
