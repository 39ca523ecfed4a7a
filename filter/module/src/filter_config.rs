//! A configuration in force, read and compiled once for all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use btp_engine::{LogThrottle, Plan, Severity, announce, announce_plan};
use btp_policy::problem::in_one_line;
use btp_policy::{HeldHeaders, PluginConfig};

use crate::abi::{Config, Level, log, on_panic};
use crate::in_force::{self, InForce};
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::shared_state::{self, PlanCells};
use crate::version::BUILD;

/// What all exchanges under one configuration share.
#[derive(Debug)]
pub(crate) struct FilterConfig {
    /// No other configuration of the process has or had it; an address may come again.
    pub(crate) number: u64,
    pub(crate) plan: Plan,
    pub(crate) prints_start_time: bool,
    pub(crate) cells: PlanCells,
    pub(crate) metrics: Metrics,
    pub(crate) metadata: Metadata,
    /// Lets through what the log says of routes' metadata.
    pub(crate) route_hints: LogThrottle,
    /// `None`: Envoy has no scheduler to give, and nothing is shown.
    _in_force: Option<InForce>,
}

/// Configurations so far.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What `filter_name` must be.
const NAME: &str = "backend_traffic_policy";

/// The most problems that one log line names.
const MOST_PROBLEMS: usize = 20;

impl FilterConfig {
    /// Reads and compiles a configuration. If that cannot be, says why in the log, as
    /// Envoy's own message does not.
    pub(crate) fn load(config: &mut Config<'_>, filter: &[u8], text: &[u8]) -> Option<Self> {
        let start = Instant::now();
        let parsed = if filter == NAME.as_bytes() {
            PluginConfig::parse_with(text, HeldHeaders::Always)
                .map_err(|problems| in_one_line(&problems, MOST_PROBLEMS))
        } else {
            let name = String::from_utf8_lossy(filter);
            Err(format!("filter_name is \"{name}\", it must be \"{NAME}\""))
        };
        let refused = |reason| log(Level::Error, &format!("configuration refused: {reason}"));
        let parsed = parsed.map_err(refused).ok()?;
        announce(&parsed, text, BUILD, log_line);
        let plan = Plan::compile(parsed);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        on_panic(in_force::call_soon);
        let is_at_listener = !plan.is_upstream();
        let in_force = config.scheduler();
        let in_force = in_force.map(|it| InForce::new(number, is_at_listener, it));
        if in_force.is_none() {
            log(
                Level::Error,
                "metrics cannot be exported: there is no scheduler",
            );
        }
        for budget in plan.whole_budgets() {
            shared_state::account(budget);
        }
        let loaded = Self {
            number,
            _in_force: in_force,
            cells: PlanCells::new(plan.cells()),
            metrics: Metrics::new(&plan, config),
            metadata: Metadata::default(),
            route_hints: LogThrottle::default(),
            prints_start_time: plan.prints_start_time(),
            plan,
        };
        announce_plan(&loaded.plan, start.elapsed().as_millis(), log_line);
        Some(loaded)
    }

    /// Whether panics are counted under this configuration's metrics.
    pub(crate) fn shows_panics(&self) -> bool {
        !self.plan.is_upstream() || !in_force::is_any_at_a_listener()
    }
}

fn log_line(severity: Severity, line: &str) {
    let level = match severity {
        Severity::Information => Level::Info,
        Severity::Warning => Level::Warn,
    };
    log(level, line);
}
