//! The configurations of the scripted proxy: all capabilities at once, the
//! same with other numbers, hardly anything, and the one behind the router.

use std::sync::OnceLock;

use btp_policy::PluginConfig;

use crate::host::metrics::Series;
use crate::host::shared_state::CellKind;
use crate::plan::Plan;

/// A compiled configuration, and what its numbers mean to all workers.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) plan: Plan,
    pub(super) counters: Vec<usize>,
    pub(super) gauges: Vec<usize>,
    /// What of the counters is judged.
    pub(super) watched: Vec<Watched>,
}

/// Which admitted requests of a rule are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    No,
    Total,
    PerUser,
}

/// The configurations, and the names in all of them together.
#[derive(Debug, Default)]
pub(super) struct Configs {
    pub(super) compiled: Vec<Compiled>,
    pub(super) counters: Vec<String>,
    pub(super) gauges: Vec<String>,
    /// The names of the cells with claims.
    pub(super) quotas: Vec<String>,
}

impl Configs {
    /// Names of quotas and of gauges begin or end in this way: those of the
    /// quotas, and the gauges' places.
    pub(super) fn accounts(
        &self,
        (beginning, ending): (&str, &str),
        gauge: &str,
    ) -> (Vec<String>, Vec<usize>) {
        let quotas = self.quotas.iter();
        let quotas = quotas.filter(|it| it.starts_with(beginning) && it.ends_with(ending));
        let gauges = self.gauges.iter().enumerate();
        let gauges = gauges.filter(|(_, it)| it.ends_with(gauge));
        (
            quotas.cloned().collect(),
            gauges.map(|(place, _)| place).collect(),
        )
    }
}

/// Those that a worker can be given downstream; the next one is for upstream.
pub(super) const DOWNSTREAM: usize = 3;

/// The bounds that both large configurations have in common.
pub(super) const MOST_ACTIVE: u64 = 3;
pub(super) const MOST_BYTES: u64 = 1500;
pub(super) const MOST_FEW: u64 = 3;
/// The part of these that is reserved for the class of the user `u0`.
pub(super) const RESERVED_FEW: u64 = 1;
pub(super) const MOST_MANY: u64 = 192;
pub(super) const MOST_PER_USER: u64 = 2;
/// The rule `total`: tokens, and how long one takes to come back.
pub(super) const TOTAL_BURST: u64 = 12;
pub(super) const TOTAL_INTERVAL_NS: u64 = 100_000_000;
/// The same of the rule `per-user`.
pub(super) const USER_BURST: u64 = 2;
pub(super) const USER_INTERVAL_NS: u64 = 30_000_000_000;

/// `$NAME` is a number that differs between the first two.
const LARGE: &str = include_str!("large.json");

const SMALL: &str = r#"{"policies": [{"metadata": {"name": "rest"}, "spec": {
    "rateLimit": {"local": {"rules": [
        {"name": "few", "shared": true, "concurrency": {"max": 3}}]}}}}],
    "limits": {"distinctKeys": 64, "routes": 2}}"#;

const UPSTREAM: &str = r#"{"position": "Upstream", "accessLog": true, "policies": [{"metadata": {"name": "tries"}, "spec": {
    "faultInjection": {"position": "Upstream", "attempts": [1, 3],
        "delay": {"fixedDelay": "15ms", "percentage": 40},
        "abort": {"httpStatus": 503, "percentage": 30}, "maxActive": 3}}}],
    "limits": {"routes": 2}}"#;

/// All of them, compiled once.
pub(super) fn configs() -> &'static Configs {
    static CONFIGS: OnceLock<Configs> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let first = [("$DELAY", "20ms"), ("$RATE", "50"), ("$STATUS", "503")];
        let second = [("$DELAY", "35ms"), ("$RATE", "5"), ("$STATUS", "500")];
        let large = |numbers: [(&str, &str); 3]| {
            let text = LARGE.to_owned();
            numbers
                .iter()
                .fold(text, |text, (name, number)| text.replace(name, number))
        };
        let texts = [large(first), large(second), SMALL.into(), UPSTREAM.into()];
        let mut configs = Configs::default();
        for text in texts {
            configs.add(&text);
        }
        configs
    })
}

impl Configs {
    fn add(&mut self, text: &str) {
        let config = PluginConfig::parse(text.as_bytes());
        assert!(config.is_ok(), "{config:?}");
        let Ok(config) = config else {
            return;
        };
        let plan = Plan::compile(config);
        let watched = plan
            .counters()
            .iter()
            .map(|series| match series.to_string().as_str() {
                "btp.default.reserve.rate_limit.total.admitted" => Watched::Total,
                "btp.default.all.rate_limit.per-user.admitted" => Watched::PerUser,
                _ => Watched::No,
            });
        for kind in [CellKind::Quota, CellKind::SharedQuota] {
            numbered(plan.cells().of(kind).iter(), &mut self.quotas);
        }
        self.compiled.push(Compiled {
            watched: watched.collect(),
            counters: numbered(
                plan.counters().iter().map(Series::to_string),
                &mut self.counters,
            ),
            gauges: numbered(
                plan.gauges().iter().map(Series::to_string),
                &mut self.gauges,
            ),
            plan,
        });
    }
}

/// The places of these names among all, at whose end the new ones come.
fn numbered(names: impl Iterator<Item: AsRef<str>>, all: &mut Vec<String>) -> Vec<usize> {
    let place = |name| {
        let name = AsRef::<str>::as_ref(&name);
        let found = all.iter().position(|other| other == name);
        found.unwrap_or_else(|| {
            all.push(name.to_owned());
            all.len() - 1
        })
    };
    names.map(place).collect()
}
