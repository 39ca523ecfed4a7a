//! `loadBalancer`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static LOAD_BALANCER: Object = object(
    &[
        required(
            "type",
            Shape::Choice(&[
                "ConsistentHash",
                "LeastRequest",
                "Random",
                "RoundRobin",
                "BackendUtilization",
                "DynamicModule",
            ]),
        ),
        optional("consistentHash", Shape::Object(&CONSISTENT_HASH)),
        optional("backendUtilization", Shape::Object(&BACKEND_UTILIZATION)),
        optional("dynamicModule", Shape::Object(&DYNAMIC_MODULE)),
        optional("endpointOverride", Shape::Object(&ENDPOINT_OVERRIDE)),
        extension("leastRequest", Shape::Object(&LEAST_REQUEST)),
        optional("slowStart", Shape::Object(&SLOW_START)),
        optional("zoneAware", Shape::Object(&ZONE_AWARE)),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have consistentHash exactly if its type is ConsistentHash",
            |it| (text_in(it, "type", "") == "ConsistentHash") == has(it, "consistentHash"),
        ),
        rule(
            Code::FieldOfType,
            "must have backendUtilization exactly if its type is BackendUtilization",
            |it| (text_in(it, "type", "") == "BackendUtilization") == has(it, "backendUtilization"),
        ),
        rule(
            Code::FieldOfType,
            "must not have leastRequest unless its type is LeastRequest",
            |it| text_in(it, "type", "") == "LeastRequest" || !has(it, "leastRequest"),
        ),
        rule(
            Code::FieldOfType,
            "must have dynamicModule exactly if its type is DynamicModule",
            |it| (text_in(it, "type", "") == "DynamicModule") == has(it, "dynamicModule"),
        ),
        rule(
            Code::FieldOfType,
            "must not have slowStart if its type is Random, ConsistentHash or DynamicModule",
            |it| {
                let kind = text_in(it, "type", "");
                let without = matches!(kind, "Random" | "ConsistentHash" | "DynamicModule");
                !(without && has(it, "slowStart"))
            },
        ),
        rule(
            Code::FieldOfType,
            "must not have zoneAware.preferLocal if its type is ConsistentHash or \
             BackendUtilization",
            |it| {
                let kind = text_in(it, "type", "");
                let without = matches!(kind, "ConsistentHash" | "BackendUtilization");
                let prefer = it
                    .field("zoneAware")
                    .is_some_and(|it| has(it, "preferLocal"));
                !(without && prefer)
            },
        ),
        rule(
            Code::FieldOfType,
            "must have neither zoneAware nor endpointOverride if its type is DynamicModule",
            |it| {
                text_in(it, "type", "") != "DynamicModule"
                    || count(it, &["zoneAware", "endpointOverride"]) == 0
            },
        ),
    ],
);

static CONSISTENT_HASH: Object = object(
    &[
        required(
            "type",
            Shape::Choice(&["SourceIP", "Header", "Headers", "Cookie", "QueryParams"]),
        ),
        optional("header", Shape::Object(&NAMED)),
        optional("headers", many(&Shape::Object(&NAMED))),
        optional("cookie", Shape::Object(&COOKIE)),
        optional("queryParams", many(&Shape::Object(&PARAMETER))),
        optional("tableSize", integer(2, 5_000_011)).checked(checks::prime),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must have header exactly if its type is Header",
            |it| (text_in(it, "type", "") == "Header") == has(it, "header"),
        ),
        rule(
            Code::FieldOfType,
            "must have headers exactly if its type is Headers",
            |it| (text_in(it, "type", "") == "Headers") == has(it, "headers"),
        ),
        rule(
            Code::FieldOfType,
            "must have cookie exactly if its type is Cookie",
            |it| (text_in(it, "type", "") == "Cookie") == has(it, "cookie"),
        ),
        rule(
            Code::FieldOfType,
            "must have header exactly if its type is Header",
            |it| (text_in(it, "type", "") == "Header") == has(it, "header"),
        ),
        rule(
            Code::FieldOfType,
            "must have headers exactly if its type is Headers",
            |it| (text_in(it, "type", "") == "Headers") == has(it, "headers"),
        ),
        rule(
            Code::FieldOfType,
            "must have cookie exactly if its type is Cookie",
            |it| (text_in(it, "type", "") == "Cookie") == has(it, "cookie"),
        ),
        rule(
            Code::FieldOfType,
            "must have queryParams exactly if its type is QueryParams",
            |it| (text_in(it, "type", "") == "QueryParams") == has(it, "queryParams"),
        ),
    ],
);

