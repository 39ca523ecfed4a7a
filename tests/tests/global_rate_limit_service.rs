//! Envoy's own rate limit filter, two Envoys of it, and the rate limit service of the
//! tests: what that one says Envoy understands, in either format.
//!
//! The filter of this project is not in it. What `btp apply` writes is tested on top of
//! this.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use btp_tests::rate_limit_service::Format;
use btp_tests::{
    Bootstrap, Builder, Envoy, RateLimitService, Redis, Request, Response, Route, Upstream,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const FILTER: &str = "envoy.filters.http.ratelimit";
const PER_ROUTE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute";
const RATE_LIMIT: &str = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit";
const SET_METADATA: &str =
    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config";

/// A window of a year: no test is at its end.
const ENVOY: &str = "
domain: shop
descriptors:
- {key: cart, value: all, rate_limit: {unit: year, requests_per_unit: 3}}
- {key: user, rate_limit: {unit: year, requests_per_unit: 1}}
- {key: cost, rate_limit: {unit: year, requests_per_unit: 7}}
- {key: own, rate_limit: {unit: year, requests_per_unit: 100}}
- {key: shadow, rate_limit: {unit: year, requests_per_unit: 0}, shadow_mode: true}
";

const LIMITADOR: &str = "
- namespace: shop
  name: cart
  max_value: 3
  seconds: 31536000
  conditions: [\"descriptors.exists(descriptors, 'cart' in descriptors)\"]
  variables: []
- namespace: shop
  name: user
  max_value: 1
  seconds: 31536000
  conditions: [\"descriptors.exists(descriptors, 'user' in descriptors)\"]
  variables: [\"descriptors.filter(descriptors, 'user' in descriptors)[0]['user']\"]
";

/// Two Envoys that ask one service.
struct Stage {
    /// Lets requests pass when it has no answer.
    open: Envoy,
    /// Refuses them then.
    closed: Envoy,
    service: RateLimitService,
    redis: Redis,
    config: PathBuf,
    _dir: TempDir,
    _upstream: Upstream,
}

impl Stage {
    async fn start(format: Format, text: &str) -> Result<Self> {
        let dir = TempDir::new()?;
        let config = dir.path().join("limits.yaml");
        fs::write(&config, text)?;
        let redis = Redis::start().await?;
        let service = RateLimitService::start(format, &config, &redis).await?;
        let upstream = Upstream::start().await?;
        let envoy = |fails_closed| bootstrap(&upstream, service.address(), fails_closed);
        Ok(Self {
            open: Envoy::start(&envoy(false)?).await?,
            closed: Envoy::start(&envoy(true)?).await?,
            service,
            redis,
            config,
            _dir: dir,
            _upstream: upstream,
        })
    }

    /// Sends a request again and again, to the Envoys in turns, and compares statuses.
    async fn answers(&self, request: &Request, wanted: &[u16]) -> Result<Vec<Response>> {
        let mut responses = Vec::new();
        for envoy in [&self.open, &self.closed].iter().cycle().take(wanted.len()) {
            responses.push(envoy.send(request.clone()).await?);
        }
        let statuses: Vec<u16> = responses.iter().map(|it| it.status).collect();
        ensure!(statuses == wanted, "{request:?}: {statuses:?}");
        Ok(responses)
    }
}

fn bootstrap(upstream: &Upstream, service: SocketAddr, fails_closed: bool) -> Result<Bootstrap> {
    let generic =
        |key: &str| json!({"generic_key": {"descriptor_key": key, "descriptor_value": "all"}});
    let user = json!({"request_headers": {"header_name": "x-user", "descriptor_key": "user"}});
    let mut cost = json!({"actions": [generic("cost")]});
    cost["hits_addend"] = json!({"number": 3});
    let mut own = json!({"actions": [generic("own")]});
    own["limit"] = json!({"dynamic_metadata": {"metadata_key": {
        "key": "limits", "path": [{"key": "own"}]}}});
    let builder = Builder::new()
        .http_filter(own_limit())
        .http_filter(rate_limit(fails_closed))
        .route(limited("/cart", &json!({"actions": [generic("cart")]})))
        .route(limited("/user", &json!({"actions": [user]})))
        .route(limited("/cost", &cost))
        .route(limited("/own", &own))
        .route(limited("/shadow", &json!({"actions": [generic("shadow")]})))
        .route(limited("/free", &json!({"actions": [generic("free")]})));
    builder
        .cluster("backend", upstream.addr())
        .cluster_h2("rate_limit_service", service)
        .build()
}

/// Only here, and not in `route.rate_limits`, may a descriptor have hits of its own.
fn limited(prefix: &str, rate_limit: &Value) -> Route {
    Route::cluster(prefix, "backend").edit(|it| {
        let own = json!({"@type": PER_ROUTE, "rate_limits": [rate_limit]});
        it["typed_per_filter_config"] = json!({FILTER: own});
    })
}

/// The filter. Its time is long enough for a machine that has other things to do.
fn rate_limit(fails_closed: bool) -> Value {
    json!({
        "name": FILTER,
        "typed_config": {
            "@type": RATE_LIMIT,
            "domain": "shop",
            "timeout": "20s",
            "failure_mode_deny": fails_closed,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": "rate_limit_service"}},
            },
        },
    })
}

/// A limit that each request brings along: two a year.
fn own_limit() -> Value {
    json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {"@type": SET_METADATA, "metadata": [{
            "metadata_namespace": "limits",
            "value": {"own": {"requests_per_unit": 2, "unit": "YEAR"}},
        }]},
    })
}

fn of(user: &str) -> Request {
    Request::get("/user").header("x-user", user)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_envoys_share_a_limit_and_tell_of_it() -> Result<()> {
    let stage = Stage::start(Format::Envoy, ENVOY).await?;
    let responses = stage
        .answers(&Request::get("/cart"), &[200, 200, 200, 429, 429])
        .await?;
    for (response, remaining) in responses.iter().zip(["2", "1", "0", "0", "0"]) {
        let header = |name| response.header(name).unwrap_or_default();
        ensure!(
            header("x-ratelimit-limit") == "3, 3;w=31536000",
            "{response:?}"
        );
        ensure!(header("x-ratelimit-remaining") == remaining, "{response:?}");
        let reset: u64 = header("x-ratelimit-reset").parse()?;
        ensure!((1..=31_536_000).contains(&reset), "{reset}");
    }
    let free = stage.answers(&Request::get("/free"), &[200; 5]).await?;
    ensure!(free[0].header("x-ratelimit-limit").is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_of_a_header_has_its_own_count_in_either_format() -> Result<()> {
    for (format, text) in [(Format::Envoy, ENVOY), (Format::Limitador, LIMITADOR)] {
        let stage = Stage::start(format, text).await?;
        stage.answers(&of("ann"), &[200, 429]).await?;
        stage.answers(&of("b'b"), &[200, 429]).await?;
        // Without the header nothing is asked.
        stage.answers(&Request::get("/user"), &[200; 4]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_limitador_is_shared_as_well() -> Result<()> {
    let stage = Stage::start(Format::Limitador, LIMITADOR).await?;
    let responses = stage
        .answers(&Request::get("/cart"), &[200, 200, 200, 429, 429])
        .await?;
    // Statuses are empty, so that Envoy has nothing to tell.
    ensure!(responses[0].header("x-ratelimit-limit").is_none());
    stage.answers(&Request::get("/free"), &[200; 5]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_descriptor_brings_along_is_heeded() -> Result<()> {
    let stage = Stage::start(Format::Envoy, ENVOY).await?;
    // Three of seven each time.
    stage
        .answers(&Request::get("/cost"), &[200, 200, 429])
        .await?;
    // Two instead of the file's hundred.
    stage
        .answers(&Request::get("/own"), &[200, 200, 429])
        .await?;
    let responses = stage.answers(&Request::get("/shadow"), &[200; 3]).await?;
    let limit = responses[2].header("x-ratelimit-limit");
    ensure!(limit.as_deref() == Some("0, 0;w=31536000"), "{limit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_service_each_envoy_does_what_it_was_told() -> Result<()> {
    for (format, text) in [(Format::Envoy, ENVOY), (Format::Limitador, LIMITADOR)] {
        let mut stage = Stage::start(format, text).await?;
        let cart = Request::get("/cart");
        stage.answers(&cart, &[200, 200]).await?;
        stage.service.stop()?;
        stage.answers(&cart, &[200, 500, 200, 500, 200]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_has_no_answer_and_with_it_counts_again() -> Result<()> {
    let mut stage = Stage::start(Format::Envoy, ENVOY).await?;
    let cart = Request::get("/cart");
    stage.answers(&cart, &[200, 200, 200, 429]).await?;
    stage.redis.stop()?;
    stage.answers(&cart, &[200, 500, 200, 500]).await?;
    // What is not limited needs no count.
    stage.answers(&Request::get("/free"), &[200, 200]).await?;
    stage.redis.restart().await?;
    stage.answers(&cart, &[200, 200, 200, 429]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again_and_a_wrong_one_is_not_taken() -> Result<()> {
    for (format, text, from, to, wrong) in [
        (Format::Envoy, ENVOY, "unit: 3}", "unit: 5}", "domain: ''"),
        (Format::Limitador, LIMITADOR, "value: 3", "value: 5", "- {}"),
    ] {
        let stage = Stage::start(format, text).await?;
        let cart = Request::get("/cart");
        stage.answers(&cart, &[200, 200, 200, 429]).await?;
        let (service, config) = (&stage.service, &stage.config);
        service.reads_again(config, wrong, "refused").await?;
        stage.answers(&cart, &[429, 429]).await?;
        let higher = text.replacen(from, to, 1);
        service.reads_again(config, &higher, "loaded").await?;
        // Redis has counted those that were refused, Limitador has not.
        let first = if format == Format::Envoy { 429 } else { 200 };
        stage.answers(&cart, &[first, first, 429]).await?;
        let highest = text.replacen(from, to, 1).replacen('5', "50", 1);
        service.reads_again(config, &highest, "loaded").await?;
        stage.answers(&cart, &[200, 200]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_at_the_start_leaves_no_service() -> Result<()> {
    let dir = TempDir::new()?;
    let config = dir.path().join("limits.yaml");
    let redis = Redis::start().await?;
    for (format, text, reason) in [
        (
            Format::Envoy,
            ENVOY.replace("user", "''"),
            "descriptors[1].key: empty",
        ),
        (
            Format::Envoy,
            ENVOY.replace("unit: year", "unit: age"),
            "\"age\" is no unit",
        ),
        (
            Format::Limitador,
            LIMITADOR.replace("seconds", "hours"),
            "no limits file",
        ),
    ] {
        fs::write(&config, text)?;
        let started = RateLimitService::start(format, &config, &redis).await;
        let refusal = format!("{:#}", started.expect_err("a service with a wrong file"));
        ensure!(refusal.contains("exit status: 1"), "{refusal}");
        ensure!(refusal.contains(reason), "{refusal}");
    }
    Ok(())
}
