//! The demo ends with all its Envoys, however it is ended, and says which port is taken.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::demo::Demo;
use btp_tests::envoy::free_port;
use btp_tests::{Build, repo, wait};

const SOON: Duration = Duration::from_secs(30);

fn demo() -> Command {
    Command::new(env!("CARGO_BIN_EXE_demo"))
}

/// Whether a process runs; one that has ended and that nobody has asked about does not.
fn runs(pid: u32) -> Result<bool> {
    let pid = pid.to_string();
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid])
        .output()?;
    let state = String::from_utf8(output.stdout)?;
    let state = state.trim();
    Ok(!state.is_empty() && !state.starts_with('Z'))
}

async fn ends_with_its_envoys(mut demo: Demo, signal: &str) -> Result<()> {
    ensure!(h1::get(demo.addr(), "/shop/status/200").await?.status == 200);
    let envoys = demo.children()?;
    ensure!(envoys.len() == 2, "{signal}: {envoys:?}");
    let status = demo.end_by(signal).await?;
    ensure!(status.success() != (signal == "KILL"), "{signal}: {status}");
    wait::until_async("both Envoys to end", SOON, async || {
        let left = envoys.iter().filter(|it| runs(**it).unwrap_or(true));
        Ok((left.count() == 0).then_some(()))
    })
    .await?;
    // A process that is ending may have its sockets a moment longer.
    wait::until("both ports to be free", SOON, || {
        let mut addrs = [demo.addr(), demo.admin_addr()].into_iter();
        addrs
            .all(|addr| TcpListener::bind(addr).is_ok())
            .then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_ends_it_with_both_envoys() -> Result<()> {
    for signal in ["INT", "TERM", "HUP"] {
        ends_with_its_envoys(Demo::start(demo()).await?, signal).await?;
    }
    Ok(())
}

/// Nobody can say anything before that.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_killed_takes_its_envoys_along() -> Result<()> {
    ends_with_its_envoys(Demo::start(demo()).await?, "KILL").await
}

/// As people start it: what `cargo xtask` runs is the demo itself, not its parent.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_cargo_xtask_ends_it_with_both_envoys() -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["xtask", "demo", "--build", Build::under_test()?.name()]);
    command.current_dir(repo::path("."));
    ends_with_its_envoys(Demo::start(command).await?, "TERM").await
}

/// Before anything is built.
#[test]
fn a_port_in_use_is_said_at_once() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let free = free_port()?;
    let port = taken.local_addr()?.port().to_string();
    for (variable, other) in [
        ("BTP_PORT", "BTP_ADMIN_PORT"),
        ("BTP_ADMIN_PORT", "BTP_PORT"),
    ] {
        let output = Command::new("cargo")
            .args(["xtask", "demo"])
            .current_dir(repo::path("."))
            .env(variable, &port)
            .env(other, free.to_string())
            .output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(
            !output.status.success() && output.stdout.is_empty(),
            "{said}"
        );
        for text in [format!("port {port} is in use"), format!("{variable}=")] {
            ensure!(said.contains(&text), "{said}");
        }
    }
    Ok(())
}
