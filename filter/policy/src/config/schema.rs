//! The table of the plugin configuration, and its JSON Schema.

use crate::code::Code;
use crate::owner::Capability;
use crate::policy::schema::{LABELS, METADATA, POLICY, SERVICE_POLICY};
use crate::schema::shape::*;

/// The plugin configuration.
pub static CONFIG: Object = object(
    &[
        required(
            "policies",
            "Complete policies; the most specific one applies to each route. apiVersion, kind and \
             metadata.namespace may be left out.",
            many(&Shape::Either(&[
                Shape::Object(&POLICY),
                Shape::Object(&SERVICE_POLICY),
            ])),
        ),
        optional(
            "gateway",
            "The Gateway that this instance serves: policies that target another Gateway do not \
             apply.",
            Shape::Object(&GATEWAY),
        )
        .or("any Gateway is meant"),
        optional(
            "attachment",
            "The policy of the routes, if it is known in advance: the filter then does not look \
             up each request's route. btp apply writes it.",
            Shape::Object(&ATTACHMENT),
        )
        .or("each request's route name is looked up"),
        optional(
            "configMaps",
            "ConfigMaps that contain bodies of response overrides.",
            many(&Shape::Object(&CONFIG_MAP)),
        ),
        optional(
            "namespaces",
            "Namespaces: their labels, and whether their policies are disabled.",
            many(&Shape::Object(&NAMESPACE)),
        ),
        optional(
            "disabled",
            "The administrator's switch: true disables all policies.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "enforce",
            "Fields of spec that this instance enforces; another instance enforces the others.",
            list(0, 5, &Shape::Choice(&Capability::NAMES)),
        )
        .or("all that its position can enforce"),
        optional(
            "position",
            "Where the instance runs: in the connection manager, once for each request, or behind \
             the router, once for each attempt. Behind the router it enforces only faultInjection \
             and retry.",
            Shape::Choice(&["Downstream", "Upstream"]),
        )
        .or("Downstream"),
        optional(
            "nativeFields",
            "How to treat fields that Envoy itself enforces: as an error, with a warning, or as \
             already written by btp apply.",
            Shape::Choice(&["Refuse", "Ignore", "Applied"]),
        )
        .or("Refuse"),
        optional(
            "allowOnHeadersStopIteration",
            "Repeats the setting of this name in Envoy's plugin configuration: requestBuffer in \
             mode Buffer needs both.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "limits",
            "Bounds on what the filter keeps in memory.",
            Shape::Object(&LIMITS),
        ),
        optional(
            "accessLog",
            "Shows the access log which policy and rule made which decision: \
             %FILTER_STATE(wasm.btp_decision:PLAIN)%.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(super) static GATEWAY: Object = object(
    &[
        required("name", "Name of the Gateway, as in targetRefs.", NAME),
        optional(
            "namespace",
            "Namespace of the Gateway, in which policies for it must be.",
            NAMESPACE_NAME,
        )
        .or("default"),
        optional(
            "listener",
            "The listener that this instance serves, as in a target's sectionName: one of \
             listenerSet if that is set, else of the Gateway.",
            NAME,
        )
        .or("targets with a sectionName do not apply"),
        optional(
            "listenerSet",
            "The ListenerSet that contains the listener: policies that target it take precedence \
             over the Gateway's, and those of the Gateway's own listeners do not apply.",
            Shape::Object(&LISTENER_SET),
        )
        .or("the listener is the Gateway's own"),
        optional(
            "labels",
            "Labels of the Gateway, which targetSelectors match.",
            LABELS,
        ),
    ],
    &[],
);

pub(super) static LISTENER_SET: Object = object(
    &[
        required("name", "Name of the ListenerSet, as in targetRefs.", NAME),
        optional(
            "namespace",
            "Namespace of the ListenerSet, in which policies for it must be.",
            NAMESPACE_NAME,
        )
        .or("default"),
        optional(
            "labels",
            "Labels of the ListenerSet, which targetSelectors match.",
            LABELS,
        ),
    ],
    &[],
);

pub(super) static NAMESPACE: Object = object(
    &[
        required("name", "Name of the namespace.", NAMESPACE_NAME),
        optional(
            "labels",
            "Labels of the namespace, which targetSelectors match.",
            LABELS,
        ),
        optional(
            "disabled",
            "true disables the policies of this namespace.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(super) static ATTACHMENT: Object = object(
    &[
        optional(
            "allRoutes",
            "The policy that applies to every route, as namespace/name.",
            text(1, 4096),
        ),
        optional("onlyRoute", "Name of the only route.", text(1, 4096)),
    ],
    &[rule(
        Code::NotExactlyOne,
        "must have either allRoutes or onlyRoute",
        |it| count(it, &["allRoutes", "onlyRoute"]) == 1,
    )],
);

pub(super) static LIMITS: Object = object(
    &[
        optional(
            "configurationBytes",
            "Bytes of a worker's memory that a configuration may take while it is loaded, \
             estimated from the document; the estimate is never too low.",
            within(CONFIGURATION_BYTES),
        )
        .or("536870912"),
        optional(
            "distinctKeys",
            "Clients that Distinct limits count at a time, all rules together.",
            within(DISTINCT_KEYS),
        )
        .or("65536"),
        optional(
            "metricSeries",
            "Metric series with labels of their own; policies and rules beyond that are counted \
             together.",
            within(METRIC_SERIES),
        )
        .or("20000"),
        optional(
            "regexBytes",
            "Bytes that the tables of all regular expressions may take, in each worker.",
            within(REGEX_BYTES),
        )
        .or("16777216"),
        optional(
            "requestValueBytes",
            "Bytes of one request that are kept for its response.",
            within(REQUEST_VALUE_BYTES),
        )
        .or("4096"),
        optional(
            "requestValueBytesPerWorker",
            "Bytes that a worker keeps for the responses of all its requests, and for bodies that \
             wait to be written.",
            within(REQUEST_VALUE_BYTES_PER_WORKER),
        )
        .or("16777216"),
        optional(
            "routes",
            "Named routes whose policy is cached.",
            within(ROUTES),
        )
        .or("10000"),
    ],
    &[],
);

pub(super) static CONFIG_MAP: Object = object(
    &[
        optional(
            "apiVersion",
            "Version of Kubernetes' core API, to which ConfigMaps belong.",
            Shape::Choice(&["v1"]),
        )
        .or("v1"),
        optional("kind", "Kind of the object.", Shape::Choice(&["ConfigMap"])).or("ConfigMap"),
        required(
            "metadata",
            "Name and namespace by which bodies refer to the ConfigMap.",
            Shape::Object(&METADATA),
        ),
        optional(
            "data",
            "Strings by their keys; a body is read from the key response.body, or from the only \
             key.",
            LABELS,
        ),
        optional(
            "binaryData",
            "Refused: bodies are text and belong in data.",
            Shape::Never,
        ),
        optional(
            "immutable",
            "Kubernetes' promise that the data never changes; accepted and not read.",
            Shape::Any,
        ),
    ],
    &[],
);

/// From the least to the most that each may be.
pub(super) const ROUTES: [i64; 2] = [1, 1_000_000];
pub(super) const DISTINCT_KEYS: [i64; 2] = [64, 1_048_576];
pub(super) const METRIC_SERIES: [i64; 2] = [0, 1_000_000];
pub(super) const REQUEST_VALUE_BYTES: [i64; 2] = [0, 65_536];
pub(super) const REQUEST_VALUE_BYTES_PER_WORKER: [i64; 2] = [0, 268_435_456];
pub(super) const REGEX_BYTES: [i64; 2] = [0, 268_435_456];
pub(super) const CONFIGURATION_BYTES: [i64; 2] = [1_048_576, 805_306_368];

const NAME: Shape = text(1, 253);
const NAMESPACE_NAME: Shape = formed(1, 63, Form::DnsLabel);

const fn within([least, most]: [i64; 2]) -> Shape {
    integer(least, most)
}

/// The JSON Schema of the plugin configuration.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let head = crate::schema::Head {
        id: "plugin.json",
        title: "BackendTrafficPolicy for stock Envoy",
        description: "The configuration of the filter: policies, and where they apply.",
        required: &[],
    };
    crate::schema::document(&CONFIG, &head)
}
