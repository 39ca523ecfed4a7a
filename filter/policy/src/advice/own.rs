//! Advice on what the filter does: faults, overrides, limits, bodies.

use super::{Advice, Value};
use crate::code::Code;
use crate::node::{Mark, Node};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::regex::Regexes;
use crate::spec::{BufferMode, RequestBuffer};

/// Envoy's `per_connection_buffer_limit_bytes`.
const USUAL_BUFFER: u64 = 1 << 20;

impl Advice<'_, '_> {
    pub(super) fn on_faults(&mut self) {
        let abort = ["faultInjection", "abort", "grpcStatus"];
        let refs = self.items(&["targetRefs"]).iter();
        let mut targets = refs.chain(self.items(&["targetSelectors"]));
        let is_http =
            |target: &Node| target.field("kind").and_then(Node::as_str) == Some("HTTPRoute");
        if self.get(&abort).is_some() && targets.any(is_http) {
            self.say(
                &abort,
                Code::GrpcStatusForHttp,
                "aborts plain HTTP requests with status 200: write httpStatus for an HTTPRoute",
            );
        }
    }

    pub(super) fn on_overrides(&mut self) {
        let list = Path::Field(&self.spec.path, "responseOverride");
        let redirects: Vec<(usize, Mark)> = self
            .items(&["responseOverride"])
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, rule.field("redirect")?)))
            .filter(|(_, redirect)| redirect.field("mode").is_none())
            .map(|(index, redirect)| (index, redirect.mark))
            .collect();
        for (index, mark) in redirects {
            let rule = Path::Item(&list, index);
            let advice = "has Envoy run the request again on another route, unseen by the \
                          client: btp apply writes that, and the filter by itself refuses it; \
                          mode: Client sends the client there";
            self.warnings.note(
                &Path::Field(&rule, "redirect"),
                mark,
                Code::InternalRedirect,
                advice,
            );
        }
    }

    /// A client that makes up values of a header fills the table of clients.
    pub(super) fn on_distinct_limits(&mut self) {
        let rules = self.items(&["rateLimit", "local", "rules"]).iter();
        let long = rules.enumerate().filter_map(|(index, rule)| {
            let unit = rule.field("limit")?.field("unit")?;
            let is_long = matches!(unit.as_str()?, "Day" | "Week" | "Month" | "Year");
            let found = is_long && counts_by_header(rule);
            found.then(|| (index, unit.mark, unit.as_str().unwrap_or("").to_lowercase()))
        });
        let long: Vec<(usize, Mark, String)> = long.collect();
        let rate_limit = Path::Field(&self.spec.path, "rateLimit");
        let local = Path::Field(&rate_limit, "local");
        let list = Path::Field(&local, "rules");
        for (index, mark, unit) in long {
            let advice = format!(
                "is long for a Distinct header: a client that makes up values fills the table of \
                 clients, and new ones may be refused for up to a {unit}. Count by something \
                 that nobody can make up, such as a claim of a verified token, or alert on \
                 overflows"
            );
            let rule = Path::Item(&list, index);
            let limit = Path::Field(&rule, "limit");
            self.warnings.note(
                &Path::Field(&limit, "unit"),
                mark,
                Code::LongDistinctLimit,
                advice,
            );
        }
    }

    pub(super) fn on_buffers(&mut self) {
        let Some(node) = self.get(&["requestBuffer"]) else {
            return;
        };
        let path = Path::Root;
        let buffer = RequestBuffer::read(
            At { node, path },
            &Regexes::default(),
            &mut Problems::default(),
        );
        let Some(buffer) = buffer.filter(|buffer| buffer.mode == BufferMode::Buffer) else {
            return;
        };
        let largest = buffer.largest();
        if largest.get() > USUAL_BUFFER {
            let message = format!(
                "lets bodies of {largest} come, but Envoy buffers 1Mi over HTTP/1 unless it is \
                 told otherwise: set request_body_buffer_limit of the routes, or \
                 per_connection_buffer_limit_bytes of the listener, to at least {}",
                largest.get()
            );
            self.say(&["requestBuffer", "limit"], Code::BodyAboveBuffer, message);
        }
        let bounds = ["minDataRate", "maxDuration", "maxTotal"];
        let is_there = |name: &&str| self.get(&["requestBuffer", name]).is_some();
        let is_said = is_there(&"gatherGrpc") || buffer.include_streams == Some(false);
        if let (Some(bound), false) = (bounds.into_iter().find(is_there), is_said) {
            self.say(
                &["requestBuffer", bound],
                Code::GrpcUnbounded,
                "does not hold for gRPC calls, which may be streams, and over HTTP/2 any client \
                 can say that its upload is one: set gatherGrpc to true, or to false if there \
                 are streams",
            );
        }
        if buffer.max_total.is_some()
            && buffer.min_data_rate.is_none()
            && buffer.max_duration.is_none()
        {
            self.say(
                &["requestBuffer", "maxTotal"],
                Code::TotalUsedUp,
                "can be used up by clients that send nothing: set minDataRate or maxDuration, too",
            );
        }
    }
}

fn counts_by_header(rule: &Node) -> bool {
    let list = |node: &Node, name: &str| match node.field(name).map(|it| &it.value) {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let selectors = list(rule, "clientSelectors");
    let mut headers = selectors.iter().flat_map(|it| list(it, "headers"));
    headers.any(|it| it.field("type").and_then(Node::as_str) == Some("Distinct"))
}
