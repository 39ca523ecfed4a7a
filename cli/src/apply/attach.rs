//! Which policies apply where: the Gateway of each connection manager, and the policy of
//! each of its routes.

mod l4;
mod place;

use std::fmt;

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Environment, Gateway};
use btp_policy::scalar::ObjectName;

use crate::documents::Namespaces;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, RouteEntry};
pub(crate) use l4::{L4Attached, attach_l4, effective_policy, kinds_of, levels};
use place::gateway_of;

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
            "one policy targets filter chain {} of listener {}, another the whole listener: \
             target filter chains in both",
            self.chain, self.listener
        )
    }
}

/// Finds which policies apply to each connection manager.
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
