//! The profile `observe`, where the images of Prometheus and Grafana can be had: they have
//! read what they are given, and the demo's numbers arrive.

use anyhow::Result;

use super::{Stack, get, wait_until};
use crate::sh;

const PROFILE: &str = "observe";

/// Brings both up beside what is up already, tests them, and stops them.
pub(super) fn test(stack: &Stack<'_>) -> Result<()> {
    if sh::run(&mut stack.profile(PROFILE, &["up", "--no-start"])).is_err() {
        println!("compose test: Prometheus and Grafana are skipped, their images cannot be had");
        return Ok(());
    }
    sh::run(&mut stack.profile(PROFILE, &["up", "--detach"]))?;
    let (prometheus, grafana) = (stack.observe.prometheus, stack.observe.grafana);
    let says = |port, path: &str, text: &str| get(port, path).is_some_and(|it| it.contains(text));
    wait_until("Prometheus has the rules and scrapes the demo", || {
        let query = "/api/v1/query?query=sum(btp%3Aworkers_without_policies)";
        says(prometheus, query, "\"0\"]")
    })?;
    wait_until("Prometheus has the alerts", || {
        says(prometheus, "/api/v1/rules?type=alert", "BtpMachinesGone")
    })?;
    wait_until("Grafana has the dashboard", || {
        says(grafana, "/api/dashboards/uid/btp", "Policies are off")
    })?;
    wait_until("Grafana's data source answers", || {
        let path = "/api/datasources/proxy/uid/btp-prometheus/api/v1/query?query=up";
        says(grafana, path, "\"1\"]")
    })?;
    sh::run(&mut stack.profile(
        PROFILE,
        &["stop", "--timeout", "2", "prometheus", "grafana"],
    ))
}
