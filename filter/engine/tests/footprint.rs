//! What a configuration takes is known from its document: never more than its
//! footprint says, counted by an allocator. A footprint is that of a worker,
//! whose pointers are half as long as those of most machines that run this.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;

use btp_engine::Plan;
use btp_policy::PluginConfig;

struct Counting;

// Of each thread: the test's harness has threads of its own.
thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get().wrapping_add(layout.size());
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread has taken may end here.
        NOW.set(NOW.get().wrapping_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Checks peak and rest against the footprint, which must not be 8 times as much
/// either.
#[track_caller]
fn is_bounded(what: &str, text: &str) {
    is_bounded_within(8, what, text);
}

/// Checks them against a footprint that may be somewhat less than so many times
/// too much.
#[track_caller]
fn is_bounded_within(times: usize, what: &str, text: &str) {
    let before = NOW.get();
    PEAK.set(before);
    let config = PluginConfig::parse(text.as_bytes()).unwrap();
    let footprint = config.footprint;
    let plan = Plan::compile(config);
    let peak = PEAK.get() - before;
    let kept = NOW.get() - before;
    drop(plan);
    println!(
        "{what}: text {}, peak {peak} of {}, kept {kept} of {}",
        text.len(),
        footprint.total(),
        footprint.policies
    );
    let longer = size_of::<usize>() / 4;
    let (most, rest) = (longer * footprint.total(), longer * footprint.policies);
    assert!(peak <= most, "{what}: peak {peak}, {footprint:?}");
    assert!(kept <= rest, "{what}: kept {kept}, {footprint:?}");
    assert!(
        footprint.total() < times * peak,
        "{what}: peak {peak}, {footprint:?}"
    );
}

fn policies(count: usize, spec: impl Fn(usize) -> String) -> String {
    let mut text = r#"{"policies":["#.to_owned();
    for index in 0..count {
        let comma = if index > 0 { "," } else { "" };
        write!(
            text,
            r#"{comma}{{"metadata":{{"name":"p{index}"}},"spec":{{"targetRefs":[{{"group":
            "gateway.networking.k8s.io","kind":"HTTPRoute","name":"r{index}"}}]{}}}}}"#,
            spec(index)
        )
        .unwrap();
    }
    text + "]}"
}

/// One test, as the allocator counts for the whole process.
#[test]
fn a_footprint_is_never_too_small() {
    what_is_written_counts();
    what_is_copied_counts_for_each_copy();
}

fn what_is_written_counts() {
    let rule = |index: usize| {
        format!(
            r#"{{"clientSelectors":[{{"headers":[{{"name":"x-a","value":"{index}"}}]}}],
            "limit":{{"requests":1,"unit":"Hour"}},"concurrency":{{"max":9}}}}"#
        )
    };
    let rules: Vec<String> = (0..15).map(rule).collect();
    let body = "x".repeat(20_000);
    is_bounded("empty", &policies(1_000, |_| String::new()));
    is_bounded(
        "faults",
        &policies(1_000, |it| {
            let ms = it + 1;
            format!(
                r#","faultInjection":{{"delay":{{"fixedDelay":"{ms}ms"}},"abort":{{"httpStatus":503}}}}"#
            )
        }),
    );
    is_bounded(
        "buffers",
        &policies(1_000, |it| {
            format!(r#","requestBuffer":{{"limit":{},"mode":"Stream"}}"#, it + 1)
        }),
    );
    is_bounded(
        "rates",
        &policies(300, |_| {
            format!(
                r#","rateLimit":{{"type":"Local","local":{{"rules":[{}]}}}}"#,
                rules.join(",")
            )
        }),
    );
    is_bounded("classes", &of_classes(30));
    is_bounded("clients", &of_clients(20));
    is_bounded(
        "retries",
        &policies(1_000, |_| {
            r#","retry":{"numRetries":2},"retryConstraint":{}"#.to_owned()
        }),
    );
    is_bounded(
        "overrides",
        &policies(100, |_| {
            format!(
                r#","responseOverride":[{{"match":{{"statusCodes":[{{"value":500}}]}},"response":
                {{"contentType":"text/plain","body":{{"type":"Inline","inline":"{body}"}}}}}}]"#
            )
        }),
    );
    is_bounded(
        "operators",
        &policies(50, |_| {
            let operators = "%REQ(x-a)%".repeat(1_000);
            format!(
                r#","responseOverride":[{{"match":{{"statusCodes":[{{"value":500}}]}},"response":
                {{"contentType":"text/plain","body":{{"type":"Inline","inline":"{operators}"}}}}}}]"#
            )
        }),
    );
    is_bounded(
        "distributions",
        &policies(200, |it| {
            let ms = it + 1;
            format!(
                r#","faultInjection":{{"delay":{{"distribution":{{"exponential":{{"mean":"{ms}ms"}}}}}}}}"#
            )
        }),
    );
    is_bounded(
        "regexes",
        &policies(200, |it| {
            format!(
                r#","rateLimit":{{"type":"Local","local":{{"rules":[{{"clientSelectors":[{{"headers":[
                {{"name":"x-a","type":"RegularExpression","value":".*(a{it}|b[a-z]+c).*"}}]}}],
                "limit":{{"requests":1,"unit":"Hour"}}}}]}}}}"#
            )
        }),
    );
}

