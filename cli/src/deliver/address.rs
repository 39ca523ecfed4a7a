//! Where an admin interface listens: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// Where an admin interface listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

/// Why a text is no address. Prints as a predicate whose subject is the text.
#[derive(Debug)]
pub(crate) enum AddressError {
    Url,
    NoPort,
    /// An IPv6 address without brackets.
    NoBrackets(String),
    OutOfRange,
}

impl Address {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains('/') {
            return Err(AddressError::Url);
        }
        let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
            return Err(AddressError::NoPort);
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(AddressError::NoBrackets(text.to_owned()));
        }
        let host = bare.unwrap_or(host);
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(AddressError::OutOfRange),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("is HOST:PORT, without a scheme and a path"),
            Self::NoPort => formatter.write_str("has no port; Envoy's examples have 9901"),
            Self::NoBrackets(text) => {
                write!(
                    formatter,
                    "has an IPv6 address without brackets: [{text}]:PORT"
                )
            }
            Self::OutOfRange => formatter.write_str("is a host and a port from 1 to 65535"),
        }
    }
}

impl std::error::Error for AddressError {}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_ports() {
        for text in [
            "localhost:9901",
            "10.0.0.1:1",
            "[::1]:9901",
            "[fe80::1%eth0]:80",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        for (text, reason) in [
            ("http://localhost:9901", "without a scheme"),
            ("localhost:9901/stats", "without a scheme"),
            ("localhost", "has no port"),
            ("::1", "without brackets: [::1]:PORT"),
            ("[::1]", "has no port"),
            ("localhost:0", "1 to 65535"),
            ("localhost:99999", "1 to 65535"),
            (":9901", "a host and a port"),
        ] {
            let refused = text.parse::<Address>().expect_err(text).to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
