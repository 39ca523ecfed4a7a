//! Scripts of events against all capabilities at once: the same scripts in
//! every run. `cargo xtask fuzz exchange` plays as many as one likes.

use btp_engine::testing::{play, random_script};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Scripts that are played.
const SCRIPTS: u64 = if cfg!(target_arch = "wasm32") {
    2_000
} else {
    100_000
};

/// Scripts that found something beyond those.
const FOUND: [u64; 1] = [2_993_839];

/// Says which script it was that broke something.
struct Playing(u64);

impl Drop for Playing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("script of seed {}: {:02x?}", self.0, random_script(self.0));
        }
    }
}

/// Tests run side by side: each plays its part of the scripts.
fn plays(seeds: impl Iterator<Item = u64>) {
    let (mut scripts, mut events) = (0, 0);
    for seed in seeds {
        let playing = Playing(seed);
        events += play(&random_script(seed)).events;
        scripts += 1;
        drop(playing);
    }
    // Scripts that do nothing would prove nothing.
    assert!(events > 10 * scripts, "{events} events");
}

#[test]
fn whatever_happens_in_whatever_order_all_accounts_are_zero_in_the_end() {
    plays((0..SCRIPTS / 2).chain(FOUND));
}

#[test]
fn all_accounts_are_zero_after_the_other_half_of_the_scripts_too() {
    plays(SCRIPTS / 2..SCRIPTS);
}
