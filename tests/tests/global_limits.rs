//! `rateLimit.global` as `btp apply` puts it into force, by the table in
//! tests/global-limits.yaml: two Envoys let pass what one may, for either format of the
//! service's file.
//!
//! A case has a virtual host and a policy of its own, so that all are in force at once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::client::{h1, h2};
use btp_tests::fleet::Applying;
use btp_tests::rate_limit_service::Format;
use btp_tests::{Bootstrap, Builder, Fleet, Request, Response, Upstream, repo, wait};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SET_METADATA: &str =
    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config";

/// How long a cost may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    rules: Value,
    requests: Vec<Step>,
    limitador: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default = "root")]
    path: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    further_lines: BTreeMap<String, String>,
    from: Option<String>,
    statuses: Vec<u16>,
    #[serde(default)]
    told: BTreeMap<String, Option<String>>,
    counted: Option<u64>,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

impl Case {
    fn policy(&self) -> Value {
        json!({
            "kind": "BackendTrafficPolicy",
            "metadata": {"name": self.case},
            "spec": {
                "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                    "name": self.case}],
                "rateLimit": {"global": {"rules": self.rules}},
            },
        })
    }

    fn virtual_host(&self) -> Value {
        let route = |rule: &str, prefix: &str| {
            json!({"name": format!("{}/{rule}", self.case), "match": {"prefix": prefix},
                "route": {"cluster": "backend"}})
        };
        json!({"name": self.case, "domains": [self.case],
            "routes": [route("other", "/other"), route("rest", "/")]})
    }

    async fn check(&self, fleet: &Fleet, format: Format) -> Result<()> {
        for step in &self.requests {
            let request = step.request(&self.case);
            let last = fleet.answers(&request, &step.statuses).await?;
            if format == Format::Limitador {
                continue;
            }
            let last = last.context("no request")?;
            step.check_told(&last)?;
            if let Some(counted) = step.counted {
                let part = format!("/{}/", self.case);
                wait::until_async(&format!("a count of {counted}"), PATIENCE, async || {
                    let is_there = fleet.redis.counted(&part).await? == counted;
                    Ok(is_there.then_some(()))
                })
                .await?;
            }
        }
        Ok(())
    }
}

impl Step {
    fn request(&self, case: &str) -> Request {
        let mut request = Request::new(&self.method, &self.path).host(case);
        for (name, value) in self.headers.iter().chain(&self.further_lines) {
            request = request.header(name, value);
        }
        match &self.from {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        }
    }

    fn check_told(&self, response: &Response) -> Result<()> {
        for (name, wanted) in &self.told {
            let told = response.header(name);
            ensure!(told == *wanted, "{name} is {told:?}, not {wanted:?}");
        }
        Ok(())
    }
}

fn cases() -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(repo::path("tests/global-limits.yaml"))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn bootstrap(upstream: &Upstream, cases: &[&Case]) -> Result<Bootstrap> {
    let metadata = json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {"@type": SET_METADATA, "metadata": [{
            "metadata_namespace": "usage",
            "value": {"cost": 3, "limit": {"requests_per_unit": 2, "unit": "YEAR"}},
        }]},
    });
    let mut bootstrap = Builder::new()
        .http_filter(metadata)
        .cluster("backend", upstream.addr())
        .build()?;
    let hosts: Vec<Value> = cases.iter().map(|it| it.virtual_host()).collect();
    bootstrap.edit_http("main", |http| {
        http["route_config"]["virtual_hosts"] = hosts.into();
    })?;
    Ok(bootstrap)
}

