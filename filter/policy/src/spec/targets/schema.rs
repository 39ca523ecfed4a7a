//! `targetRefs` and `targetSelectors`: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static TARGET_REF: Object = object(
    &[
        required("group", formed(0, 253, Form::Group)),
        required("kind", formed(1, 63, Form::Kind)),
        required("name", text(1, 253)),
        optional("sectionName", formed(1, 253, Form::DnsSubdomain)),
    ],
    &[],
);

pub(crate) static TARGET_SELECTOR: Object = object(
    &[
        optional("group", formed(0, 253, Form::Group)),
        required("kind", formed(1, 63, Form::Kind)),
        optional("matchLabels", Shape::Dictionary(&ANY_TEXT)),
        optional("matchExpressions", many(&Shape::Object(&EXPRESSION))),
        optional("namespaces", Shape::Object(&NAMESPACES)),
    ],
    &[],
);

static EXPRESSION: Object = object(
    &[
        required("key", ANY_TEXT),
        required("operator", ANY_TEXT),
        optional("values", many(&ANY_TEXT)),
    ],
    &[],
);

static NAMESPACES: Object = object(
    &[
        optional("from", Shape::Choice(&["Same", "All", "Selector"])),
        optional("selector", Shape::Object(&LABEL_SELECTOR)),
    ],
    &[rule(
        Code::FieldOfType,
        "must have a selector if from is Selector",
        |it| text_in(it, "from", "Same") != "Selector" || has(it, "selector"),
    )],
);

static LABEL_SELECTOR: Object = object(
    &[
        optional("matchLabels", Shape::Dictionary(&ANY_TEXT)),
        optional("matchExpressions", many(&Shape::Object(&EXPRESSION))),
    ],
    &[],
);
