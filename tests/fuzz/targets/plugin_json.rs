//! Any bytes as plugin configuration: a configuration or problems, a
//! effective policy for any route name, and a plan.

#![no_main]

use btp_engine::Plan;
use btp_policy::PluginConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match PluginConfig::parse(input) {
        Ok(config) => {
            for name in [&b"a/b/c"[..], b"httproute/a/b/rule/0/match/0/c", input] {
                if let Some(index) = config.attachments.effective_policy(Some(name)) {
                    assert!(index < config.policies.len());
                }
            }
            drop(Plan::compile(config));
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
});
