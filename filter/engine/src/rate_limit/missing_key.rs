//! Requests without a required key: `onMissing: Refuse`. They are refused before any rule
//! takes a token.

use std::sync::Arc;

use super::{MatchedRule, RateLimits};
use crate::action::Reply;
use crate::decision::{Decided, Value};
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::CounterId;

/// `%RESPONSE_CODE_DETAILS%` of a refused request.
const DETAILS: &str = "btp_missing_key";
const BAD_REQUEST: u16 = 400;
/// INVALID_ARGUMENT.
const GRPC_STATUS: u8 = 3;

/// What a rule does with requests that lack a key.
#[derive(Debug)]
pub(super) struct MissingKey {
    reply: Arc<Reply>,
    counter: CounterId,
}

impl MissingKey {
    pub(super) fn new(counter: CounterId) -> Self {
        let reply = Reply {
            grpc_status: Some(GRPC_STATUS),
            ..Reply::text(BAD_REQUEST, "missing_key", DETAILS)
        };
        Self {
            reply: Arc::new(reply),
            counter,
        }
    }
}

impl RateLimits {
    /// Counts for each rule that the request lacks its key, and gives the reply to that of
    /// one that is enforced. What lacks the key of a rule in shadow mode is not asked of
    /// that rule any more.
    pub(crate) fn missing_key<H: Host>(
        &self,
        matched: &mut Vec<MatchedRule>,
        event: &mut Event<'_, H>,
    ) -> Option<Arc<Reply>> {
        let mut reply = None;
        matched.retain(|it| {
            let rule = self.rules.get(it.rule).filter(|_| it.lacks_key);
            let Some((rule, missing)) = rule.and_then(|it| Some((it, it.missing_key.as_ref()?)))
            else {
                return true;
            };
            let decided = match rule.shadow {
                true => Decided::ShadowMissingKey,
                false => Decided::MissingKey,
            };
            event.decided(missing.counter, decided, Value::None);
            if !rule.shadow {
                reply.get_or_insert_with(|| Arc::clone(&missing.reply));
            }
            false
        });
        reply
    }
}
