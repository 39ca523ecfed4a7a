//! Who changes a format without raising its version breaks one of these.

use btp_policy::PluginConfig;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const CONFIG: &str = r#"{"limits": {"distinctKeys": 64}, "policies": [{"metadata": {"name": "p.q"}, "spec": {
    "faultInjection": {"delay": {"fixedDelay": "1h"}, "maxActive": 5},
    "requestBuffer": {"limit": 100, "maxTotal": 1000},
    "rateLimit": {"local": {"rules": [
        {"name": "clients", "clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
         "limit": {"requests": 1, "unit": "Second"}, "concurrency": {"max": 2}},
        {"name": "all", "limit": {"requests": 10, "unit": "Second"}, "concurrency": {"max": 3}}]}}}}],
    "allowOnHeadersStopIteration": true}"#;

/// Commit 9ac27d8 wrote those without a version, but for `btp.overflow`.
#[test]
fn keys_are_those_under_which_a_filter_in_use_finds_its_accounts() {
    let config = PluginConfig::parse(CONFIG.as_bytes()).unwrap();
    let plan = Plan::compile(config);
    let blocks = [
        "btp.seed",
        "btp.keys.2.0",
        "btp.keys.2.1",
        "btp.overflow.2.0.default/p.q/clients",
        "btp.limit.default/p.q/all",
    ];
    assert!(plan.blocks().iter().eq(blocks), "{:?}", plan.blocks());
    let mut tables: Vec<_> = plan.tables().iter().collect();
    tables.sort();
    let wanted = [
        "btp.default.p_q.fault_active",
        "btp.default.p_q.request_buffer",
        "btp.places.2.0.1",
        "btp.places.2.1.1",
        "btp.places.default/p.q/all",
        "btp.places.default/p.q/clients",
        "btp.workers",
    ];
    assert_eq!(tables, wanted);
}

#[test]
fn a_version_is_the_last_part_of_a_key_and_version_0_none() {
    assert_eq!(
        versioned_key("btp.limit.default/p/1", 0),
        "btp.limit.default/p/1"
    );
    assert_eq!(
        versioned_key("btp.limit.default/p/1", 2),
        "btp.limit.default/p/1.2"
    );
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().copied().map(u64::from_le_bytes).collect()
}

/// What requests leave behind, value by value: as commit 9ac27d8 wrote it
/// where the version is 0.
#[test]
fn values_are_what_a_filter_in_use_can_read() {
    const NOW: u64 = 1_000_000_000_000;
    let plan = Plan::compile(PluginConfig::parse(CONFIG.replace("1h", "1ms").as_bytes()).unwrap());
    let (mut worker, mut host) = (Worker::new(&plan), FakeHost::new(&plan));
    host.now_ns = NOW;
    host.request_headers = vec![("x-user".to_owned(), b"me".to_vec())];
    let (mut exchange, mut out) = (Exchange::default(), Vec::new());
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        exchange.request_headers(cx, true)
    });
    let table = |host: &FakeHost, name: &str| {
        let index = plan.tables().iter().position(|it| it == name).unwrap();
        host.table(index)
    };
    let held = table(&host, "btp.default.p_q.fault_active");
    let [key, id, amount] = held[..] else {
        panic!("{held:?}");
    };
    assert_eq!((key, amount), (0, 1), "Format::Amounts");
    assert_eq!(
        table(&host, "btp.workers"),
        [id, NOW],
        "Format::WorkerRegistry"
    );
    host.now_ns = NOW + 1_000_000;
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        exchange.timer(cx)
    });

    let seed = host.blocks.borrow()["btp.seed"].clone();
    assert_eq!(seed.len(), 16, "Format::Seed");
    let of_clients = ["btp.keys.2.0", "btp.keys.2.1"];
    let set = of_clients.map(|name| host.blocks.borrow().get(name).cloned());
    let set: Vec<u8> = set.into_iter().flatten().flatten().collect();
    // The key, and when the bucket is full again: whole nanoseconds and their
    // fraction.
    assert_eq!(set.len(), 20, "Format::ClientBuckets");
    let full_at = words(&set)[1];
    assert_eq!(full_at, NOW + 1_000_000 + 1_000_000_000);
    assert_eq!(set[16..], [0; 4]);
    let client = words(&set)[0];
    let mut places = table(&host, "btp.places.2.0.1");
    places.extend(table(&host, "btp.places.2.1.1"));
    let [key, claims, amount] = places[..] else {
        panic!("{places:?}");
    };
    assert_eq!((key, claims), (client, id), "Format::ClientInFlight");
    // The upper half is the rule.
    assert_eq!(amount & 0xffff_ffff, 1, "Format::ClientInFlight");
    assert!(amount >> 32 > 0, "Format::ClientInFlight");

    host.request_headers.clear();
    let (mut exchange, mut out) = (Exchange::default(), Vec::new());
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        exchange.request_headers(cx, true)
    });
    host.now_ns += 1_000_000;
    let _ = feed(&plan, &mut worker, &mut host, &mut out, |cx| {
        exchange.timer(cx)
    });
    let bucket = host.blocks.borrow()["btp.limit.default/p.q/all"].clone();
    assert_eq!(bucket.len(), 20, "Format::Buckets");
    assert_eq!(words(&bucket)[1], host.now_ns + 100_000_000);
    let route = words(&bucket)[0];
    let places = table(&host, "btp.places.default/p.q/all");
    assert_eq!(places, [route, id, 1], "Format::InFlight");
}
