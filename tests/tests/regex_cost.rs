//! What a regex costs is known beforehand: so much for each byte of a value,
//! whatever the pattern. CPU time of the whole Envoy, compared within one run.

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::measure::{cpu_micros, median, turns};
use btp_tests::{Builder, Envoy, Request, Route};
use serde_json::{Value, json};

const ROUNDS: usize = 8;
const REQUESTS: u32 = 24;

/// A rule that counts requests which meet `selector`, and lets them pass.
fn rule(selector: &Value) -> Value {
    json!({"clientSelectors": [selector], "limit": {"requests": 4_000_000_000_u32, "unit": "Second"}})
}

fn policy(route: &str, rules: &[Value]) -> Value {
    json!({
        "metadata": {"name": route},
        "spec": {
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route},
            ],
            "rateLimit": {"type": "Local", "local": {"rules": rules}},
        },
    })
}

async fn start(policies: &[(&str, Vec<Value>)]) -> Result<Envoy> {
    let plugin: Vec<Value> = policies
        .iter()
        .map(|(name, rules)| policy(name, rules))
        .collect();
    let mut builder = Builder::new()
        .concurrency(1)
        .plugin(&json!({"policies": plugin}));
    for (name, _) in policies {
        builder = builder.route(Route::direct(&format!("/{name}"), 200, "fine").named(name));
    }
    Envoy::start(
        &builder
            .route(Route::direct("/", 200, "fine").named("plain"))
            .build()?,
    )
    .await
}

/// CPU time of one request of each kind, in microseconds.
async fn costs(envoy: &Envoy, requests: &[Request]) -> Result<Vec<f64>> {
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    let mut costs = vec![Vec::new(); requests.len()];
    for round in 0..=ROUNDS {
        for index in turns(requests.len(), round) {
            let before = cpu_micros(envoy)?;
            for _ in 0..REQUESTS {
                let response = connection.send(requests[index].clone()).await?;
                ensure!(response.status == 200, "status {}", response.status);
            }
            let cost = (cpu_micros(envoy)? - before) / f64::from(REQUESTS);
            // In the first round V8 still compiles.
            if round > 0 {
                costs[index].push(cost);
            }
        }
    }
    Ok(costs.into_iter().map(median).collect())
}

const WORDS: &str = "(?i).*(bot|crawler|spider|crawling|slurp|scrapy|curl|wget|python-requests|\
                     httpclient|headless|phantom|selenium|facebookexternalhit|bingpreview|archiver|\
                     monitor|uptime|lighthouse).*";

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_words_over_a_large_header_costs_a_few_plain_requests() -> Result<()> {
    let matching = |pattern: &str| {
        rule(&json!({"headers": [{"name": "x-a", "type": "RegularExpression", "value": pattern}]}))
    };
    let fifteen = (0..15).map(|index| matching(&format!("{WORDS}|{index}")));
    let envoy = start(&[
        ("one", vec![matching(WORDS)]),
        ("fifteen", fifteen.collect()),
    ])
    .await?;
    let request = |path: &str| Request::get(path).header("x-a", "a".repeat(55_000));
    let costs = costs(&envoy, &["/plain", "/one", "/fifteen"].map(request)).await?;
    let [plain, one, fifteen] = costs[..] else {
        anyhow::bail!("three kinds of requests were sent")
    };
    println!("plain {plain:.0} µs, one rule {one:.0} µs, fifteen {fifteen:.0} µs");
    ensure!(
        one <= 15.0 * plain,
        "one rule: {one:.0} µs against {plain:.0} µs"
    );
    ensure!(
        fifteen <= 60.0 * plain,
        "fifteen rules: {fifteen:.0} µs against {plain:.0} µs"
    );
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_a_large_query_go_through_it_once() -> Result<()> {
    let items = |rule: usize, items: usize| -> Vec<Value> {
        let item = |item: usize| {
            let param = |param: usize| json!({"name": format!("p{rule}_{item}_{param}"), "value": "x", "invert": true});
            json!({"queryParams": (0..16).map(param).collect::<Vec<_>>()})
        };
        (0..items).map(item).collect()
    };
    let rule = |index: usize, count: usize| {
        json!({"clientSelectors": items(index, count),
            "limit": {"requests": 4_000_000_000_u32, "unit": "Second"}})
    };
    let many = (0..15).map(|index| rule(index, 8)).collect();
    let envoy = start(&[("few", vec![rule(0, 1)]), ("many", many)]).await?;
    let query = "a=b&".repeat(13_750);
    let request = |path: &str| Request::get(&format!("{path}?{query}"));
    let costs = costs(&envoy, &["/plain", "/few", "/many"].map(request)).await?;
    let [plain, few, many] = costs[..] else {
        anyhow::bail!("three kinds of requests were sent")
    };
    println!("plain {plain:.0} µs, 16 conditions {few:.0} µs, 1,920 {many:.0} µs");
    ensure!(
        many <= 15.0 * few.max(plain),
        "1,920 conditions: {many:.0} µs against {few:.0} µs with 16"
    );
    envoy.assert_vm_alive().await
}
