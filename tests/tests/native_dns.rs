//! `dns` on the real Envoy: what the name server is asked, and how often.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::native::dns::{A, AAAA, NameServer};
use btp_tests::native::{SOON, backend, upstreams};
use btp_tests::{Envoy, Upstream, wait};
use serde_json::{Value, json};

/// An Envoy that looks the address of its upstream up.
async fn resolving(server: &NameServer, dns: Value) -> Result<(Vec<Upstream>, Envoy)> {
    let upstreams = upstreams(1).await?;
    let mut bootstrap = backend(&upstreams)?;
    let mut done = Ok(());
    bootstrap.edit(|config| done = server.resolve(&mut config["static_resources"]["clusters"][0]));
    done?;
    bootstrap.govern("backend", &json!({ "dns": dns }))?;
    Ok((upstreams, Envoy::start(&bootstrap).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_of_the_family_that_is_asked_for() -> Result<()> {
    // The server knows an IPv4 address.
    for (family, expected, status) in [
        ("IPv4", &[A][..], 200),
        ("IPv6", &[AAAA], 503),
        ("IPv4Preferred", &[A], 200),
        ("IPv6Preferred", &[A, AAAA], 200),
        ("IPv4AndIPv6", &[A, AAAA], 200),
    ] {
        let server = NameServer::start(&[A], 3600).await?;
        let dns = json!({"lookupFamily": family, "dnsRefreshRate": "1h"});
        let (_upstreams, envoy) = resolving(&server, dns).await?;
        let response = envoy.get("/").await?;
        ensure!(response.status == status, "{family}: {}", response.status);
        let mut asked = server.asked();
        asked.sort_unstable();
        asked.dedup();
        ensure!(asked == expected, "{family}: {asked:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_for_again_when_its_ttl_is_over_or_at_the_rate() -> Result<()> {
    let v4 = |dns: Value| {
        let mut dns = dns;
        dns["lookupFamily"] = "IPv4".into();
        dns
    };
    let slow = json!({"dnsRefreshRate": "1h"});
    let fast = json!({"dnsRefreshRate": "200ms", "respectDnsTtl": false});
    for (ttl, dns) in [(1, slow), (3600, fast)] {
        let server = NameServer::start(&[A], ttl).await?;
        let (_upstreams, envoy) = resolving(&server, v4(dns)).await?;
        wait::until("three questions", SOON, || {
            (server.asked().len() >= 3).then_some(())
        })
        .await?;
        ensure!(envoy.get("/").await?.status == 200);
    }
    let deaf = json!({"dnsRefreshRate": "1h", "respectDnsTtl": false});
    let server = NameServer::start(&[A], 1).await?;
    let (_upstreams, envoy) = resolving(&server, v4(deaf)).await?;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    ensure!(envoy.get("/").await?.status == 200);
    ensure!(server.asked().len() == 1, "{:?}", server.asked());
    Ok(())
}
