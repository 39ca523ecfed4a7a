//! Settings around a route, in its virtual host or connection manager: those that a
//! policy's value in the route replaces, and those that stay in effect beside it.

use btp_policy::node::{Node, Value};

use super::Native;
use crate::apply::journal::below_spec;
use crate::envoy::address::Address;
use crate::envoy::json::{list, string};
use crate::envoy::model::{HttpConnectionManager, RouteId};
use crate::envoy::tree::{field, find, items, text};
use crate::translate::{Change, Operation, Replaced, Target};

impl Native<'_, '_, '_> {
    /// Notes what a change of a route has outweighed around it.
    pub(super) fn note_around(
        &mut self,
        index: usize,
        manager: &HttpConnectionManager,
        id: RouteId,
        change: &Change,
    ) {
        let Operation::Set(value) = &change.operation else {
            return;
        };
        let entry = self.scene.model.route(id);
        let host = self.draft.at(&virtual_host(&entry.address));
        let hcm = self.draft.at(&manager.address);
        let listener = format!("listener {}", manager.listener_name);
        let name = host.and_then(|it| text(it, "name")).unwrap_or_default();
        let of_host = format!("virtual host {name}");
        let stands = |around: Option<&Node>, what: &str| {
            let value = field(around?, what)?;
            Some(Replaced::new(what, value))
        };
        let (whose, gave_way) = match change.path.to_string().as_str() {
            "route.retry_policy" => {
                let typed = stands(host, "retry_policy_typed_config");
                (of_host, stands(host, "retry_policy").or(typed))
            }
            "route.idle_timeout" => (listener, stands(hcm, "stream_idle_timeout")),
            "route.upgrade_configs" => (listener, hcm.and_then(|hcm| switched_off(hcm, value))),
            _ => return,
        };
        let hedges = [
            (
                format!("route {}", entry.title()),
                self.draft.at(&entry.address),
            ),
            (format!("virtual host {name}"), host),
        ];
        let hedging = hedges.iter().find(|(_, it)| it.is_some_and(hedges_tries));
        let note = hedging.filter(|_| field(value, "per_try_timeout").is_some());
        let note = note.map(|(whose, _)| {
            format!(
                "{whose}: hedge_policy stays in force: an attempt that takes longer than \
                 perRetry.timeout continues beside the next one"
            )
        });
        let it = &mut self.effective[index];
        let line = gave_way.map(|value| format!("{whose}: {value}"));
        for (lines, line) in [(&mut it.replaced, line), (&mut it.notes, note)] {
            lines.extend(line.filter(|line| !lines.contains(line)));
        }
    }

    /// Notes that a limit is each route's own.
    pub(super) fn note_buckets(&mut self, index: usize, routes: usize, change: &Change) {
        let field = below_spec(&change.field);
        let is_limit = field.starts_with("bandwidthLimit.");
        if is_limit && change.target == Target::Route && routes > 1 {
            let note = format!(
                "{field} is counted for each route separately: {routes} routes together may use \
                 {routes} times as much"
            );
            let notes = &mut self.effective[index].notes;
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }

    /// Whether a change that is to end gRPC requests by `requestTimeout` leaves
    /// them to what the route says of them, for the policy does not name it;
    /// that is noted. Others still have the policy's timeout.
    pub(super) fn leaves_grpc(&mut self, index: usize, id: RouteId, change: &Change) -> bool {
        const OWN: [&str; 2] = ["route", "max_grpc_timeout"];
        let entry = self.scene.model.route(id);
        let route = self.draft.before(&entry.address);
        if change.path.to_string() != OWN.join(".") || self.says_of(index, change, entry) {
            return false;
        }
        if let Some(value) = route.and_then(|route| find(route, &OWN)) {
            let value = Replaced::new(OWN.join("."), value).excerpt();
            let note = format!(
                "route {}: gRPC requests use route.max_grpc_timeout {value}, not requestTimeout \
                 of a policy that does not target the route by name",
                entry.title()
            );
            self.effective[index].notes.push(note);
        }
        true
    }
}

/// The virtual host of a route: the way there ends with `routes` and an index.
fn virtual_host(route: &Address) -> Address {
    let mut host = route.clone();
    host.path.truncate(host.path.len().saturating_sub(2));
    host
}

/// The upgrades that a connection manager allows and these do not.
fn switched_off(hcm: &Node, configs: &Node) -> Option<Replaced> {
    let is_off = |it: &Node| field(it, "enabled").map(|it| &it.value) == Some(&Value::Bool(false));
    let off = match &configs.value {
        Value::List(configs) => configs.iter().filter(|it| is_off(it)),
        _ => return None,
    };
    let off: Vec<&str> = off.filter_map(|it| text(it, "upgrade_type")).collect();
    let allowed = items(hcm, "upgrade_configs").iter();
    let allowed = allowed.filter(|it| !is_off(it));
    let kinds = allowed.filter_map(|it| text(it, "upgrade_type"));
    let kinds: Vec<Node> = kinds.filter(|it| off.contains(it)).map(string).collect();
    (!kinds.is_empty()).then(|| Replaced::new("upgrade_configs", &list(kinds)))
}

/// Whether a route, or what is around it, tries again beside a try that takes
/// too long.
fn hedges_tries(node: &Node) -> bool {
    let own = field(node, "hedge_policy").or_else(|| find(node, &["route", "hedge_policy"]));
    let hedges = own.and_then(|it| field(it, "hedge_on_per_try_timeout"));
    hedges.map(|it| &it.value) == Some(&Value::Bool(true))
}
