//! Whatever the translation writes, Envoy loads.

use anyhow::{Result, ensure};
use btp_tests::native::specs;
use btp_tests::{Bootstrap, Builder, Envoy, Route, bootstrap, repo};
use serde_json::{Value, json};

const NOWHERE: &str = "127.0.0.1:9";

/// A route and a cluster per policy, clusters as `kind` makes them.
fn bootstrap(specs: &[Value], kind: impl Fn(&mut Value)) -> Result<Bootstrap> {
    let mut builder = Builder::new();
    for index in 0..specs.len() {
        let name = format!("c{index}");
        let mut cluster = bootstrap::cluster(&name, NOWHERE.parse()?);
        kind(&mut cluster);
        builder = builder
            .route(Route::cluster(&format!("/{name}/"), &name))
            .raw_cluster(cluster);
    }
    let own = bootstrap::cluster("own-instances", NOWHERE.parse()?);
    let mut bootstrap = builder.raw_cluster(own).build()?;
    bootstrap.edit(|config| {
        config["cluster_manager"] = json!({"local_cluster_name": "own-instances"});
        config["node"]["locality"] = json!({"zone": "a"});
    });
    for (index, spec) in specs.iter().enumerate() {
        bootstrap.govern(&format!("c{index}"), spec)?;
    }
    Ok(bootstrap)
}

