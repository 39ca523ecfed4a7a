//! `sessionPersistence`: Envoy's filter `stateful_session`, off but for the routes of the
//! policy, which say where a client keeps its endpoint.

use btp_policy::native::{CookieLifetimeType, SessionPersistence};
use btp_policy::node::Node;
use btp_policy::scalar::ObjectName;

use super::change::{Change, Changes, FilterPlace, Operation};
use crate::envoy::json::{IntoNode as _, node, put};
use crate::envoy::tree::{field_mut, set, text};

/// The name of the filter, for all users.
const NAME: &str = "btp.stateful_session";
/// What the route says of it.
const SETTINGS: [&str; 6] = [
    "type",
    "absoluteTimeout",
    "cookie.name",
    "cookie.path",
    "cookie.lifetimeType",
    "header.name",
];
const FILTER: &str = "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3";
const STATE: &str = "type.googleapis.com/envoy.extensions.http.stateful_session";

pub(super) fn translate(
    session: &SessionPersistence,
    policy: Option<&ObjectName>,
    out: &mut Changes,
) {
    let field = "sessionPersistence";
    let filter = node!({
        "name": NAME,
        "disabled": true,
        "typed_config": { "@type": (format!("{FILTER}.StatefulSession")) }
    });
    let state = match &session.header {
        Some(header) => node!({
            "name": "envoy.http.stateful_session.header",
            "typed_config": {
                "@type": (format!("{STATE}.header.v3.HeaderBasedSessionState")),
                "name": (&header.name)
            }
        }),
        None => cookie(session, policy),
    };
    let on = node!({
        "@type": (format!("{FILTER}.StatefulSessionPerRoute")),
        "stateful_session": { "session_state": (state) }
    });
    out.add_filter(field, NAME, (filter, FilterPlace::BeforeRouter), on);
    // The filter is the same whatever they say.
    for name in SETTINGS {
        out.also(&format!("{field}.{name}"));
    }
}

/// The same change with a cookie of another name, which goes on with `_` and this; `None` if
/// there is none.
pub(crate) fn rename_cookie(change: &Change, suffix: &str) -> Option<Change> {
    let mut renamed = change.clone();
    let Operation::Set(on) = &mut renamed.operation else {
        return None;
    };
    let way = [
        "stateful_session",
        "session_state",
        "typed_config",
        "cookie",
    ];
    let cookie = way.iter().try_fold(on, |node, key| field_mut(node, key))?;
    let name = format!("{}_{suffix}", text(cookie, "name")?);
    set(cookie, "name", name.into_node());
    Some(renamed)
}

fn cookie(session: &SessionPersistence, policy: Option<&ObjectName>) -> Node {
    let own = session.cookie.clone().unwrap_or_default();
    let name = own.name.unwrap_or_else(|| usual_name(policy));
    let path = own.path.unwrap_or_else(|| "/".to_owned());
    let mut cookie = node!({ "name": name, "path": path });
    let lasts = own.lifetime_type == CookieLifetimeType::Permanent;
    put(
        &mut cookie,
        "ttl",
        session.absolute_timeout.filter(|_| lasts),
    );
    node!({
        "name": "envoy.http.stateful_session.cookie",
        "typed_config": {
            "@type": (format!("{STATE}.cookie.v3.CookieBasedSessionState")),
            "cookie": (cookie)
        }
    })
}

/// A name that no other policy has: neither part of it has a `_`.
fn usual_name(policy: Option<&ObjectName>) -> String {
    match policy {
        Some(ObjectName { namespace, name }) => format!("btp_session_{namespace}_{name}"),
        None => "btp_session".to_owned(),
    }
}
