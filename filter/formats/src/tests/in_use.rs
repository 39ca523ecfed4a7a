//! Values that a filter in use has written, and those it can read.

use btp_engine::testing::{FakeHost, feed};
use btp_engine::{Exchange, Plan, Worker};
use btp_policy::PluginConfig;

use super::*;

const CONFIG: &str = r#"{"limits": {"distinctKeys": 64}, "policies": [{"metadata": {"name": "p.q"}, "spec": {
    "faultInjection": {"delay": {"fixedDelay": "1ms"}, "maxActive": 5},
    "requestBuffer": {"limit": 100, "maxTotal": 1000},
    "rateLimit": {"local": {"rules": [
        {"name": "clients", "clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
         "limit": {"requests": 1, "unit": "Second"}, "concurrency": {"max": 2}},
        {"name": "all", "limit": {"requests": 10, "unit": "Second"}, "concurrency": {"max": 3}}]}}}}],
    "allowOnHeadersStopIteration": true}"#;
const NOW: u64 = 1_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn plan() -> Plan {
    Plan::compile(PluginConfig::parse(CONFIG.as_bytes()).unwrap())
}

fn words(bytes: &[u8]) -> Vec<u64> {
    crate::bytes::words(bytes)
}

/// Commit 9ac27d8 wrote those without a version, but for `btp.overflow`.
#[test]
fn keys_are_those_under_which_a_filter_in_use_finds_its_accounts() {
    let plan = plan();
    let keys = keys(plan.cells());
    let kinds = CellKind::ALL.into_iter();
    let mut listed: Vec<_> = kinds.flat_map(|kind| keys.of(kind).iter()).collect();
    listed.sort();
    let wanted = [
        "btp.default.p_q.fault_active",
        "btp.default.p_q.request_buffer",
        "btp.keys.2.0.1",
        "btp.keys.2.1.1",
        "btp.limit.default/p.q/all.1",
        "btp.overflow.2.0.default/p.q/clients",
        "btp.places.2.0.1",
        "btp.places.2.1.1",
        "btp.places.default/p.q/all",
        "btp.places.default/p.q/clients",
        "btp.seed",
        "btp.workers",
    ];
    assert_eq!(listed, wanted);
    let earlier = |id: BucketsId| id.earlier(&keys).map(|(key, _)| key);
    assert_eq!(
        earlier(BucketsId::Shared(1)).as_deref(),
        Some("btp.keys.2.1")
    );
    let route = earlier(BucketsId::Own(0));
    assert_eq!(route.as_deref(), Some("btp.limit.default/p.q/all"));
    assert_eq!(PAGE.key(&keys).as_deref(), Some("btp.journal.3.9.1"));
}

#[test]
fn a_version_is_the_last_part_of_a_key_and_version_0_none() {
    assert_eq!(versioned_key("btp.limit.a/p/1", 0), "btp.limit.a/p/1");
    assert_eq!(versioned_key("btp.limit.a/p/1", 2), "btp.limit.a/p/1.2");
}

/// What requests leave behind, value by value: as commit 9ac27d8 wrote it
/// where the version is 0.
#[test]
fn values_are_what_a_filter_in_use_can_read() {
    let plan = plan();
    let (mut worker, mut host) = (Worker::new(&plan), FakeHost::new(&plan));
    host.now_ns = NOW;
    host.request_headers = vec![("x-user".to_owned(), b"me".to_vec())];
    let mut pass = |host: &mut FakeHost| {
        let (mut exchange, mut out) = (Exchange::default(), Vec::new());
        let _ = feed(&plan, &mut worker, host, &mut out, |cx| {
            exchange.request_headers(cx, true)
        });
        let waiting = QuotaId::Own(0).encode(&host.cell(QuotaId::Own(0)));
        host.now_ns += 1_000_000;
        let _ = feed(&plan, &mut worker, host, &mut out, |cx| exchange.timer(cx));
        waiting
    };
    let own = |name: &str| {
        let names = plan.cells().of(CellKind::Quota);
        let number = names.iter().position(|it| it == name).unwrap();
        QuotaId::Own(u32::try_from(number).unwrap())
    };
    assert_eq!(own("btp.default.p_q.fault_active"), QuotaId::Own(0));

    let held = pass(&mut host);
    let [key, id, amount] = words(&held)[..] else {
        panic!("{held:?}");
    };
    assert_eq!((key, amount), (0, 1), "a request that waits");
    let registry = RegistryId.encode(&host.cell(RegistryId));
    assert_eq!(words(&registry), [id, NOW]);
    assert_eq!(SeedId.encode(&host.cell(SeedId)).len(), 16);

    let sets = [0, 1].map(BucketsId::Shared);
    let cells = sets.map(|set| (set, host.cell(set)));
    let (set, cell) = cells.iter().find(|(_, it)| !it.buckets.is_empty()).unwrap();
    let set = set.encode(cell);
    let [until, number, rate, period, client, full_at, last] = words(&set)[..] else {
        panic!("{set:?}");
    };
    // No mark, one rate: 1 in a second, burst 1.
    assert_eq!((until, number), (0, 1 << 32));
    assert_eq!((rate, period), (1 | 1 << 32, SECOND));
    // When the bucket is full again, and the rate's number.
    assert_eq!((full_at, last), (NOW + 1_000_000 + SECOND, 0));
    let permits = [0, 1].map(|set| {
        let set = QuotaId::Shared(set);
        words(&set.encode(&host.cell(set)))
    });
    let permits = permits.concat();
    let [key, claims, amount] = permits[..] else {
        panic!("{permits:?}");
    };
    assert_eq!((key, claims), (client, id));
    // The upper half is the rule.
    assert_eq!(amount & 0xffff_ffff, 1);
    assert!(amount >> 32 > 0);

    host.request_headers.clear();
    pass(&mut host);
    let route = BucketsId::Own(0).encode(&host.cell(BucketsId::Own(0)));
    let [.., route, full_at, _] = words(&route)[..] else {
        panic!("{route:?}");
    };
    assert_eq!(full_at, host.now_ns + SECOND / 10);
    let permits = own("btp.places.default/p.q/all");
    let permits = words(&permits.encode(&host.cell(permits)));
    assert_eq!(permits, [route, id, 1]);
}

/// Slots of 20 bytes, as commit 9ac27d8 wrote them.
#[test]
fn buckets_of_version_0_are_read_to_the_token() {
    let slot = |key: u64, whole: u64, fraction: u32| {
        let bytes = [&key.to_le_bytes()[..], &whole.to_le_bytes()];
        [&bytes.concat()[..], &fraction.to_le_bytes()].concat()
    };
    let value = [slot(5, 77, 3), slot(u64::MAX, 99, 8), vec![1; 19]].concat();
    let keys = keys(plan().cells());
    let read = |id: BucketsId| id.earlier(&keys).map(|(_, read)| read(&value)).unwrap();
    let bucket = |key, full_at_ns, full_at_fraction| Bucket {
        key,
        full_at_ns,
        full_at_fraction,
        rate: None,
    };
    // Of routes the highest key is a bucket like any other, of clients the mark.
    let routes = Buckets {
        buckets: vec![bucket(5, 77, 3), bucket(u64::MAX, 99, 8)],
        mark: None,
    };
    assert_eq!(read(BucketsId::Own(0)), routes);
    let clients = Buckets {
        buckets: vec![bucket(5, 77, 3)],
        mark: Some(SetMark {
            until_ns: 99,
            number: 8,
        }),
    };
    assert_eq!(read(BucketsId::Shared(0)), clients);
}
