//! The command line options that the configuration depends on.

use btp_policy::scalar::ObjectName;

use crate::envoy::plugin::Build;
use crate::envoy::route_metadata::Form;
use crate::translate::Service;

/// Where the filter is mounted, unless the person says otherwise.
pub(crate) const MOUNTED: &str = "/etc/envoy/backend_traffic_policy.wasm";

/// The same of the module.
pub(crate) const MOUNTED_MODULE: &str = "/etc/envoy/libbackend_traffic_policy.so";

/// The filter's file.
#[derive(Clone, Debug)]
pub(crate) struct FilterFile {
    pub(crate) build: Build,
    /// Where it will be mounted.
    pub(crate) path: String,
}

/// What the person said.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) filter: FilterFile,
    pub(crate) gateway: Option<ObjectName>,
    /// The folder in which Envoy will watch plugin configurations; without it the listeners
    /// contain them.
    pub(crate) ecds: Option<String>,
    /// The filters that faults and limits come behind, instead of their usual
    /// places.
    pub(crate) faults_behind: Option<String>,
    pub(crate) limits_behind: Option<String>,
    /// The filter's instances tell access logs what they decide.
    pub(crate) access_log: bool,
    /// The service that counts global limits.
    pub(crate) rate_limits: Option<Service>,
}

impl FilterFile {
    /// That of a build, at its usual place.
    pub(crate) fn usual(build: Build) -> Self {
        let path = match build {
            Build::Wasm => MOUNTED,
            Build::Module => MOUNTED_MODULE,
        };
        Self {
            build,
            path: path.to_owned(),
        }
    }

    /// How the filter will read what is said of routes.
    pub(crate) fn form(&self) -> Form {
        match self.build {
            Build::Wasm => Form::Nested,
            Build::Module => Form::Completed,
        }
    }
}

/// `name` or `namespace/name`.
pub(crate) fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
