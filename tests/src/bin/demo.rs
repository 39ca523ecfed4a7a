//! The demo: a real Envoy with the filter, a backend, a tour of what the
//! policies do, and then time to try things by hand.
//!
//! `cargo xtask demo` runs this; nothing is needed but an Envoy binary, which
//! plays the backend as well.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use btp_tests::build::Build;
use btp_tests::client::{grpc, h1};
use btp_tests::{Bootstrap, Envoy, Request};
use serde_json::{Value, json};

const TRAFFIC: u16 = 10_000;
const ADMIN: u16 = 9_901;

/// One request of the tour.
struct Stop {
    title: &'static str,
    policy: &'static str,
    method: &'static str,
    path: &'static str,
    /// Status to expect; a gRPC status for the gRPC call.
    status: u16,
    least_delay: Duration,
}

const fn stop(
    title: &'static str,
    policy: &'static str,
    method: &'static str,
    path: &'static str,
    status: u16,
    least_delay_ms: u64,
) -> Stop {
    Stop {
        title,
        policy,
        method,
        path,
        status,
        least_delay: Duration::from_millis(least_delay_ms),
    }
}

const TOUR: [Stop; 8] = [
    stop(
        "a slow dependency",
        "default/slow-reviews",
        "GET",
        "/reviews/1",
        200,
        200,
    ),
    stop(
        "a broken one",
        "default/broken-ratings",
        "GET",
        "/ratings/1",
        503,
        0,
    ),
    stop(
        "a gRPC service that is gone",
        "default/unavailable-payments",
        "gRPC",
        "/payments/Pay",
        14,
        100,
    ),
    stop(
        "the backend's error, in our words",
        "default/error-pages",
        "GET",
        "/shop/status/502",
        502,
        0,
    ),
    stop(
        "Envoy's own error, in our words",
        "default/error-pages",
        "GET",
        "/nowhere",
        404,
        0,
    ),
    stop(
        "a status nobody should see",
        "default/error-pages",
        "GET",
        "/shop/status/403",
        404,
        0,
    ),
    stop(
        "all is well",
        "default/error-pages (no rule matches)",
        "GET",
        "/shop/status/200",
        200,
        0,
    ),
    stop(
        "nothing but headers",
        "default/error-pages",
        "HEAD",
        "/shop/status/500",
        500,
        0,
    ),
];

#[tokio::main]
async fn main() -> Result<()> {
    let (once, file) = arguments()?;
    let backend = Envoy::start(&Bootstrap::load("envoy/upstream.yaml")?).await?;
    let mut bootstrap = Bootstrap::load(&file)?.with_concurrency(2);
    bootstrap.redirect_cluster("backend", backend.addr())?;
    if !once {
        // People type these ports; the tour alone takes any.
        bootstrap.edit(listen);
    }
    let envoy = Envoy::start(&bootstrap)
        .await
        .context("Envoy does not start; is port 10000 or 9901 taken?")?;
    let build = Build::under_test()?.name();
    println!(
        "Envoy serves {file} with the {build} at http://{}\n",
        envoy.addr()
    );
    if file == "envoy/envoy.yaml" {
        for stop in &TOUR {
            visit(&envoy, stop).await?;
        }
    }
    envoy.assert_vm_alive().await?;
    if once {
        println!("The tour is over.");
        envoy.stop();
        backend.stop();
        return Ok(());
    }
    match Path::new(&file).parent() {
        Some(example) if example.starts_with("examples") => println!(
            "What to try stands in {0}/README.md, the policies in {0}/policy.yaml. Ctrl-C ends it.",
            example.display()
        ),
        _ => println!(
            "Try it yourself, for example:\n\n    \
             curl -i localhost:{TRAFFIC}/reviews/1\n    \
             curl -i localhost:{TRAFFIC}/shop/status/404\n    \
             curl -s localhost:{ADMIN}/stats | grep btp\n\n\
             The policies are in examples/*/policy.yaml. Ctrl-C ends it."
        ),
    }
    tokio::signal::ctrl_c().await?;
    println!();
    Ok(())
}

/// `[--once] [--example NAME]`.
fn arguments() -> Result<(bool, String)> {
    let mut once = false;
    let mut file = "envoy/envoy.yaml".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--once" => once = true,
            "--example" => {
                let name = arguments.next().context("--example needs a name")?;
                file = format!("examples/{name}/envoy.yaml");
                ensure!(
                    btp_tests::repo::path(&file).is_file(),
                    "there is no examples/{name}; there are: {}",
                    examples()?.join(", ")
                );
            }
            other => bail!("{other}: unknown; there are --once and --example NAME"),
        }
    }
    Ok((once, file))
}

fn examples() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(btp_tests::repo::path("examples"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn listen(config: &mut Value) {
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    config["admin"]["address"] = address(ADMIN);
    config["static_resources"]["listeners"][0]["address"] = address(TRAFFIC);
}

async fn visit(envoy: &Envoy, stop: &Stop) -> Result<()> {
    println!("-- {}\n   policy  {}", stop.title, stop.policy);
    println!("   sent    {} {}", stop.method, stop.path);
    let (status, line, elapsed) = if stop.method == "gRPC" {
        let reply = grpc::call(envoy.addr(), stop.path, b"").await?;
        let code = reply.grpc_status.context("no grpc-status")?;
        let message = reply.grpc_message.unwrap_or_default();
        (
            u16::try_from(code)?,
            format!("grpc-status {code}: {message}"),
            reply.elapsed,
        )
    } else {
        let response = h1::send(envoy.addr(), Request::new(stop.method, stop.path)).await?;
        let kind = response.header("content-type").unwrap_or_default();
        let line = format!("{} {kind}: {}", response.status, response.text().trim_end());
        (response.status, line, response.elapsed)
    };
    println!("   got     {line}\n   after   {} ms\n", elapsed.as_millis());
    ensure!(
        status == stop.status,
        "{}: wanted {}",
        stop.title,
        stop.status
    );
    ensure!(
        elapsed >= stop.least_delay,
        "{}: it came too early",
        stop.title
    );
    Ok(())
}
