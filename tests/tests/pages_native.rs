//! Public pages' examples of what Envoy itself does: it does what their page
//! says.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::client::{grpc, h1, raw};
use btp_tests::native::{many, wait_for_stat};
use btp_tests::pages::{EG, KUBELB, Stage, find};
use btp_tests::{Body, Reply, Request, Upstream};
use tokio::task::JoinSet;

/// Looks at each of these examples in force.
async fn each<F: Future<Output = Result<()>>>(
    titles: &[&str],
    page: &str,
    check: impl Fn(Stage) -> F,
) -> Result<()> {
    for title in titles {
        let stage = Stage::set(page, title).await?;
        check(stage).await.with_context(|| (*title).to_owned())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_stays_with_an_endpoint() -> Result<()> {
    let page = format!("{EG}/load-balancing");
    each(
        &["by a header", "by a cookie", "by the client's address"],
        &page,
        async |stage| {
            let request = Request::get("/")
                .header("x-account", "17")
                .header("cookie", "Basket=\"abc\"");
            stage.statuses(&vec![request; 20]).await?;
            let found = stage.counts();
            ensure!(found.0 * found.1 == 0, "{found:?}");
            Ok(())
        },
    )
    .await?;
    let stage = Stage::set(&page, "by a cookie").await?;
    let made = stage.envoy.get("/").await?.header("set-cookie");
    let made = made.context("no cookie was made")?;
    ensure!(
        made.starts_with("Basket=") && made.contains("Max-Age=90"),
        "{made}"
    );
    Ok(())
}

/// As the page says, of one second's amount and more.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_slowly() -> Result<()> {
    let page = format!("{EG}/bandwidth-limit");
    for (title, request, reply) in [
        (
            "of requests",
            Request::new("POST", "/").body(Body::sized(vec![b'x'; 128 << 10])),
            Body::empty(),
        ),
        (
            "of responses",
            Request::get("/"),
            Body::sized(vec![b'x'; 16 << 10]),
        ),
    ] {
        let stage = Stage::set(&page, title).await?;
        for upstream in &stage.upstreams {
            let reply = Reply::status(200).body(reply.clone());
            upstream.script("/", std::iter::repeat_n(reply, 2));
        }
        let begin = Instant::now();
        ensure!(stage.statuses(&[request]).await? == [200]);
        let took = begin.elapsed();
        ensure!(took >= Duration::from_millis(900), "{title}: {took:?}");
    }
    Ok(())
}

/// Where spans go is the listener's to say: the pages' Envoy has no place for them.
#[tokio::test(flavor = "multi_thread")]
async fn routes_are_counted_under_their_names() -> Result<()> {
    let stage = Stage::set("test/e2e/testdata/btp-tracing", "names for statistics").await?;
    stage.statuses(&vec![Request::get("/"); 3]).await?;
    let regex = "route\\.HTTPRoute/default/shop\\.upstream_rq_200$";
    let found = stage.envoy.stats_matching(regex).await?;
    ensure!(found.values().eq(&[3]), "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_spread() -> Result<()> {
    let spread = async |stage: Stage| {
        stage.statuses(&vec![Request::get("/"); 60]).await?;
        let found = stage.counts();
        ensure!(found.0 >= 10 && found.1 >= 10, "{found:?}");
        Ok(())
    };
    let titles = ["in turns", "by chance", "who has the fewest requests"];
    each(&titles, &format!("{EG}/load-balancing"), spread).await?;
    each(&["the fewest requests among some"], KUBELB, spread).await?;
    let page = format!("{EG}/backend-utilization");
    each(&["by what backends report"], &page, spread).await?;
    let title = "by what backends report, which clients see as well";
    let stage = Stage::set("concepts/load-balancing", title).await?;
    let path = "/?h=endpoint-load-metrics:TEXT%20cpu_utilization=0.5";
    let seen = stage.envoy.get(path).await?.header("endpoint-load-metrics");
    ensure!(seen.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_chooses_its_endpoint() -> Result<()> {
    let stage = Stage::set(&format!("{EG}/load-balancing"), "by an address in a header").await?;
    let wanted = stage.upstreams[1].addr().to_string();
    let request = Request::get("/").header("x-wanted-endpoint", wanted);
    stage.statuses(&vec![request; 10]).await?;
    ensure!(stage.counts() == (0, 10), "{:?}", stage.counts());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_preferred_and_weighed() -> Result<()> {
    let page = format!("{EG}/zone-aware-routing");
    for (title, least) in [("our own zone first", 100), ("zones by weight", 75)] {
        let stage = Stage::set(&page, title).await?;
        stage.statuses(&vec![Request::get("/regions"); 100]).await?;
        let found = stage.counts();
        ensure!(
            found.0 >= least && found.0 + found.1 == 100,
            "{title}: {found:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_requests_are_tried_again() -> Result<()> {
    for (page, title, tries) in [
        (
            &format!("{EG}/retry")[..],
            "tries again after some statuses",
            4,
        ),
        (KUBELB, "retries in the old spelling", 3),
    ] {
        let stage = Stage::set(page, title).await?;
        stage.script("/", &Reply::status(502));
        let response = stage.envoy.get("/").await?;
        let found = stage.counts();
        ensure!(
            response.status == 502 && found.0 + found.1 == tries,
            "{title}: {found:?}"
        );
    }
    Ok(())
}

/// All of them, and not nine of twelve as the page has it: it begins with
/// connections that are open. `btp lint` says so.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_may_not_wait_are_turned_away() -> Result<()> {
    let title = "so many requests at once, and none that wait";
    let stage = Stage::set(&format!("{EG}/circuit-breaker"), title).await?;
    let mut requests = JoinSet::new();
    for _ in 0..12 {
        requests.spawn(h1::get(stage.envoy.addr(), "/?delay=800"));
    }
    let mut refused = 0;
    for response in requests.join_all().await {
        let response = response?;
        let is_overload = response.header("x-envoy-overloaded").as_deref() == Some("true");
        ensure!((response.status == 503) == is_overload, "{response:?}");
        refused += usize::from(is_overload);
    }
    ensure!(refused == 12, "{refused} of 12 were refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_checked_and_left_out() -> Result<()> {
    for (page, title, stat) in [
        (
            "tasks/observability/proxy-health-check-log",
            "an active check",
            "cluster.shop-default-checked.health_check.success",
        ),
        // What upstreams answer is 200, and 204 is expected.
        (
            "tasks/observability/proxy-health-check-log",
            "a log of its own",
            "cluster.shop-default-logged.health_check.failure",
        ),
        (
            KUBELB,
            "an active check",
            "cluster.shop-default-checked.health_check.failure",
        ),
        (
            "tutorials/gatewayapi/backend-pools",
            "failover within a pool",
            "cluster.shop-default-pool.health_check.success",
        ),
    ] {
        let stage = Stage::set(page, title).await?;
        wait_for_stat(&stage.envoy, stat, |it| it >= 1).await?;
    }
    let title = "an endpoint is left out after one error";
    let stage = Stage::set(&format!("{EG}/failover"), title).await?;
    stage.upstreams[0].script("/", many(&Reply::status(500)));
    let found = stage.statuses(&vec![Request::get("/"); 20]).await?;
    let failed = found.iter().filter(|it| **it == 500).count();
    ensure!(failed == 1, "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn times_hold() -> Result<()> {
    let calls = format!("{EG}/grpc-timeouts");
    let path = "/quotes.Quotes/grpc-stream";
    let slow = Reply::status(200)
        .header("content-type", "application/grpc")
        .header("grpc-status", "0")
        .after(Duration::from_millis(1600));
    for (page, title, expected) in [
        (&calls[..], "calls that take too long", 14),
        (&calls[..], "streams that are long", 0),
        (&format!("{EG}/grpc-routing")[..], "calls without an end", 0),
    ] {
        let stage = Stage::set(page, title).await?;
        stage.script("/quotes.Quotes", &slow);
        let reply = grpc::call(stage.envoy.addr(), path, b"x").await?;
        ensure!(reply.grpc_status == Some(expected), "{title}: {reply:?}");
    }
    let stage = Stage::set(KUBELB, "times of connections").await?;
    let cluster = stage.cluster_of("shop")?;
    ensure!(cluster["connect_timeout"] == "4s", "{cluster}");
    let common = find(cluster, &|it| it["max_connection_duration"].is_string());
    let common = common.context("no duration of connections")?;
    ensure!(common["max_connection_duration"] == "240s" && common["idle_timeout"] == "45s");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_compressed() -> Result<()> {
    let page = format!("{EG}/response-compression");
    for (title, bytes, coding) in [
        ("all three codings", 500, Some("br")),
        ("long responses only", 500, None),
        ("long responses only", 4000, Some("gzip")),
        ("the older field", 500, Some("br")),
    ] {
        let stage = Stage::set(&page, title).await?;
        let request = Request::get(&format!("/?bytes={bytes}"));
        let request = request.header("accept-encoding", "gzip, br, zstd");
        let found = stage.envoy.send(request).await?.header("content-encoding");
        ensure!(found.as_deref() == coding, "{title}, {bytes}: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_are_taken() -> Result<()> {
    let page = format!("{EG}/http-connect-tunnels");
    let stage = Stage::set(&page, "a Gateway that takes CONNECT").await?;
    let mut client = raw::Connection::open(stage.envoy.addr()).await?;
    let request = "CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n\r\n";
    client.send(request).await?;
    let reply = client.read_head().await?;
    let seen: Vec<String> = stage.upstreams[..2]
        .iter()
        .flat_map(Upstream::requests)
        .map(|it| it.method)
        .collect();
    ensure!(
        reply.status == 200 && seen == ["CONNECT"],
        "{reply:?}: {seen:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_turned_away_as_more_of_them_fail() -> Result<()> {
    const COUNT: usize = 400;
    let page = "examples/kubernetes/admission-control";
    let stage = Stage::set(page, "an admission control").await?;
    let fine = vec![Request::get("/"); 40];
    let statuses = stage.statuses(&fine).await?;
    ensure!(statuses.iter().all(|it| *it == 200), "{statuses:?}");
    stage.script("/", &Reply::status(418));
    let statuses = stage.statuses(&vec![Request::get("/"); COUNT]).await?;
    let rejected = statuses.iter().filter(|it| **it == 503).count();
    let (first, second) = stage.counts();
    ensure!(rejected > COUNT / 10, "{rejected} of {COUNT}");
    ensure!(first + second + rejected == COUNT + fine.len());
    Ok(())
}
