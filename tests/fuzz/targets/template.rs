//! Any text as a body with command operators: what is printed reads the same,
//! and as a body of HTML and of JSON it is taken or refused.

#![no_main]

use btp_policy::PluginConfig;
use btp_policy::scalar::Template;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: &str| {
    if let Ok(template) = Template::parse(input) {
        assert_eq!(Template::parse(&template.to_string()), Ok(template));
    }
    let variant = |content_type| json!({"contentType": content_type, "body": {"inline": input}});
    let config = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"responseOverride": [{
        "match": {"statusCodes": [{"value": 500}]},
        "response": {"variants": [variant("text/html"), variant("application/json")]}}]}}]});
    drop(PluginConfig::parse(config.to_string().as_bytes()));
});
