//! The address of a server from an option: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no address. Prints as a predicate whose subject is the text.
#[derive(Debug)]
pub(crate) enum HostPortError {
    Url,
    NoPort,
    /// An IPv6 address without brackets.
    NoBrackets(String),
    OutOfRange,
}

impl HostPort {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        if text.contains('/') {
            return Err(HostPortError::Url);
        }
        let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
            return Err(HostPortError::NoPort);
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(HostPortError::NoBrackets(text.to_owned()));
        }
        let host = bare.unwrap_or(host);
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(HostPortError::OutOfRange),
        }
    }
}

impl fmt::Display for HostPortError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("must be HOST:PORT, without a scheme and a path"),
            Self::NoPort => formatter.write_str("has no port"),
            Self::NoBrackets(text) => {
                write!(
                    formatter,
                    "has an IPv6 address without brackets: [{text}]:PORT"
                )
            }
            Self::OutOfRange => formatter.write_str("must be a host and a port from 1 to 65535"),
        }
    }
}

impl std::error::Error for HostPortError {}

impl fmt::Display for HostPort {
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
            let address: HostPort = text.parse().expect(text);
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
            let refused = text.parse::<HostPort>().expect_err(text).to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
