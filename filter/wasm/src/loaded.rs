//! A configuration, read and compiled: what all exchanges under it share in
//! this VM, whichever of Envoy's contexts they belong to.

use std::cell::RefCell;
use std::time::Instant;

use btp_engine::update::{Obstacle, Role};
use btp_engine::{
    Accounts, Build, CellKind, CellNames, MemoryQuota, Plan, Severity, Worker, announce,
    announce_plan,
};
use btp_policy::problem::in_one_line;
use btp_policy::{PluginConfig, Position};

use crate::held_body::Visibility;
use crate::metrics::{self, Metrics};
use crate::random::Random;
use crate::shared_data;
use crate::vm::process::Process;

thread_local! {
    /// The memory for values of requests, under whatever configuration.
    static QUOTA: MemoryQuota = MemoryQuota::default();
}

pub(crate) struct Loaded {
    pub(crate) plan: Plan,
    /// Those of the plan's cells in Envoy's shared data.
    pub(crate) keys: CellNames,
    pub(crate) metrics: Metrics,
    pub(crate) random: Random,
    pub(crate) worker: RefCell<Worker>,
    pub(crate) held_bodies: Visibility,
    pub(crate) position: Position,
}

/// What the log says of this build.
const BUILD: Build = Build {
    kind: "wasm",
    commit: option_env!("BTP_COMMIT"),
};

/// The most problems that one log line names.
const MOST_PROBLEMS: usize = 20;

impl Loaded {
    /// Reads and compiles a configuration. The canary says what there is to
    /// say of it, and checks what holds for the whole process.
    pub(crate) fn load(text: &[u8], role: Role) -> Result<Self, Obstacle> {
        let start = Instant::now();
        let parsed = PluginConfig::parse(text);
        let config =
            parsed.map_err(|problems| Obstacle::Wrong(in_one_line(&problems, MOST_PROBLEMS)))?;
        let random = Random::seeded()
            .map_err(|error| Obstacle::Lack(format!("no entropy available: {error}")))?;
        let is_canary = role == Role::Canary;
        if is_canary {
            announce(&config, text, BUILD, log);
        }
        let position = config.position;
        let plan = Plan::compile(config);
        if is_canary {
            let tested = plan.budgets().try_for_each(metrics::self_test);
            tested.map_err(Obstacle::Lack)?;
            announce_plan(&plan, start.elapsed().as_millis(), log);
        }
        let keys = btp_formats::keys(plan.cells());
        for kind in CellKind::ALL {
            for key in keys.of(kind).iter() {
                shared_data::create(&key).map_err(Obstacle::Lack)?;
            }
        }
        let metrics = Metrics::new(&plan);
        if is_canary {
            metrics.show_all();
            for budget in plan.whole_budgets() {
                Process.account(budget);
            }
        }
        Ok(Self {
            metrics,
            worker: RefCell::new(Worker::new(&plan).with_quota(&QUOTA.with(MemoryQuota::clone))),
            held_bodies: Visibility::default(),
            plan,
            keys,
            random,
            position,
        })
    }
}

fn log(severity: Severity, line: &str) {
    match severity {
        Severity::Information => log::info!("{line}"),
        Severity::Warning => log::warn!("{line}"),
    }
}
