//! `rateLimit`: what may be written.

use crate::code::Code;
use crate::owner::{Capability, Owner};
use crate::schema::shape::*;
use crate::spec::canned_reply::schema::REJECT;
use crate::spec::selector::schema::SELECTOR;

pub(crate) static RATE_LIMIT: Object = object(
    &[
        optional(
            "type",
            "Local or Global: the other field is ignored, even if only that one is set; \
             deprecated, as local and global need no type.",
            Shape::Choice(&["Global", "Local"]),
        )
        .or("both count"),
        optional(
            "local",
            "Limits that each Envoy counts for itself, for all its workers together.",
            Shape::Object(&LOCAL),
        )
        .by(Owner::Filter(Capability::RateLimit)),
        optional(
            "global",
            "Limits that a rate limit service counts for all Envoys together; btp apply writes \
             Envoy's filter and the service's file.",
            Shape::Object(&GLOBAL),
        )
        .by(Owner::Envoy),
    ],
    &[],
);

pub(crate) static LOCAL: Object = object(
    &[
        optional(
            "rules",
            "Limits and the requests that they count; one rule may have no clientSelectors, and \
             counts requests that no other rule counts.",
            list(0, 16, &Shape::Object(&LOCAL_RULE)),
        )
        .or("no limit"),
        extension(
            "exempt",
            "Requests that no rule counts: those that match any of these selectors.",
            list(1, 16, &Shape::Object(&SELECTOR)),
        )
        .or("none"),
        extension(
            "mode",
            "Whether every rule that matches counts a request, or only the first in the list.",
            Shape::Choice(&["AllMatching", "FirstMatch"]),
        )
        .or("AllMatching"),
        extension(
            "reject",
            "Reply to refused clients, unless their rule has its own reject.",
            Shape::Object(&REJECT),
        ),
        extension(
            "retryAfter",
            "Whether replies to refused clients have a retry-after header, in seconds.",
            Shape::Boolean,
        )
        .or("true"),
        extension(
            "disabled",
            "true disables all limits, so that a policy opts out of limits it would inherit.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(crate) static CONCURRENCY: Object = object(
    &[
        required(
            "max",
            "Requests of the rule that may be in flight at once, over all workers; further ones \
             are refused.",
            integer(1, UINT32),
        ),
        extension(
            "classes",
            "Classes of requests in order of priority, for when too many are in flight: a request \
             belongs to the first class whose clientSelectors match, or to none, which has no \
             reserve.",
            list(1, 8, &Shape::Object(&CLASS)),
        )
        .or("all requests have the same priority"),
    ],
    &[],
);

pub(crate) static CLASS: Object = object(
    &[
        required(
            "name",
            "Names the class in metrics; a DNS label, unique in the rule.",
            formed(1, 63, Form::DnsLabel),
        ),
        extension(
            "clientSelectors",
            "Requests that belong to the class, unless they belong to an earlier one: everything \
             in every item must match, and Distinct is refused. Only the last class may leave it \
             out, and then has all other requests.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("all others"),
        extension(
            "reserved",
            "Places reserved for the class: a whole percentage of max, rounded down, and at least \
             one place unless it is 0%.",
            formed(2, 4, Form::Percent),
        )
        .or("0%"),
    ],
    &[],
);

pub(crate) static QUEUE: Object = object(
    &[
        required(
            "maxDelay",
            "How long a request waits for its tokens before it is refused; at most 1h.",
            Shape::Positive,
        ),
        extension(
            "maxQueued",
            "Tokens that requests may wait for at a time in each bucket; further requests are \
             refused at once.",
            integer(1, UINT32),
        )
        .or("any number"),
    ],
    &[],
);

pub(crate) static GLOBAL: Object = object(
    &[required(
        "rules",
        "Limits that the service counts; all rules that match count a request.",
        list(0, 256, &Shape::Object(&RULE)),
    )],
    &[],
);

/// A local rule has the fields of a global one, but two of them are refused,
/// and some of ours.
pub(crate) static LOCAL_RULE: Object = object(
    &[
        extension(
            "name",
            "Names the rule in metrics, and keeps its buckets when its selectors change; a DNS \
             label, unique in the policy.",
            formed(1, 63, Form::DnsLabel),
        )
        .or("its conditions name it in metrics"),
        optional(
            "clientSelectors",
            "Which requests the rule counts: everything in every item must match.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("requests that no other rule counts"),
        optional(
            "limit",
            "How many requests may pass in which time; required without concurrency.",
            Shape::Object(&LOCAL_LIMIT),
        )
        .or("any rate, within concurrency"),
        extension(
            "concurrency",
            "How many requests of the rule may be in flight at once, whatever their rate.",
            Shape::Object(&CONCURRENCY),
        )
        .or("any number"),
        optional(
            "cost",
            "How many tokens a request takes.",
            Shape::Object(&LOCAL_COST),
        )
        .or("1"),
        optional(
            "shared",
            "true lets all routes of the policy share one bucket; otherwise each route name has \
             its own.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "shadowMode",
            "true counts and refuses nothing, to try out a limit.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "xRateLimitHeaders",
            "Which response headers tell clients how much is left, if any: x-ratelimit-*, or \
             RateLimit with DraftVersion10, an extension.",
            Shape::Ours {
                crd: &X_RATE_LIMIT_HEADERS,
                ours: &Shape::Choice(&["Off", "DraftVersion03", "DraftVersion10"]),
            },
        )
        .or("that of the default rule, whose default is DraftVersion03"),
        extension(
            "reject",
            "Reply to clients that this rule refuses, instead of local.reject.",
            Shape::Object(&REJECT),
        )
        .or("local.reject"),
        extension(
            "queue",
            "Lets requests wait for tokens, instead of refusing them at once; not with shadowMode \
             or requests 0.",
            Shape::Object(&QUEUE),
        )
        .or("refused at once"),
    ],
    &[
        rule(Code::NoneOfFields, "must have limit or concurrency", |it| {
            count(it, &["limit", "concurrency"]) > 0
        }),
        rule(
            Code::ExcludedField,
            "must have limit beside cost or queue",
            |it| has(it, "limit") || count(it, &["cost", "queue"]) == 0,
        ),
        rule(
            Code::GlobalOnly,
            "must not have cost.response: it is global limits' only",
            |it| !it.field("cost").is_some_and(|it| has(it, "response")),
        ),
        rule(
            Code::GlobalOnly,
            "must not have limit.fromMetadata: it is global limits' only",
            |it| !it.field("limit").is_some_and(|it| has(it, "fromMetadata")),
        ),
    ],
);

const X_RATE_LIMIT_HEADERS: Shape = Shape::Choice(&["Off", "DraftVersion03"]);

pub(crate) static RULE: Object = object(
    &[
        optional(
            "clientSelectors",
            "Which requests the service counts for this rule: everything in every item must match.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("every request"),
        required(
            "limit",
            "How many requests may pass through all Envoys together, in which time.",
            Shape::Object(&LIMIT),
        ),
        optional(
            "cost",
            "The cost of a request, and of its response.",
            Shape::Object(&COST),
        )
        .or("1 for a request, nothing for a response"),
        optional(
            "shared",
            "true lets all routes of the policy share one counter of the service; otherwise each \
             route has its own.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "shadowMode",
            "true counts requests and refuses none.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "xRateLimitHeaders",
            "Whether responses of the service's rule carry x-ratelimit-* headers.",
            X_RATE_LIMIT_HEADERS,
        )
        .or("DraftVersion03"),
    ],
    &[],
);

const UNIT: Shape = Shape::Choice(&["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"]);

pub(crate) static LOCAL_LIMIT: Object = object(
    &[
        required(
            "requests",
            "Tokens that are refilled in one unit of time; 0 refuses all requests.",
            integer(0, UINT32),
        ),
        required(
            "unit",
            "The time in which the tokens are refilled; a month has 30 days, a year 365.",
            UNIT,
        ),
        extension(
            "burst",
            "Size of the bucket: how many requests may pass at once after a quiet time; it must \
             refill within 100 years.",
            integer(1, UINT32),
        )
        .or("requests"),
        optional(
            "fromMetadata",
            "Refused here: only limits of a rate limit service (rateLimit.global) can be read \
             from metadata.",
            ours(&Shape::Object(&LIMIT_METADATA), &Shape::Never),
        ),
    ],
    &[],
);

pub(crate) static LIMIT: Object = object(
    &[
        required(
            "requests",
            "Requests that may pass in one unit of time, in fixed windows; 0 refuses all.",
            integer(0, UINT32),
        ),
        required(
            "unit",
            "Length of the window in which requests are counted; a month has 30 days, a year \
             365.",
            UNIT,
        ),
        optional(
            "fromMetadata",
            "Reads both from dynamic metadata that a filter has written, if there is any: a \
             struct such as {requests_per_unit: 5, unit: HOUR}.",
            Shape::Object(&LIMIT_METADATA),
        )
        .or("requests and unit"),
    ],
    &[],
);

pub(crate) static LIMIT_METADATA: Object = object(
    &[
        required(
            "namespace",
            "Namespace of the dynamic metadata that holds the limit, such as a filter's name.",
            text(1, usize::MAX),
        ),
        required(
            "key",
            "Key of the limit in that namespace.",
            text(1, usize::MAX),
        ),
    ],
    &[],
);

pub(crate) static COST: Object = object(
    &[
        optional(
            "request",
            "Tokens to take when the request arrives.",
            Shape::Object(&AMOUNT),
        )
        .or("1"),
        optional(
            "response",
            "Tokens to take when the response has ended; global limits only.",
            Shape::Object(&AMOUNT),
        )
        .or("nothing"),
    ],
    &[],
);

pub(crate) static AMOUNT: Object = object(
    &[
        required(
            "from",
            "Whether the amount is a number here, or read from dynamic metadata.",
            Shape::Choice(&["Number", "Metadata"]),
        ),
        optional(
            "number",
            "The amount, for from Number; 0 takes nothing.",
            ours(&ANY_INTEGER, &integer(0, 1_000_000_000)),
        )
        .or("1"),
        optional(
            "metadata",
            "Where in dynamic metadata the amount is, for from Metadata.",
            Shape::Object(&AMOUNT_METADATA),
        ),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both number and metadata",
        |it| count(it, &["number", "metadata"]) < 2,
    )],
);

pub(crate) static AMOUNT_METADATA: Object = object(
    &[
        required(
            "namespace",
            "Namespace of the dynamic metadata that holds the amount, such as a \
             filter's name; without :, ) and %.",
            ANY_TEXT,
        ),
        required(
            "key",
            "Key of the amount in that namespace; without :, ) and %.",
            ANY_TEXT,
        ),
    ],
    &[],
);

/// A local rule has the costs of a global one, but not those that only a service
/// can take.
pub(crate) static LOCAL_COST: Object = object(
    &[
        optional(
            "request",
            "Tokens to take when a request arrives: from Number, with a number of 0 to burst.",
            Shape::Object(&LOCAL_AMOUNT),
        )
        .or("1"),
        optional(
            "response",
            "Refused here: only the limits of a rate limit service (rateLimit.global) count \
             responses.",
            ours(&Shape::Object(&AMOUNT), &Shape::Never),
        ),
    ],
    &[],
);

pub(crate) static LOCAL_AMOUNT: Object = object(
    &[
        required(
            "from",
            "Source of the number of tokens: Number, as the filter reads none from metadata.",
            ours(
                &Shape::Choice(&["Number", "Metadata"]),
                &Shape::Choice(&["Number"]),
            ),
        ),
        optional(
            "number",
            "How many tokens a request takes from the bucket: 0 takes nothing, and more than \
             burst could never pass.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("1"),
        optional(
            "metadata",
            "Refused here: only limits of a rate limit service (rateLimit.global) can read a cost \
             from metadata.",
            ours(&Shape::Object(&AMOUNT_METADATA), &Shape::Never),
        ),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both number and metadata",
        |it| count(it, &["number", "metadata"]) < 2,
    )],
);
