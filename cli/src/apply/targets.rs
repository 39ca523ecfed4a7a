//! Targets that are missing in a configuration: a policy that names one is refused, with a
//! suggested name.

mod selected;

use std::collections::BTreeSet;

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Gateway};
use btp_policy::path::Step;
use btp_policy::policy::{Target, TargetKind};

use super::attach::{Attached, effective_policy, environment, kinds_of, levels};
use super::missing::{Missing, Suggestion, TargetNotFound};
use super::services;
use crate::envoy::files::Config;
use selected::nothing_selected;

/// The targets that are nowhere in the configuration.
pub(crate) fn missing(
    config: &Config,
    attached: Attached<'_>,
    policies: &[Policy],
) -> Vec<Missing> {
    let mut used = vec![0_usize; policies.len()];
    for policy in attached.http.iter().flat_map(|it| &it.routes).flatten() {
        used[*policy] += 1;
    }
    let mut missing = services::missing(config, attached, policies);
    for (index, policy) in policies.iter().enumerate() {
        // That it governs a route settles it without a search.
        let is_sure = used[index] > 0 && policy.targets.len() + policy.selectors.len() == 1;
        if is_sure {
            continue;
        }
        let mut add = |list: &str, item: usize, reason: Option<TargetNotFound>| {
            missing.extend(reason.map(|reason| {
                Missing {
                    policy: index,
                    path: [Step::field("spec"), Step::field(list), Step::Item(item)]
                        .into_iter()
                        .collect(),
                    reason,
                }
            }));
        };
        // Services are looked for among the clusters, in `services`.
        let targets = policy.targets.iter().enumerate();
        for (index, target) in targets.filter(|(_, it)| it.kind != TargetKind::Service) {
            let reason = not_found(attached, policy, target);
            add("targetRefs", index, reason);
        }
        for (index, selector) in policy.selectors.iter().enumerate() {
            let reason = nothing_selected(attached, policy, selector);
            let reason = reason.map(TargetNotFound::Selected);
            add("targetSelectors", index, reason);
        }
    }
    missing
}

/// Why a target is nowhere; `None`: it is somewhere.
fn not_found(attached: Attached<'_>, policy: &Policy, target: &Target) -> Option<TargetNotFound> {
    let kind = target.kind;
    let alone = Policy {
        targets: vec![target.clone()],
        selectors: Vec::new(),
        ..policy.clone()
    };
    if is_somewhere(attached, &alone, kind) {
        return None;
    }
    let whole = Policy {
        targets: vec![Target {
            section: None,
            ..target.clone()
        }],
        ..alone.clone()
    };
    let is_section = target.section.is_some() && is_somewhere(attached, &whole, kind);
    let wanted = match &target.section {
        Some(section) if is_section => section,
        _ => &target.object.name,
    };
    let namespace = elsewhere(attached, &alone, target).map(Suggestion::Namespace);
    let target = target.clone();
    Some(match kind {
        TargetKind::Gateway => TargetNotFound::Listener {
            is_gateway: !is_section && namespace.is_none(),
            suggestion: namespace
                .unwrap_or_else(|| Suggestion::of(wanted, listener_names(attached))),
            target,
        },
        TargetKind::ListenerSet => TargetNotFound::ListenerSet {
            suggestion: namespace.unwrap_or_else(|| {
                let names = listener_set_names(attached, &target, is_section);
                Suggestion::of(wanted, names)
            }),
            target,
        },
        _ if kind.is_l4_route() => TargetNotFound::L4Route {
            suggestion: namespace
                .unwrap_or_else(|| Suggestion::of(wanted, l4_route_names(attached, kind))),
            target,
        },
        _ => {
            let routes = attached
                .model
                .route_configs
                .iter()
                .flat_map(|it| &it.routes);
            let names = routes.flat_map(|it| it.names().map(str::to_owned).collect::<Vec<_>>());
            let suggestion = match namespace {
                Some(Suggestion::Namespace(namespace)) if has_bare_route(attached, &target) => {
                    let name = target.object.name.clone();
                    Suggestion::BareRoute { name, namespace }
                }
                Some(suggestion) => suggestion,
                None => Suggestion::of(wanted, names.collect()),
            };
            TargetNotFound::Route { target, suggestion }
        }
    })
}