async fn run(format: Format, cases: &[&Case]) -> Result<()> {
    let upstream = Upstream::start().await?;
    let applying = Applying::new(&bootstrap(&upstream, cases)?, format, &[])?;
    let policies: Vec<Value> = cases.iter().map(|it| it.policy()).collect();
    let fleet = Fleet::start(applying, &policies).await?;
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(error) = case.check(&fleet, format).await {
            wrong.push(format!("{}: {error:#}", case.case));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_holds_over_two_envoys_with_the_file_of_ratelimit() -> Result<()> {
    let cases = cases()?;
    run(Format::Envoy, &cases.iter().collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_that_limitador_has_words_for_holds_with_its_file() -> Result<()> {
    let cases = cases()?;
    let known = cases.iter().filter(|it| it.limitador.is_none());
    run(Format::Limitador, &known.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_as_many_pass_as_may() -> Result<()> {
    const REQUESTS: usize = 60;
    let case = Case {
        case: "many".to_owned(),
        rules: json!([{"limit": {"requests": 20, "unit": "Year"}}]),
        requests: Vec::new(),
        limitador: None,
    };
    let upstream = Upstream::start().await?;
    for format in [Format::Envoy, Format::Limitador] {
        let applying = Applying::new(&bootstrap(&upstream, &[&case])?, format, &[])?;
        let fleet = Fleet::start(applying, &[case.policy()]).await?;
        let mut sending = JoinSet::new();
        for envoy in fleet.envoys.iter().cycle().take(REQUESTS) {
            let request = Request::get("/").host(&case.case);
            sending.spawn(h1::send(envoy.addr(), request));
        }
        let mut statuses = BTreeMap::new();
        while let Some(response) = sending.join_next().await {
            *statuses.entry(response??.status).or_insert(0) += 1;
        }
        let wanted = BTreeMap::from([(200, 20), (429, 40)]);
        ensure!(statuses == wanted, "{format:?}: {statuses:?}");
    }
    Ok(())
}

/// A service would refuse the question, and requests pass that it does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_switch_no_other_rule_off() -> Result<()> {
    let case = Case {
        case: "bytes".to_owned(),
        rules: json!([
            {"clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
                "limit": {"requests": 1, "unit": "Year"}},
            {"limit": {"requests": 7, "unit": "Year"}}]),
        requests: Vec::new(),
        limitador: None,
    };
    let upstream = Upstream::start().await?;
    for format in [Format::Envoy, Format::Limitador] {
        let applying = Applying::new(&bootstrap(&upstream, &[&case])?, format, &[])?;
        let fleet = Fleet::start(applying, &[case.policy()]).await?;
        let of = |user: &[u8]| Request::get("/").host(&case.case).header("x-user", user);
        fleet.answers(&of("ü😀".as_bytes()), &[200]).await?;
        for user in [
            &b"\xff"[..],
            b"a\xc3",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\x80",
        ] {
            fleet.answers(&of(user), &[200]).await?;
        }
        fleet.answers(&of(b"\xff"), &[429]).await?;
        fleet.answers(&of("ü😀".as_bytes()), &[429]).await?;
    }
    Ok(())
}

/// HTTP/1 knows methods in capitals alone.
#[tokio::test(flavor = "multi_thread")]
async fn over_http2_a_method_in_other_letters_is_limited_with_it() -> Result<()> {
    let case = Case {
        case: "letters".to_owned(),
        rules: json!([{"clientSelectors": [{"methods": [{"value": "POST"}]}],
            "limit": {"requests": 1, "unit": "Year"}}]),
        requests: Vec::new(),
        limitador: None,
    };
    let upstream = Upstream::start().await?;
    let applying = Applying::new(&bootstrap(&upstream, &[&case])?, Format::Envoy, &[])?;
    let fleet = Fleet::start(applying, &[case.policy()]).await?;
    for (method, status) in [("post", 200), ("POST", 429), ("Post", 429), ("GET", 200)] {
        let request = Request::new(method, "/").host(&case.case);
        let response = h2::send(fleet.envoys[0].addr(), request).await?;
        ensure!(response.status == status, "{method}: {response:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_limitador_has_no_words_for_is_refused_with_the_reason() -> Result<()> {
    let cases = cases()?;
    let mut refused = 0;
    for case in &cases {
        let Some(reason) = &case.limitador else {
            continue;
        };
        let upstream = Upstream::start().await?;
        let bootstrap = bootstrap(&upstream, &[case])?;
        let applying = Applying::new(&bootstrap, Format::Limitador, &[])?;
        let output = applying.run(&[case.policy()], "127.0.0.1:1")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{}: {said}", case.case);
        let reason = format!("spec.rateLimit.global.rules[0].{reason}");
        ensure!(said.contains(&reason), "{}: {said}", case.case);
        ensure!(!applying.limits().exists(), "{}: written", case.case);
        refused += 1;
    }
    ensure!(refused > 0);
    Ok(())
}
