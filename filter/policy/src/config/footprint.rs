//! A bound on the memory that a configuration takes while it is loaded. It depends on the
//! document alone, so every program judges alike.
//!
//! A worker holds the current configuration and, for a while, the text and the tree of the
//! next one and the result of compiling it. WebAssembly memory ends at 1 GiB in Envoy, and
//! running out of it is a trap, so a configuration that is too large is refused in time.

use std::collections::BTreeSet;

use super::config_maps::ConfigMaps;
use crate::code::Code;
use crate::node::{Node, Value};
use crate::policy::Policy;
use crate::problem::Problem;
use crate::read::Object;
use crate::spec::{DelayLength, OverrideRule};

/// Bytes, at most, in a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The document, as text and as tree; it goes when it has been read.
    pub document: usize,
    /// What stays: policies with their tables.
    pub policies: usize,
}

/// Bytes of a value and its place in a list. Lists have spare room.
const VALUE: usize = 48;
/// Bytes of a key, beside its text.
const KEY: usize = 40;
/// Bytes of a percent sign, which may begin a command operator.
const PERCENT: usize = 24;
/// Bytes of an empty policy.
const POLICY: usize = 1536;
/// Bytes of policies for each byte of the tree: the policy as read, and the compiled one.
const GROWTH: usize = 2;
/// Bytes of a distribution's table.
const TABLE: usize = 16_500;
/// The most distributions that differ: each table takes a millisecond.
const MOST_TABLES: usize = 1_000;

impl Footprint {
    /// Both together: what is needed beside the configuration in force.
    #[must_use]
    pub fn total(self) -> usize {
        self.document.saturating_add(self.policies)
    }

    /// What it takes to merge `policies` with the one at `parent`, and to give
    /// them their bodies, beside `regexes` bytes. None of that has been done
    /// yet: a short document can make much of it.
    pub(super) fn of(
        config: &Object<'_>,
        policies: &[Policy],
        parent: Option<usize>,
        config_maps: &ConfigMaps,
        regexes: usize,
    ) -> Self {
        let list = config.get("policies").map(|at| &at.node.value);
        let own = |index: usize| {
            let node = match list {
                Some(Value::List(nodes)) => nodes.get(index).map_or(0, weight),
                _ => 0,
            };
            let rules = policies.get(index).map(|it| &it.spec.response_override);
            let bodies = rules.into_iter().flatten().flat_map(OverrideRule::sources);
            let bodies = bodies.map(|name| config_maps.length(name));
            let bodies = bodies.fold(0, usize::saturating_add);
            node.saturating_add(bodies).saturating_mul(GROWTH)
        };
        let inherited = parent.map_or(0, own);
        let mut all = regexes;
        for (index, policy) in policies.iter().enumerate() {
            let merges = policy.merge.is_some();
            let above = if merges { inherited } else { 0 };
            let bytes = own(index).saturating_add(above).saturating_add(POLICY);
            all = all.saturating_add(bytes);
        }
        Self {
            document: weight(config.at().node),
            policies: all,
        }
    }

    /// Adds the tables of distributions.
    ///
    /// # Errors
    /// There are too many: a predicate whose subject is the policies.
    pub(super) fn add_tables(&mut self, policies: &[Policy]) -> Result<(), (Code, String)> {
        let faults = policies
            .iter()
            .filter_map(|it| it.spec.fault_injection.as_ref());
        let lengths = faults.filter_map(|fault| Some(&fault.delay.as_ref()?.length));
        // One by one: to collect them would sort them first, at 3 KiB of code.
        let mut tables = BTreeSet::new();
        tables.extend(lengths.filter_map(|length| match length {
            DelayLength::Drawn(distribution) => Some(distribution.identity()),
            DelayLength::Fixed(_) => None,
        }));
        let count = tables.len();
        self.policies = self.policies.saturating_add(count.saturating_mul(TABLE));
        if count <= MOST_TABLES {
            return Ok(());
        }
        let reason = format!(
            "have {count} different delay distributions; at most {MOST_TABLES} are \
                allowed"
        );
        Err((Code::TooManyDistributions, reason))
    }

    /// # Errors
    /// It is more than `most` bytes: a predicate whose subject is the policies.
    pub(super) fn check(self, most: usize) -> Result<(), (Code, String)> {
        const MIB: usize = 1 << 20;
        if self.total() <= most {
            return Ok(());
        }
        let (bytes, most) = (self.total().div_ceil(MIB), most / MIB);
        let reason = format!(
            "take {bytes} MiB of a worker's memory while loading, and limits.configurationBytes \
             is {most} MiB; leave out policies that this instance does not need, or raise the \
             limit"
        );
        Err((Code::TooMuchMemory, reason))
    }
}

/// Refuses a text of more values than a worker could hold, before there is a
/// tree of them.
///
/// # Errors
/// It is such a text. Commas within its strings count, too.
pub(super) fn check_text(text: &[u8]) -> Result<(), Problem> {
    const MOST: usize = (768 << 20) / VALUE;
    let begins_value = |byte: &&u8| matches!(byte, b'[' | b'{' | b',');
    let values = text.iter().filter(begins_value).count();
    if values <= MOST {
        return Ok(());
    }
    let reason = format!("has {values} values; a worker can hold at most {MOST}");
    Err(Problem::new("", Code::TooManyValues, reason))
}

/// Bytes that a tree takes.
fn weight(node: &Node) -> usize {
    let below = match &node.value {
        Value::String(text) => {
            let percents = text.bytes().filter(|byte| *byte == b'%').count();
            text.len().saturating_add(percents.saturating_mul(PERCENT))
        }
        Value::List(items) => items.iter().map(weight).fold(0, usize::saturating_add),
        Value::Map(entries) => entries
            .iter()
            .map(|it| {
                weight(&it.node)
                    .saturating_add(it.key.len())
                    .saturating_add(KEY)
            })
            .fold(0, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    };
    below.saturating_add(VALUE)
}