/// The namespace of a Gateway in which a target is that is not in its
/// policy's: a listener's name may say one, and plain names of routes lie in it.
fn elsewhere(attached: Attached<'_>, alone: &Policy, target: &Target) -> Option<String> {
    let of_http = attached.http.iter().map(|it| &it.gateway);
    let gateways = of_http.chain(attached.l4.iter().map(|it| &it.gateway));
    let namespaces: BTreeSet<&String> = gateways.map(|it| &it.name.namespace).collect();
    let mut others = namespaces.into_iter();
    let found = others.find(|namespace| {
        let mut moved = target.clone();
        moved.object.namespace = (*namespace).clone();
        let moved = Policy {
            targets: vec![moved],
            ..alone.clone()
        };
        is_somewhere(attached, &moved, target.kind)
    });
    found.cloned()
}

/// Whether the configuration has a route that is called as this one, without a
/// namespace.
fn has_bare_route(attached: Attached<'_>, target: &Target) -> bool {
    let routes = attached.model.route_configs.iter();
    let mut routes = routes.flat_map(|it| &it.routes);
    routes.any(|it| it.name.split('/').next() == Some(target.object.name.as_str()))
}

/// Whether a policy governs anything if it is the only one.
fn is_somewhere(attached: Attached<'_>, alone: &Policy, kind: TargetKind) -> bool {
    let Attached {
        model,
        http,
        l4,
        namespaces,
    } = attached;
    let policies = std::slice::from_ref(alone);
    if !kind.is_route() {
        let gateways = http.iter().map(|it| &it.gateway);
        let mut gateways = gateways.chain(l4.iter().map(|it| &it.gateway));
        return gateways.any(|it| effective_policy(policies, it, namespaces).is_some());
    }
    if kind.is_l4_route() {
        let mut proxies = model.l4_proxies.iter().zip(l4);
        return proxies.any(|(proxy, it)| {
            let levels = levels(policies, proxy, &it.gateway, namespaces);
            !levels.of_route.is_empty()
        });
    }
    model.managers.iter().zip(http).any(|(manager, it)| {
        let environment = environment(&it.gateway, namespaces);
        let attachments = Attachments::resolve(policies, &environment);
        let mut routes = model.routes_of(manager).iter();
        routes.any(|route| {
            route.judged(manager.form, |it| {
                attachments.effective_policy_of(it).is_some()
            })
        })
    })
}

fn listener_names(attached: Attached<'_>) -> Vec<String> {
    let managers = attached.model.managers.iter().map(|it| it.chain_ref());
    let managers = managers.zip(attached.http.iter().map(|it| &it.gateway));
    let proxies = attached.model.l4_proxies.iter().map(|it| it.chain_ref());
    let proxies = proxies.zip(attached.l4.iter().map(|it| &it.gateway));
    let mut names = Vec::new();
    for (chain, gateway) in managers.chain(proxies) {
        names.push(chain.listener_name.to_owned());
        names.extend(chain.name.map(str::to_owned));
        // A listener of a set is no section of the Gateway.
        let own = gateway.listener_set.is_none();
        names.extend(gateway.listener.clone().filter(|_| own));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The names of the sets there are, or of the listeners of the target's set.
fn listener_set_names(attached: Attached<'_>, target: &Target, of_set: bool) -> Vec<String> {
    let gateways = attached.http.iter().map(|it| &it.gateway);
    let gateways = gateways.chain(attached.l4.iter().map(|it| &it.gateway));
    let name = |gateway: &Gateway| {
        let set = gateway.listener_set.as_ref()?;
        match of_set {
            true if set.name == target.object => gateway.listener.clone(),
            true => None,
            false => Some(set.name.name.clone()),
        }
    };
    gateways.filter_map(name).collect()
}

/// The names that a target of this kind may have meant.
fn l4_route_names(attached: Attached<'_>, kind: TargetKind) -> Vec<String> {
    let proxies = attached.model.l4_proxies.iter();
    let proxies = proxies.filter(|it| kinds_of(it.l4).contains(&kind));
    let names = proxies.flat_map(|it| {
        let noted = it.resources.iter();
        let noted = noted.filter(|of| of[0].as_deref() == Some(kind.as_str()));
        let noted: Vec<String> = noted.filter_map(|of| of[2].clone()).collect();
        let parts: Vec<&str> = it.route_name.split('/').collect();
        match parts.as_slice() {
            _ if !noted.is_empty() => noted,
            ["tcproute" | "tlsroute" | "udproute", _, name, ..] => vec![(*name).to_owned()],
            parts => parts.iter().map(|it| (*it).to_owned()).collect(),
        }
    });
    names.filter(|name| !name.is_empty()).collect()
}
