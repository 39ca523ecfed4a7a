//! Any bytes as a script of events against all capabilities at once:
//! whatever happens in whatever order, all accounts are zero in the end.

#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use btp_engine::testing::play;
use libfuzzer_sys::fuzz_target;

static SCRIPTS: AtomicU64 = AtomicU64::new(0);
static EVENTS: AtomicU64 = AtomicU64::new(0);
/// libFuzzer counts scripts only; so often is said how many events they were.
const SAID_EVERY: u64 = 10_000;

fuzz_target!(|script: &[u8]| {
    let played = play(script);
    let events = EVENTS.fetch_add(played.events, Ordering::Relaxed) + played.events;
    let scripts = SCRIPTS.fetch_add(1, Ordering::Relaxed) + 1;
    if scripts.is_multiple_of(SAID_EVERY) {
        println!("scripts: {scripts} events: {events}");
    }
});
