//! Scripts of events that a seed makes, as many as requested: the target
//! `exchange` without libFuzzer, and many times as fast. The same scripts as in
//! the engine's test, which plays the first of them.

use std::env;

use btp_engine::testing::{play, random_script};

/// So often it says how far it has come.
const SAID_EVERY: u64 = 10_000;

fn main() {
    let number = |index| env::args().nth(index).and_then(|text| text.parse().ok());
    let (Some(first), Some(count)) = (number(1), number(2)) else {
        eprintln!("usage: seeded FIRST COUNT");
        std::process::exit(2);
    };
    let mut events: u64 = 0;
    for (done, seed) in (1..=count).zip(first..u64::MAX) {
        let played = std::panic::catch_unwind(|| play(&random_script(seed)));
        let Ok(played) = played else {
            eprintln!("seed {seed} has found something: see above");
            std::process::exit(1);
        };
        events += played.events;
        if done.is_multiple_of(SAID_EVERY) || done == count {
            println!("scripts: {done} events: {events}");
        }
    }
}
