//! Who governs connections and datagrams that are handed on as they are: the
//! policy of their listener, completed by the Gateway's.
//!
//! As in Envoy Gateway, a field that the listener's policy leaves out is the
//! Gateway's there, unlike for HTTP, where the most specific policy governs
//! alone.

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Gateway};
use btp_policy::policy::TargetKind;

use super::{AmbiguousListener, Surroundings, environment, gateway_of};
use crate::documents::Namespaces;
use crate::envoy::files::Config;
use crate::envoy::model::Model;

/// What governs one of the model's proxies.
#[derive(Debug)]
pub(crate) struct L4Attached {
    /// The Gateway and the listener that it stands for.
    pub(crate) gateway: Gateway,
    pub(crate) policy: Option<usize>,
    /// The policy that completes it.
    pub(crate) under: Option<usize>,
}

/// Finds who governs each proxy of connections and datagrams.
///
/// # Errors
/// One could stand for either of two listeners.
pub(crate) fn attach_l4(
    config: &Config,
    model: &Model,
    policies: &[Policy],
    surroundings: Surroundings<'_>,
) -> Result<Vec<L4Attached>, AmbiguousListener> {
    let proxies = model.l4_proxies.iter();
    proxies
        .map(|proxy| {
            let gateway = gateway_of(config, proxy.chain_ref(), policies, surroundings.gateway)?;
            let policy = effective_policy(policies, &gateway, surroundings.namespaces);
            let whole: Vec<Policy> = policies.iter().map(of_whole_gateways).collect();
            let under = effective_policy(&whole, &gateway, surroundings.namespaces);
            Ok(L4Attached {
                // Without targets left, a policy would govern everything.
                under: under.filter(|it| Some(*it) != policy && !whole[*it].is_untargeted()),
                gateway,
                policy,
            })
        })
        .collect()
}

/// The policy that governs the listener of this Gateway, apart from routes.
pub(crate) fn effective_policy(
    policies: &[Policy],
    gateway: &Gateway,
    namespaces: &Namespaces,
) -> Option<usize> {
    let environment = environment(gateway, namespaces);
    Attachments::resolve(policies, &environment).fallback()
}

/// A policy as far as it targets Gateways as a whole.
fn of_whole_gateways(policy: &Policy) -> Policy {
    let targets = policy.targets.iter();
    let is_gateway = |kind| kind == TargetKind::Gateway;
    let targets = targets.filter(|it| is_gateway(it.kind) && it.section.is_none());
    let selectors = policy.selectors.iter();
    Policy {
        targets: targets.cloned().collect(),
        selectors: selectors
            .filter(|it| is_gateway(it.kind))
            .cloned()
            .collect(),
        ..policy.clone()
    }
}
