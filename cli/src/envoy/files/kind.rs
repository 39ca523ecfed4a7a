//! The kind of resource in a file, and a check that it contains no other: Envoy refuses a
//! file with a resource of another kind as a whole.

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::path::{FieldPath, Step};
use btp_policy::problem::Problem;

use crate::envoy::tree::{items, type_of};

/// What is read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bootstrap,
    Listeners,
    Clusters,
    /// One table of routes.
    Routes,
    /// One filter.
    Extension,
    /// What a rate limit service reads, and no Envoy.
    RateLimits,
}

impl Kind {
    /// The type of its resources.
    fn resource(self) -> Option<&'static str> {
        match self {
            Self::Bootstrap | Self::RateLimits => None,
            Self::Listeners => Some("Listener"),
            Self::Clusters => Some("Cluster"),
            Self::Routes => Some("RouteConfiguration"),
            Self::Extension => Some("TypedExtensionConfig"),
        }
    }

    /// What Envoy would refuse a file of this kind for.
    pub(super) fn problems(self, file: &Node) -> Vec<Problem> {
        let Some(wanted) = self.resource() else {
            return Vec::new();
        };
        let resources = items(file, "resources");
        let mut problems = Vec::new();
        for (index, resource) in resources.iter().enumerate() {
            // Anything else may be a wrapper that is not looked into.
            let known = [
                Self::Listeners,
                Self::Clusters,
                Self::Routes,
                Self::Extension,
            ];
            let found = type_of(resource).filter(|it| {
                let known = known.iter().filter_map(|kind| kind.resource());
                *it != wanted && known.into_iter().any(|known| known == *it)
            });
            if let Some(found) = found {
                let reason = format!(
                    "is a {found} in a file from which Envoy reads a {wanted}: Envoy refuses such \
                     a file, so give each kind its own file"
                );
                problems.push(placed(resource, index, Code::WrongResource, reason));
            }
        }
        let is_single = matches!(self, Self::Routes | Self::Extension);
        if let Some(second) = resources
            .get(1)
            .filter(|_| is_single && problems.is_empty())
        {
            let reason = format!(
                "is the second {wanted} in a file: Envoy reads only one and refuses such a file, \
                 so give each its own file"
            );
            problems.push(placed(second, 1, Code::SecondResource, reason));
        }
        problems
    }
}

fn placed(resource: &Node, index: usize, code: Code, reason: String) -> Problem {
    let path: FieldPath = [Step::field("resources"), Step::Item(index)]
        .into_iter()
        .collect();
    Problem::new(path, code, reason).at(resource.mark)
}
