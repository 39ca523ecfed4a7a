//! Rate limits in a proxy in memory, where years pass in no time.

use btp_engine::Plan;
use btp_engine::testing::{Message, Proxy, demo_upstream};
use btp_policy::PluginConfig;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;

fn proxy(local: &str) -> Proxy {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"rateLimit":{{"local":{local}}}}}}}]}}"#
    );
    let mut proxy = Proxy::new(Plan::compile(PluginConfig::parse(text.as_bytes()).unwrap()));
    proxy.host.now_ns = SECOND;
    proxy
}

fn send(proxy: &mut Proxy) -> Message {
    let request = Message::request("GET", "/");
    proxy.exchange(None, &request, demo_upstream).response
}

#[test]
fn a_unit_is_as_long_as_it_says() {
    const DAY: u64 = 86_400;
    for (unit, seconds) in [
        ("Second", 1),
        ("Minute", 60),
        ("Hour", 3_600),
        ("Day", DAY),
        ("Week", 7 * DAY),
        ("Month", 30 * DAY),
        ("Year", 365 * DAY),
    ] {
        let mut proxy = proxy(&format!(
            r#"{{"rules":[{{"limit":{{"requests":1,"unit":"{unit}"}}}}]}}"#
        ));
        for _ in 0..3 {
            assert_eq!(send(&mut proxy).get(":status"), Some("200"), "{unit}");
            let refused = send(&mut proxy);
            assert_eq!(refused.get(":status"), Some("429"), "{unit}");
            let wait = seconds.to_string();
            assert_eq!(refused.get("retry-after"), Some(wait.as_str()));
            proxy.host.now_ns += seconds * SECOND - 1;
            assert_eq!(send(&mut proxy).get(":status"), Some("429"), "{unit}");
            proxy.host.now_ns += 1;
        }
    }
}
