//! Where the fields of a policy are in force, and where they have nothing to do.

use std::fmt;

use crate::envoy::model::{RouteId, Sender};

/// What fields of a policy came to in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The fields, below `spec`.
    pub(crate) fields: Vec<String>,
    pub(crate) object: Object,
    pub(crate) effect: Effect,
}

/// An object of the configuration in which a field can be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Route(RouteId),
    /// A cluster, and what sends to it under the policy.
    Cluster {
        name: String,
        senders: Vec<Sender>,
    },
    /// A connection manager, by its index, and the name of its listener.
    Manager {
        index: usize,
        listener: String,
    },
    /// What is behind the router of a listener's connection manager, and the
    /// routes of the policy whose tries pass it.
    Tries {
        listener: String,
        routes: Vec<RouteId>,
    },
    /// A proxy of connections or datagrams, by its index, and what it is called.
    L4Proxy {
        index: usize,
        title: String,
    },
}

/// What there is of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They are in force: in this part of the object.
    Part(String),
    /// They are in force: by an instance of the filter.
    Instance {
        name: String,
        /// Its place in its list.
        place: usize,
    },
    /// Without this part of the object, the fields would be cut short. No field sets it; it
    /// has this value.
    Beside { part: String, value: String },
    /// Nothing, and no effect is missing: the reason.
    Nothing(&'static str),
}

/// Whose placements are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Everywhere,
    /// Those that a request meets that this route takes, in the connection
    /// manager with this index.
    Route {
        manager: usize,
        route: RouteId,
    },
    /// Those that a request meets that no route takes.
    NoRoute {
        manager: usize,
    },
    /// Those that connections or datagrams meet in the proxy with this index.
    L4Proxy(usize),
}

/// A placement as reports show it; the routes of a policy are shown as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A part of an object: there Envoy enforces the field, or the filter.
    Somewhere {
        is_filter: bool,
        owner: String,
        part: String,
    },
    Nothing(&'static str),
}

/// Where a field is in force, in this scope; else why there is nothing to do.
pub(crate) fn destinations(
    placements: &[Placement],
    field: &str,
    scope: Scope,
) -> Vec<Destination> {
    let found = closest(placements, field).into_iter();
    let found = found.map(|index| &placements[index]);
    let in_scope = found.filter(|it| it.concerns(scope));
    let mut found: Vec<Destination> = in_scope.map(Placement::destination).collect();
    // That it had nothing to do somewhere is worth a line only as long as it
    // is in force nowhere.
    if found.iter().any(|it| !it.is_nothing()) {
        found.retain(|it| !it.is_nothing());
    }
    let mut seen = Vec::new();
    found.retain(|it| {
        let is_new = !seen.contains(it);
        seen.push(it.clone());
        is_new
    });
    found
}

/// The placements of a field, by their indices: those that carry it by name, or a
/// part of it, or else those of the closest field around it. What Envoy does
/// and what the filter does are looked up apart, as they share some fields.
pub(crate) fn closest(placements: &[Placement], field: &str) -> Vec<usize> {
    let of = |by_filter: bool| {
        let own = placements.iter().enumerate();
        let own = own.filter(move |(_, it)| it.is_by_filter() == by_filter);
        let best = own.clone().filter_map(|(_, it)| it.closeness(field)).max();
        let found = own.filter(move |(_, it)| best.is_some() && it.closeness(field) == best);
        found.map(|(index, _)| index)
    };
    of(false).chain(of(true)).collect()
}

