//! The places of the filter's instances among the filters of a connection manager: Envoy
//! Gateway's order, unless the user chooses another one.

use std::fmt;

use btp_policy::node::Node;
use btp_policy::spec::Capability;

use super::options::Options;
use crate::envoy::http_filter::{Kind, behind_judges, kind_of};
use crate::envoy::tree::{items, text};

/// What has one place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Faults and overrides: in front of everything but probes.
    Faults,
    /// Limits and retries: behind all that judges or prepares a request.
    Limits,
}

/// Why an instance is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is the usual place of what it does.
    Usual(Group),
    /// The usual places of both groups are one.
    Shared,
    /// An option says so.
    Option(Group),
    /// A person has put it there.
    Moved,
    /// It is behind the router.
    Tries,
}

/// A place among the filters that are there, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The number of filters in front.
    pub(crate) place: usize,
    pub(crate) why: Why,
}

/// Why no filter can be behind a filter that an option names. Prints as a predicate whose
/// subject is the option.
#[derive(Debug, PartialEq)]
pub(crate) struct NoPlaceBehind {
    name: String,
    /// The filters that it could name.
    others: Vec<String>,
    /// It is the last filter; else it is not there.
    is_last: bool,
}

impl Group {
    pub(crate) const ALL: [Self; 2] = [Self::Faults, Self::Limits];

    pub(crate) fn of(capability: Capability) -> Self {
        match capability {
            Capability::FaultInjection | Capability::ResponseOverride => Self::Faults,
            Capability::RateLimit | Capability::RequestBuffer | Capability::Retry => Self::Limits,
        }
    }

    /// How records and options name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Limits => "limits",
        }
    }

    /// The filter that an option puts it behind.
    pub(crate) fn option(self, options: &Options) -> Option<&str> {
        match self {
            Self::Faults => options.faults_behind.as_deref(),
            Self::Limits => options.limits_behind.as_deref(),
        }
    }

    /// Its usual place among these filters.
    pub(crate) fn usual(self, hcm: &Node) -> usize {
        let kinds: Vec<Kind> = items(hcm, "http_filters").iter().map(kind_of).collect();
        match self {
            Self::Faults => {
                let probe = kinds.iter().rposition(|it| *it == Kind::Probe);
                let first = probe.map_or(0, |it| it + 1);
                let rest = kinds[first..].iter();
                first + rest.take_while(|it| **it == Kind::Response).count()
            }
            Self::Limits => behind_judges(items(hcm, "http_filters")),
        }
    }
}

/// The place behind the filter `name`.
///
/// # Errors
/// No filter can be there.
pub(crate) fn behind(hcm: &Node, name: &str) -> Result<usize, NoPlaceBehind> {
    let filters = items(hcm, "http_filters");
    let is_meant = |it: &Node| text(it, "name") == Some(name);
    let error = |others: &[Node], is_last| NoPlaceBehind {
        name: name.to_owned(),
        others: others
            .iter()
            .filter_map(|it| text(it, "name"))
            .map(str::to_owned)
            .collect(),
        is_last,
    };
    match (filters.iter().rposition(is_meant), filters) {
        (Some(place), [others @ .., _]) if place == others.len() => Err(error(others, true)),
        (Some(place), _) => Ok(place + 1),
        (None, _) => Err(error(filters, false)),
    }
}

impl fmt::Display for NoPlaceBehind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, others) = (&self.name, self.others.join(", "));
        if self.is_last {
            write!(
                formatter,
                "names {name}, the last of http_filters, and no filter can come behind it: name \
                 one of {others}"
            )
        } else {
            write!(
                formatter,
                "names {name}, which is not in http_filters; they are {others}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn hcm(filters: &str) -> Node {
        let name = |it: &str| format!(r#"{{"name":"envoy.filters.http.{it}"}}"#);
        let filters: Vec<String> = filters.split_whitespace().map(name).collect();
        let text = format!(r#"{{"http_filters":[{}]}}"#, filters.join(","));
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn faults_stand_behind_probes_and_limits_behind_all_that_judges() {
        for (filters, faults, limits) in [
            ("router", 0, 0),
            ("compressor grpc_web router", 0, 0),
            ("cors router", 0, 1),
            ("health_check router", 1, 1),
            ("custom_response router", 1, 1),
            ("custom_response health_check cors router", 2, 3),
            ("health_check custom_response cors router", 2, 3),
            ("cors health_check router", 2, 2),
            ("header_to_metadata lua router", 0, 2),
            ("cors custom_response router", 0, 2),
            ("compressor rbac grpc_stats something router", 0, 4),
        ] {
            let hcm = hcm(filters);
            assert_eq!(Group::Faults.usual(&hcm), faults, "{filters}");
            assert_eq!(Group::Limits.usual(&hcm), limits, "{filters}");
        }
    }

    #[test]
    fn nothing_stands_behind_the_router_or_a_filter_that_is_not_there() {
        let hcm = hcm("cors lua router");
        assert_eq!(behind(&hcm, "envoy.filters.http.lua"), Ok(2));
        for name in ["envoy.filters.http.router", "lua"] {
            let reason = behind(&hcm, name).unwrap_err().to_string();
            assert!(reason.contains("envoy.filters.http.cors"), "{reason}");
        }
    }
}
