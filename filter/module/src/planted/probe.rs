//! Calls the filter's functions of the ABI, and reports the results to a test.

use std::fmt::{Display, Write};

use crate::abi::{
    Attribute, Body, BodyFlow, HeaderRoom, HeadersFlow, Map, MetadataKey, MetadataSource,
    ResetReason, Stream, allocations, each_call,
};

/// More than all counts take.
const ROOM: usize = 8192;

/// Answers with all that can be read of a request.
pub(super) fn reply(stream: &mut Stream<'_>) -> HeadersFlow {
    let mut report = Report::default();
    headers(&mut report, stream);
    attributes(&mut report, stream);
    metadata(&mut report, stream);
    state(&mut report, stream);
    let headers: [(&[u8], &[u8]); 2] = [(b"x-probe", b"1"), (b"x-probe", b"2")];
    stream.send_response(203, &headers, report.0.as_bytes(), "btp_probe");
    HeadersFlow::StopIteration
}

/// Answers with the allocations of this worker so far.
pub(super) fn allocations_so_far(stream: &mut Stream<'_>) -> HeadersFlow {
    let count = allocations().to_string();
    stream.send_response(200, &[], count.as_bytes(), "btp_probe");
    HeadersFlow::StopIteration
}

/// The same, and its calls into Envoy, by callback.
pub(super) fn counts_so_far(stream: &mut Stream<'_>) -> HeadersFlow {
    // The text takes the same memory however long it is: this is counted, too.
    let mut report = Report(String::with_capacity(ROOM));
    report.line("allocations", allocations());
    each_call(|callback, count| report.line(callback, count));
    stream.send_response(200, &[], report.0.as_bytes(), "btp_probe");
    HeadersFlow::StopIteration
}

/// Answers a gRPC client with a status of its own.
pub(super) fn grpc_reply(stream: &mut Stream<'_>) -> HeadersFlow {
    let headers: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"8"), (b"grpc-message", b"too many")];
    stream.send_response(429, &headers, b"body", "btp_probe");
    HeadersFlow::StopIteration
}

pub(super) fn reset(stream: &mut Stream<'_>) -> HeadersFlow {
    stream.reset(ResetReason::Local, "btp_probe");
    HeadersFlow::StopIteration
}

/// Changes what the upstream sees.
pub(super) fn rewrite_request(stream: &mut Stream<'_>) {
    stream.set_header(Map::RequestHeaders, b"x-set", b"one");
    stream.set_header(Map::RequestHeaders, b"x-set", b"two");
    stream.add_header(Map::RequestHeaders, b"x-added", b"one");
    stream.add_header(Map::RequestHeaders, b"x-added", b"two");
    stream.remove_header(Map::RequestHeaders, b"x-removed");
    stream.set_header(Map::RequestHeaders, b"x-split", b"a\r\nx-smuggled: b");
    stream.set_filter_state("btp.probe", b"kept");
}

pub(super) fn rewrite_response(stream: &mut Stream<'_>) {
    stream.remove_header(Map::ResponseHeaders, b"content-length");
    stream.set_header(Map::ResponseHeaders, b"x-response", b"set");
    let kept = stream.filter_state("btp.probe").map(<[u8]>::to_vec);
    stream.set_header(Map::ResponseHeaders, b"x-kept", &kept.unwrap_or_default());
    // Of the request, which is still there to be read.
    let request = stream
        .header(Map::RequestHeaders, "x-set")
        .map(<[u8]>::to_vec);
    stream.set_header(
        Map::ResponseHeaders,
        b"x-request",
        &request.unwrap_or_default(),
    );
}

/// Replaces the body by its size, in place.
pub(super) fn replace_body(stream: &mut Stream<'_>, so_far: &mut usize, end: bool) -> BodyFlow {
    let received = stream.body_size(Body::ReceivedResponse);
    stream.drain_body(Body::ReceivedResponse, received);
    *so_far += received;
    if end {
        let text = format!("{so_far} bytes");
        stream.append_body(Body::ReceivedResponse, text.as_bytes());
    }
    BodyFlow::Continue
}