static NAMED: Object = object(
    &[required("name", ANY_TEXT).checked(checks::header_name)],
    &[],
);

static PARAMETER: Object = object(
    &[required("name", ANY_TEXT).checked(checks::parameter_name)],
    &[],
);

static COOKIE: Object = object(
    &[
        required("name", ANY_TEXT).checked(checks::cookie_name),
        optional("ttl", Shape::Duration),
        optional("attributes", Shape::Dictionary(&ANY_TEXT)).checked(checks::cookie_attributes),
    ],
    &[],
);

static BACKEND_UTILIZATION: Object = object(
    &[
        optional("blackoutPeriod", Shape::Duration),
        optional("errorUtilizationPenaltyPercent", COUNT).checked(UINT32_CHECK),
        optional("keepResponseHeaders", Shape::Boolean),
        optional("metricNamesForComputingUtilization", many(&ANY_TEXT)),
        optional("outOfBand", Shape::Object(&OUT_OF_BAND)),
        optional("weightExpirationPeriod", Shape::Duration),
        optional("weightUpdatePeriod", Shape::Duration),
    ],
    &[],
);

static OUT_OF_BAND: Object = object(
    &[
        optional("authority", formed(1, 259, Form::OneLine)),
        optional("port", PORT),
        optional("reportingPeriod", Shape::Duration),
    ],
    &[rule(
        Code::DurationOutOfBounds,
        "must have a reportingPeriod longer than zero",
        |it| {
            let period = text_in(it, "reportingPeriod", "1s");
            crate::scalar::Duration::parse(period).is_none_or(|period| period.as_nanos() > 0)
        },
    )],
);

/// KubeLB documents it. Of how many endpoints, drawn by chance, Envoy takes the
/// one with the fewest requests.
static LEAST_REQUEST: Object = object(&[optional("choiceCount", integer(2, UINT32))], &[]);

static DYNAMIC_MODULE: Object = object(
    &[
        required("name", HOSTNAME),
        required("lbPolicyName", text(1, 253)),
        optional("config", Shape::Any),
    ],
    &[],
);

static ENDPOINT_OVERRIDE: Object = object(
    &[required(
        "extractFrom",
        list(1, 10, &Shape::Object(&EXTRACT_FROM)),
    )],
    &[],
);

static EXTRACT_FROM: Object = object(
    &[optional("header", ANY_TEXT).checked(checks::header_name)],
    &[],
);

static SLOW_START: Object = object(
    &[required("window", Shape::Duration).checked(POSITIVE)],
    &[],
);

static ZONE_AWARE: Object = object(
    &[
        optional("preferLocal", Shape::Object(&PREFER_LOCAL)),
        optional(
            "weightedZones",
            unique("zone", 0, usize::MAX, &Shape::Object(&WEIGHTED_ZONE)),
        )
        .checked(checks::sum_of_weights),
    ],
    &[rule(
        Code::ExcludedField,
        "must not have both preferLocal and weightedZones",
        |it| count(it, &["preferLocal", "weightedZones"]) < 2,
    )],
);

static PREFER_LOCAL: Object = object(
    &[
        optional("force", Shape::Object(&FORCE)),
        optional("minEndpointsThreshold", ANY_INTEGER).checked(UINT32_CHECK),
        optional("percentageEnabled", PERCENT),
    ],
    &[],
);

static FORCE: Object = object(
    &[optional("minEndpointsInZoneThreshold", ANY_INTEGER).checked(UINT32_CHECK)],
    &[],
);

static WEIGHTED_ZONE: Object = object(
    &[
        required("zone", ANY_TEXT),
        required("weight", ANY_INTEGER).checked(WEIGHT),
    ],
    &[],
);
