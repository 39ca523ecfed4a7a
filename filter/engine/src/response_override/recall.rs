//! What overrides must know of a request when its response is there: request
//! headers cannot be asked for any more by then.

use btp_policy::scalar::{HeaderChoice, Operator};

use super::Overrides;
use crate::host::Host;
use crate::request::Request;
use crate::select::meets_any;

/// What was kept of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recall {
    /// Values of the plan's kept operators, in their order.
    values: Vec<Option<Vec<u8>>>,
    /// One bit for each rule with conditions on requests: they are met.
    met: u64,
    /// When the filter saw the request, on the host's monotonic clock.
    pub(super) started_ns: Option<u64>,
}

impl Recall {
    /// The time alone.
    pub(crate) fn of_time(started_ns: Option<u64>) -> Self {
        Self {
            started_ns,
            ..Self::default()
        }
    }

    /// Whether the request meets the conditions that have this bit.
    pub(super) fn meets(&self, bit: u64) -> bool {
        self.met & bit == bit
    }
}

impl Overrides {
    /// When the request began, if any rule prints how long it took.
    pub(crate) fn start<H: Host>(&self, host: &mut H) -> Option<u64> {
        self.times.then(|| host.now_ns())
    }

    /// Keeps what the rules will ask of this request.
    #[inline(never)]
    pub(crate) fn recall(&self, request: &Request<'_>, started_ns: Option<u64>) -> Recall {
        let conditional = self.rules.iter().filter(|rule| rule.bit != 0);
        Recall {
            values: self.kept.iter().map(|it| value(it, request)).collect(),
            met: conditional
                .filter(|rule| meets_any(request, &rule.said.matching.requests))
                .fold(0, |met, rule| met | rule.bit),
            started_ns,
        }
    }

    /// The value of an operator that was kept.
    pub(super) fn recalled<'a>(&self, operator: &Operator, recall: &'a Recall) -> Option<&'a [u8]> {
        let index = self.kept.iter().position(|other| other == operator)?;
        recall.values.get(index)?.as_deref()
    }
}

fn value(operator: &Operator, request: &Request<'_>) -> Option<Vec<u8>> {
    match operator {
        Operator::Request(HeaderChoice { name, or }) => request
            .header(name)
            .or_else(|| request.header(or.as_deref()?))
            .map(|value| value.into_owned()),
        Operator::QueryParam(name) => request.query_param(name).map(|value| value.into_owned()),
        Operator::Path { query: true } => request.full_path().map(<[u8]>::to_vec),
        Operator::Path { query: false } => Some(request.path().to_vec()),
        _ => None,
    }
}
