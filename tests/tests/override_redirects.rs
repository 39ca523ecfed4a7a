//! Where a client may be sent that chooses the host itself: by its request.

use anyhow::{Result, ensure};
use btp_tests::client::raw;
use btp_tests::setup;
use btp_tests::{Builder, Envoy};
use serde_json::{Value, json};

async fn location_for(envoy: &Envoy, host: &str) -> Result<(u16, Option<String>)> {
    let mut client = raw::Connection::open(envoy.addr()).await?;
    let request = format!("GET /status/502 HTTP/1.1\r\nhost: {host}\r\n\r\n");
    client.send(request).await?;
    let response = client.read_response().await?;
    Ok((response.status, response.header("location")))
}

fn redirecting(redirect: &Value) -> Builder {
    let rule = json!({"match": {"statusCodes": [{"value": 502}]}, "redirect": redirect});
    Builder::new().plugin(&json!({"policies": [
        {"metadata": {"name": "p"}, "spec": {"responseOverride": [rule]}}]}))
}

/// A client that names a userinfo, or what is no host, is not sent there.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_no_host_is_never_echoed() -> Result<()> {
    let (envoy, _upstream) =
        setup::start(redirecting(&json!({"mode": "Client", "scheme": "https"}))).await?;
    ensure!(
        location_for(&envoy, "shop.example:99").await?
            == (302, Some("https://shop.example/status/502".to_owned()))
    );
    let mut refused = 0;
    for host in [
        "a@evil.example",
        "a:b@evil.example",
        "evil!.example",
        "a:b:c",
        "[::1",
        "%40",
    ] {
        let (status, location) = location_for(&envoy, host).await?;
        ensure!(location.is_none(), "{host}: {location:?}");
        // Envoy itself refuses some of them.
        ensure!([400, 502].contains(&status), "{host}: {status}");
        refused += u64::from(status == 502);
    }
    ensure!(
        refused >= 2,
        "Envoy refuses them all: the test shows nothing"
    );
    ensure!(envoy.policy_stat("redirects_refused").await? == refused);
    envoy.assert_vm_alive().await
}

/// With `hosts`, no other host is echoed, and no other port of one.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_not_listed_are_not_echoed() -> Result<()> {
    let redirect = json!({"mode": "Client", "scheme": "https",
        "hosts": ["shop.example", "alt.example:8080"]});
    let (envoy, _upstream) = setup::start(redirecting(&redirect)).await?;
    for (host, wanted) in [
        ("shop.example", Some("https://shop.example/status/502")),
        ("Shop.Example:80", Some("https://Shop.Example/status/502")),
        ("alt.example:8080", Some("https://alt.example/status/502")),
        ("alt.example", None),
        ("shop.example:99", None),
        ("shop.example.", None),
        ("evil.example", None),
    ] {
        let (status, location) = location_for(&envoy, host).await?;
        ensure!(location.as_deref() == wanted, "{host}: {location:?}");
        ensure!(status == if wanted.is_some() { 302 } else { 502 });
    }
    ensure!(envoy.policy_stat("redirects_refused").await? == 4);
    envoy.assert_vm_alive().await
}