async fn assert_loads(bootstrap: &Bootstrap) -> Result<String> {
    let validation = Envoy::validate(bootstrap).await?;
    ensure!(validation.ok, "Envoy refuses it:\n{}", validation.log);
    Ok(validation.log)
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_loads_every_translation() -> Result<()> {
    let log = assert_loads(&bootstrap(&specs::all(), |_| {})?).await?;
    ensure!(!log.contains("deprecated"), "Envoy warns:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_loads_them_over_what_clusters_say_already() -> Result<()> {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let clusters = [
        // The older ways to say things, by their JSON names.
        json!({"lbPolicy": "RING_HASH", "ringHashLbConfig": {"minimumRingSize": 5},
            "commonLbConfig": {"localityWeightedLbConfig": {}},
            "http2ProtocolOptions": {"maxConcurrentStreams": 5},
            "circuitBreakers": {"thresholds": [{"priority": "HIGH"}, {"maxRetries": 9}]}}),
        json!({"type": "STRICT_DNS", "dns_refresh_rate": "7s",
            "protocol_selection": "USE_DOWNSTREAM_PROTOCOL", "http2_protocol_options": {},
            "outlier_detection": {}, "connect_timeout": "3s"}),
        json!({"type": null, "cluster_type": {"name": "envoy.cluster.dns", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster"}},
            "typed_extension_protocol_options": {options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": {"http2_protocol_options": {}}}}}),
        json!({"transport_socket": {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}},
            "transport_socket_matches": [{"name": "plain", "match": {"x": "y"},
                "transport_socket": {"name": "raw", "typed_config": {"@type":
                    "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}],
            "typed_extension_protocol_options": {options: {
                "@type": format!("type.googleapis.com/{options}"), "explicit_http_config": {"http2_protocol_options": {}}}}}),
    ];
    for extra in clusters {
        let with_extra = |cluster: &mut Value| {
            for (name, value) in extra.as_object().into_iter().flatten() {
                cluster[name] = value.clone();
            }
        };
        assert_loads(&bootstrap(&specs::all(), with_extra)?).await?;
    }
    Ok(())
}

const LONGEST: &str = "99999h99999h99999h99999h";

/// The ends of what can be written, and what makes no sense.
fn extremes() -> Vec<Value> {
    let hash =
        |value: Value| json!({"loadBalancer": {"type": "ConsistentHash", "consistentHash": value}});
    let http = |value: Value| json!({"healthCheck": {"active": {"type": "HTTP", "http": value}}});
    vec![
        json!({"dns": {"dnsRefreshRate": "1ms"}}),
        json!({"dns": {"dnsRefreshRate": LONGEST}}),
        hash(json!({"type": "Header", "header": {"name": ""}})),
        hash(json!({"type": "Header", "header": {"name": "a b\n"}})),
        hash(json!({"type": "Headers", "headers": []})),
        hash(json!({"type": "QueryParams", "queryParams": [{"name": ""}]})),
        hash(json!({"type": "QueryParams", "queryParams": []})),
        hash(json!({"type": "Cookie", "cookie": {"name": ""}})),
        hash(json!({"type": "Cookie", "cookie": {"name": "a b;c", "ttl": "0s"}})),
        hash(json!({"type": "Cookie", "cookie": {"name": "a", "ttl": LONGEST}})),
        hash(json!({"type": "Cookie", "cookie": {"name": "a", "attributes": {"": "x"}}})),
        hash(json!({"type": "Cookie", "cookie": {"name": "a", "attributes": {"SameSite": ""}}})),
        hash(
            json!({"type": "Cookie", "cookie": {"name": "a", "ttl": "1s", "attributes": {"x\ny": "a\r\nb"}}}),
        ),
        hash(json!({"type": "SourceIP", "tableSize": 2})),
        json!({"loadBalancer": {"type": "Random", "endpointOverride": {"extractFrom": [{"header": ""}]}}}),
        json!({"loadBalancer": {"type": "Random", "endpointOverride": {"extractFrom": [{"header": "a b\n"}]}}}),
        json!({"loadBalancer": {"type": "Random", "zoneAware": {"weightedZones": [{"zone": "", "weight": 4_294_967_295_u32}]}}}),
        json!({"loadBalancer": {"type": "Random", "zoneAware": {"preferLocal": {"minEndpointsThreshold": 0, "force": {"minEndpointsInZoneThreshold": 0}}}}}),
        json!({"loadBalancer": {"type": "RoundRobin", "slowStart": {"window": LONGEST}}}),
        json!({"loadBalancer": {"type": "RoundRobin", "slowStart": {"window": "1ms"}}}),
        json!({"loadBalancer": {"type": "BackendUtilization", "backendUtilization": {"blackoutPeriod": "0s", "weightExpirationPeriod": "0s", "weightUpdatePeriod": "0s", "metricNamesForComputingUtilization": [""]}}}),
        json!({"loadBalancer": {"type": "BackendUtilization", "slowStart": {"window": "3s"}, "backendUtilization": {"outOfBand": {"reportingPeriod": "1ms"}}}}),
        json!({"retry": {"perRetry": {"timeout": "0s", "backOff": {"baseInterval": "1ms", "maxInterval": "1ms"}}}}),
        json!({"retry": {"perRetry": {"timeout": LONGEST, "backOff": {"baseInterval": LONGEST}}}}),
        json!({"retry": {"numRetries": 4_294_967_295_u32, "numAttemptsPerPriority": 2_147_483_647}}),
        json!({"retry": {"retryOn": {"triggers": [], "httpStatusCodes": []}}}),
        json!({"circuitBreaker": {"maxRequestsPerConnection": 0, "perEndpoint": {"maxConnections": 0}}}),
        json!({"circuitBreaker": {"retryBudget": {"percent": {"numerator": 0}, "minRetryConcurrency": 0}}}),
        http(json!({"path": "no-slash"})),
        http(json!({"path": "/ä b\n"})),
        http(json!({"path": "/", "method": "CONNECT"})),
        http(
            json!({"path": "/", "method": "HEAD", "expectedResponse": {"type": "Text", "text": "x"}}),
        ),
        http(json!({"path": "/", "method": "post", "requestBody": {"type": "Text", "text": ""}})),
        http(json!({"path": "/", "expectedResponse": {"type": "Text", "text": ""}})),
        http(json!({"path": "/", "expectedResponse": {"type": "Binary", "binary": ""}})),
        http(json!({"path": "/", "expectedStatuses": [100, 599], "retriableStatuses": [100, 599]})),
        http(json!({"path": "/", "expectedStatuses": [200], "retriableStatuses": [200]})),
        json!({"healthCheck": {"active": {"type": "TCP", "tcp": {"send": {"type": "Text", "text": ""}}}}}),
        json!({"healthCheck": {"active": {"type": "TCP", "tcp": {}, "interval": "1ms", "timeout": LONGEST, "initialJitter": "0s"}}}),
        json!({"healthCheck": {"active": {"type": "TCP", "tcp": {}, "interval": LONGEST, "initialJitter": LONGEST}}}),
        json!({"healthCheck": {"passive": {"consecutive5XxErrors": 0, "consecutiveGatewayErrors": 4_294_967_295_u32, "consecutiveLocalOriginFailures": 0, "failurePercentageThreshold": 0, "interval": "1ms", "baseEjectionTime": "1ms"}}}),
        json!({"healthCheck": {"passive": {"interval": LONGEST, "baseEjectionTime": LONGEST}}}),
        json!({"timeout": {"tcp": {"connectTimeout": LONGEST}, "http": {"connectionIdleTimeout": LONGEST, "maxConnectionDuration": LONGEST, "maxStreamDuration": LONGEST, "streamIdleTimeout": LONGEST}}}),
        json!({"timeout": {"tcp": {"connectTimeout": "1ms"}}}),
        json!({"tcpKeepalive": {"probes": 0, "idleTime": "0s", "interval": "0s"}}),
        json!({"tcpKeepalive": {"probes": 4_294_967_295_u32, "idleTime": LONGEST}}),
        json!({"connection": {"bufferLimit": 0, "socketBufferLimit": 1}}),
        json!({"connection": {"socketBufferLimit": 2_147_483_647}}),
        json!({"connection": {"bufferLimit": 4_294_967_295_u32, "preconnect": {}}}),
        json!({"useClientProtocol": true, "http2": {"connectionKeepalive": {"interval": "2ms", "timeout": "1ms", "idleInterval": LONGEST, "intervalJitter": 0}}}),
        json!({"useClientProtocol": true, "http2": {"initialStreamWindowSize": 2_147_483_647, "initialConnectionWindowSize": 2_147_483_647, "maxConcurrentStreams": 2_147_483_647}}),
        json!({"useClientProtocol": true, "http2": {"connectionKeepalive": {"interval": LONGEST, "timeout": "99999h99999h99999h"}}}),
        json!({"httpUpgrade": [{"type": ""}]}),
        json!({"httpUpgrade": [{"type": "websocket"}, {"type": "WebSocket"}]}),
        json!({"httpUpgrade": [{"type": "CONNECT"}]}),
        json!({"httpUpgrade": [{"type": "a b\n"}]}),
        json!({"compressor": [{"type": "Gzip"}, {"type": "Gzip"}]}),
        json!({"compressor": [{"type": "Gzip", "minContentLength": 0}, {"type": "Gzip", "minContentLength": 4_294_967_295_u32}]}),
    ]
}

/// What Envoy Gateway's CRD accepts.
fn accepted_by_the_crd() -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(repo::path("filter/policy/testdata/crd-verdicts.json"))?;
    let cases: Vec<Value> = serde_json::from_str(&text)?;
    let accepted = cases.into_iter().filter(|case| case["accept"] == true);
    Ok(accepted.map(|case| case["spec"].clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_written_is_refused_here_or_loaded_by_envoy() -> Result<()> {
    let mut specs = extremes();
    specs.extend(accepted_by_the_crd()?);
    let all = specs.len();
    specs.retain(|spec| bootstrap(std::slice::from_ref(spec), |_| {}).is_ok());
    // Envoy would load the module, which is none: native_balancing.rs has one.
    specs.retain(|spec| spec["loadBalancer"]["type"] != "DynamicModule");
    ensure!(
        specs.len() > all / 2,
        "{} of {all} are translated",
        specs.len()
    );
    for kind in ["STATIC", "STRICT_DNS"] {
        assert_loads(&bootstrap(&specs, |cluster| cluster["type"] = kind.into())?).await?;
    }
    Ok(())
}
