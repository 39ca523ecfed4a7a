//! The benchmark still runs: whatever it compares answers as it should, and tables, plots
//! and raw numbers are made of it. What it measures here means nothing.

use std::process::Command;

use anyhow::{Result, ensure};

#[test]
fn whatever_the_benchmark_compares_answers_as_it_should() -> Result<()> {
    runs(&["cpu", "latency"])
}

#[test]
fn instructions_are_counted_in_the_benchmark() -> Result<()> {
    runs(&["instructions"])
}

#[test]
fn many_policies_load_and_are_updated_in_the_benchmark() -> Result<()> {
    runs(&["scale"])
}

fn runs(parts: &[&str]) -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("--smoke")
        .args(parts)
        // It has both builds in one Envoy, and nothing is to take the place of one.
        .env("BTP_BUILD", "wasm")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}
