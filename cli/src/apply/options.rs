//! What the person said on the command line, as far as the configuration
//! depends on it.

use btp_policy::scalar::ObjectName;

/// Where the filter is mounted, unless the person says otherwise.
pub(crate) const MOUNTED: &str = "/etc/envoy/backend_traffic_policy.wasm";

/// What the person said.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where the filter will be mounted.
    pub(crate) wasm: String,
    pub(crate) gateway: Option<ObjectName>,
    /// The folder that Envoy will watch plugin configurations in; without it
    /// they stand in the listeners.
    pub(crate) ecds: Option<String>,
    /// The filters that faults and limits come behind, instead of their usual
    /// places.
    pub(crate) faults_behind: Option<String>,
    pub(crate) limits_behind: Option<String>,
}

/// `name` or `namespace/name`.
pub(crate) fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
