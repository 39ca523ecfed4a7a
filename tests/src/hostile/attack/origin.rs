//! Proper requests to an upstream that is not: each script of it in turn.

use std::time::Duration;

use super::{Attack, Outcome, Turn, attack};
use crate::client::{h1, h2};
use crate::hostile::upstream::scripts::SCRIPTS;
use crate::{Body, Request};

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "origin-h1",
        over_h1,
        "every script of the bad upstream, asked over HTTP/1 by GET, HEAD and POST"
    ),
    attack!(
        "origin-h2",
        over_h2,
        "the same over HTTP/2, several at once, some as gRPC, some given up half-way"
    ),
    attack!(
        "origin-is-h2",
        to_h2,
        "an upstream that breaks HTTP/2: resets, GOAWAY, early and trailers-only answers, wrong lengths"
    ),
];

/// More than a try may take, as the route gives up after 2 s.
const GIVE_UP: Duration = Duration::from_secs(4);

fn request(turn: &mut Turn, path: &str) -> Request {
    let length = turn.dice.between(1, 20_000);
    let body = vec![b'x'; length];
    let user = turn.user();
    let request = match turn.dice.below(6) {
        0 => Request::new("HEAD", path),
        1 => Request::post(path, body),
        2 => Request::new("PUT", path).body(Body::chunked(body.chunks(1_000))),
        3 => Request::new("POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::chunked([b"\0\0\0\0\x01x".to_vec()])),
        _ => Request::get(path),
    };
    let accept = turn
        .dice
        .pick(&["text/html", "application/json", "*/*", "x"]);
    request.header("x-user", user).header("accept", accept)
}

fn script(turn: &mut Turn) -> String {
    format!(
        "/up/{}/x?q=%3Cb%3E",
        SCRIPTS[turn.dice.below(SCRIPTS.len())].name
    )
}

fn outcome(result: Result<anyhow::Result<crate::Response>, tokio::time::error::Elapsed>) -> String {
    match result {
        Ok(Ok(response)) if response.broken.is_some() => format!("{} broken off", response.status),
        Ok(Ok(response)) => response.status.to_string(),
        Ok(Err(_)) => "closed".to_owned(),
        Err(_) => "given up".to_owned(),
    }
}

async fn over_h1(turn: &mut Turn) -> Outcome {
    let path = script(turn);
    let request = request(turn, &path);
    turn.sent += 1;
    let result = tokio::time::timeout(GIVE_UP, h1::send(turn.peer, request)).await;
    turn.note([outcome(result)]);
    Ok(())
}

/// Requests side by side on one connection.
async fn together(turn: &mut Turn, paths: Vec<String>) -> Outcome {
    let Ok(connection) = h2::Connection::open(turn.peer).await else {
        return Ok(());
    };
    let mut sending = Vec::new();
    for path in paths {
        let request = request(turn, &path);
        let patience = match turn.dice.below(4) {
            0 => Duration::from_millis(turn.dice.between(1, 300) as u64),
            _ => GIVE_UP,
        };
        turn.sent += 1;
        sending.push((patience, request));
    }
    let mut outcomes = Vec::new();
    // In order, each given up in its own time: the others go on meanwhile.
    let mut running = tokio::task::JoinSet::new();
    let connection = std::sync::Arc::new(connection);
    for (patience, request) in sending {
        let connection = std::sync::Arc::clone(&connection);
        running.spawn(async move {
            outcome(tokio::time::timeout(patience, connection.send(request)).await)
        });
    }
    while let Some(Ok(outcome)) = running.join_next().await {
        outcomes.push(outcome);
    }
    turn.note(outcomes);
    Ok(())
}

async fn over_h2(turn: &mut Turn) -> Outcome {
    let paths = (0..6).map(|_| script(turn)).collect();
    together(turn, paths).await
}

async fn to_h2(turn: &mut Turn) -> Outcome {
    let paths = (0..6)
        .map(|_| format!("/h2/{}", turn.dice.word()))
        .collect();
    together(turn, paths).await
}
