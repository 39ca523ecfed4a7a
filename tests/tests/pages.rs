//! The examples of Envoy Gateway's and KubeLB's pages work as pasted: they go
//! through `btp lint`, `apply` and `explain`, Envoy loads what comes of them, and
//! one of each family does what its page says.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{read_yaml, visit};
use btp_tests::client::{grpc, h1, raw};
use btp_tests::measure::table_of;
use btp_tests::native::{many, upstreams, wait_for_stat};
use btp_tests::pages::{Example, Outcome, example, examples};
use btp_tests::{Bootstrap, Envoy, Reply, Request, Upstream, repo};
use serde_json::Value;
use tokio::task::JoinSet;

/// The first of the ports that stand for upstreams in the pages' Envoy.
const FIRST_PORT: usize = 8081;

const EG: &str = "tasks/traffic";
const KUBELB: &str = "tutorials/gatewayapi/backend-traffic-policy";
const CONCEPTS: &str = "concepts/gateway_api_extensions/backend-traffic-policy";

/// An example in force.
struct Stage {
    /// `shop` has the first two, `notice` the third, `quotes` the fourth.
    upstreams: Vec<Upstream>,
    envoy: Envoy,
    config: Value,
}

impl Stage {
    async fn set(address: &str, title: &str) -> Result<Self> {
        let example = example(address, title)?;
        let upstreams = upstreams(4).await?;
        let folder = tempfile::tempdir()?;
        place(folder.path(), &example, |port| {
            let index = port.checked_sub(FIRST_PORT)?;
            Some(upstreams.get(index)?.addr().port())
        })?;
        succeeded(&apply(folder.path())?)?;
        let out = folder.path().join("out.yaml");
        let bootstrap = Bootstrap::load(out)?;
        Ok(Self {
            envoy: Envoy::start(&bootstrap).await?,
            config: bootstrap.config().clone(),
            upstreams,
        })
    }

    async fn statuses(&self, requests: &[Request]) -> Result<Vec<u16>> {
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(self.envoy.send(request.clone()).await?.status);
        }
        Ok(statuses)
    }

    /// How many requests the upstreams of `shop` have had.
    fn counts(&self) -> (usize, usize) {
        let count = |index: usize| self.upstreams[index].requests().len();
        (count(0), count(1))
    }

    fn script(&self, path: &str, reply: &Reply) {
        for upstream in &self.upstreams {
            upstream.script(path, many(reply));
        }
    }

    /// The cluster that serves a route.
    fn cluster_of(&self, route: &str) -> Result<&Value> {
        let route = find(&self.config, &|it| {
            it["name"] == route && it["route"].is_object()
        });
        let name = &route.context("no such route")?["route"]["cluster"];
        let clusters = self.config["static_resources"]["clusters"].as_array();
        let found = clusters
            .into_iter()
            .flatten()
            .find(|it| it["name"] == *name);
        found.with_context(|| format!("no cluster {name}"))
    }
}

/// The first object, from the outside in, that is as wanted.
fn find<'a>(value: &'a Value, is_wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if value.is_object() && is_wanted(value) {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values().find_map(|it| find(it, is_wanted)),
        Value::Array(items) => items.iter().find_map(|it| find(it, is_wanted)),
        _ => None,
    }
}

/// Puts an example and the pages' Envoy into a folder; `port` gives ports
/// that stand for others.
fn place(folder: &Path, example: &Example, port: impl Fn(usize) -> Option<u16>) -> Result<()> {
    let mut config = read_yaml(&repo::path("tests/pages/envoy.yaml"))?;
    visit(&mut config, &mut |it| {
        let written = it.get("port_value").and_then(Value::as_u64);
        let other = written.and_then(|it| port(usize::try_from(it).ok()?));
        if let Some(other) = other {
            it["port_value"] = other.into();
        }
    });
    fs::write(folder.join("envoy.json"), config.to_string())?;
    fs::write(folder.join("example.yaml"), &example.text)?;
    Ok(())
}

fn btp(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(repo::cli()?);
    Ok(command.args(arguments).current_dir(folder).output()?)
}

fn apply(folder: &Path) -> Result<Output> {
    let arguments = ["--bootstrap", "envoy.json", "-f", "example.yaml"];
    btp(
        folder,
        &[&["apply", "-o", "out.yaml"], &arguments[..]].concat(),
    )
}

