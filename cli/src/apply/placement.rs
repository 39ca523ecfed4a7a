//! Where the fields of a policy went.

use std::fmt;

/// A field of a spec and one place that it went to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The field, below `spec`.
    pub(crate) field: String,
    pub(crate) destination: Destination,
}

/// A place that a field went to, as reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The cluster `name`: a part of it.
    Cluster { name: String, part: String },
    /// The governed routes: a part of each.
    Routes(String),
    /// The connection manager of a listener: a part of it.
    Hcm { listener: String, part: String },
    /// An instance of the filter.
    Filter {
        listener: String,
        name: String,
        /// Its place in `http_filters`; `None`: it is behind the router.
        place: Option<usize>,
    },
    /// An instance of the filter among a cluster's own filters.
    FilterOfCluster { cluster: String, name: String },
    /// Nowhere, and no effect is missing: the reason.
    Nothing(&'static str),
}

/// The places that the fields of one spec went to.
#[derive(Debug, Default)]
pub(crate) struct Placements(Vec<Placement>);

impl Destination {
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    pub(crate) fn is_filter(&self) -> bool {
        matches!(self, Self::Filter { .. } | Self::FilterOfCluster { .. })
    }
}

impl Placements {
    /// Notes where a field went. That it had nothing to do somewhere is worth
    /// a line only as long as it went nowhere else.
    pub(crate) fn add(&mut self, field: &str, destination: Destination) {
        let is_known = self.of(field).any(|there| {
            *there == destination || (destination.is_nothing() && !there.is_nothing())
        });
        if !is_known {
            self.0.push(Placement {
                field: field.to_owned(),
                destination,
            });
        }
    }

    /// Where the fields went that `is_wanted` names.
    pub(crate) fn find(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Destination> {
        let found = self.0.iter().filter(|it| is_wanted(&it.field));
        found.map(|it| it.destination.clone()).collect()
    }

    fn of(&self, field: &str) -> impl Iterator<Item = &Destination> {
        let found = self.0.iter().filter(move |it| it.field == field);
        found.map(|it| &it.destination)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { name, part } => write!(formatter, "Envoy: cluster {name}, {part}"),
            Self::Routes(part) => write!(formatter, "Envoy: its routes, {part}"),
            Self::Hcm { listener, part } => {
                write!(formatter, "Envoy: listener {listener}, {part}")
            }
            Self::Filter {
                listener,
                name,
                place: Some(place),
            } => write!(
                formatter,
                "filter: listener {listener}, http_filters[{place}] {name}"
            ),
            Self::Filter {
                listener,
                name,
                place: None,
            } => write!(
                formatter,
                "filter: listener {listener}, behind the router, {name}"
            ),
            Self::FilterOfCluster { cluster, name } => {
                write!(
                    formatter,
                    "filter: cluster {cluster}, http_filters[0] {name}"
                )
            }
            Self::Nothing(reason) => write!(formatter, "nothing to do: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_do_is_said_of_a_field_that_goes_nowhere() {
        let routes = || Destination::Routes("timeout".to_owned());
        let mut placements = Placements::default();
        placements.add("a", Destination::Nothing("none"));
        placements.add("a", Destination::Nothing("none"));
        placements.add("b", routes());
        placements.add("b", Destination::Nothing("none"));
        let found = placements.find(|_| true);
        assert_eq!(found, [Destination::Nothing("none"), routes()]);
    }
}
