//! A run that is killed leaves files that serve, whatever they were and were
//! to be, and the next one ends it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::{
    CDS, Eager, Files, LDS, RDS, clusters, disk_full, files, kind, listener, plan, routes,
};
use crate::deliver::Run;
use crate::deliver::file::File;
use crate::output::Output;

/// A state of the files: clusters, and what routes and a listener send to.
const STATES: [(&str, &str, &str); 7] = [
    ("a", "a", ""),
    ("a b", "a b", "a"),
    ("b", "b", "b"),
    ("a=1 c", "a c", ""),
    ("c b a", "c", "b"),
    ("a", "a", "a"),
    ("b=2 c", "b", "c"),
];

fn state((cds, rds, lds): (&str, &str, &str)) -> Files {
    files([
        (CDS, clusters(cds)),
        (RDS, routes(rds)),
        (LDS, listener(&format!("to: [{}]", lds.replace(' ', ", ")))),
    ])
}

/// Everything that routes and the listener send to is there.
fn assert_serves(files: &Files, when: &str) {
    let all: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    let read = |name: &str| File::of_texts(kind(name), name, None, &files[name]);
    let there: BTreeSet<String> = read(CDS).resource_names().map(str::to_owned).collect();
    for name in [RDS, LDS] {
        let named = read(name).named_after(&all);
        assert!(
            named.is_subset(&there),
            "{when}: {name} names {named:?} of {there:?}"
        );
    }
}

#[test]
fn a_run_that_is_killed_anywhere_leaves_files_that_serve_and_the_next_ends_it() {
    let mut kills = 0;
    for from in STATES {
        for to in STATES {
            for next in [to, STATES[0], STATES[2], STATES[6]] {
                for writes in 0..5 {
                    kills += usize::from(kill(&state(from), &state(to), &state(next), writes));
                }
            }
        }
    }
    assert!(kills > 300, "only {kills} runs were killed");
}

/// Kills a run after so many writes and has another go on; whether there was
/// something to kill.
fn kill(from: &Files, to: &Files, next: &Files, writes: usize) -> bool {
    let there = RefCell::new(from.clone());
    let left = Cell::new(writes);
    let writer = |outputs: &[Output]| {
        for output in outputs {
            if left.get() == 0 {
                return Err(disk_full());
            }
            left.set(left.get() - 1);
            let name = output
                .path
                .to_str()
                .and_then(|it| [CDS, RDS, LDS].into_iter().find(|name| *name == it));
            let mut there = there.borrow_mut();
            there.insert(name.expect("is known"), output.text.clone());
            assert_serves(
                &there,
                &format!("{from:?} to {to:?}, {left:?} of {writes} left"),
            );
        }
        Ok(())
    };
    let first = plan(from, to);
    let killed = Run::new(&first, &writer).phases(&mut Eager::default());
    left.set(usize::MAX);
    let between = there.borrow().clone();
    let second = plan(&between, next);
    let done = Run::new(&second, &writer).phases(&mut Eager::default());
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(*there.borrow(), *next);
    killed.is_err()
}
