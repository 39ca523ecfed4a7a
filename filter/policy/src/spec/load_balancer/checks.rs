//! What Envoy refuses of a `loadBalancer`, tried on Envoy 1.40.

use crate::code::Code;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::HeaderName;

pub(in crate::spec) fn prime(at: Cursor<'_>, problems: &mut Problems) {
    let Some(size) = at.integer(2..=5_000_011, problems) else {
        return;
    };
    let divisors = (2..).take_while(|divisor| divisor * divisor <= size);
    if let Some(divisor) = divisors.into_iter().find(|divisor| size % divisor == 0) {
        at.refuse(
            problems,
            Code::NotPrime,
            format!("must be a prime number: {divisor} divides it"),
        );
    }
}

pub(in crate::spec) fn parameter_name(at: Cursor<'_>, problems: &mut Problems) {
    at.string_of(1..=1024, problems);
}

/// Each is written into `Set-Cookie` as it stands.
pub(in crate::spec) fn cookie_attributes(at: Cursor<'_>, problems: &mut Problems) {
    let Value::Map(entries) = &at.node.value else {
        return;
    };
    for entry in entries {
        let path = Path::Field(&at.path, &entry.key);
        let at = Cursor {
            node: &entry.node,
            path,
        };
        let breaks = |text: &str| text.contains(|it: char| it.is_control() || it == ';');
        if HeaderName::new(&entry.key).is_none() {
            at.refuse(
                problems,
                Code::MalformedCookie,
                "must have a name of 1 to 256 token characters",
            );
        } else if at.string(problems).is_some_and(breaks) {
            at.refuse(
                problems,
                Code::MalformedCookie,
                "must not contain control characters and semicolons",
            );
        }
    }
}

/// The weights of one priority are added in 32 bits.
pub(in crate::spec) fn sum_of_weights(at: Cursor<'_>, problems: &mut Problems) {
    let weights = at.items().iter().map(|item| match item.field("weight") {
        Some(Node {
            value: Value::Int(weight),
            ..
        }) => *weight,
        _ => 0,
    });
    let sum = weights.fold(0_i64, i64::saturating_add);
    if sum > i64::from(u32::MAX) {
        at.refuse(
            problems,
            Code::WeightsTooLarge,
            "must have weights that add up to at most 4294967295",
        );
    }
}
