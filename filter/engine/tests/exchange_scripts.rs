//! Scripts of events against all capabilities at once: the same scripts in
//! every run. `cargo xtask fuzz exchange` plays as many as one likes.

use btp_engine::testing::{play, random_script};

/// Scripts that are played.
const SCRIPTS: u64 = 100_000;

#[test]
fn whatever_happens_in_whatever_order_all_accounts_are_zero_in_the_end() {
    let mut events = 0;
    for seed in 0..SCRIPTS {
        let script = random_script(seed);
        let played = std::panic::catch_unwind(|| play(&script));
        let played = played.unwrap_or_else(|_| panic!("seed {seed} breaks something: see above"));
        events += played.events;
    }
    println!("{SCRIPTS} scripts, {events} events");
    // Scripts that do nothing would prove nothing.
    assert!(events > 10 * SCRIPTS);
}