/// Holds a request until its body is there.
pub(super) fn hold_body(stream: &mut Stream<'_>, so_far: &mut usize, end: bool) -> BodyFlow {
    *so_far += stream.body_size(Body::ReceivedRequest);
    if !end {
        return BodyFlow::StopAndBuffer;
    }
    let size = so_far.to_string();
    stream.set_header(Map::RequestHeaders, b"x-body-size", size.as_bytes());
    BodyFlow::Continue
}

/// Lines of `name: value`.
#[derive(Default)]
struct Report(String);

impl Report {
    fn line(&mut self, name: &str, value: impl Display) {
        // A String takes whatever is written.
        let _ = writeln!(self.0, "{name}: {value}");
    }

    fn text(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.line(name, String::from_utf8_lossy(value)),
            None => self.line(name, "-"),
        }
    }

    fn number(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.line(name, value),
            None => self.line(name, "-"),
        }
    }
}

fn headers(report: &mut Report, stream: &Stream<'_>) {
    let map = Map::RequestHeaders;
    report.text(":path", stream.header(map, ":path"));
    let mut room = HeaderRoom::default();
    let headers = stream.headers(map, &mut room);
    let mut many = headers.values("x-many");
    for index in 0..3 {
        report.text(&format!("x-many {index}"), many.next());
    }
    report.line("all x-many", headers.values("x-many").count());
    report.line("all", headers.iter().count());
    report.line("count", stream.header_count(map));
    let mut room = HeaderRoom::default();
    let trailers = stream.headers(Map::ResponseTrailers, &mut room);
    report.line("response trailers", trailers.iter().count());
}

fn attributes(report: &mut Report, stream: &Stream<'_>) {
    for (name, attribute) in [
        ("request.protocol", Attribute::RequestProtocol),
        ("response.code_details", Attribute::ResponseCodeDetails),
        ("source.address", Attribute::SourceAddress),
        ("upstream.address", Attribute::UpstreamAddress),
        ("xds.cluster_name", Attribute::XdsClusterName),
        ("xds.route_name", Attribute::XdsRouteName),
    ] {
        report.text(name, stream.text(attribute));
    }
    let attempts = stream.number(Attribute::UpstreamRequestAttemptCount);
    report.number("upstream.request_attempt_count", attempts);
}

fn metadata(report: &mut Report, stream: &Stream<'_>) {
    for (name, source) in [
        ("dynamic", MetadataSource::Dynamic),
        ("route", MetadataSource::Route),
    ] {
        let at = |key| MetadataKey {
            source,
            namespace: "probe",
            key,
        };
        report.text(&format!("{name} text"), stream.metadata_text(at("text")));
        report.number(
            &format!("{name} number"),
            stream.metadata_number(at("number")),
        );
        report.number(&format!("{name} bool"), stream.metadata_bool(at("bool")));
        report.text(
            &format!("{name} nested"),
            stream.metadata_text(at("nested")),
        );
        let length = stream.metadata_list_length(at("list"));
        report.number(&format!("{name} list"), length);
        report.text(
            &format!("{name} list 0"),
            stream.metadata_list_text(at("list"), 0),
        );
        let mut keys = stream.metadata_keys(source, "probe");
        keys.sort_unstable();
        let keys: Vec<_> = keys.into_iter().map(String::from_utf8_lossy).collect();
        report.line(&format!("{name} keys"), keys.join(" "));
    }
}

fn state(report: &mut Report, stream: &mut Stream<'_>) {
    report.text("state before", stream.filter_state("btp.probe"));
    report.line("state set", stream.set_filter_state("btp.probe", b"kept"));
    report.text("state after", stream.filter_state("btp.probe"));
    report.text("state foreign", stream.filter_state("probe.foreign"));
}