/// What a run printed.
fn succeeded(output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The parts of an example's specs that policies in force consist of.
fn parts(example: &Example) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let is_off = example.title.contains("switched off");
    for document in example.text.split("\n---\n") {
        let document: Value = serde_saphyr::from_str(document)?;
        let spec = document["spec"].as_object().filter(|_| !is_off);
        let names = spec.into_iter().flatten().map(|(name, _)| name.clone());
        parts.extend(names.filter(|it| !it.starts_with("target")));
    }
    Ok(parts)
}

async fn check(example: &Example) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    place(folder, example, |_| None)?;
    let applied = apply(folder)?;
    if let Outcome::Refused(field) = &example.outcome {
        let said = String::from_utf8_lossy(&applied.stderr);
        ensure!(applied.status.code() == Some(1), "is not refused: {said}");
        let reason = format!("error: {field}: ");
        ensure!(said.contains(&reason), "{said}");
        ensure!(
            !folder.join("out.yaml").exists(),
            "was written all the same"
        );
        return Ok(());
    }
    succeeded(&btp(
        folder,
        &["lint", "--bootstrap", "envoy.json", "example.yaml"],
    )?)?;
    let report = succeeded(&applied)?;
    for part in parts(example)? {
        ensure!(report.contains(&part), "{part} went nowhere:\n{report}");
    }
    succeeded(&btp(
        folder,
        &["explain", "--bootstrap", "envoy.json", "example.yaml"],
    )?)?;
    let bootstrap = Bootstrap::load(folder.join("out.yaml"))?;
    let validation = Envoy::validate(&bootstrap).await?;
    ensure!(validation.ok, "{}", validation.log);
    Ok(())
}

