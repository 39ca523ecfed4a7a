//! How many made-up keys it takes to have honest newcomers refused, once each
//! of them has used up a part of a limit with a long unit.

use btp_engine::Plan;
use btp_engine::testing::{Message, Proxy, demo_upstream};
use btp_policy::PluginConfig;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;
/// Newcomers that come at a time: one request each.
const NEWCOMERS: usize = 50;
/// Made-up keys between two looks, one request each.
const STEP: usize = 64;

fn proxy(requests: usize) -> Proxy {
    let text = format!(
        r#"{{"limits":{{"distinctKeys":1024}},"policies":[{{"metadata":{{"name":"p"}},
            "spec":{{"rateLimit":{{"local":{{"rules":[{{
                "clientSelectors":[{{"headers":[{{"name":"x-u","type":"Distinct"}}]}}],
                "limit":{{"requests":{requests},"unit":"Year"}}}}]}}}}}}}}]}}"#
    );
    let mut proxy = Proxy::new(Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap()));
    proxy.host.now_ns = YEAR_NS;
    proxy
}

fn passes(proxy: &mut Proxy, key: &str) -> bool {
    let mut request = Message::request("GET", "/");
    request.set("x-u", key);
    let response = proxy.exchange(None, &request, demo_upstream).response;
    response.get(":status") == Some("200")
}

/// Keys that have come when so many percent of the newcomers are refused, for
/// each of the shares. Newcomers that were let in are keys, too.
fn needed(requests: usize, shares: &[usize]) -> Vec<usize> {
    let mut proxy = proxy(requests);
    let (mut keys, mut needed) = (0, Vec::new());
    for round in 0.. {
        for key in 0..STEP {
            passes(&mut proxy, &format!("evil-{round}-{key}"));
        }
        keys += STEP;
        let mut refused = 0;
        for key in 0..NEWCOMERS {
            if passes(&mut proxy, &format!("good-{round}-{key}")) {
                keys += 1;
            } else {
                refused += 1;
            }
        }
        while shares
            .get(needed.len())
            .is_some_and(|share| refused * 100 >= share * NEWCOMERS)
        {
            needed.push(keys);
        }
        if needed.len() == shares.len() {
            break;
        }
    }
    needed
}

/// What it took when all who found no slot shared one bucket of 16 times the limit:
/// the table of docs/reference/rate-limit.md.
const BEFORE: [(usize, [usize; 3]); 3] = [
    (1, [2_077, 2_077, 2_335]),
    (10, [2_394, 2_394, 2_394]),
    (100, [3_816, 3_816, 3_816]),
];

#[test]
fn it_takes_ten_times_as_many_made_up_keys_as_with_one_shared_bucket() {
    for (requests, before) in BEFORE {
        let now = needed(requests, &[10, 50, 90]);
        println!("{requests} a year: {now:?}, before {before:?}");
        for (now, before) in now.into_iter().zip(before) {
            assert!(now >= 10 * before, "{now} keys, {before} before");
        }
    }
}
