//! Which policies apply to connections and datagrams that Envoy forwards unchanged: those
//! of the route, its rule, the listener, its ListenerSet and the Gateway.
//!
//! As in Envoy Gateway, a field that the most specific policy leaves out comes from the
//! next one. For HTTP, only the most specific policy counts.

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Gateway, Levels};
use btp_policy::policy::TargetKind;

use super::{AmbiguousListener, Surroundings, environment, gateway_of};
use crate::documents::Namespaces;
use crate::envoy::files::Config;
use crate::envoy::l4::{L4, L4Proxy};
use crate::envoy::model::Model;
use crate::envoy::route_metadata;

/// What governs one of the model's proxies.
#[derive(Debug)]
pub(crate) struct L4Attached {
    /// The Gateway and the listener that it stands for.
    pub(crate) gateway: Gateway,
    /// The policies, each completed by the next.
    pub(crate) levels: Levels,
}

/// Finds which policies apply to each proxy of connections and datagrams.
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
            let levels = levels(policies, proxy, &gateway, surroundings.namespaces);
            Ok(L4Attached { gateway, levels })
        })
        .collect()
}

/// The policies of a proxy that is reached through this Gateway.
pub(crate) fn levels(
    policies: &[Policy],
    proxy: &L4Proxy,
    gateway: &Gateway,
    namespaces: &Namespaces,
) -> Levels {
    let attachments = Attachments::resolve(policies, &environment(gateway, namespaces));
    let kinds = kinds_of(proxy.l4);
    route_metadata::judged(
        &proxy.route_name,
        &proxy.resources,
        &proxy.labels,
        |route| attachments.levels_of(route, kinds),
    )
}

/// The routes that lead to such a proxy.
pub(crate) fn kinds_of(l4: Option<L4>) -> &'static [TargetKind] {
    match l4 {
        Some(L4::Udp) => &[TargetKind::UdpRoute],
        Some(L4::Tcp) | None => &[TargetKind::TcpRoute, TargetKind::TlsRoute],
    }
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