async fn wrong_with(example: Option<&Example>) -> Option<String> {
    let example = example?;
    let error = check(example).await.err()?;
    Some(format!(
        "{}, {}: {error:#}",
        example.page.address, example.title
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_comes_out_as_it_says() -> Result<()> {
    let examples = examples()?;
    ensure!(examples.len() >= 60, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for some in examples.chunks(3) {
        let (first, second, third) = tokio::join!(
            wrong_with(some.first()),
            wrong_with(some.get(1)),
            wrong_with(some.get(2))
        );
        wrong.extend([first, second, third].into_iter().flatten());
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// The table of docs/COMPARE.md says what these tests say.
#[test]
fn the_page_on_comparisons_counts_the_examples() -> Result<()> {
    let mut pages: BTreeMap<(String, String), (usize, Vec<String>)> = BTreeMap::new();
    for it in examples()? {
        let (works, refused) = pages.entry((it.page.project, it.page.address)).or_default();
        match it.outcome {
            Outcome::Works => *works += 1,
            Outcome::Refused(field) => refused.push(field.replace("spec.", "")),
        }
    }
    let mut wanted =
        String::from("| page | examples | work as pasted | refused |\n|---|---|---|---|\n");
    for ((project, address), (works, mut refused)) in pages {
        let all = works + refused.len();
        let mut reason = String::from("–");
        if !refused.is_empty() {
            let count = refused.len();
            refused.dedup();
            reason = format!("{count}: `{}`", refused.join("`, `"));
        }
        wanted += &format!("| {project}: `{address}` | {all} | {works} | {reason} |\n");
    }
    let found = table_of("docs/COMPARE.md", "pages")?;
    ensure!(found == wanted, "docs/COMPARE.md should have\n{wanted}");
    Ok(())
}

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
async fn a_policy_by_labels_governs_those_routes_alone() -> Result<()> {
    let title = "targets routes by labels, and a limit without rules";
    let stage = Stage::set(CONCEPTS, title).await?;
    let get = Request::get;
    let requests = [get("/payments"), get("/payments"), get("/"), get("/")];
    let found = stage.statuses(&requests).await?;
    ensure!(found == [200, 429, 200, 200], "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_governs_is_as_the_page_says() -> Result<()> {
    for (title, route, others) in [
        ("a route's policy before its Gateway's", 30, Some(90)),
        ("the older of two policies for one route", 20, None),
    ] {
        let stage = Stage::set(CONCEPTS, title).await?;
        let limit = |route: &str| -> Result<Option<u64>> {
            let cluster = stage.cluster_of(route)?;
            let threshold = &cluster["circuit_breakers"]["thresholds"][0];
            Ok(threshold["max_connections"].as_u64())
        };
        ensure!(
            limit("shop")? == Some(route),
            "{title}: {:?}",
            limit("shop")
        );
        ensure!(limit("signup")? == others, "{title}: {:?}", limit("signup"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_by_header_path_and_method() -> Result<()> {
    let page = format!("{EG}/local-rate-limit");
    let trial = || Request::get("/").header("x-account", "trial");
    let staff = || trial().header("x-team", "staff");
    for (title, met, missed) in [
        ("by a header's value", trial(), Request::get("/")),
        ("by two headers, one of them inverted", trial(), staff()),
        (
            "everybody together",
            Request::get("/"),
            Request::get("/signup"),
        ),
        (
            "by path",
            Request::get("/orders/new"),
            Request::get("/orders"),
        ),
        ("by method", Request::new("PUT", "/"), Request::get("/")),
    ] {
        let stage = Stage::set(&page, title).await?;
        let found = stage.statuses(&vec![met; 3]).await?;
        ensure!(found == [200, 200, 429], "{title}: {found:?}");
        let found = stage.statuses(&vec![missed; 3]).await?;
        ensure!(found == [200; 3], "{title}: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_injected() -> Result<()> {
    let page = format!("{EG}/fault-injection");
    let stage = Stage::set(&page, "a share is aborted").await?;
    let found = stage.statuses(&vec![Request::get("/"); 200]).await?;
    let aborted = found.iter().filter(|it| **it == 507).count();
    ensure!((60..=140).contains(&aborted), "{aborted} of 200");
    let stage = Stage::set(&page, "all are delayed").await?;
    let response = stage.envoy.get("/").await?;
    let delay = response.headers_after;
    ensure!(delay >= Duration::from_millis(690), "{delay:?}");
    let stage = Stage::set(&page, "a gRPC call is aborted").await?;
    let reply = grpc::call(stage.envoy.addr(), "/quotes.Quotes/Get", b"x").await?;
    ensure!(reply.grpc_status == Some(8), "{reply:?}");
    stage.envoy.assert_vm_alive().await
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
async fn large_bodies_are_refused() -> Result<()> {
    let stage = Stage::set(&format!("{EG}/request-buffering"), "small bodies only").await?;
    let requests = [Request::post("/", "123456"), Request::post("/", "1234567")];
    let found = stage.statuses(&requests).await?;
    ensure!(found == [200, 413], "{found:?}");
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
async fn responses_are_overridden() -> Result<()> {
    let page = format!("{EG}/response-override");
    let title = "a text, a redirect, and a body from a ConfigMap";
    let stage = Stage::set(&page, title).await?;
    for (path, status, body) in [
        ("/status/410", 410, "That offer is over."),
        // The other route's answer, as Envoy asks it in the client's place.
        ("/status/402", 301, "upstream says 200\n"),
        ("/status/525", 525, "{\"sorry\": true}"),
        ("/status/503", 503, "upstream says 503\n"),
    ] {
        let response = stage.envoy.get(path).await?;
        let found = (response.status, response.text());
        ensure!(found == (status, body.to_owned()), "{path}: {found:?}");
    }
    ensure!(stage.upstreams[2].requests_under("/notice").len() == 1);
    for (title, body) in [
        ("replies of the proxy itself", "upstream says 418\n"),
        ("replies of backends", "{\"by\": \"a backend\"}"),
    ] {
        let stage = Stage::set(&page, title).await?;
        let found = stage.envoy.get("/status/418").await?.text();
        ensure!(found == body, "{title}: {found}");
    }
    Ok(())
}

/// Envoy does the redirect and the filter the rest, and neither takes what the
/// other is to have.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_wins_beside_a_redirect_of_envoys_own() -> Result<()> {
    let title = "a redirect in front of a rule for a header";
    let stage = Stage::set("test/e2e/testdata/response-override", title).await?;
    for (path, status, body) in [
        ("/status/410", 410, "410 That offer is over."),
        ("/status/409", 410, ""),
        ("/status/402", 301, "upstream says 200\n"),
        ("/status/402?h=x-kind:draft", 301, "upstream says 200\n"),
        ("/status/500?h=x-kind:draft", 500, "This is a draft."),
        ("/status/301", 301, "It has moved."),
    ] {
        let response = stage.envoy.get(path).await?;
        let found = (response.status, response.text());
        ensure!(found == (status, body.to_owned()), "{path}: {found:?}");
    }
    stage.envoy.assert_vm_alive().await
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
async fn administrators_switch_policies_off() -> Result<()> {
    for title in [
        "policies switched off for all",
        "policies switched off for a tenant",
    ] {
        let stage = Stage::set(KUBELB, title).await?;
        let found = stage.envoy.get("/").await?.status;
        ensure!(found == 200, "{title}: {found}");
    }
    Ok(())
}
