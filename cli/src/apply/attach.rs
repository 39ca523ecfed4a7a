//! Who governs what: the Gateway that each connection manager stands for, and
//! the policy of each of its routes.

mod l4;

use std::fmt;

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Environment, Gateway};
use btp_policy::policy::{Target, TargetKind};
use btp_policy::scalar::ObjectName;

use crate::documents::Namespaces;
use crate::envoy::files::Config;
use crate::envoy::listener::ChainRef;
use crate::envoy::model::{Model, RouteEntry};
use crate::envoy::route_metadata::{labels_of, resources_of};
pub(crate) use l4::{L4Attached, attach_l4, effective_policy};

/// What governs one connection manager.
#[derive(Debug)]
pub(crate) struct AttachedPolicies {
    /// The Gateway and the listener that it stands for.
    pub(crate) gateway: Gateway,
    pub(crate) attachments: Attachments,
    /// The effective policy of each of its routes.
    pub(crate) routes: Vec<Option<usize>>,
}

/// A configuration, and what governs its parts.
#[derive(Clone, Copy)]
pub(crate) struct Attached<'a> {
    pub(crate) model: &'a Model,
    /// What governs each connection manager.
    pub(crate) http: &'a [AttachedPolicies],
    /// What governs each proxy of connections and datagrams.
    pub(crate) l4: &'a [L4Attached],
    pub(crate) namespaces: &'a Namespaces,
}

/// What a configuration does not say of its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The Gateway that the Envoy as a whole stands for.
    pub(crate) gateway: Option<&'a ObjectName>,
    /// What is known of namespaces.
    pub(crate) namespaces: &'a Namespaces,
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
pub(crate) fn attach(
    config: &Config,
    model: &Model,
    policies: &[Policy],
    surroundings: Surroundings<'_>,
) -> Result<Vec<AttachedPolicies>, AmbiguousListener> {
    let managers = model.managers.iter();
    managers
        .map(|manager| {
            let gateway = gateway_of(config, manager.chain_ref(), policies, surroundings.gateway)?;
            let environment = environment(&gateway, surroundings.namespaces);
            let attachments = Attachments::resolve(policies, &environment);
            let routes = model.routes_of(manager);
            let judge = |route: &RouteEntry| {
                route.judged(manager.form, |it| attachments.effective_policy_of(it))
            };
            let routes = routes.iter().map(judge).collect();
            Ok(AttachedPolicies {
                gateway,
                attachments,
                routes,
            })
        })
        .collect()
}

/// What policies are attached to in one place.
pub(crate) fn environment(gateway: &Gateway, namespaces: &Namespaces) -> Environment {
    Environment {
        gateway: Some(gateway.clone()),
        namespaces: namespaces.clone(),
    }
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
