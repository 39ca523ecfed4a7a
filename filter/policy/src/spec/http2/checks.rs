//! What Envoy refuses of `http2`, tried on Envoy 1.40.

use crate::code::Code;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Duration;

pub(in crate::spec) fn on_invalid_message(at: At<'_>, problems: &mut Problems) {
    let choices = [("TerminateConnection", ()), ("TerminateStream", ())];
    at.choice(&choices, problems);
}

pub(in crate::spec) fn keepalive(at: At<'_>, problems: &mut Problems) {
    let times = ["timeout", "interval", "idleInterval"].map(|name| {
        let node = at.node.field(name)?;
        let path = Path::Field(&at.path, name);
        Duration::read_positive(At { node, path }, problems);
        Some(node)
    });
    let [timeout, interval, idle_interval] = times;
    if timeout.is_none() {
        at.refuse(
            problems,
            Code::MissingField,
            "must have a timeout: how long Envoy waits for the answer to a ping",
        );
    }
    if interval.is_none() && idle_interval.is_none() {
        at.refuse(
            problems,
            Code::NoneOfFields,
            "must have an interval or an idleInterval",
        );
    }
}
