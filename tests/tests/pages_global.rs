//! What the examples of Envoy Gateway's page on global rate limits do, on two Envoys and
//! with either service.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::fleet::{Applying, begin_in_window};
use btp_tests::native::upstreams;
use btp_tests::pages::{Example, examples, place};
use btp_tests::rate_limit_service::Format;
use btp_tests::{Bootstrap, Fleet, Request};
use serde_json::Value;

const PAGE: &str = "tasks/traffic/global-rate-limit";
/// The first of the ports that stand for upstreams in the pages' Envoy.
const FIRST_PORT: usize = 8081;

type Sent = (Request, &'static [u16]);

/// What is sent for an example, and answered.
fn sent(title: &str) -> Option<Vec<Sent>> {
    const LIMITED: &[u16] = &[200, 200, 429, 429];
    const FREE: &[u16] = &[200, 200, 200, 200];
    let get = Request::get;
    let account = |it: &str| get("/").header("x-account", it);
    let claim = |it: &str| get("/").header("x-claim-subject", it);
    Some(match title {
        "by a header's value" => vec![
            (account("trial"), LIMITED),
            (account("other"), FREE),
            (get("/"), FREE),
        ],
        "by each value of a header but one" => vec![
            (account("ann"), LIMITED),
            (account("bob"), LIMITED),
            (account("staff"), FREE),
            (get("/"), FREE),
        ],
        "everybody together" => vec![(account("ann"), LIMITED), (get("/payments"), FREE)],
        "by address" => vec![(get("/"), LIMITED), (get("/payments"), FREE)],
        "by path" => vec![
            (get("/orders/new?x"), LIMITED),
            (get("/orders"), FREE),
            (get("/orders/new/"), FREE),
        ],
        "by method" => vec![(Request::new("PUT", "/"), LIMITED), (get("/"), FREE)],
        "by a claim of a token" => vec![
            (claim("Erika Muster"), LIMITED),
            (claim("Erika"), FREE),
            (get("/"), FREE),
        ],
        "a route's merged with its Gateway's" => vec![
            (get("/signup"), &[200, 200, 200, 200, 429, 429]),
            (get("/"), FREE),
        ],
        _ => return None,
    })
}

async fn check(example: &Example, format: Format, sent: &[Sent]) -> Result<()> {
    let upstreams = upstreams(4).await?;
    let folder = tempfile::tempdir()?;
    place(folder.path(), example, |port| {
        let index = port.checked_sub(FIRST_PORT)?;
        Some(upstreams.get(index)?.addr().port())
    })?;
    let bootstrap = Bootstrap::load(folder.path().join("envoy.json"))?;
    let documents = example.text.split("\n---\n");
    let policies = documents.map(serde_saphyr::from_str::<Value>);
    let policies: Vec<Value> = policies.collect::<Result<_, _>>()?;
    let fleet = Fleet::start(Applying::new(&bootstrap, format, &[])?, &policies).await?;
    // The longest unit and the shortest that counts here.
    for unit_s in [86_400, 60] {
        begin_in_window(unit_s, Duration::from_secs(5)).await?;
    }
    for (request, statuses) in sent {
        fleet.answers(request, statuses).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_limits_what_it_is_about() -> Result<()> {
    let mut wrong = Vec::new();
    let mut titles = BTreeSet::new();
    for example in examples()?.iter().filter(|it| it.page.address == PAGE) {
        let title = example.title.as_str();
        let Some(sent) = sent(title) else {
            wrong.push(format!("{title}: nothing is sent for it"));
            continue;
        };
        titles.insert(title.to_owned());
        for format in [Format::Envoy, Format::Limitador] {
            if let Err(error) = check(example, format, &sent).await {
                wrong.push(format!("{title}, {format:?}: {error:#}"));
            }
        }
    }
    ensure!(titles.len() == 8, "{titles:?}");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
