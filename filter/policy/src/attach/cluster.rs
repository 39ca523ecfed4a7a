//! The Envoy cluster of a request, and which Service it is.

/// An Envoy cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cluster<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// `filter_metadata["btp"].backends` of the cluster: `namespace/name` or
    /// `namespace/name/port` of the Services that it stands for.
    pub backends: &'a [&'a str],
}

/// A Service that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GovernedService {
    /// `namespace/name`.
    pub service: String,
    /// The index of the policy.
    pub policy: usize,
}

impl<'a> Cluster<'a> {
    /// A cluster of which only the name is known.
    #[must_use]
    pub fn named(name: &'a [u8]) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// `namespace/name` of the Services that it may be. If its metadata says which ones,
    /// its name says nothing; else it is called `<name>`, `<namespace>/<name>` or
    /// `<namespace>/<name>/<port>`.
    #[must_use]
    pub fn services(&self, default_namespace: &str) -> Vec<String> {
        let said = self.backends.iter().filter_map(|it| service_of_backend(it));
        let said: Vec<String> = said.collect();
        if !said.is_empty() {
            return said;
        }
        let name = std::str::from_utf8(self.name).unwrap_or_default();
        let named = match name.contains('/') {
            true => service_of_backend(name),
            false => Some(format!("{default_namespace}/{name}")),
        };
        named.into_iter().collect()
    }
}

/// `namespace/name` of a text that may end with a port.
#[must_use]
pub fn service_of_backend(text: &str) -> Option<String> {
    let mut parts = text.split('/');
    let (namespace, name, port) = (parts.next()?, parts.next()?, parts.next());
    let is_port = port.is_none_or(|it| it.parse::<u16>().is_ok());
    (is_port && parts.next().is_none()).then(|| format!("{namespace}/{name}"))
}
