//! Any text as a body with command operators: what is printed reads the same.

#![no_main]

use btp_policy::scalar::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    if let Ok(template) = Template::parse(input) {
        assert_eq!(Template::parse(&template.to_string()), Ok(template));
    }
});
