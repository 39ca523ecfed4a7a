//! Any bytes as a serialized `google.protobuf.Struct`, as which Envoy hands
//! over a configuration: what is read prints as JSON that reads the same.

#![no_main]

use btp_policy::{json, protobuf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(node) = protobuf::parse_struct(bytes) else {
        return;
    };
    let printed = serde_json::to_string(&node).expect("any node is JSON");
    let read = json::parse(printed.as_bytes()).expect("what is printed is read");
    let again = serde_json::to_string(&read).expect("any node is JSON");
    assert_eq!(printed, again);
});
