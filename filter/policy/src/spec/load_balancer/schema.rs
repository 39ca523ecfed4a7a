//! `loadBalancer`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;
use crate::spec::names;

pub(crate) static LOAD_BALANCER: Object = object(
    &[
        required(
            "type",
            "How endpoints are chosen: by hash, by fewest requests, at random, in turn, by \
             reported load, or by a module.",
            Shape::Choice(&[
                "ConsistentHash",
                "LeastRequest",
                "Random",
                "RoundRobin",
                "BackendUtilization",
                "DynamicModule",
            ]),
        ),
        optional(
            "consistentHash",
            "What is hashed, so that equal requests go to one endpoint; required for type \
             ConsistentHash, and only for it.",
            Shape::Object(&CONSISTENT_HASH),
        ),
        optional(
            "backendUtilization",
            "How endpoints' own reports of their load (ORCA) become weights; required for type \
             BackendUtilization, and only for it.",
            Shape::Object(&BACKEND_UTILIZATION),
        ),
        optional(
            "dynamicModule",
            "A load balancer in your own dynamic module; required for type DynamicModule, and \
             only for it.",
            Shape::Object(&DYNAMIC_MODULE),
        ),
        optional(
            "endpointOverride",
            "Lets a request header name the endpoint; without one, type decides.",
            Shape::Object(&ENDPOINT_OVERRIDE),
        ),
        extension(
            "leastRequest",
            "How type LeastRequest chooses its candidates; for it only. KubeLB documents it.",
            Shape::Object(&LEAST_REQUEST),
        ),
        optional(
            "slowStart",
            "Sends a new endpoint few requests at first; for LeastRequest, RoundRobin and \
             BackendUtilization.",
            Shape::Object(&SLOW_START),
        ),
        optional(
            "zoneAware",
            "Prefers or weighs the zones that endpoints are in.",
            Shape::Object(&ZONE_AWARE),
        )
        .or(
            "zones have their localities' weights; ConsistentHash and BackendUtilization ignore \
             zones",
        ),
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

pub(crate) static CONSISTENT_HASH: Object = object(
    &[
        required(
            "type",
            "What is hashed: the client's address, headers, a cookie, or query parameters.",
            Shape::Choice(&["SourceIP", "Header", "Headers", "Cookie", "QueryParams"]),
        ),
        optional(
            "header",
            "The header that is hashed; deprecated, write headers with type Headers.",
            Shape::Object(&NAMED),
        ),
        optional(
            "headers",
            "Headers that are hashed, in order; required for type Headers, and only for it.",
            many(&Shape::Object(&NAMED)),
        ),
        optional(
            "cookie",
            "The cookie that is hashed; required for type Cookie, and only for it.",
            Shape::Object(&COOKIE),
        ),
        optional(
            "queryParams",
            "Query parameters that are hashed; required for type QueryParams, and only for it.",
            many(&Shape::Object(&PARAMETER)),
        ),
        optional(
            "tableSize",
            "Size of the Maglev table, a prime number: a larger table spreads the load more \
             evenly and takes more memory.",
            integer(2, 5_000_011),
        )
        .or("65537")
        .checked(checks::prime),
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
            "must have queryParams exactly if its type is QueryParams",
            |it| (text_in(it, "type", "") == "QueryParams") == has(it, "queryParams"),
        ),
    ],
);

pub(crate) static NAMED: Object = object(
    &[required(
        "name",
        "The header whose value is hashed; a request without it goes to any endpoint.",
        ANY_TEXT,
    )
    .checked(names::header_name)],
    &[],
);

pub(crate) static PARAMETER: Object = object(
    &[required(
        "name",
        "The query parameter whose value is hashed, 1 to 1024 bytes.",
        ANY_TEXT,
    )
    .checked(checks::parameter_name)],
    &[],
);

pub(crate) static COOKIE: Object = object(
    &[
        required(
            "name",
            "The cookie whose value is hashed: 1 to 256 token characters.",
            ANY_TEXT,
        )
        .checked(names::cookie_name),
        optional(
            "ttl",
            "Lifetime of the cookie that Envoy generates for a client without one; 0s makes a \
             session cookie.",
            Shape::Duration,
        )
        .or("the cookie is read, and never generated"),
        optional(
            "attributes",
            "Further attributes of the generated cookie, such as SameSite or Path.",
            Shape::Dictionary(&ANY_TEXT),
        )
        .checked(checks::cookie_attributes),
    ],
    &[],
);

pub(crate) static BACKEND_UTILIZATION: Object = object(
    &[
        optional(
            "blackoutPeriod",
            "How long an endpoint must have reported before its reports are used; it warms up \
             meanwhile.",
            Shape::Duration,
        )
        .or("10s"),
        optional(
            "errorUtilizationPenaltyPercent",
            "Weight of errors relative to load, in percent: with 100, a share of errors counts as \
             much as the same share of load.",
            ours(&COUNT, &integer(0, UINT32)),
        )
        .or("0"),
        optional(
            "keepResponseHeaders",
            "Keeps the headers by which endpoints report their load in responses to clients, \
             instead of removing them.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "metricNamesForComputingUtilization",
            "Reported metrics from which load is computed, if a report has no utilization of its \
             own.",
            many(&ANY_TEXT),
        )
        .or("the reported CPU load"),
        optional(
            "outOfBand",
            "Requests endpoints' load by a gRPC stream, instead of reading it from their \
             responses.",
            Shape::Object(&OUT_OF_BAND),
        )
        .or("the load is read from responses"),
        optional(
            "weightExpirationPeriod",
            "How long a report is valid if no other follows.",
            Shape::Duration,
        )
        .or("3m"),
        optional(
            "weightUpdatePeriod",
            "How often the weights are computed; less than 100ms means 100ms.",
            Shape::Duration,
        )
        .or("1s"),
    ],
    &[],
);

pub(crate) static OUT_OF_BAND: Object = object(
    &[
        optional(
            "authority",
            "Authority of the stream of reports.",
            formed(1, 259, Form::OneLine),
        )
        .or("the endpoint's hostname, else the cluster's name"),
        optional("port", "Port of the reports.", PORT).or("the endpoint's own"),
        optional(
            "reportingPeriod",
            "How often an endpoint reports; more than zero.",
            Shape::Duration,
        )
        .or("10s"),
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
pub(crate) static LEAST_REQUEST: Object = object(
    &[optional(
        "choiceCount",
        "How many endpoints are drawn at random; the one with the fewest requests is chosen.",
        integer(2, UINT32),
    )
    .or("2")],
    &[],
);

pub(crate) static DYNAMIC_MODULE: Object = object(
    &[
        required(
            "name",
            "Name of the module: Envoy looks for libNAME.so in the folders of \
             ENVOY_DYNAMIC_MODULES_SEARCH_PATH.",
            HOSTNAME,
        ),
        required(
            "lbPolicyName",
            "Name of the load balancer in the module.",
            text(1, 253),
        ),
        optional(
            "config",
            "The module's configuration: a string is passed unchanged, anything else as JSON.",
            Shape::Any,
        ),
    ],
    &[],
);

pub(crate) static ENDPOINT_OVERRIDE: Object = object(
    &[required(
        "extractFrom",
        "Where to look for the endpoint's address, in this order; the first that names a healthy \
         endpoint is used.",
        list(1, 10, &Shape::Object(&EXTRACT_FROM)),
    )],
    &[],
);

pub(crate) static EXTRACT_FROM: Object = object(
    &[optional(
        "header",
        "Request header that holds an endpoint's address and port, such as 10.0.0.7:8080.",
        ANY_TEXT,
    )
    .or("btp apply refuses the policy")
    .checked(names::header_name)],
    &[],
);

pub(crate) static SLOW_START: Object = object(
    &[required(
        "window",
        "How long a new endpoint takes to reach its full share of the requests; more than \
             zero.",
        Shape::Positive,
    )],
    &[],
);

pub(crate) static ZONE_AWARE: Object = object(
    &[
        optional(
            "preferLocal",
            "Sends requests to endpoints in Envoy's own zone as long as there are enough; needs \
             cluster_manager.local_cluster_name in the bootstrap.",
            Shape::Object(&PREFER_LOCAL),
        ),
        optional(
            "weightedZones",
            "Weights of the zones; zones that are not listed have weight 1.",
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

pub(crate) static PREFER_LOCAL: Object = object(
    &[
        optional(
            "force",
            "Keeps all requests in Envoy's own zone, even if it has fewer endpoints than its \
             share.",
            Shape::Object(&FORCE),
        ),
        optional(
            "minEndpointsThreshold",
            "Endpoints that the cluster must have before Envoy prefers its own zone.",
            ours(&ANY_INTEGER, &integer(0, UINT32)),
        )
        .or("6"),
        optional(
            "percentageEnabled",
            "Percent of the requests that use zone-aware routing.",
            PERCENT,
        )
        .or("100"),
    ],
    &[],
);

pub(crate) static FORCE: Object = object(
    &[optional(
        "minEndpointsInZoneThreshold",
        "Endpoints that the zone must have before all requests are kept in it.",
        ours(&ANY_INTEGER, &integer(0, UINT32)),
    )
    .or("1")],
    &[],
);

pub(crate) static WEIGHTED_ZONE: Object = object(
    &[
        required(
            "zone",
            "Name of the zone, as in the endpoints' locality.",
            ANY_TEXT,
        ),
        required(
            "weight",
            "Share of the zone in proportion to the others; 1 to 4294967295, all together too.",
            ours(&ANY_INTEGER, &integer(1, UINT32)),
        ),
    ],
    &[],
);
