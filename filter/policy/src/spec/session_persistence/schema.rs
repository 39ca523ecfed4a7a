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
            "Where a client keeps the endpoint that it had first.",
            Shape::Choice(&["Cookie", "Header"]),
        )
        .or("Cookie"),
        optional(
            "absoluteTimeout",
            "How long a session lasts, from its first request; whole seconds. For permanent \
             cookies only, which it is required for.",
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
            "The header; for type Header only, which it is required for.",
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
            "must have cookie.lifetimeType Permanent for absoluteTimeout: of other sessions Envoy \
             knows no end",
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
            "Paths that clients send the cookie with: those below this one.",
            text(1, 1024),
        )
        .or("/")
        .checked(checks::cookie_path),
        optional(
            "lifetimeType",
            "Whether a client keeps the cookie until it is closed (Session), or as long as \
             absoluteTimeout says (Permanent).",
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
