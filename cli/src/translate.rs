//! Translates the native fields of a policy into changes to Envoy's configuration.
//!
//! The filter does not do what Envoy can do itself. [`translate`] returns the changes for
//! objects of a configuration; [`apply_change`] performs one change on one object. The
//! caller knows the clusters and routes of a policy. There is one file per group of fields.
//! The mapping and the defaults of a block are those of Envoy Gateway 1.9; without the
//! block nothing is changed.

pub(crate) mod admission_control;
mod bandwidth_limit;
mod change;
mod circuit_breaker;
pub(crate) mod global_rate_limit;
mod health_check;
mod http;
mod l4;
mod load_balancer;
mod perform;
mod retry;
mod session_persistence;
mod telemetry;
mod timeout;
mod upstream;

use btp_policy::Code;
use btp_policy::native::Native;
use btp_policy::node::{Node, Value};
use btp_policy::path::{FieldPath, Path as PathTo};
use btp_policy::problem::{Problem, Problems};
use btp_policy::read::Cursor;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{Retry, check_native};

use change::Changes;
pub use change::{Change, FilterPlace, HttpPart, Operation, Path, StatName, Step, Target};
pub(crate) use circuit_breaker::without_default_retries;
pub use global_rate_limit::{Domain, Format, Service};
use global_rate_limit::{FIELD, is_local_only};
pub(crate) use l4::{Unmet, holds_for, translate_l4, unmet};
pub use perform::{ChangeError, Outcome, Replaced, apply_change};
pub(crate) use retry::lifted as lifted_retries;
pub(crate) use session_persistence::rename_cookie;

/// What `rateLimit.global` is refused with where there is no service.
const NO_SERVICE: &str = "needs a rate limit service: give its address with --rate-limit-service \
    HOST:PORT and its file with --rate-limit-config FILE, or write rateLimit.local, which each \
    Envoy counts for itself";

/// What a translation needs to know of the configuration it is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Host of HTTP health checks where neither the policy nor the endpoint
    /// names one. `None`: Envoy's choice, the cluster's name.
    pub hostname: Option<&'a str>,
    /// Whether the connection manager sets a `stream_idle_timeout`, which
    /// then is not to be overridden by a default.
    pub has_stream_idle_timeout: bool,
    /// `upgrade_type`s that the connection manager allows on every route.
    pub upgrades: &'a [String],
    /// Whose fields they are: the policy's name is part of names of statistics.
    pub policy: Option<&'a ObjectName>,
    /// The namespace of routes that do not say theirs; `None`: `default`.
    pub namespace: Option<&'a str>,
    /// The routes that the policy has for targets, as `namespace/name`.
    pub targets: &'a [String],
    /// The service that counts global limits, and the format of its file.
    pub rate_limits: Option<&'a Service>,
}

/// Translates the native fields and `retry` of `spec` into changes.
///
/// `spec` is the effective one: merged, if the policy has a `mergeType`. Fields that the
/// filter enforces are ignored, apart from `retry`. Changes of one object must be made in
/// this order.
///
/// # Errors
/// What is wrong with the fields, and what cannot be translated; paths begin
/// with `spec`.
pub fn translate(spec: &Node, context: &Context<'_>) -> Result<Vec<Change>, Vec<Problem>> {
    let root = PathTo::Root;
    let at = Cursor {
        node: spec,
        path: PathTo::Field(&root, "spec"),
    };
    let mut problems = Problems::default();
    check_native(at, &mut problems);
    let retry = spec.field("retry").and_then(|node| {
        let path = PathTo::Field(&at.path, "retry");
        Retry::read(Cursor { node, path }, &mut problems)
    });
    let mut out = Changes::default();
    if problems.is_empty() {
        translate_global_limits(spec, context, &mut out);
    }
    if problems.is_empty() {
        match Native::read(spec) {
            Ok(native) => translate_fields(&native, retry.as_ref(), spec, context, &mut out),
            Err(error) => problems.push(Problem::new("spec", Code::WrongType, error.to_string())),
        }
    }
    let refused = out
        .problems
        .into_iter()
        .map(|problem| placed(problem, spec));
    refused.for_each(|problem| problems.push(problem));
    if problems.is_empty() {
        Ok(out.list)
    } else {
        Err(problems.into_vec())
    }
}

/// Refuses global limits that nobody counts. Their changes are made where all
/// routes are known: see [`global_rate_limit`].
fn translate_global_limits(spec: &Node, context: &Context<'_>, out: &mut Changes) {
    let limits = spec.field("rateLimit");
    if limits.and_then(|it| it.field("global")).is_none() {
        return;
    }
    if is_local_only(spec) {
        let operation = Operation::Nothing("rateLimit.type Local disables it");
        out.add(FIELD, Target::Route, Path::default(), operation);
        return;
    }
    match context.rate_limits {
        Some(service) => global_rate_limit::check(spec, service.format, out),
        None => out.refuse(FIELD, Code::NoRateLimitService, NO_SERVICE),
    }
}

fn translate_fields(
    native: &Native,
    retry: Option<&Retry>,
    spec: &Node,
    context: &Context<'_>,
    out: &mut Changes,
) {
    let has_constraint = spec.field("retryConstraint").is_some();
    upstream::translate(native, out);
    if let Some(balancer) = &native.load_balancer {
        load_balancer::translate(balancer, out);
    }
    if let Some(admission) = &native.admission_control {
        admission_control::translate(admission, out);
    }
    if let Some(breaker) = &native.circuit_breaker {
        circuit_breaker::translate(breaker, has_constraint, out);
    }
    if let Some(retry) = retry {
        retry::translate(retry, has_constraint, out);
    }
    if let Some(health) = &native.health_check {
        health_check::translate(health, context.hostname, out);
    }
    if let Some(timeout) = &native.timeout {
        timeout::translate(timeout, context.has_stream_idle_timeout, out);
    }
    if let Some(limit) = &native.bandwidth_limit {
        bandwidth_limit::translate(limit, context.policy, out);
    }
    http::compress("compression", &native.compression, out);
    http::compress_where_set(&native.compressor, out);
    if let Some(session) = &native.session_persistence {
        session_persistence::translate(session, context.policy, out);
    }
    http::upgrade(&native.http_upgrade, context.upgrades, out);
    if let Some(telemetry) = &native.telemetry {
        telemetry::translate(telemetry, context, out);
    }
    if native.routing_type.is_some() {
        let reason = "the configuration itself lists the addresses of a cluster";
        let operation = Operation::Nothing(reason);
        out.add("routingType", Target::Cluster, Path::default(), operation);
    }
}

/// The fields of an object.
fn names(object: &Node) -> impl Iterator<Item = &str> {
    let entries = match &object.value {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let there = entries.iter().filter(|it| it.node.value != Value::Null);
    there.map(|it| it.key.as_str())
}

/// The problem with its place in the file, and the value there.
fn placed(mut problem: Problem, spec: &Node) -> Problem {
    let steps = problem.path.steps().iter().skip(1).cloned();
    let below: FieldPath = steps.collect();
    let node = below.closest(spec);
    problem.mark = node.mark;
    problem.value = Some(node.value.excerpt());
    problem
}

#[cfg(test)]
mod tests;
