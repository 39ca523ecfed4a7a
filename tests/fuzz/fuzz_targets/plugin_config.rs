//! Any bytes are a configuration that compiles, or problems; never a panic.
#![no_main]

use btp_engine::Plan;
use btp_policy::PluginConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match PluginConfig::parse(text) {
        Ok(config) => drop(Plan::compile(config)),
        Err(problems) => assert!(!problems.is_empty()),
    }
});
