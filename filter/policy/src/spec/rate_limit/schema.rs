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
            "Local or Global: the other one is ignored, even if it stands alone; \
             deprecated, as local and global speak for themselves.",
            Shape::Choice(&["Global", "Local"]),
        )
        .or("both count"),
        optional(
            "local",
            "Limits that this Envoy keeps by itself, for all of its workers together.",
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
            "Limits and the requests they are for; one rule may have no \
             clientSelectors, and counts requests that no other rule counts.",
            list(0, 16, &Shape::Object(&LOCAL_RULE)),
        )
        .or("no limit"),
        extension(
            "exempt",
            "Requests that no rule counts: those that meet any of these selectors.",
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
            "What refused clients get, unless their rule has a reject of its own.",
            Shape::Object(&REJECT),
        ),
        extension(
            "retryAfter",
            "Whether refused clients are told by a retry-after header when to come again, in \
             seconds.",
            Shape::Boolean,
        )
        .or("true"),
        extension(
            "disabled",
            "With true nothing is limited: a policy opts out of what it would inherit.",
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
            "Requests of the rule that may be in flight at once, by all workers together; \
             further ones are refused.",
            integer(1, UINT32),
        ),
        extension(
            "classes",
            "Who has to give way when there are too many, in order of priority: a request \
             belongs to the first class whose clientSelectors hold, or to none, as one without \
             a reserve.",
            list(1, 8, &Shape::Object(&CLASS)),
        )
        .or("no request comes before another"),
    ],
    &[],
);

pub(crate) static CLASS: Object = object(
    &[
        required(
            "name",
            "Names the class in metrics; a DNS label, once in a rule.",
            formed(1, 63, Form::DnsLabel),
        ),
        extension(
            "clientSelectors",
            "Which requests belong to the class, unless an earlier class has them: everything in \
             every item must hold, and Distinct is refused. Only the last class may leave it \
             out, and has all others then.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("all others"),
        extension(
            "reserved",
            "Places that no other class gets: a whole percentage of max, rounded down, and \
             one place at least unless it is 0%.",
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
            "Tokens that may be waited for at a time in each bucket; what comes beyond is \
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
             label, once in a policy.",
            formed(1, 63, Form::DnsLabel),
        )
        .or("metrics name it by its conditions"),
        optional(
            "clientSelectors",
            "Which requests the rule counts: everything in every item must hold.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("requests that no other rule counts"),
        optional(
            "limit",
            "How many requests may pass in how long; needed without concurrency.",
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
            "With true all routes of the policy share one bucket; otherwise each route name has \
             its own.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "shadowMode",
            "With true the rule counts, and refuses nothing: for trying a limit out.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "xRateLimitHeaders",
            "Whether responses tell clients what is left, and by which headers: \
             x-ratelimit-*, or with DraftVersion10, an extension, RateLimit.",
            Shape::Ours {
                crd: &X_RATE_LIMIT_HEADERS,
                ours: &Shape::Choice(&["Off", "DraftVersion03", "DraftVersion10"]),
            },
        )
        .or("as the default rule, whose own is DraftVersion03"),
        extension(
            "reject",
            "What clients get that this rule refuses, in place of local.reject.",
            Shape::Object(&REJECT),
        )
        .or("local.reject"),
        extension(
            "queue",
            "Holds requests until there are tokens for them, instead of refusing them \
             at once; not with shadowMode or requests 0.",
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
            "Which requests the service counts for this rule: everything in every item must \
             hold.",
            list(0, 8, &Shape::Object(&SELECTOR)),
        )
        .or("every request"),
        required(
            "limit",
            "How many requests may pass through all Envoys together, in how long.",
            Shape::Object(&LIMIT),
        ),
        optional(
            "cost",
            "What is taken off the limit for a request, and for its response.",
            Shape::Object(&COST),
        )
        .or("1 for a request, nothing for a response"),
        optional(
            "shared",
            "With true all routes of the policy share one counter of the service; \
             otherwise each route has its own.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "shadowMode",
            "With true the service counts, and no request is refused.",
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
            "Tokens that come back in one unit of time; 0 lets no request pass.",
            integer(0, UINT32),
        ),
        required(
            "unit",
            "The time in which the tokens come back; a month has 30 days, a year 365.",
            UNIT,
        ),
        extension(
            "burst",
            "Tokens that the bucket holds: how many requests may pass at once after a quiet \
             time; they must come back within 100 years.",
            integer(1, UINT32),
        )
        .or("requests"),
        optional(
            "fromMetadata",
            "Refused here: only the limits of a rate limit service (rateLimit.global) can be \
             taken from metadata.",
            ours(&Shape::Object(&LIMIT_METADATA), &Shape::Never),
        ),
    ],
    &[],
);

pub(crate) static LIMIT: Object = object(
    &[
        required(
            "requests",
            "Requests that may pass in one unit of time, in fixed windows; 0 lets none pass.",
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
            "Takes both from dynamic metadata that a filter has written, if it is \
             there: a struct such as {requests_per_unit: 5, unit: HOUR}.",
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
            "Tokens that are taken when the request arrives.",
            Shape::Object(&AMOUNT),
        )
        .or("1"),
        optional(
            "response",
            "Tokens that are taken when the response has ended; global limits only.",
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
            "Whether the amount is a number written here, or found in dynamic metadata.",
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
            "Tokens that the filter takes when a request arrives: from Number, with a \
             number of 0 to burst.",
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
            "Where the number of tokens is: here, as the filter takes none from metadata.",
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
            "Refused here: only the limits of a rate limit service (rateLimit.global) cost what \
             metadata says.",
            ours(&Shape::Object(&AMOUNT_METADATA), &Shape::Never),
        ),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both number and metadata",
        |it| count(it, &["number", "metadata"]) < 2,
    )],
);
