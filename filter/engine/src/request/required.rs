//! The inputs that a policy requires of a request. Each capability declares its own when a
//! configuration is compiled; `exchange/inspect.rs` reads all of them at once.

use btp_policy::spec::Selector;

use super::ParamNames;

/// What a policy must know of a request. Worked out at load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequiredInputs {
    /// What it has to do with gRPC.
    pub(crate) grpc: bool,
    /// Its headers, its method and path among them.
    pub(crate) headers: bool,
    /// The client's address.
    pub(crate) source: bool,
    /// How its body is framed, if it has one.
    pub(crate) body: bool,
    /// The values of Envoy's dynamic metadata under these paths.
    pub(crate) metadata: Vec<MetadataPath>,
    /// These parameters of its query.
    pub(crate) params: ParamNames,
}

/// A namespace of the dynamic metadata, then one key for each level.
pub(crate) type MetadataPath = Vec<String>;

impl RequiredInputs {
    /// What one of these alternatives asks about.
    pub(crate) fn of(selectors: &[Selector]) -> Self {
        let all = selectors.iter().map(Self::of_selector);
        Self {
            headers: !selectors.is_empty(),
            ..all.fold(Self::default(), Self::and)
        }
    }

    /// What these conditions ask about.
    pub(crate) fn of_selector(selector: &Selector) -> Self {
        Self {
            headers: !(selector.headers.is_empty()
                && selector.methods.is_empty()
                && selector.paths.is_empty()
                && selector.query_params.is_empty()),
            source: !selector.sources.is_empty(),
            metadata: selector.metadata.iter().map(|it| it.path.clone()).collect(),
            params: selector
                .query_params
                .iter()
                .map(|it| it.name.clone())
                .collect(),
            ..Self::default()
        }
    }

    /// Both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for path in other.metadata {
            if !self.metadata.contains(&path) {
                self.metadata.push(path);
            }
        }
        Self {
            grpc: self.grpc || other.grpc,
            headers: self.headers || other.headers,
            source: self.source || other.source,
            body: self.body || other.body,
            metadata: self.metadata,
            params: self.params.and(other.params),
        }
    }
}
