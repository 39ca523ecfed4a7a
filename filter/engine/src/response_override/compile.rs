//! Overrides as a policy has them, made ready: which bit stands for each rule's
//! conditions, and what must be kept of a request or asked of the host.

use btp_policy::scalar::{ObjectName, Operator};
use btp_policy::spec::{Instead as Wanted, NewBody, OverrideRule};

use super::operators::Operators;
use super::request_snapshot::{Item, PlannedItem};
use super::{Overrides, Rule};
use crate::definitions::Definitions;
use crate::host::metrics::{Labels, families};
use crate::request::required::RequiredInputs;

impl Overrides {
    /// `None` if there are no rules.
    pub(crate) fn compile(
        policy: &ObjectName,
        rules: &[OverrideRule],
        counters: &mut Definitions,
    ) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let mut overrides = Self {
            rules: Vec::new(),
            counter: counters.counter(families::RESPONSES_OVERRIDDEN, Labels::of_policy(policy)),
            too_long: counters
                .counter(families::REQUEST_VALUES_TOO_LONG, Labels::of_policy(policy)),
            no_room: counters.counter(families::REQUEST_VALUES_NO_ROOM, Labels::of_policy(policy)),
            no_room_for_body: counters.counter(
                families::REPLACEMENT_BODIES_NO_ROOM,
                Labels::of_policy(policy),
            ),
            items: Vec::new(),
            refused_redirects: counters
                .counter(families::REDIRECTS_REFUSED, Labels::of_policy(policy)),
            prints_duration: false,
            prints_start_time: false,
            required: RequiredInputs {
                grpc: true,
                ..RequiredInputs::default()
            },
        };
        let mut next_bit = 1;
        for rule in rules {
            let mut bit = 0;
            if !rule.matching.requests.is_empty() {
                bit = next_bit;
                next_bit <<= 1;
            }
            let requests = RequiredInputs::of(&rule.matching.requests);
            overrides.required = std::mem::take(&mut overrides.required).and(requests);
            let mut asks = Vec::new();
            for (operator, length) in Operators::of(&rule.instead) {
                overrides.prints_duration |= operator == Operator::Duration;
                overrides.prints_start_time |= matches!(operator, Operator::StartTime(_));
                if operator.is_of_request() {
                    let item = Item::Operator(operator, length.unwrap_or(usize::MAX));
                    PlannedItem::note(&mut overrides.items, item, bit);
                } else if Operators::are_asked_of_the_host(&operator) && !asks.contains(&operator) {
                    asks.push(operator);
                }
            }
            if has_variants(&rule.instead) {
                PlannedItem::note(&mut overrides.items, Item::Accept, bit);
            }
            overrides.rules.push(Rule {
                rule: rule.clone(),
                condition_bit: bit,
                asks,
                counter: counters.counter(
                    families::RESPONSE_OVERRIDE_RESPONSES_OVERRIDDEN,
                    Labels::of_rule(policy, rule.label()),
                ),
            });
        }
        let required = std::mem::take(&mut overrides.required);
        overrides.required = required.and(RequiredInputs {
            headers: !overrides.items.is_empty(),
            params: overrides
                .items
                .iter()
                .filter_map(PlannedItem::param)
                .collect(),
            ..RequiredInputs::default()
        });
        Some(overrides)
    }
}

fn has_variants(instead: &Wanted) -> bool {
    matches!(instead, Wanted::Response(response) if matches!(response.body, NewBody::Variants(_)))
}