/// Rules with as many classes as there may be.
fn of_classes(count: usize) -> String {
    let class = |index: usize| {
        format!(r#"{{"name":"{index}","clientSelectors":[{{"path":{{"value":"/{index}"}}}}]}}"#)
    };
    let classes: Vec<String> = (0..8).map(class).collect();
    let classes = classes.join(",");
    let rule = |index: usize| {
        format!(
            r#"{{"clientSelectors":[{{"path":{{"value":"/{index}"}}}}],
            "concurrency":{{"max":9,"classes":[{classes}]}}}}"#
        )
    };
    let rules: Vec<String> = (0..15).map(rule).collect();
    let rules = rules.join(",");
    let spec = format!(r#","rateLimit":{{"type":"Local","local":{{"rules":[{rules}]}}}}"#);
    policies(count, |_| spec.clone())
}

/// Rules whose clients are told apart, as many clients as there may be.
fn of_clients(count: usize) -> String {
    let rule = |name: &str| {
        format!(
            r#"{{"clientSelectors":[{{"headers":[{{"name":"{name}","type":"Distinct"}}]}}],
            "limit":{{"requests":1,"unit":"Hour"}},"concurrency":{{"max":9}}}}"#
        )
    };
    let rules = [rule("x-user"), rule("x-team")].join(",");
    let spec = format!(r#","rateLimit":{{"type":"Local","local":{{"rules":[{rules}]}}}}"#);
    let text = policies(count, |_| spec.clone());
    text.replacen('{', r#"{"limits":{"distinctKeys":1048576},"#, 1)
}

/// What a short document makes much of: a parent's and a ConfigMap's body in
/// each child.
fn what_is_copied_counts_for_each_copy() {
    let child = |text: &str| {
        let parent = format!(
            r#"{{"metadata":{{"name":"g"}},"spec":{{"targetRefs":[{{"group":
            "gateway.networking.k8s.io","kind":"Gateway","name":"g"}}],{text}}}}},"#
        );
        let children = policies(300, |_| r#","mergeType":"StrategicMerge""#.to_owned());
        children.replacen('[', &format!("[{parent}"), 1)
    };
    let body = "x".repeat(20_000);
    let over = |body: &str| {
        format!(
            r#""responseOverride":[{{"match":{{"statusCodes":[{{"value":500}}]}},"response":
            {{"contentType":"text/plain","body":{body}}}}}]"#
        )
    };
    // A text that children inherit as it is they share; it counts for each, as
    // one in which something is printed is copied.
    is_bounded_within(
        9,
        "merged",
        &child(&over(&format!(r#"{{"type":"Inline","inline":"{body}"}}"#))),
    );
    let reference = r#"{"type":"ValueRef","valueRef":{"group":"","kind":"ConfigMap","name":"m"}}"#;
    let map = format!(r#","configMaps":[{{"metadata":{{"name":"m"}},"data":{{"b":"{body}"}}}}]}}"#);
    let text = child(&over(reference));
    let text = format!("{}{map}", text.strip_suffix('}').unwrap());
    is_bounded("filled", &text);
    let bound = text.replacen('{', r#"{"limits":{"configurationBytes":10000000},"#, 1);
    let refused = PluginConfig::parse(bound.as_bytes()).unwrap_err();
    let said = refused[0].to_string();
    assert!(
        said.starts_with("policies: take ")
            && said.contains(
                "MiB of a worker's memory while loading, and \
                limits.configurationBytes is 9 MiB"
            ),
        "{said}"
    );
}
