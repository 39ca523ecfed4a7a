//! What holds for retries of requests of some methods: made once, when a configuration is
//! loaded, so that a request costs a look at its method, and nothing if all methods are
//! alike.

use std::sync::Arc;

use btp_policy::config::NativeFields;
use btp_policy::spec::{Retry, RetryOn};

use crate::retry::outcomes::{RetryableOutcomes, triggers};

/// What holds for some methods, or for all that earlier rules do not name.
#[derive(Debug)]
pub(super) struct Rule {
    /// None: all others.
    methods: Vec<String>,
    /// What is retried; `None`: only the route knows.
    pub(super) outcomes: Option<Arc<RetryableOutcomes>>,
    /// What the router is told beside what Envoy's own configuration says.
    pub(super) orders: Vec<(&'static str, Arc<str>)>,
    /// The router must be told how often: its configuration does not say.
    pub(super) needs_number: bool,
}

/// Which rule of its policy holds for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleId(u8);

/// An order to the router: a header and its value.
type Order = (&'static str, Arc<str>);

const NANOS_PER_MS: u64 = 1_000_000;

/// The rules of a policy, in the order in which they are asked.
pub(super) fn compile(retry: Option<&Retry>, native: NativeFields) -> Vec<Rule> {
    let Some(retry) = retry else {
        return vec![Rule {
            methods: Vec::new(),
            outcomes: None,
            orders: Vec::new(),
            needs_number: false,
        }];
    };
    let for_all = retry.for_all_methods();
    // The route's own policy has what is for all methods, and Envoy adds the headers to it.
    let known = (native == NativeFields::Applied).then(|| for_all.clone().unwrap_or_default());
    let rule = |methods, on| Rule::of(methods, &on, retry, known.as_ref());
    let by_method = retry.by_method().into_iter();
    let mut rules: Vec<Rule> = by_method.map(|(methods, on)| rule(methods, on)).collect();
    rules.extend(for_all.map(|on| rule(retry.methods.clone(), on)));
    rules
}

impl RuleId {
    /// The rule with this index. There are fewer than 169: one for each method that
    /// eight conditions can name, and one for all.
    pub(super) fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().map(Self)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Rule {
    /// A rule for what is retried where Envoy's own configuration has `known`.
    fn of(methods: Vec<String>, on: &RetryOn, retry: &Retry, known: Option<&RetryOn>) -> Self {
        let orders = match known {
            Some(known) => conditions(&on.beyond(known)),
            None => {
                let timeout = retry.per_try_timeout.map(|timeout| {
                    let millis = timeout.as_nanos() / NANOS_PER_MS;
                    let name = "x-envoy-upstream-rq-per-try-timeout-ms";
                    (name, millis.to_string().into())
                });
                conditions(on).into_iter().chain(timeout).collect()
            }
        };
        Self {
            methods,
            outcomes: Some(Arc::new(RetryableOutcomes::of(on, retry.num_retries))),
            needs_number: known.is_none() && !orders.is_empty(),
            orders,
        }
    }

    pub(super) fn is_for(&self, method: &[u8]) -> bool {
        let is_this = |it: &String| it.as_bytes() == method;
        self.methods.is_empty() || self.methods.iter().any(is_this)
    }

    pub(super) fn is_for_all(&self) -> bool {
        self.methods.is_empty()
    }
}

/// The headers that make the router retry on this.
fn conditions(on: &RetryOn) -> Vec<Order> {
    let (http, grpc) = triggers(on);
    let codes: Vec<String> = on.status_codes.iter().map(u16::to_string).collect();
    let orders = [
        ("x-envoy-retry-on", http.join(",")),
        ("x-envoy-retry-grpc-on", grpc.join(",")),
        ("x-envoy-retriable-status-codes", codes.join(",")),
    ];
    let said = orders.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| (name, value.into())).collect()
}
