//! Fields that the filter cannot enforce, and therefore refuses: nothing that a policy sets
//! is silently ignored.

use crate::code::Code;
use crate::config::{Enforce, NativeFields};
use crate::node::{Mark, Value};
use crate::path::Path;
use crate::policy::Policy;
use crate::problem::{Problem, Problems};
use crate::read::{Cursor, Object};
use crate::spec::{Capability, Instead, OverrideRule, Owner, RedirectMode, owner_of};

/// Refuses fields that only Envoy's own configuration can put into force,
/// or warns that they are ignored, or trusts that they are applied.
pub(super) fn check_native_fields(
    config: &Object<'_>,
    native: NativeFields,
    problems: &mut Problems,
    warnings: &mut Vec<Problem>,
) {
    if native == NativeFields::Applied {
        return;
    }
    let Some(policies) = config.get("policies") else {
        return;
    };
    let Value::List(nodes) = &policies.node.value else {
        return;
    };
    let mut found = Problems::default();
    for (index, node) in nodes.iter().enumerate() {
        let item = Path::Item(&policies.path, index);
        let path = Path::Field(&item, "spec");
        if let Some(node) = node.field("spec") {
            note_native_fields(Cursor { node, path }, native, &mut found);
        }
    }
    if native == NativeFields::Refuse {
        found
            .into_vec()
            .into_iter()
            .for_each(|it| problems.push(it));
    } else {
        warnings.extend(found.into_vec());
    }
}

fn note_native_fields(spec: Cursor<'_>, native: NativeFields, found: &mut Problems) {
    let reason = match native {
        NativeFields::Refuse => {
            "is enforced by Envoy itself: configure it there, as btp apply does, and leave it out \
             here, or set nativeFields to Ignore"
        }
        _ => "is enforced by Envoy itself, and ignored here",
    };
    let Some(object) = spec.open_object(&mut Problems::default()) else {
        return;
    };
    for (name, at) in object.fields() {
        if owner_of(name).is_some_and(Owner::is_native) {
            found.note(&at.path, at.node.mark, Code::EnvoysField, reason);
        }
    }
    if let Some(retry) = object.get("retry")
        && let Some(retry) = retry.open_object(&mut Problems::default())
    {
        if let Some(at) = retry.get("numAttemptsPerPriority") {
            found.note(&at.path, at.node.mark, Code::EnvoysField, reason);
        }
        if let Some(per_retry) = retry.get("perRetry")
            && let Some(per_retry) = per_retry.open_object(&mut Problems::default())
            && let Some(at) = per_retry.get("backOff")
        {
            found.note(&at.path, at.node.mark, Code::EnvoysField, reason);
        }
    }
    if let Some(limits) = object.get("rateLimit")
        && let Some(limits) = limits.open_object(&mut Problems::default())
        && let Some(at) = limits.get("global")
    {
        let (code, reason) = match native {
            NativeFields::Refuse => (
                Code::NoRateLimitService,
                "needs a rate limit service and Envoy's own filter for it: configure them there, \
                 as btp apply does (--rate-limit-service and --rate-limit-config), and leave this \
                 out here, or write rateLimit.local",
            ),
            _ => (Code::EnvoysField, reason),
        };
        found.note(&at.path, at.node.mark, code, reason);
    }
}

/// Refuses what this instance should enforce and cannot.
pub(super) fn refuse_capabilities(policies: &[Policy], enforce: Enforce, problems: &mut Problems) {
    let root = Path::Root;
    let list = Path::Field(&root, "policies");
    if !enforce.has(Capability::ResponseOverride) {
        return;
    }
    for (index, policy) in policies.iter().enumerate() {
        let item = Path::Item(&list, index);
        let spec = Path::Field(&item, "spec");
        let rules = Path::Field(&spec, "responseOverride");
        for (index, rule) in policy.spec.response_override.iter().enumerate() {
            refuse_in_override(rule, &Path::Item(&rules, index), problems);
        }
    }
}

/// Envoy's internal redirect runs a request again, which no filter can do.
fn refuse_in_override(rule: &OverrideRule, path: &Path<'_>, problems: &mut Problems) {
    if let Instead::Redirect(redirect) = &rule.instead
        && redirect.mode == RedirectMode::Internal
    {
        let reason = "makes Envoy run the request again on another route, which a filter cannot \
            do: add mode: Client to send the client there, or configure Envoy's custom_response \
            filter";
        problems.note(
            &Path::Field(path, "redirect"),
            Mark::UNKNOWN,
            Code::InternalRedirect,
            reason,
        );
    }
}
