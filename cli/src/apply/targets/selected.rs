//! Whether a selector finds something, and if not, what is near.

use std::collections::BTreeSet;

use btp_policy::Policy;
use btp_policy::attach::Route;
use btp_policy::policy::{Namespaces, TargetSelector};

use super::is_somewhere;
use crate::apply::attach::Attached;
use crate::apply::missing::{NothingSelected, SkippedNamespace};

/// Why a selector of a policy finds nothing; `None`: it finds something.
pub(super) fn nothing_selected(
    attached: Attached<'_>,
    policy: &Policy,
    selector: &TargetSelector,
) -> Option<NothingSelected> {
    let looking_in = |namespaces: &Namespaces, home: &str| {
        let mut alone = Policy {
            targets: Vec::new(),
            selectors: vec![TargetSelector {
                namespaces: namespaces.clone(),
                ..selector.clone()
            }],
            ..policy.clone()
        };
        home.clone_into(&mut alone.name.namespace);
        is_somewhere(attached, &alone, selector.kind)
    };
    let own = &policy.name.namespace;
    if looking_in(&selector.namespaces, own) {
        return None;
    }
    let found = namespaces_of(attached).into_iter();
    let found: Vec<String> = found
        .filter(|it| looking_in(&Namespaces::Same, it))
        .collect();
    Some(match selector.namespaces {
        _ if found.is_empty() => NothingSelected::Labels(selector.kind),
        Namespaces::Same | Namespaces::All => NothingSelected::OtherNamespace {
            own: own.clone(),
            found,
        },
        Namespaces::Selector(_) => {
            let skipped = found.into_iter().map(|name| SkippedNamespace {
                is_known: attached.namespaces.contains_key(&name),
                name,
            });
            NothingSelected::Namespaces(skipped.collect())
        }
    })
}

/// The namespaces that routes and Gateways are in, whatever they are known by.
fn namespaces_of(attached: Attached<'_>) -> BTreeSet<String> {
    let of_http = attached.http.iter().map(|it| &it.gateway);
    let gateways = of_http.chain(attached.l4.iter().map(|it| &it.gateway));
    let mut found = BTreeSet::new();
    for it in gateways {
        found.insert(it.name.namespace.clone());
        let set = it.listener_set.as_ref();
        found.extend(set.map(|set| set.name.namespace.clone()));
    }
    for proxy in &attached.model.l4_proxies {
        let noted = proxy.resources.iter().filter_map(|it| it[1].clone());
        found.extend(noted);
        add_of_name(&proxy.route_name, &mut found);
    }
    for manager in &attached.model.managers {
        for route in attached.model.routes_of(manager) {
            route.judged(manager.form, |it| add_of(it, &mut found));
        }
    }
    found
}

fn add_of(route: &Route<'_>, found: &mut BTreeSet<String>) {
    let resources = route.resources.iter();
    found.extend(resources.map(|it| it.namespace.to_owned()));
    add_of_name(&String::from_utf8_lossy(route.name), found);
}

fn add_of_name(name: &str, found: &mut BTreeSet<String>) {
    let mut parts = name.split('/');
    // `<namespace>/<name>`, or `httproute/<namespace>/<name>/rule/…`.
    for part in [parts.next(), parts.next()].into_iter().flatten() {
        found.insert(part.to_owned());
    }
}
