//! What an exchange consists of, read from Envoy's trace.

use std::collections::{BTreeMap, BTreeSet};

use super::Tally;
use crate::trace::{Step, lines};

/// What an exchange consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Into the VM, including those in which Envoy allocates memory.
    pub(super) entries: Tally,
    pub(super) hostcalls: Tally,
}

/// A thread with a VM.
#[derive(Debug, Default)]
struct Thread {
    /// Callbacks that run, one within the other.
    depth: usize,
    /// The outermost is about the exchange.
    is_ours: bool,
}

/// What a part of a log has of one exchange; `None` if it is not over. There is one at a
/// time. An attempt that an instance behind the router sees has a context of its own, and
/// belongs to it. Timers do not.
pub(super) fn exchange(log: &str) -> Option<Calls> {
    let mut calls = Calls::default();
    let mut threads: BTreeMap<&str, Thread> = BTreeMap::new();
    let mut begun: BTreeSet<&str> = BTreeSet::new();
    let mut open = BTreeSet::new();
    let mut is_over = false;
    for line in lines(log) {
        let thread = threads.entry(line.thread).or_default();
        match line.step {
            Step::Enters(call) => {
                thread.depth += 1;
                let mut arguments = call.arguments();
                let context = arguments.next().unwrap_or_default();
                if thread.depth == 1 {
                    let of_root = arguments.next().is_some_and(|root| root != "0");
                    if call.name == "proxy_on_context_create" && of_root {
                        begun.insert(context);
                        open.insert(context);
                    }
                    thread.is_ours = begun.contains(context);
                    if call.name == "proxy_on_done" {
                        is_over = open.remove(context) && open.is_empty();
                    }
                }
                if thread.is_ours {
                    *calls.entries.entry(call.name.to_owned()).or_default() += 1;
                }
            }
            Step::Leaves(_) => {
                thread.depth = thread.depth.saturating_sub(1);
                if thread.depth == 0 {
                    if thread.is_ours && is_over {
                        return Some(calls);
                    }
                    thread.is_ours = false;
                }
            }
            Step::Calls(call) if thread.is_ours => {
                *calls.hostcalls.entry(call.name.to_owned()).or_default() += 1;
            }
            Step::Calls(_) | Step::Answers(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as Envoy writes them, of a worker but for those that begin with `main `.
    fn log(calls: &[&str]) -> String {
        let line = |call: &&str| {
            let (thread, call) = match call.strip_prefix("main ") {
                Some(call) => (11, call),
                None => (12, *call),
            };
            format!(
                "[2026-11-29 10:54:51.865][{thread}][trace][wasm] \
                 [source/extensions/common/wasm/wasm_vm.cc:39] {call}\n"
            )
        };
        calls.iter().map(line).collect()
    }

    fn tally(counts: &[(&str, u64)]) -> Tally {
        let owned = |(name, count): &(&str, u64)| ((*name).to_owned(), *count);
        counts.iter().map(owned).collect()
    }

    #[test]
    fn an_exchange_is_all_that_its_contexts_do_and_nothing_else() {
        let lines = [
            // What is left of the one before.
            "[vm<-host] env.proxy_set_buffer_bytes return: 0",
            "[host<-vm] proxy_on_response_body return: 0",
            "[host->vm] proxy_on_done(6)",
            "[host<-vm] proxy_on_done return: 1",
            "[host->vm] proxy_on_context_create(7, 3)",
            "[host<-vm] proxy_on_context_create return: void",
            "[host->vm] proxy_on_request_headers(7, 6, 1)",
            "main [host->vm] proxy_on_tick(3)",
            "[vm->host] env.proxy_get_property(1065589, 14, 1047336, 1047340)",
            "main [vm->host] env.proxy_get_shared_data(1, 2)",
            "[host->vm] proxy_on_memory_allocate(7)",
            "main [host<-vm] proxy_on_tick return: void",
            "[host<-vm] proxy_on_memory_allocate return: 1220640",
            "[vm<-host] env.proxy_get_property return: 0",
            "[host<-vm] proxy_on_request_headers return: 0",
            // An attempt.
            "[host->vm] proxy_on_context_create(8, 4)",
            "[host<-vm] proxy_on_context_create return: void",
            "[host->vm] proxy_on_done(8)",
            "[host<-vm] proxy_on_done return: 1",
            // Of the worker, between two callbacks.
            "[host->vm] proxy_on_tick(3)",
            "[vm->host] wasi_snapshot_preview1.clock_time_get(1, 1, 1046312)",
            "[vm<-host] wasi_snapshot_preview1.clock_time_get return: 0",
            "[host<-vm] proxy_on_tick return: void",
            "[host->vm] proxy_on_done(7)",
            "[vm->host] wasi_snapshot_preview1.clock_time_get(1, 1, 1046312)",
            "[vm<-host] wasi_snapshot_preview1.clock_time_get return: 0",
            "[host<-vm] proxy_on_done return: 1",
        ];
        let entries = [
            ("proxy_on_context_create", 2),
            ("proxy_on_done", 2),
            ("proxy_on_memory_allocate", 1),
            ("proxy_on_request_headers", 1),
        ];
        let hostcalls = [("clock_time_get", 1), ("proxy_get_property", 1)];
        let expected = Calls {
            entries: tally(&entries),
            hostcalls: tally(&hostcalls),
        };
        assert_eq!(exchange(&log(&lines)), Some(expected));
        // Whatever is missing at the end, it is not over.
        for count in 0..lines.len() {
            assert_eq!(exchange(&log(&lines[..count])), None, "{count}");
        }
    }
}
