//! Whose word Envoy takes for a client's address, which limits go by, and addresses of
//! IPv6.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Result, ensure};
use btp_tests::client::h1;
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
/// `btp lint --bootstrap` and `btp apply` need end that; should Envoy's
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

/// However an address is written, it is one client; a range is one, too. Over IPv6 the
/// connection's own address counts in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_ipv6_are_told_apart() -> Result<()> {
    let one = json!({"requests": 1, "unit": "Hour"});
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {
        "mode": "FirstMatch", "rules": [
            {"clientSelectors": [{"sourceCIDR": {"value": "2001:db8:7::/48"}}], "limit": one},
            {"clientSelectors": [{"sourceCIDR": {"type": "Distinct", "value": "::/0"}}],
                "limit": one}]}}}}]});
    let builder = || {
        let builder = Builder::new().plugin(&plugin);
        builder.route(Route::direct("/", 200, "ok"))
    };
    let envoy = Envoy::start(&builder().build()?).await?;
    for (address, status) in [
        ("2001:db8::1", 200),
        ("2001:db8::1", 429),
        ("2001:DB8:0:0::0:1", 429),
        ("2001:db8::2", 200),
        ("2001:db8:7::1", 200),
        ("2001:db8:7:ffff::2", 429),
        // No rule is about addresses of IPv4.
        ("192.0.2.1", 200),
        ("192.0.2.1", 200),
    ] {
        let request = Request::get("/").header("x-forwarded-for", address);
        let response = envoy.send(request).await?;
        ensure!(response.status == status, "{address}: {response:?}");
    }
    envoy.assert_vm_alive().await?;

    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        return Ok(());
    }
    let mut bootstrap = builder().build()?;
    bootstrap.edit(|config| {
        let listener = &mut config["static_resources"]["listeners"][0];
        listener["address"]["socket_address"]["address"] = "::1".into();
    });
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.addr().is_ipv6());
    for status in [200, 429] {
        ensure!(envoy.get("/").await?.status == status);
    }
    envoy.assert_vm_alive().await
}

/// A listener for both families, behind a proxy of ours: a client of IPv6 is its /64, and
/// one of IPv4 its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_ipv6_is_its_network_on_a_listener_for_both_families() -> Result<()> {
    let each = |source: Value| {
        json!({"clientSelectors": [{"sourceCIDR": source}],
               "limit": {"requests": 1, "unit": "Hour"}})
    };
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {
        "rules": [each(json!({"type": "Distinct", "value": "0.0.0.0/0"})),
                  each(json!({"type": "Distinct", "value": "::/0", "prefixLength": 64}))]}}}}]});
    let builder = Builder::new().plugin(&plugin);
    let mut bootstrap = builder.route(Route::direct("/", 200, "ok")).build()?;
    bootstrap.edit_http("main", |http| {
        http["use_remote_address"] = json!(true);
        http["xff_num_trusted_hops"] = json!(1);
    })?;
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        bootstrap.edit(|config| {
            let listener = &mut config["static_resources"]["listeners"][0];
            let address = &mut listener["address"]["socket_address"];
            address["address"] = "::".into();
            address["ipv4_compat"] = true.into();
        });
    }
    let envoy = Envoy::start(&bootstrap).await?;
    for (address, status) in [
        ("2001:db8::1", 200),
        ("2001:db8::1", 429),
        ("2001:db8::ffff:2:3:4", 429),
        ("2001:db8:0:1::1", 200),
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("::ffff:192.0.2.2", 429),
        ("::ffff:192.0.2.3", 200),
    ] {
        let request = Request::get("/").header("x-forwarded-for", address);
        let response = envoy.send(request).await?;
        ensure!(response.status == status, "{address}: {response:?}");
    }
    if !has_ipv6 {
        println!("this machine has no IPv6");
        return envoy.assert_vm_alive().await;
    }
    // The connections' own addresses.
    let of_ipv4 = (Ipv4Addr::LOCALHOST, envoy.addr().port()).into();
    let of_ipv6 = (Ipv6Addr::LOCALHOST, envoy.addr().port()).into();
    for (to, status) in [
        (of_ipv4, 200),
        (of_ipv4, 429),
        (of_ipv6, 200),
        (of_ipv6, 429),
    ] {
        let response = h1::get(to, "/").await?;
        ensure!(response.status == status, "{to}: {response:?}");
    }
    envoy.assert_vm_alive().await
}
