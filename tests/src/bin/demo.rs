//! The demo: a real Envoy with the filter, a backend, a tour of what the
//! policies do, and then time to try things by hand.
//!
//! `cargo xtask demo` runs this; nothing is needed but an Envoy binary, which
//! plays the backend as well. However it ends, both Envoys end with it.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use btp_tests::build::Build;
use btp_tests::client::{grpc, h1};
use btp_tests::demo::Ports;
use btp_tests::{Bootstrap, Envoy, Request};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// The first argument with which this program becomes another one.
const UNTIL_PARENT_ENDS: &str = "--until-parent-ends";

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

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == UNTIL_PARENT_ENDS)
    {
        return until_parent_ends(arguments);
    }
    let (once, file) = arguments_of_people()?;
    let runtime = tokio::runtime::Runtime::new()?;
    // On this thread, which lives as long as the process: Envoys end with it.
    runtime.block_on(async {
        let mut signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        let [interrupt, terminate, hang_up] = &mut signals;
        // What is dropped with the demo ends with it, both Envoys included.
        tokio::select! {
            result = demo(once, &file) => result,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = hang_up.recv() => Ok(()),
        }
    })?;
    println!();
    Ok(())
}

/// The tour, and then an Envoy to try until somebody ends this.
async fn demo(once: bool, file: &str) -> Result<()> {
    let ports = Ports::from_env()?;
    let upstream = Bootstrap::load("envoy/upstream.yaml")?;
    let backend = Envoy::start_under(guard()?, &upstream).await?;
    let mut bootstrap = Bootstrap::load(file)?.with_concurrency(2);
    bootstrap.redirect_host("upstream", backend.addr())?;
    if !once {
        // People type these ports; the tour alone takes any.
        bootstrap.edit(|config| listen(config, ports));
    }
    let envoy = Envoy::start_under(guard()?, &bootstrap).await;
    let envoy = envoy.with_context(|| {
        let Ports { traffic, admin } = ports;
        format!(
            "Envoy does not start; is port {traffic} (BTP_PORT) or {admin} (BTP_ADMIN_PORT) taken?"
        )
    })?;
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
    let Ports { traffic, admin } = ports;
    match Path::new(&file).parent() {
        Some(example) if example.starts_with("examples") => println!(
            "What to try stands in {0}/README.md, the policies in {0}/policy.yaml. Ctrl-C ends it.",
            example.display()
        ),
        _ => println!(
            "Try it yourself, for example:\n\n    \
             curl -i localhost:{traffic}/reviews/1\n    \
             curl -i localhost:{traffic}/shop/status/404\n    \
             curl -s localhost:{admin}/stats | grep btp\n\n\
             The policies are in examples/*/policy.yaml. Ctrl-C ends it."
        ),
    }
    if ports != Ports::USUAL {
        println!(
            "READMEs say localhost:{} and localhost:{}: here these are {traffic} and {admin}.",
            Ports::USUAL.traffic,
            Ports::USUAL.admin
        );
    }
    // Nobody reads on while this buffers.
    std::io::stdout().flush()?;
    std::future::pending().await
}

/// This program as one that runs another, which ends when this one does, however that is:
/// a process that is killed ends nobody.
fn guard() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(UNTIL_PARENT_ENDS);
    command.arg(std::process::id().to_string());
    Ok(command)
}

/// Becomes a program that Linux kills when the process that began this one ends.
fn until_parent_ends(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let parent = arguments.next().context("no process to end with")?;
    let program = arguments.next().context("no program")?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let now = getppid().map(|it| it.to_string());
        ensure!(
            now.is_some_and(|it| parent == *it),
            "the demo has ended already"
        );
    }
    #[cfg(not(target_os = "linux"))]
    drop(parent);
    Err(Command::new(program).args(arguments).exec()).context("cannot run Envoy")
}

/// `[--once] [--example NAME]`.
fn arguments_of_people() -> Result<(bool, String)> {
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

fn listen(config: &mut Value, ports: Ports) {
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    config["admin"]["address"] = address(ports.admin);
    let listener = &mut config["static_resources"]["listeners"][0];
    listener["address"] = address(ports.traffic);
    // Or a second demo would get a share of the first one's connections.
    listener["enable_reuse_port"] = false.into();
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
