//! Envoy's command operators: the blanks of a template.
//!
//! Only those are known whose value is there when a response is replaced.
//! Source: Envoy 1.40, access log command operators.

use std::fmt;

use crate::read::nearest;
use crate::scalar::TimeFormat;

/// A command operator, without its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `%REQ(X?Y)%`: a header of the request, or else another.
    Request(HeaderChoice),
    /// `%RESP(X?Y)%`: a header of the original response, or else another.
    Response(HeaderChoice),
    /// `%QUERY_PARAM(X)%`: the first query parameter of this name, decoded.
    QueryParam(String),
    /// `%PATH%`: the request's path, with its query unless `NQ` is given.
    Path {
        /// Whether the query is part of it.
        query: bool,
    },
    /// `%RESPONSE_CODE%`: the status of the original response.
    ResponseCode,
    /// `%RESPONSE_CODE_DETAILS%`: why there is a response at all.
    ResponseCodeDetails,
    /// `%GRPC_STATUS_NUMBER%`: the gRPC status, if it is in the headers.
    GrpcStatusNumber,
    /// `%PROTOCOL%`: the client's protocol.
    Protocol,
    /// `%ROUTE_NAME%`.
    RouteName,
    /// `%UPSTREAM_CLUSTER%`.
    UpstreamCluster,
    /// `%UPSTREAM_HOST%`: address and port.
    UpstreamHost,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`, or `…_WITHOUT_PORT`.
    ClientAddress {
        /// Whether the port is part of it.
        port: bool,
    },
    /// `%START_TIME(…)%`: when the request began, in UTC.
    StartTime(TimeFormat),
    /// `%DURATION%`: milliseconds since the filter saw the request.
    Duration,
    /// `%FILTER_STATE(X:PLAIN)%`.
    FilterState(String),
}

/// A header, or another one that is taken if the first is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChoice {
    /// Its name in lower case; `:path` and the like are fine.
    pub name: String,
    /// The other's name.
    pub or: Option<String>,
}

const NAMES: [&str; 16] = [
    "REQ",
    "RESP",
    "QUERY_PARAM",
    "PATH",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "GRPC_STATUS_NUMBER",
    "PROTOCOL",
    "ROUTE_NAME",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_HOST",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "START_TIME",
    "DURATION",
    "FILTER_STATE",
];

impl Operator {
    /// The operator `%NAME(ARGUMENT):LENGTH%`.
    ///
    /// # Errors
    /// What is wrong with it, as a predicate of the template.
    pub fn new(name: &str, argument: Option<&str>, has_length: bool) -> Result<Self, String> {
        let operator = Self::named(name, argument)?;
        let is_cut = matches!(
            operator,
            Self::Request(_)
                | Self::Response(_)
                | Self::QueryParam(_)
                | Self::Path { .. }
                | Self::FilterState(_)
        );
        if has_length && !is_cut {
            return Err(format!("has %{name}%, which takes no length"));
        }
        Ok(operator)
    }

    /// Whether it prints digits only, whatever the circumstances.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Self::ResponseCode | Self::Duration)
    }

    /// Whether its value must be captured from the request: it cannot be read any more when
    /// the response arrives.
    #[must_use]
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::Request(_) | Self::QueryParam(_) | Self::Path { .. }
        )
    }

    fn named(name: &str, argument: Option<&str>) -> Result<Self, String> {
        match name {
            "REQ" => return Ok(Self::Request(HeaderChoice::parse(name, argument)?)),
            "RESP" => return Ok(Self::Response(HeaderChoice::parse(name, argument)?)),
            "QUERY_PARAM" => return Ok(Self::QueryParam(needed(name, argument, "(NAME)")?)),
            "PATH" => return path(argument),
            "FILTER_STATE" => {
                let argument = needed(name, argument, "(KEY:PLAIN)")?;
                let key = argument
                    .strip_suffix(":PLAIN")
                    .filter(|key| !key.is_empty());
                let wrong = || "has %FILTER_STATE%, which needs (KEY:PLAIN)".to_owned();
                return Ok(Self::FilterState(key.ok_or_else(wrong)?.to_owned()));
            }
            "START_TIME" => {
                let format = TimeFormat::parse(argument.unwrap_or(TimeFormat::DEFAULT));
                let wrong = |reason| format!("has %START_TIME%, whose format {reason}");
                return Ok(Self::StartTime(format.map_err(wrong)?));
            }
            _ => {}
        }
        let operator = match name {
            "RESPONSE_CODE" => Self::ResponseCode,
            "RESPONSE_CODE_DETAILS" => Self::ResponseCodeDetails,
            "GRPC_STATUS_NUMBER" => Self::GrpcStatusNumber,
            "PROTOCOL" => Self::Protocol,
            "ROUTE_NAME" => Self::RouteName,
            "UPSTREAM_CLUSTER" => Self::UpstreamCluster,
            "UPSTREAM_HOST" => Self::UpstreamHost,
            "DOWNSTREAM_REMOTE_ADDRESS" => Self::ClientAddress { port: true },
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Self::ClientAddress { port: false },
            "DURATION" => Self::Duration,
            _ => return Err(unknown(name)),
        };
        match argument {
            None | Some("") => Ok(operator),
            Some(_) => Err(format!("has %{name}%, which takes no argument")),
        }
    }
}

impl HeaderChoice {
    fn parse(operator: &str, argument: Option<&str>) -> Result<Self, String> {
        let argument = needed(operator, argument, "(HEADER)")?;
        let mut names = argument.splitn(2, '?').map(str::to_ascii_lowercase);
        let name = names.next().unwrap_or_default();
        let or = names.next();
        let is_name = |name: &String| {
            let plain = name.strip_prefix(':').unwrap_or(name);
            super::header_name::HeaderName::new(plain).is_some()
        };
        if is_name(&name) && or.as_ref().is_none_or(is_name) {
            return Ok(Self { name, or });
        }
        Err(format!(
            "has %{operator}({argument})%, which names no header"
        ))
    }
}

fn needed(operator: &str, argument: Option<&str>, form: &str) -> Result<String, String> {
    match argument {
        Some(argument) if !argument.is_empty() => Ok(argument.to_owned()),
        _ => Err(format!("has %{operator}%, which needs {form}")),
    }
}

/// The filter stands first in the chain, where no filter has rewritten the
/// path yet; `ORIG`, the path before that, is not known there.
fn path(argument: Option<&str>) -> Result<Operator, String> {
    let (query, which) = match argument.unwrap_or("WQ").split_once(':') {
        Some((query, which)) => (query, which),
        None => (argument.unwrap_or("WQ"), "ORIG_OR_PATH"),
    };
    match (query, which) {
        ("WQ" | "", "PATH" | "ORIG_OR_PATH") => Ok(Operator::Path { query: true }),
        ("NQ", "PATH" | "ORIG_OR_PATH") => Ok(Operator::Path { query: false }),
        _ => Err("has %PATH%, which takes (WQ) or (NQ)".to_owned()),
    }
}

fn unknown(name: &str) -> String {
    let reason = match name {
        "LOCAL_REPLY_BODY" => {
            return format!("has %{name}%, which is always empty here: leave it out");
        }
        "TRAILER" => return format!("has %{name}%: trailers come after the response is replaced"),
        _ => match nearest(name, &NAMES) {
            Some(name) => format!("did you mean %{name}%?"),
            None => format!("known here: {}", NAMES.join(", ")),
        },
    };
    format!("has %{name}%, which is unknown here; {reason}")
}

impl fmt::Display for HeaderChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.or
            .as_ref()
            .map_or(Ok(()), |or| write!(formatter, "?{or}"))
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(header) => write!(formatter, "REQ({header})"),
            Self::Response(header) => write!(formatter, "RESP({header})"),
            Self::QueryParam(name) => write!(formatter, "QUERY_PARAM({name})"),
            Self::Path { query: true } => formatter.write_str("PATH(WQ)"),
            Self::Path { query: false } => formatter.write_str("PATH(NQ)"),
            Self::ResponseCode => formatter.write_str("RESPONSE_CODE"),
            Self::ResponseCodeDetails => formatter.write_str("RESPONSE_CODE_DETAILS"),
            Self::GrpcStatusNumber => formatter.write_str("GRPC_STATUS_NUMBER"),
            Self::Protocol => formatter.write_str("PROTOCOL"),
            Self::RouteName => formatter.write_str("ROUTE_NAME"),
            Self::UpstreamCluster => formatter.write_str("UPSTREAM_CLUSTER"),
            Self::UpstreamHost => formatter.write_str("UPSTREAM_HOST"),
            Self::ClientAddress { port: true } => formatter.write_str("DOWNSTREAM_REMOTE_ADDRESS"),
            Self::ClientAddress { port: false } => {
                formatter.write_str("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT")
            }
            Self::StartTime(format) => write!(formatter, "START_TIME({format})"),
            Self::Duration => formatter.write_str("DURATION"),
            Self::FilterState(key) => write!(formatter, "FILTER_STATE({key}:PLAIN)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_name_is_read_and_printed() {
        for name in NAMES {
            let argument = match name {
                "REQ" | "RESP" | "QUERY_PARAM" => Some("x"),
                "FILTER_STATE" => Some("x:PLAIN"),
                _ => None,
            };
            let operator = Operator::new(name, argument, false).expect(name);
            assert!(operator.to_string().starts_with(name), "{operator}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (name, argument, reason) in [
            ("RESPONS_CODE", None, "did you mean %RESPONSE_CODE%?"),
            ("XYZZY", None, "known here: REQ, RESP"),
            ("REQ", None, "needs (HEADER)"),
            ("REQ", Some("a b"), "names no header"),
            ("REQ", Some("a?"), "names no header"),
            ("PATH", Some("NQ:ORIG"), "takes (WQ) or (NQ)"),
            ("FILTER_STATE", Some("x"), "needs (KEY:PLAIN)"),
            ("RESPONSE_CODE", Some("x"), "takes no argument"),
            ("START_TIME", Some("%Q"), "%Q"),
            ("LOCAL_REPLY_BODY", None, "always empty"),
        ] {
            let error = Operator::new(name, argument, false).expect_err(name);
            assert!(error.contains(reason), "{error}");
        }
        assert!(Operator::new("RESPONSE_CODE", None, true).is_err());
    }
}
