//! Targets: which objects a policy is attached to.

use crate::code::Code;

use super::shape::{
    ANY_TEXT, Form, Object, Shape, formed, has, many, optional, required, rule, text, text_in,
};

pub(super) static TARGET_REF: Object = Object {
    fields: &[
        required("group", formed(0, 253, Form::Group)),
        required("kind", formed(1, 63, Form::Kind)),
        required("name", text(1, 253)),
        optional("sectionName", formed(1, 253, Form::DnsSubdomain)),
    ],
    rules: &[],
};

pub(super) static TARGET_SELECTOR: Object = Object {
    fields: &[
        optional("group", formed(0, 253, Form::Group)),
        required("kind", formed(1, 63, Form::Kind)),
        optional("matchLabels", Shape::Dictionary(&ANY_TEXT)),
        optional("matchExpressions", many(&Shape::Object(&EXPRESSION))),
        optional("namespaces", Shape::Object(&NAMESPACES)),
    ],
    rules: &[],
};

static EXPRESSION: Object = Object {
    fields: &[
        required("key", ANY_TEXT),
        required("operator", ANY_TEXT),
        optional("values", many(&ANY_TEXT)),
    ],
    rules: &[],
};

static NAMESPACES: Object = Object {
    fields: &[
        optional("from", Shape::Choice(&["Same", "All", "Selector"])),
        optional("selector", Shape::Object(&LABEL_SELECTOR)),
    ],
    rules: &[rule(
        Code::FieldOfType,
        "must have a selector if from is Selector",
        |it| text_in(it, "from", "Same") != "Selector" || has(it, "selector"),
    )],
};

static LABEL_SELECTOR: Object = Object {
    fields: &[
        optional("matchLabels", Shape::Dictionary(&ANY_TEXT)),
        optional("matchExpressions", many(&Shape::Object(&EXPRESSION))),
    ],
    rules: &[],
};
