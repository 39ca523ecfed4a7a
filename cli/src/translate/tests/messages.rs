//! `compression`, `compressor`, `httpUpgrade`.

use super::*;

fn filter(kind: &str, library: &str, name: &str, least: u32, first: bool) -> String {
    format!(
        r#"{{"name":"{name}","disabled":true,"typed_config":{{
        "@type":"type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
        "response_direction_config":{{"common_config":{{"min_content_length":{least}}},
        "uncompressible_response_codes":[206]}},
        "compressor_library":{{"name":"{kind}","typed_config":{{"@type":
        "type.googleapis.com/envoy.extensions.compression.{kind}.compressor.v3.{library}"}}}},
        "choose_first":{first}}}}}"#
    )
}

#[test]
fn compressors_are_filters_that_routes_switch_on() {
    let spec = r#"{"compressor":[{"type":"Brotli","brotli":{}},
        {"type":"Gzip","gzip":{},"minContentLength":"1Ki"},{"type":"Zstd","zstd":{}}]}"#;
    let names = [
        "btp.compressor.brotli.30.first",
        "btp.compressor.gzip.1024",
        "btp.compressor.zstd.30",
    ];
    let on = r#"{"@type":"type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
        "overrides":{"response_direction_config":{}}}"#;
    let per_route: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":{on}"#))
        .collect();
    check(
        spec,
        "{}",
        &format!(
            r#"{{"route":{{}},"typed_per_filter_config":{{{}}},
            "request_headers_to_remove":["accept-encoding"]}}"#,
            per_route.join(",")
        ),
    );
    let filters = format!(
        r#"{{"http_filters":[{},{},{},{{"name":"router"}}]}}"#,
        filter("brotli", "Brotli", names[0], 30, true),
        filter("gzip", "Gzip", names[1], 1024, false),
        filter("zstd", "Zstd", names[2], 30, false),
    );
    let filters = serde_json::to_string(&parse(&filters)).unwrap();
    assert_eq!(translated(spec).filters, filters);
}

#[test]
fn the_old_name_means_the_same() {
    let old = translated(r#"{"compression":[{"type":"Gzip"}]}"#);
    let new = translated(r#"{"compressor":[{"type":"Gzip","gzip":{}}]}"#);
    assert_eq!((old.route, old.filters), (new.route, new.filters));
    assert!(translated(r#"{"compressor":[]}"#).changes.is_empty());
}

#[test]
fn a_compressor_without_its_settings_is_off() {
    let nothing = r#"{"compressor":[{"type":"Gzip"},{"type":"Brotli","brotli":null}]}"#;
    check(nothing, "{}", ROUTE);
    let reason = &translated(nothing).changes[0].operation;
    assert!(matches!(reason, Operation::Nothing(_)), "{reason:?}");
    let one = translated(r#"{"compressor":[{"type":"Gzip"},{"type":"Zstd","zstd":{}}]}"#);
    let alone = translated(r#"{"compressor":[{"type":"Zstd","zstd":{}}]}"#);
    assert_eq!((one.route, one.filters), (alone.route, alone.filters));
}

#[test]
fn only_the_upgrades_of_the_policy_are_allowed() {
    let spec = r#"{"httpUpgrade":[{"type":"websocket"},
        {"type":"CONNECT","connect":{"terminate":true}},{"type":"x","connect":null}]}"#;
    let ours = r#"{"upgrade_type":"websocket"},{"upgrade_type":"CONNECT","connect_config":{}},{"upgrade_type":"x"}"#;
    check(
        spec,
        "{}",
        &format!(r#"{{"route":{{"upgrade_configs":[{ours}]}}}}"#),
    );
    let allowed = ["WebSocket".to_owned(), "spdy/3.1".to_owned()];
    let context = Context {
        upgrades: &allowed,
        ..Context::default()
    };
    let route = translated_for(spec, &context).route;
    let expected = format!(
        r#"{{"route":{{"upgrade_configs":[{ours},{{"upgrade_type":"spdy/3.1","enabled":false}}]}}}}"#
    );
    assert_eq!(route, expected);
}

#[test]
fn routes_without_a_backend_are_left_as_they_are() {
    let changes = translated(r#"{"retry":{},"httpUpgrade":[{"type":"websocket"}]}"#).changes;
    let route = r#"{"direct_response":{"status":404}}"#;
    assert_eq!(perform(route, Target::Route, &changes), route);
}