/// Whether one field is the other, or within it.
pub(crate) fn is_within(field: &str, other: &str) -> bool {
    let rest = field.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Placement {
    fn is_by_filter(&self) -> bool {
        matches!(self.effect, Effect::Instance { .. })
    }

    /// How close its fields come to a field; `None`: they are others.
    fn closeness(&self, field: &str) -> Option<usize> {
        if matches!(self.effect, Effect::Beside { .. }) {
            return None;
        }
        let of = |own: &String| match () {
            () if is_within(own, field) => Some(usize::MAX),
            () if is_within(field, own) => Some(own.len()),
            () => None,
        };
        self.fields.iter().filter_map(of).max()
    }

    /// What a report calls it, such as `retry (max_retries)`, and its value, if no field
    /// sets it.
    pub(crate) fn beside(&self) -> Option<(String, &str)> {
        let Effect::Beside { part, value } = &self.effect else {
            return None;
        };
        let name = part.rsplit('.').next().unwrap_or_default();
        Some((format!("{} ({name})", self.fields.join(", ")), value))
    }

    pub(crate) fn concerns(&self, scope: Scope) -> bool {
        match (scope, &self.object) {
            (Scope::Everywhere, _) => true,
            (Scope::Route { route, .. }, Object::Route(own)) => *own == route,
            (Scope::Route { route, .. }, Object::Cluster { senders, .. }) => {
                senders.contains(&Sender::Route(route))
            }
            (Scope::Route { route, .. }, Object::Tries { routes, .. }) => routes.contains(&route),
            (Scope::L4Proxy(proxy), Object::Cluster { senders, .. }) => {
                senders.contains(&Sender::L4Proxy(proxy))
            }
            (Scope::L4Proxy(proxy), Object::L4Proxy { index, .. }) => *index == proxy,
            (Scope::Route { manager, .. }, Object::Manager { index, .. }) => *index == manager,
            // Such a request passes the filters in front of the router. What Envoy
            // does there is switched on by routes.
            (Scope::NoRoute { manager }, Object::Manager { index, .. }) => {
                *index == manager && self.is_by_filter()
            }
            (Scope::Route { .. }, Object::L4Proxy { .. })
            | (Scope::NoRoute { .. } | Scope::L4Proxy(_), _) => false,
        }
    }

    pub(crate) fn destination(&self) -> Destination {
        let (is_filter, part) = match (&self.effect, &self.object) {
            (Effect::Nothing(reason), _) => return Destination::Nothing(reason),
            (Effect::Part(part) | Effect::Beside { part, .. }, _) => (false, part.clone()),
            (Effect::Instance { name, .. }, Object::Tries { .. }) => {
                (true, format!("behind the router, {name}"))
            }
            (Effect::Instance { name, place }, _) => {
                (true, format!("http_filters[{place}] {name}"))
            }
        };
        Destination::Somewhere {
            is_filter,
            owner: match &self.object {
                Object::Route(_) => "its routes".to_owned(),
                Object::Cluster { name, .. } => format!("cluster {name}"),
                Object::Manager { listener, .. } | Object::Tries { listener, .. } => {
                    format!("listener {listener}")
                }
                Object::L4Proxy { title, .. } => title.clone(),
            },
            part,
        }
    }
}

impl Destination {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Somewhere {
                is_filter,
                owner,
                part,
            } => {
                let by = if *is_filter { "filter" } else { "Envoy" };
                write!(formatter, "{by}: {owner}, {part}")
            }
            Self::Nothing(reason) => write!(formatter, "nothing to do: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: RouteId = RouteId {
        config: 0,
        place: 0,
    };
    const REST: RouteId = RouteId {
        config: 0,
        place: 1,
    };

    fn placement(field: &str, object: Object, effect: Effect) -> Placement {
        let fields = vec![field.to_owned()];
        Placement {
            fields,
            object,
            effect,
        }
    }

    fn part(text: &str) -> Effect {
        Effect::Part(text.to_owned())
    }

    fn cluster(name: &str, route: RouteId) -> Object {
        Object::Cluster {
            name: name.to_owned(),
            senders: vec![Sender::Route(route)],
        }
    }

    fn shown(placements: &[Placement], field: &str, scope: Scope) -> Vec<String> {
        let found = destinations(placements, field, scope);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_closest_field_says_where() {
        let placements = [
            placement("a", cluster("c", SHOP), part("whole")),
            placement("a.b", Object::Route(SHOP), part("b")),
            placement("a.b", Object::Route(REST), part("b")),
            placement("ab", Object::Route(SHOP), part("other")),
        ];
        let of = |field| shown(&placements, field, Scope::Everywhere);
        assert_eq!(of("a.x"), ["Envoy: cluster c, whole"]);
        assert_eq!(of("a.b.c"), ["Envoy: its routes, b"]);
        assert_eq!(of("a"), ["Envoy: cluster c, whole", "Envoy: its routes, b"]);
        assert_eq!(of("b"), [""; 0]);
    }

    #[test]
    fn nothing_to_do_is_said_of_a_field_that_is_in_force_nowhere() {
        let nothing = || Effect::Nothing("none");
        let placements = [
            placement("a", cluster("c", SHOP), nothing()),
            placement("a", cluster("d", REST), nothing()),
            placement("b", cluster("c", SHOP), nothing()),
            placement("b", cluster("d", REST), part("b")),
        ];
        let of = |field, scope| shown(&placements, field, scope);
        assert_eq!(of("a", Scope::Everywhere), ["nothing to do: none"]);
        assert_eq!(of("b", Scope::Everywhere), ["Envoy: cluster d, b"]);
        let of_shop = Scope::Route {
            manager: 0,
            route: SHOP,
        };
        assert_eq!(of("b", of_shop), ["nothing to do: none"]);
    }

    #[test]
    fn a_request_meets_its_own_route_clusters_and_filters_alone() {
        let instance = |place| Effect::Instance {
            name: "f".to_owned(),
            place,
        };
        let manager = |index| Object::Manager {
            index,
            listener: format!("l{index}"),
        };
        let tries = Object::Tries {
            listener: "l0".to_owned(),
            routes: vec![SHOP],
        };
        let placements = [
            placement("a", Object::Route(REST), part("rest")),
            placement("a", cluster("c", SHOP), part("c")),
            placement("a", manager(0), part("filter")),
            placement("a", manager(0), instance(2)),
            placement("a", manager(1), instance(3)),
            placement("a", tries, instance(0)),
        ];
        let of = |scope| shown(&placements, "a", scope);
        let (manager, route) = (0, SHOP);
        assert_eq!(
            of(Scope::Route { manager, route }),
            [
                "Envoy: cluster c, c",
                "Envoy: listener l0, filter",
                "filter: listener l0, http_filters[2] f",
                "filter: listener l0, behind the router, f",
            ]
        );
        assert_eq!(
            of(Scope::NoRoute { manager }),
            ["filter: listener l0, http_filters[2] f"]
        );
        assert_eq!(of(Scope::NoRoute { manager: 2 }), [""; 0]);
    }
}
