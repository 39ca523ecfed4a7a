//! What instances of a filter do for an exchange, read from Envoy's trace.

use std::collections::BTreeMap;

use super::hostcalls;
use crate::trace::{self, Call, Line, Step};
use anyhow::{Context, Result, bail};

/// An instance of the filter: a plugin's configuration in its place.
#[derive(Debug)]
pub struct Instance {
    /// What it does for most exchanges.
    pub usual: Exchange,
    /// For how many of how many.
    pub share: (usize, usize),
}

/// All callbacks of one exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange(pub Vec<Entry>);

/// One callback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Without `proxy_on_`.
    pub callback: String,
    /// In their order.
    pub hostcalls: Vec<Hostcall>,
    /// What it returns.
    pub result: String,
}

/// One hostcall, without what differs from one time to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hostcall {
    /// Without `proxy_`.
    pub name: String,
    /// The arguments that select the result.
    pub arguments: Vec<i64>,
    /// The bytes for which Envoy has asked the VM meanwhile.
    pub allocated: Vec<i64>,
    /// What Envoy returns.
    pub status: String,
}

/// Reads line by line.
#[derive(Default)]
struct Reader<'a> {
    /// How many callbacks run, one within the other, and whose the outermost is.
    threads: BTreeMap<&'a str, (usize, &'a str)>,
    /// Exchanges, with the instance, by thread and number.
    running: BTreeMap<(&'a str, &'a str), (&'a str, Exchange)>,
    /// Instances in the order in which they were first seen.
    instances: Vec<(&'a str, Vec<Exchange>)>,
}

const ALLOCATE: &str = "proxy_on_memory_allocate";
const CREATE: &str = "proxy_on_context_create";

/// The instances in a part of a log, in the order in which a request meets them. What was
/// not there from beginning to end is left out.
pub fn instances(log: &str) -> Result<Vec<Instance>> {
    let mut reader = Reader::default();
    for line in trace::lines(log) {
        reader.read(line)?;
    }
    let instances = reader.instances.into_iter();
    let instances = instances.map(|(_, exchanges)| Instance::of(exchanges));
    instances
        .collect::<Option<_>>()
        .context("no exchange in the trace")
}

impl Instance {
    fn of(exchanges: Vec<Exchange>) -> Option<Self> {
        let all = exchanges.len();
        let mut times: BTreeMap<Exchange, usize> = BTreeMap::new();
        for exchange in exchanges {
            *times.entry(exchange).or_default() += 1;
        }
        let (usual, most) = times.into_iter().max_by_key(|(_, times)| *times)?;
        Some(Self {
            usual,
            share: (most, all),
        })
    }
}

impl Exchange {
    /// How many there are.
    pub fn hostcalls(&self) -> usize {
        self.0.iter().map(|entry| entry.hostcalls.len()).sum()
    }
}

impl<'a> Reader<'a> {
    fn read(&mut self, line: Line<'a>) -> Result<()> {
        match line.step {
            Step::Enters(call) => self.enter(line.thread, call)?,
            Step::Leaves(result) => self.leave(line.thread, result),
            Step::Calls(call) => {
                if let Some(entry) = self.entry(line.thread) {
                    entry.hostcalls.push(Hostcall::read(call)?);
                }
            }
            Step::Answers(status) => {
                let entry = self.entry(line.thread);
                if let Some(hostcall) = entry.and_then(|it| it.hostcalls.last_mut()) {
                    status.clone_into(&mut hostcall.status);
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, thread: &'a str, call: Call<'a>) -> Result<()> {
        let mut arguments = call.arguments();
        let first = arguments.next().unwrap_or_default();
        let (depth, context) = self.threads.entry(thread).or_default();
        *depth += 1;
        if *depth > 1 {
            let entry = self.entry(thread);
            let Some(hostcall) = entry.and_then(|it| it.hostcalls.last_mut()) else {
                return Ok(());
            };
            if call.name != ALLOCATE {
                bail!(
                    "{} within {}: no replay does that",
                    call.name,
                    hostcall.name
                );
            }
            hostcall.allocated.push(first.parse()?);
            return Ok(());
        }
        *context = first;
        let root = arguments.next().unwrap_or_default();
        if call.name == CREATE && root != "0" {
            if self.instances.iter().all(|(known, _)| *known != root) {
                self.instances.push((root, Vec::new()));
            }
            let exchange = Exchange::default();
            self.running.insert((thread, first), (root, exchange));
        }
        if let Some((_, exchange)) = self.running.get_mut(&(thread, first)) {
            exchange.0.push(Entry {
                callback: call.name.trim_start_matches("proxy_on_").to_owned(),
                hostcalls: Vec::new(),
                result: String::new(),
            });
        }
        Ok(())
    }

    fn leave(&mut self, thread: &'a str, result: &str) {
        let (depth, context) = self.threads.entry(thread).or_default();
        *depth = depth.saturating_sub(1);
        if *depth > 0 {
            return;
        }
        let key = (thread, *context);
        let Some(entry) = self.entry(thread) else {
            return;
        };
        result.clone_into(&mut entry.result);
        if entry.callback == "done"
            && let Some((root, exchange)) = self.running.remove(&key)
        {
            let ended = self.instances.iter_mut().find(|(known, _)| *known == root);
            ended
                .into_iter()
                .for_each(|(_, all)| all.push(exchange.clone()));
        }
    }

    /// The callback that runs, if it is of an exchange.
    fn entry(&mut self, thread: &'a str) -> Option<&mut Entry> {
        let (_, context) = self.threads.get(thread)?;
        let (_, exchange) = self.running.get_mut(&(thread, *context))?;
        exchange.0.last_mut()
    }
}

impl Hostcall {
    fn read(call: Call<'_>) -> Result<Self> {
        Ok(Self {
            name: call.name.trim_start_matches("proxy_").to_owned(),
            arguments: hostcalls::arguments(call)?,
            allocated: Vec::new(),
            status: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two instances (under the plugins 3 and 4) and two exchanges at the same time; one
    /// of the first instance does more than the other two.
    const CALLS: [&str; 37] = [
        // Begun before the log.
        "[host->vm] proxy_on_done(6)",
        "[vm->host] wasi_snapshot_preview1.clock_time_get(1, 1, 1046312)",
        "[vm<-host] wasi_snapshot_preview1.clock_time_get return: 0",
        "[host<-vm] proxy_on_done return: 1",
        "[host->vm] proxy_on_context_create(7, 3)",
        "[host<-vm] proxy_on_context_create return: void",
        "[host->vm] proxy_on_context_create(8, 3)",
        "[host<-vm] proxy_on_context_create return: void",
        "[host->vm] proxy_on_request_headers(7, 6, 1)",
        "[vm->host] env.proxy_get_property(1065589, 14, 1047336, 1047340)",
        "[host->vm] proxy_on_memory_allocate(7)",
        "[host<-vm] proxy_on_memory_allocate return: 1220640",
        "[vm<-host] env.proxy_get_property return: 0",
        "[host<-vm] proxy_on_request_headers return: 0",
        "[host->vm] proxy_on_context_create(9, 4)",
        "[host<-vm] proxy_on_context_create return: void",
        "[host->vm] proxy_on_done(9)",
        "[host<-vm] proxy_on_done return: 1",
        "[host->vm] proxy_on_done(7)",
        "[host<-vm] proxy_on_done return: 1",
        // Of the worker.
        "[host->vm] proxy_on_tick(3)",
        "[vm->host] env.proxy_set_tick_period_milliseconds(0)",
        "[vm<-host] env.proxy_set_tick_period_milliseconds return: 0",
        "[host<-vm] proxy_on_tick return: void",
        "[host->vm] proxy_on_done(8)",
        "[vm->host] env.proxy_increment_metric(20, 18446744073709551615)",
        "[vm<-host] env.proxy_increment_metric return: 2",
        "[host<-vm] proxy_on_done return: 1",
        "[host->vm] proxy_on_context_create(10, 3)",
        "[host<-vm] proxy_on_context_create return: void",
        "[host->vm] proxy_on_done(10)",
        "[vm->host] env.proxy_increment_metric(24, 18446744073709551615)",
        "[vm<-host] env.proxy_increment_metric return: 2",
        "[host<-vm] proxy_on_done return: 1",
        // Not over yet.
        "[host->vm] proxy_on_context_create(11, 5)",
        "[host<-vm] proxy_on_context_create return: void",
        "[host->vm] proxy_on_done(11)",
    ];

    fn log(calls: &[&str]) -> String {
        let head = "[2026-11-29 10:54:51.865][12][trace][wasm] [source/wasm_vm.cc:39]";
        let lines = calls.iter().map(|call| format!("{head} {call}\n"));
        lines.collect()
    }

    fn entry(callback: &str, hostcalls: Vec<Hostcall>, result: &str) -> Entry {
        Entry {
            callback: callback.to_owned(),
            hostcalls,
            result: result.to_owned(),
        }
    }

    fn hostcall(name: &str, arguments: &[i64], allocated: &[i64], status: &str) -> Hostcall {
        Hostcall {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            allocated: allocated.to_owned(),
            status: status.to_owned(),
        }
    }

    #[test]
    fn each_instance_has_what_it_does_for_most_exchanges() {
        let found = instances(&log(&CALLS[..34])).unwrap();
        let [first, second] = &found[..] else {
            panic!("{found:#?}");
        };
        assert_eq!((first.share, second.share), ((2, 3), (1, 1)));
        // The kind of a metric counts, and not which it is.
        let counted = hostcall("increment_metric", &[0, -1], &[], "2");
        let expected = [
            entry("context_create", vec![], "void"),
            entry("done", vec![counted], "1"),
        ];
        assert_eq!(first.usual.0, expected);
        assert_eq!(first.usual.hostcalls(), 1);
        let expected = [
            entry("context_create", vec![], "void"),
            entry("done", vec![], "1"),
        ];
        assert_eq!(second.usual.0, expected);
    }

    #[test]
    fn what_envoy_asks_for_meanwhile_belongs_to_the_hostcall() {
        let alone = [&CALLS[4..6], &CALLS[8..14], &CALLS[18..20]].concat();
        let found = instances(&log(&alone)).unwrap();
        let asked = hostcall("get_property", &[14], &[7], "0");
        let expected = [
            entry("context_create", vec![], "void"),
            entry("request_headers", vec![asked], "0"),
            entry("done", vec![], "1"),
        ];
        assert_eq!(found[0].usual.0, expected);
    }

    #[test]
    fn an_instance_without_a_whole_exchange_is_no_instance() {
        assert!(instances(&log(&CALLS)).is_err());
        assert!(instances("").unwrap().is_empty());
    }

    #[test]
    fn other_hostcalls_are_named() {
        let calls = [
            "[host->vm] proxy_on_context_create(7, 3)",
            "[vm->host] env.proxy_continue_stream(0)",
        ];
        let error = instances(&log(&calls)).unwrap_err();
        assert!(
            error.to_string().contains("proxy_continue_stream"),
            "{error}"
        );
    }
}
