//! Which values a rule depends on, and where they come from.

use std::borrow::Cow;

use btp_policy::scalar::{HeaderChoice, Operator, Part, Template};
use btp_policy::spec::{Instead as Wanted, Redirect};

use super::request_snapshot::RequestSnapshot;
use crate::event::Event;
use crate::host::{Attribute, Host, client_ip};

/// Operators of all rules, sorted by who knows their values.
pub(super) struct Operators;

pub(super) const SCHEME: &str = ":scheme";
pub(super) const AUTHORITY: &str = ":authority";

impl Operators {
    pub(super) fn header(name: &str) -> Operator {
        Operator::Request(HeaderChoice {
            name: name.to_owned(),
            or: None,
        })
    }

    pub(super) fn path() -> Operator {
        Operator::Path { query: true }
    }

    /// What a redirect takes from the request.
    pub(super) fn that_stay(redirect: &Redirect) -> Vec<Operator> {
        let names_origin =
            redirect.scheme.is_some() || redirect.hostname.is_some() || redirect.port.is_some();
        let keeps_host = names_origin && redirect.hostname.is_none();
        // The port stays with the scheme; the default one of a listed host is the scheme's.
        let needs_port = redirect.port.is_none() || !redirect.hosts.is_empty();
        let asks_scheme = redirect.scheme.is_none() || (keeps_host && needs_port);
        let scheme = (names_origin && asks_scheme).then(|| Self::header(SCHEME));
        let authority = keeps_host.then(|| Self::header(AUTHORITY));
        let path = redirect.path.is_none().then(Self::path);
        scheme.into_iter().chain(authority).chain(path).collect()
    }

    /// All operators that `instead` prints or depends on, each with the most
    /// bytes that are printed of it, if there is such a bound.
    pub(super) fn of(instead: &Wanted) -> Vec<(Operator, Option<usize>)> {
        let mut found = Vec::new();
        for part in instead.templates().into_iter().flat_map(Template::parts) {
            if let Part::Operator { operator, length } = part {
                found.push((operator.clone(), *length));
            }
        }
        if let Wanted::Redirect(redirect) = instead {
            let that_stay = Self::that_stay(redirect).into_iter();
            found.extend(that_stay.map(|operator| (operator, None)));
        }
        found
    }

    pub(super) fn are_asked_of_the_host(operator: &Operator) -> bool {
        !operator.is_of_request()
            && !matches!(
                operator,
                Operator::Response(_) | Operator::ResponseCode | Operator::GrpcStatusNumber
            )
    }

    #[inline(never)]
    pub(super) fn ask<H: Host>(
        operator: &Operator,
        event: &mut Event<'_, H>,
        snapshot: &RequestSnapshot,
    ) -> Option<Vec<u8>> {
        const NANOS_PER_MS: u64 = 1_000_000;
        let attribute = match operator {
            Operator::StartTime(format) => {
                return Some(format.print(event.host.start_time_ns()?).into_bytes());
            }
            Operator::Duration => {
                let taken = event.now_ns().saturating_sub(snapshot.started_ns?);
                return Some((taken / NANOS_PER_MS).to_string().into_bytes());
            }
            Operator::ClientAddress { port: false } => {
                return Some(client_ip(event.host)?.to_string().into_bytes());
            }
            Operator::ClientAddress { port: true } => Attribute::ClientAddress,
            Operator::ResponseCodeDetails => Attribute::ResponseCodeDetails,
            Operator::Protocol => Attribute::Protocol,
            Operator::RouteName => Attribute::RouteName,
            Operator::UpstreamCluster => Attribute::UpstreamCluster,
            Operator::UpstreamHost => Attribute::UpstreamHost,
            Operator::FilterState(key) => Attribute::FilterState(key),
            _ => return None,
        };
        event.host.attribute(attribute).map(Cow::into_owned)
    }
}
