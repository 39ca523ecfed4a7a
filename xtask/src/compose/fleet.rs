//! The profile `fleet`, where the images of its service and of Redis can be had: what the
//! example's README tries, in the containers that it is about.

use anyhow::Result;

use super::Stack;
use crate::real_envoy::TestEnv;
use crate::sh;

const PROFILE: &str = "fleet";

/// Brings the fleet up beside what is up already, and tests it.
///
/// Variables of docker-compose.yml name other images than those that are published.
pub(super) fn test(stack: &Stack<'_>, test_env: &TestEnv) -> Result<()> {
    if sh::run(&mut stack.profile(PROFILE, &["up", "--no-start"])).is_err() {
        println!("compose test: the fleet is skipped, its images cannot be had");
        return Ok(());
    }
    sh::run(&mut stack.profile(PROFILE, &["up", "--detach"]))?;
    run(stack, test_env, "the_service_answers")?;
    // Their shields are to be as wide as the README says.
    sh::run(&mut stack.profile(
        PROFILE,
        &["restart", "--timeout", "2", "envoy-1", "envoy-2"],
    ))?;
    run(stack, test_env, "the_fleet_counts_together")?;
    sh::run(&mut stack.profile(PROFILE, &["stop", "--timeout", "2", "ratelimit"]))?;
    run(stack, test_env, "the_fleet_does_without_its_service")
}

fn run(stack: &Stack<'_>, test_env: &TestEnv, test: &str) -> Result<()> {
    for envoy in &stack.fleet {
        super::wait_until_ready(envoy.admin)?;
    }
    let [first, second] = &stack.fleet;
    sh::show(
        test_env
            .tests(stack.project)?
            .args(["--test", "compose", "--", "--exact", test])
            .env(
                "BTP_COMPOSE_FLEET",
                format!(
                    "127.0.0.1:{} 127.0.0.1:{} 127.0.0.1:{} 127.0.0.1:{}",
                    first.traffic, first.admin, second.traffic, second.admin
                ),
            ),
    )
}
