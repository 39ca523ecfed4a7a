//! `sessionPersistence`: what may be written.

use super::checks;
use crate::code::Code;
use crate::node::Node;
use crate::schema::shape::*;
use crate::spec::names;

pub(crate) static SESSION_PERSISTENCE: Object = object(
    &[
        optional(
            "type",
            "Whether a cookie or a header names the endpoint.",
            Shape::Choice(&["Cookie", "Header"]),
        )
        .or("Cookie"),
        optional(
            "absoluteTimeout",
            "How long a session lasts, from its first request; whole seconds. Required for \
             permanent cookies, and only for them.",
            Shape::Duration,
        )
        .checked(checks::absolute_timeout),
        optional(
            "cookie",
            "Settings of the cookie; for type Cookie only.",
            Shape::Object(&COOKIE),
        ),
        optional(
            "header",
            "The header; required for type Header, and only for it.",
            Shape::Object(&HEADER),
        ),
    ],
    &[
        rule(
            Code::FieldOfType,
            "must be of type Cookie to have cookie",
            |it| !has(it, "cookie") || is_cookie(it),
        ),
        rule(
            Code::FieldOfType,
            "must have header if it is of type Header, and otherwise none",
            |it| has(it, "header") != is_cookie(it),
        ),
        rule(
            Code::MissingField,
            "must have absoluteTimeout for a cookie of lifetimeType Permanent",
            |it| !is_permanent(it) || has(it, "absoluteTimeout"),
        ),
        rule(
            Code::ExcludedField,
            "must have cookie.lifetimeType Permanent for absoluteTimeout: Envoy cannot end other \
             sessions",
            |it| is_permanent(it) || !has(it, "absoluteTimeout"),
        ),
    ],
);

static COOKIE: Object = object(
    &[
        optional("name", "Name of the cookie.", text(1, 256))
            .or("btp_session_NAMESPACE_POLICY")
            .checked(names::cookie_name),
        optional(
            "path",
            "Path of the cookie: clients send it for paths below this one.",
            text(1, 1024),
        )
        .or("/")
        .checked(checks::cookie_path),
        optional(
            "lifetimeType",
            "Whether the cookie lasts until the client is closed (Session), or for \
             absoluteTimeout (Permanent).",
            Shape::Choice(&["Session", "Permanent"]),
        )
        .or("Session"),
    ],
    &[],
);

static HEADER: Object = object(
    &[required(
        "name",
        "Name of the header, in responses as in requests.",
        TOKEN,
    )
    .checked(names::header_name)],
    &[],
);

fn is_cookie(it: &Node) -> bool {
    text_in(it, "type", "Cookie") == "Cookie"
}

fn is_permanent(it: &Node) -> bool {
    let cookie = it.field("cookie");
    cookie.is_some_and(|it| text_in(it, "lifetimeType", "Session") == "Permanent")
}
