//! What Envoy must allow the filter to do (`capability_restriction_config`).
//!
//! The filter notices a denied hostcall when its configuration is loaded, and refuses. A
//! denied callback goes unnoticed: Envoy omits it, requests pass without their policies,
//! and nothing is logged. So this module checks every instance of the filter in a
//! configuration.

use btp_policy::Code;
use btp_policy::node::{Node, Value};

use super::address::{Address, Step};
use super::files::Config;
use super::flaw::{Flaw, for_each_object};
use super::json::{node, object};
use super::plugin::is_plugin;
use super::tree::{EMPTY, field, find, text};

/// One name a line; `cargo xtask capabilities` reads them out of the built
/// filter.
const LIST: &str = include_str!("../../../filter/wasm/capabilities.txt");

const CALLBACK: &str = "proxy_on_";
/// Where the restriction stands: in the plugin, and since 1.40 also in its VM.
const PLACES: [&[&str]; 2] = [
    &["capability_restriction_config"],
    &["vm_config", "capability_restriction_config"],
];

/// An instance's VM, as far as two instances can be in the same one.
#[derive(PartialEq)]
struct Vm {
    id: String,
    file: String,
    allowed: Vec<Vec<String>>,
}

/// The restriction that allows what the filter needs and nothing else.
pub(crate) fn restriction() -> Node {
    let allowed = object(names().map(|name| (name, EMPTY)));
    node!({ "allowed_capabilities": (allowed) })
}

/// All instances of a configuration whose restrictions do not do.
pub(crate) fn lacks(config: &Config) -> Vec<Flaw> {
    let mut found = Vec::new();
    let mut vms = Vec::new();
    for_each_object(config, &mut |node, address| {
        let is_ours = field(node, "vm_config").is_some() && is_plugin(node);
        if is_ours {
            check(node, address, &mut vms, &mut found);
        }
        is_ours
    });
    found
}

fn names() -> impl Iterator<Item = &'static str> {
    LIST.lines().filter(|line| !line.starts_with('#'))
}

fn check(plugin: &Node, address: &Address, vms: &mut Vec<(Vm, Address)>, found: &mut Vec<Flaw>) {
    let restrictions = PLACES.map(|place| (place, allowed(plugin, place)));
    for (place, allowed) in &restrictions {
        if let Some(reason) = missing(allowed) {
            let mut address = address.clone();
            let steps = place.iter().map(|key| Step::Key((*key).to_owned()));
            address.path.extend(steps);
            found.push(Flaw {
                address: address.key("allowed_capabilities"),
                is_grave: true,
                code: Code::MissingCapabilities,
                reason,
            });
        }
    }
    let vm_config = field(plugin, "vm_config");
    let id = vm_config.and_then(|it| text(it, "vm_id"));
    let local = find(plugin, &["vm_config", "code", "local"]);
    let file = local.and_then(|it| text(it, "filename"));
    let vm = Vm {
        id: id.unwrap_or_default().to_owned(),
        file: file.unwrap_or_default().to_owned(),
        allowed: restrictions.map(|(_, allowed)| allowed).into(),
    };
    let is_other = |known: &Vm| known.id == vm.id && known.file == vm.file;
    match vms.iter().find(|(known, _)| is_other(known)) {
        Some((known, there)) if *known != vm => found.push(Flaw {
            address: address.clone(),
            is_grave: false,
            code: Code::SeparateVms,
            reason: format!(
                "has another capability_restriction_config than {there}: Envoy 1.40 runs each in \
                 its own VM, and a retryConstraint needs both in one VM; write the same in both"
            ),
        }),
        Some(_) => {}
        None => vms.push((vm, address.clone())),
    }
}

/// The names that are allowed, sorted; none: there is no restriction.
fn allowed(plugin: &Node, place: &[&str]) -> Vec<String> {
    let restriction = find(plugin, place);
    let names = restriction.and_then(|it| field(it, "allowed_capabilities"));
    let Some(Value::Map(entries)) = names.map(|it| &it.value) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries.iter().map(|it| it.key.clone()).collect();
    names.sort();
    names
}

/// What these do not allow, and what comes of it.
fn missing(allowed: &[String]) -> Option<String> {
    if allowed.is_empty() {
        return None;
    }
    let missing = names().filter(|name| !allowed.iter().any(|it| it == name));
    let (callbacks, hostcalls): (Vec<&str>, Vec<&str>) =
        missing.partition(|name| name.starts_with(CALLBACK));
    let mut reasons = Vec::new();
    if !callbacks.is_empty() {
        reasons.push(format!(
            "lacks {}, so Envoy never calls the filter there: policies are off without any notice",
            callbacks.join(", ")
        ));
    }
    if !hostcalls.is_empty() {
        reasons.push(format!(
            "lacks {}, which the filter calls",
            hostcalls.join(", ")
        ));
    }
    if reasons.is_empty() {
        return None;
    }
    let reasons = reasons.join("; ");
    Some(format!(
        "{reasons}: add them (docs/reference/capabilities.md), or leave \
         capability_restriction_config out"
    ))
}
