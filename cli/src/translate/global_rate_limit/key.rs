//! The texts by which a service finds a counter. They are unique, and have no special
//! meaning to a service.
//!
//! envoyproxy/ratelimit treats `*` in a value as any text and joins key and value with `_`;
//! Limitador's conditions contain them in quotes. So names consist of plain characters
//! alone, and our keys have no `_`.

use std::fmt::Write as _;

use btp_policy::scalar::ObjectName;

/// The prefix of the two digits of a character that is not plain. Not `%`, which begins a
/// command in Envoy.
const ESCAPE: char = '~';

/// What a route is known by: the names of its table of routes and its virtual
/// host, and its own. Routes that agree in all three count as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteKey(String);

impl RouteKey {
    /// `index` is its place in its virtual host, by which a route without a name
    /// is known.
    pub(crate) fn new(table: &str, virtual_host: &str, name: &str, index: usize) -> Self {
        let part = |text: &str| escaped(text, |it| is_plain(it) && it != '/');
        let (table, virtual_host) = (part(table), part(virtual_host));
        // No name comes to this: what follows is no digit of an escape.
        let own = match name {
            "" => format!("{ESCAPE}route/{index}"),
            name => escaped(name, is_plain),
        };
        Self(format!("{table}/{virtual_host}/{own}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a rule is known by that has one counter for all routes.
pub(super) fn of_shared(policy: &ObjectName, index: usize) -> String {
    let part = |text: &str| escaped(text, |it| is_plain(it) && it != '/');
    let (namespace, name) = (part(&policy.namespace), part(&policy.name));
    format!("{namespace}/{name}/rule/{index}")
}

/// Whether a character means itself wherever a key or value stands.
pub(super) fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/')
}

fn escaped(text: &str, is_fine: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match char::from(byte) {
            it if is_fine(it) => out.push(it),
            _ => {
                let _ = write!(out, "{ESCAPE}{byte:02X}");
            }
        }
    }
    out
}
