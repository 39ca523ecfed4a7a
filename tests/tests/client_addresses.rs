//! Whose word Envoy takes for a client's address, which limits go by.

use anyhow::{Result, ensure};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route, Upstream};
use serde_json::{Value, json};

const REQUESTS: u8 = 6;

/// How many of some requests pass, each of which claims another address, under
/// a limit of one for each address.
async fn passing(edit: impl FnOnce(&mut Value)) -> Result<usize> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {
        "rules": [{"clientSelectors": [{"sourceCIDR": {"type": "Distinct", "value": "0.0.0.0/0"}}],
            "limit": {"requests": 1, "unit": "Hour"}}]}}}}]});
    let upstream = Upstream::start().await?;
    let mut config: Bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    config.edit_http("main", edit)?;
    let envoy = Envoy::start(&config).await?;
    let mut passed = 0;
    for last in 0..REQUESTS {
        let request = Request::get("/").header("x-forwarded-for", format!("7.7.7.{last}"));
        passed += usize::from(envoy.send(request).await?.status == 200);
    }
    ensure!(upstream.requests().len() == passed);
    Ok(passed)
}

/// S7: by default each client chooses its address. The settings that
/// `btp lint --bootstrap` and `btp apply` ask for end that; should Envoy's
/// default change, the warning has had its day.
#[tokio::test(flavor = "multi_thread")]
async fn clients_choose_their_address_until_envoy_is_told_otherwise() -> Result<()> {
    ensure!(passing(|_| {}).await? == usize::from(REQUESTS));
    let remote = |http: &mut Value| http["use_remote_address"] = json!(true);
    ensure!(passing(remote).await? == 1);
    let detected = |http: &mut Value| {
        http["original_ip_detection_extensions"] = json!([{
            "name": "envoy.http.original_ip_detection.custom_header",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
                "header_name": "x-real-ip"}}]);
    };
    // Nobody sets that header here, so the address is the connection's.
    ensure!(passing(detected).await? == 1);
    Ok(())
}
