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
            "Complete policies, of which the most specific one governs each route; \
             apiVersion, kind and metadata.namespace may be left out.",
            many(&Shape::Either(&[
                Shape::Object(&POLICY),
                Shape::Object(&SERVICE_POLICY),
            ])),
        ),
        optional(
            "gateway",
            "The Gateway that this instance stands for: policies that target another one do \
             not apply.",
            Shape::Object(&GATEWAY),
        )
        .or("any Gateway is meant"),
        optional(
            "attachment",
            "What is known beforehand of the routes, so that the filter need not ask for each \
             request; btp apply writes it.",
            Shape::Object(&ATTACHMENT),
        )
        .or("the route's name is asked for"),
        optional(
            "configMaps",
            "ConfigMaps that the bodies of overrides are taken from.",
            many(&Shape::Object(&CONFIG_MAP)),
        ),
        optional(
            "namespaces",
            "What is known of namespaces: their labels, and whether policies in them are \
             switched off.",
            many(&Shape::Object(&NAMESPACE)),
        ),
        optional(
            "disabled",
            "The administrator's switch: with true nothing is enforced.",
            Shape::Boolean,
        )
        .or("false"),
        optional(
            "enforce",
            "Fields of spec that this instance enforces; the others are left to another \
             instance.",
            list(0, 5, &Shape::Choice(&Capability::NAMES)),
        )
        .or("everything that its position can"),
        optional(
            "position",
            "Where the instance is in Envoy: in the connection manager, once for each \
             request, or behind the router, once for each attempt, where it enforces \
             faultInjection and retry alone.",
            Shape::Choice(&["Downstream", "Upstream"]),
        )
        .or("Downstream"),
        optional(
            "nativeFields",
            "What becomes of fields that Envoy itself enforces: an error, a warning, or trust \
             that btp apply has written them.",
            Shape::Choice(&["Refuse", "Ignore", "Applied"]),
        )
        .or("Refuse"),
        optional(
            "allowOnHeadersStopIteration",
            "Repeats the setting of this name of Envoy's plugin: requestBuffer in mode Buffer \
             needs both.",
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
            "Tells the access log which policy and rule decided, and what: \
             %FILTER_STATE(wasm.btp_decision:PLAIN)%.",
            Shape::Boolean,
        )
        .or("false"),
    ],
    &[],
);

pub(super) static GATEWAY: Object = object(
    &[
        required("name", "Name of the Gateway, as targetRefs have it.", NAME),
        optional(
            "namespace",
            "Namespace of the Gateway, in which policies for it must be.",
            NAMESPACE_NAME,
        )
        .or("default"),
        optional(
            "listener",
            "The listener that this instance serves, of the Gateway or else of listenerSet, as a \
             target's sectionName has it.",
            NAME,
        )
        .or("no target's section is meant"),
        optional(
            "listenerSet",
            "The ListenerSet that the listener is of: policies that target it come before the \
             Gateway's, and those of a Gateway's own listener do not apply.",
            Shape::Object(&LISTENER_SET),
        )
        .or("the listener is the Gateway's own"),
        optional(
            "labels",
            "Labels of the Gateway, by which targetSelectors pick it.",
            LABELS,
        ),
    ],
    &[],
);

pub(super) static LISTENER_SET: Object = object(
    &[
        required(
            "name",
            "Name of the ListenerSet, as targetRefs have it.",
            NAME,
        ),
        optional(
            "namespace",
            "Namespace of the ListenerSet, in which policies for it must be.",
            NAMESPACE_NAME,
        )
        .or("default"),
        optional(
            "labels",
            "Labels of the ListenerSet, by which targetSelectors pick it.",
            LABELS,
        ),
    ],
    &[],
);

pub(super) static NAMESPACE: Object = object(
    &[
        required("name", "The namespace that is spoken of.", NAMESPACE_NAME),
        optional(
            "labels",
            "Labels of the namespace, by which targetSelectors look in it.",
            LABELS,
        ),
        optional(
            "disabled",
            "With true policies of this namespace are not enforced.",
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
            "The policy that governs every route, as namespace/name.",
            text(1, 4096),
        ),
        optional(
            "onlyRoute",
            "Name of the one route that there is.",
            text(1, 4096),
        ),
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
            "Bytes of a worker's memory that a configuration may take while it is loaded; they \
             are estimated from the document, never too low.",
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
            "Series of metrics with labels of their own; policies and rules for which there are \
             none left are counted together.",
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
            "Bytes that a worker keeps of all requests together for their responses, and of \
             bodies that wait to be written.",
            within(REQUEST_VALUE_BYTES_PER_WORKER),
        )
        .or("16777216"),
        optional(
            "routes",
            "Named routes whose governing policy is remembered.",
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
            "Version of Kubernetes' core API, which ConfigMaps belong to.",
            Shape::Choice(&["v1"]),
        )
        .or("v1"),
        optional(
            "kind",
            "Kind of the object, which is no policy.",
            Shape::Choice(&["ConfigMap"]),
        )
        .or("ConfigMap"),
        required(
            "metadata",
            "Name and namespace by which bodies refer to the ConfigMap.",
            Shape::Object(&METADATA),
        ),
        optional(
            "data",
            "Texts by their keys; a body is taken from response.body, or from the only key.",
            LABELS,
        ),
        optional(
            "binaryData",
            "Refused: bodies are texts, which belong into data.",
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
        description: "The configuration of the filter: policies, and what they apply to here.",
        required: &[],
    };
    crate::schema::document(&CONFIG, &head)
}
