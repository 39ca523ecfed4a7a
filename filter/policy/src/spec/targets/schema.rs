//! `targetRefs` and `targetSelectors`: what may be written.

use crate::code::Code;
use crate::labels::schema::EXPRESSION;
use crate::schema::shape::*;

pub(crate) static TARGET_REF: Object = object(
    &[
        required(
            "group",
            "API group of the target; gateway.networking.k8s.io is the only one.",
            ours(&formed(0, 253, Form::Group), &GROUP),
        ),
        required(
            "kind",
            "Kind of the target: a Gateway or ListenerSet, or a route of any protocol.",
            ours(&formed(1, 63, Form::Kind), &KIND),
        ),
        required(
            "name",
            "Name of the target, in the policy's own namespace.",
            text(1, 253),
        ),
        optional(
            "sectionName",
            "A listener of the Gateway, or a rule of the route by its name or index.",
            formed(1, 253, Form::DnsSubdomain),
        )
        .or("the whole object"),
    ],
    &[],
);

/// A target of an `XBackendTrafficPolicy`.
pub(crate) static SERVICE_REF: Object = object(
    &[
        required(
            "group",
            "API group of the target; the empty name, of Kubernetes' core group, is the only one.",
            Shape::Choice(&[""]),
        ),
        required(
            "kind",
            "Kind of the target; Service is the only one.",
            Shape::Choice(&["Service"]),
        ),
        required(
            "name",
            "Name of the Service, in the policy's own namespace.",
            text(1, 253),
        ),
    ],
    &[],
);

pub(crate) static TARGET_SELECTOR: Object = object(
    &[
        optional(
            "group",
            "API group of the objects; gateway.networking.k8s.io is the only one.",
            ours(&formed(0, 253, Form::Group), &GROUP),
        )
        .or("gateway.networking.k8s.io"),
        required(
            "kind",
            "Kind of the objects that are picked: Gateways, ListenerSets, or routes of any \
             protocol.",
            ours(&formed(1, 63, Form::Kind), &KIND),
        ),
        optional(
            "matchLabels",
            "Labels that the objects must have, with these values.",
            Shape::Dictionary(&ANY_TEXT),
        ),
        optional(
            "matchExpressions",
            "Conditions on the objects' labels, all of which must hold.",
            many(&Shape::Object(&EXPRESSION)),
        ),
        optional(
            "namespaces",
            "Which namespaces the objects may be in.",
            Shape::Object(&NAMESPACES),
        )
        .or("the policy's own"),
    ],
    &[],
);

pub(crate) static NAMESPACES: Object = object(
    &[
        optional(
            "from",
            "The policy's own namespace, all of them, or those that selector picks.",
            Shape::Choice(&["Same", "All", "Selector"]),
        )
        .or("Same"),
        optional(
            "selector",
            "Labels of the namespaces that are looked in; for from Selector.",
            Shape::Object(&LABEL_SELECTOR),
        ),
    ],
    &[rule(
        Code::FieldOfType,
        "must have a selector if from is Selector",
        |it| text_in(it, "from", "Same") != "Selector" || has(it, "selector"),
    )],
);

pub(crate) static LABEL_SELECTOR: Object = object(
    &[
        optional(
            "matchLabels",
            "Labels that a namespace must have, with these values.",
            Shape::Dictionary(&ANY_TEXT),
        ),
        optional(
            "matchExpressions",
            "Conditions on a namespace's labels, all of which must hold.",
            many(&Shape::Object(&EXPRESSION)),
        ),
    ],
    &[],
);

const GROUP: Shape = Shape::Choice(&["gateway.networking.k8s.io"]);
const KIND: Shape = Shape::Choice(&[
    "HTTPRoute",
    "GRPCRoute",
    "Gateway",
    "ListenerSet",
    "TCPRoute",
    "UDPRoute",
    "TLSRoute",
]);
