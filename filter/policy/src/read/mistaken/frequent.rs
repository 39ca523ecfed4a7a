//! The most frequent mistaken names, which the filter's own messages contain, too.

use super::Here::{Is, Says};
use super::Words;

pub(super) const FIELDS: Words = &[
    (
        "targetRefs[]",
        &[(
            "namespace",
            Says("a target is in the policy's own namespace; leave it out"),
        )],
    ),
    (
        "retry",
        &[
            ("attempts", Is("numRetries")),
            ("perTryTimeout", Is("perRetry.timeout")),
            ("timeout", Is("perRetry.timeout")),
            ("retryBackOff", Is("perRetry.backOff")),
            ("backOff", Is("perRetry.backOff")),
            ("codes", Is("retryOn.httpStatusCodes")),
        ],
    ),
    (
        "retryConstraint",
        &[
            ("budgetPercent", Is("budget.percent")),
            ("budgetInterval", Is("budget.interval")),
        ],
    ),
    (
        "rateLimit",
        &[
            ("rules", Is("local.rules")),
            ("requests", Is("local.rules[].limit.requests")),
            ("unit", Is("local.rules[].limit.unit")),
        ],
    ),
    (
        "rateLimit.*",
        &[
            ("requests", Is("rules[].limit.requests")),
            ("unit", Is("rules[].limit.unit")),
        ],
    ),
];
