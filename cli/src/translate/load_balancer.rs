//! `loadBalancer`: the cluster's `load_balancing_policy`, and the route's
//! `hash_policy`.
//!
//! Unlike Envoy Gateway's, the policy behind an endpoint override keeps its
//! slow start, table size and zone settings.

use btp_policy::Code;
use btp_policy::native::{
    BackendUtilization, ConsistentHash, ConsistentHashType, DynamicModule, LoadBalancer,
    LoadBalancerType, Name, PreferLocal, ZoneAware,
};
use btp_policy::node::Node;

use super::change::{Changes, Operation, Path, Target};
use crate::envoy::json::{IntoNode, list, node, object, put};

/// Envoy's own default, and Envoy Gateway's.
const TABLE_SIZE: u32 = 65_537;

/// What Envoy takes in place of `load_balancing_policy`, or refuses beside it.
const OLDER: [&str; 8] = [
    "lb_policy",
    "least_request_lb_config",
    "maglev_lb_config",
    "ring_hash_lb_config",
    "round_robin_lb_config",
    "common_lb_config.zone_aware_lb_config",
    "common_lb_config.locality_weighted_lb_config",
    "common_lb_config.consistent_hashing_lb_config",
];

pub(super) fn translate(balancer: &LoadBalancer, out: &mut Changes) {
    let Some(mut policy) = policy(balancer, out) else {
        return;
    };
    if let Some(source) = &balancer.endpoint_override {
        let headers = source
            .extract_from
            .iter()
            .filter_map(|it| it.header.as_deref());
        let sources: Vec<Node> = headers.map(|name| node!({ "header": name })).collect();
        if sources.len() < source.extract_from.len() {
            let field = "loadBalancer.endpointOverride.extractFrom";
            out.refuse(
                field,
                Code::MissingField,
                "must have a header in each item: it is the only source",
            );
        }
        policy = extension(
            "override_host",
            "OverrideHost",
            vec![
                ("override_host_sources", list(sources)),
                ("fallback_policy", policies(policy)),
            ],
        );
    }
    let cluster = |path: &str, operation, out: &mut Changes| {
        out.add("loadBalancer", Target::Cluster, path, operation);
    };
    let own = "has its own load balancer, which a policy cannot replace: leave loadBalancer out, \
        or use another type of cluster";
    cluster(
        "lb_policy",
        Operation::Forbid(Some("CLUSTER_PROVIDED"), own),
        out,
    );
    let subsets = "must not be set beside the policy's loadBalancer, which Envoy cannot combine \
        with subsets: leave one of them out";
    cluster("lb_subset_config", Operation::Forbid(None, subsets), out);
    for path in OLDER {
        cluster(path, Operation::Remove, out);
    }
    cluster(
        "load_balancing_policy",
        Operation::Set(policies(policy)),
        out,
    );
    out.also("loadBalancer.type");
    out.also("loadBalancer.consistentHash.tableSize");
    if let Some(hash) = &balancer.consistent_hash {
        out.add(
            "loadBalancer.consistentHash",
            Target::Route,
            "route.hash_policy",
            Operation::Set(hash_policy(hash)),
        );
        pin_cluster(out);
    }
    if let Some(zones) = &balancer.zone_aware {
        translate_zones(zones, out);
    }
}

/// With several clusters, Envoy draws one for each request, unless the hash selects the
/// cluster. Only one of both can be in its configuration.
fn pin_cluster(out: &mut Changes) {
    let field = "loadBalancer.type";
    let weighted = "route.weighted_clusters";
    let drawn_by_header = format!("{weighted}.header_name");
    out.add(
        field,
        Target::Route,
        drawn_by_header.as_str(),
        Operation::Remove,
    );
    let path = format!("{weighted}.use_hash_policy");
    let operation = Operation::Within(true.into_node(), "the route sends to one cluster");
    out.add(field, Target::Route, path.as_str(), operation);
}

fn policies(policy: Node) -> Node {
    node!({ "policies": [{ "typed_extension_config": (policy) }] })
}

fn extension(name: &str, message: &str, mut fields: Vec<(&'static str, Node)>) -> Node {
    let kind =
        format!("type.googleapis.com/envoy.extensions.load_balancing_policies.{name}.v3.{message}");
    fields.insert(0, ("@type", kind.into_node()));
    node!({
        "name": (format!("envoy.load_balancing_policies.{name}")),
        "typed_config": (object(fields)),
    })
}

fn policy(balancer: &LoadBalancer, out: &mut Changes) -> Option<Node> {
    let mut fields = Vec::new();
    let (name, message) = match balancer.kind {
        LoadBalancerType::LeastRequest => {
            let settings = balancer.least_request.as_ref();
            let choices = settings.and_then(|it| it.choice_count);
            fields.extend(choices.map(|count| ("choice_count", count.into_node())));
            ("least_request", "LeastRequest")
        }
        LoadBalancerType::Random => ("random", "Random"),
        LoadBalancerType::RoundRobin => ("round_robin", "RoundRobin"),
        LoadBalancerType::ConsistentHash => {
            let size = balancer.consistent_hash.as_ref()?.table_size;
            let size = size.and_then(|size| u32::try_from(size).ok());
            fields.push(("table_size", size.unwrap_or(TABLE_SIZE).into_node()));
            ("maglev", "Maglev")
        }
        LoadBalancerType::BackendUtilization => {
            fields = utilization(balancer.backend_utilization.as_ref()?, out);
            (
                "client_side_weighted_round_robin",
                "ClientSideWeightedRoundRobin",
            )
        }
        LoadBalancerType::DynamicModule => {
            let fields = of_module(balancer.dynamic_module.as_ref()?);
            return Some(extension(
                "dynamic_modules",
                "DynamicModulesLoadBalancerConfig",
                fields,
            ));
        }
    };
    if let Some(slow_start) = &balancer.slow_start {
        let window = node!({ "slow_start_window": (slow_start.window) });
        fields.push(("slow_start_config", window));
    }
    let zones = balancer.zone_aware.as_ref();
    let weighted = zones.is_some_and(|it| !it.weighted_zones.is_empty());
    match balancer.kind {
        LoadBalancerType::ConsistentHash if weighted => {
            fields.push(("locality_weighted_lb_config", node!({})));
        }
        LoadBalancerType::ConsistentHash => {}
        LoadBalancerType::BackendUtilization if weighted => {
            let inner = extension(name, message, fields);
            let inner = vec![("endpoint_picking_policy", policies(inner))];
            return Some(extension("wrr_locality", "WrrLocality", inner));
        }
        LoadBalancerType::BackendUtilization => {}
        _ => {
            let config = match zones.and_then(|it| it.prefer_local.as_ref()) {
                Some(local) => node!({ "zone_aware_lb_config": (zone_aware(local)) }),
                None => node!({ "locality_weighted_lb_config": {} }),
            };
            fields.push(("locality_lb_config", config));
        }
    }
    Some(extension(name, message, fields))
}

/// Envoy hands a text to the module as it is, and an object as JSON.
fn of_module(module: &DynamicModule) -> Vec<(&'static str, Node)> {
    let mut fields = vec![
        (
            "dynamic_module_config",
            node!({ "name": (module.name.as_str()) }),
        ),
        ("lb_policy_name", module.lb_policy_name.as_str().into_node()),
    ];
    if let Some(config) = &module.config {
        let (kind, value) = match config {
            serde_json::Value::Object(_) => ("Struct", config.into_node()),
            serde_json::Value::String(text) => ("StringValue", text.as_str().into_node()),
            other => ("StringValue", other.to_string().into_node()),
        };
        let kind = format!("type.googleapis.com/google.protobuf.{kind}");
        fields.push((
            "lb_policy_config",
            node!({ "@type": (kind), "value": (value) }),
        ));
    }
    fields
}

fn zone_aware(local: &PreferLocal) -> Node {
    let least = local.min_endpoints_threshold.unwrap_or(6);
    let mut config = node!({ "min_cluster_size": (u32::try_from(least).unwrap_or(u32::MAX)) });
    let enabled = local.percentage_enabled;
    let enabled = enabled.map(|percent| node!({ "value": (u32::from(percent)) }));
    put(&mut config, "routing_enabled", enabled);
    let force = local
        .force
        .as_ref()
        .map(|force| node!({ "min_size": (force.min_endpoints_in_zone_threshold.unwrap_or(1)) }));
    put(&mut config, "force_local_zone", force);
    config
}

fn translate_zones(zones: &ZoneAware, out: &mut Changes) {
    if zones.prefer_local.is_some() {
        out.add(
            "loadBalancer.zoneAware.preferLocal",
            Target::Bootstrap,
            "cluster_manager.local_cluster_name",
            Operation::Require(
                "must name the cluster that contains this Envoy's own instances: without it Envoy \
                 does not know the load of its zone, and prefers no zone",
            ),
        );
    }
    if !zones.weighted_zones.is_empty() {
        let field = "loadBalancer.zoneAware.weightedZones";
        require_endpoints(field, out);
        let weights = zones.weighted_zones.iter();
        let weights = weights.map(|it| (it.zone.clone(), it.weight)).collect();
        out.add(
            field,
            Target::Cluster,
            "load_assignment.endpoints.*",
            Operation::ZoneWeights(weights),
        );
    }
}

/// For fields that belong to the endpoints.
pub(super) fn require_endpoints(field: &str, out: &mut Changes) {
    let reason = "must contain the endpoints: endpoints that Envoy discovers (EDS) cannot be \
        changed here";
    let operation = Operation::Require(reason);
    out.add(
        field,
        Target::Cluster,
        "load_assignment.endpoints",
        operation,
    );
}

fn utilization(config: &BackendUtilization, out: &mut Changes) -> Vec<(&'static str, Node)> {
    let mut fields = Vec::new();
    if let Some(reports) = &config.out_of_band {
        fields.push(("enable_oob_load_report", true.into_node()));
        if let Some(period) = reports.reporting_period {
            fields.push(("oob_reporting_period", period.into_node()));
        }
        if reports.port.is_some() || reports.authority.is_some() {
            let mut from = node!({});
            put(&mut from, "port_value", reports.port.map(u32::from));
            put(&mut from, "authority", reports.authority.as_deref());
            fields.push(("oob_reporting_config", from));
        }
    }
    for (name, period) in [
        ("blackout_period", config.blackout_period),
        ("weight_expiration_period", config.weight_expiration_period),
        ("weight_update_period", config.weight_update_period),
    ] {
        fields.extend(period.map(|period| (name, period.into_node())));
    }
    if let Some(percent) = config.error_utilization_penalty_percent {
        let penalty = f64::from(percent) / 100.0;
        fields.push(("error_utilization_penalty", penalty.into_node()));
    }
    let names = &config.metric_names_for_computing_utilization;
    if !names.is_empty() {
        let names = list(names.iter().map(|name| name.as_str().into_node()));
        fields.push(("metric_names_for_computing_utilization", names));
    }
    let field = "loadBalancer.backendUtilization.keepResponseHeaders";
    if config.keep_response_headers {
        let operation = Operation::Nothing("Envoy does not remove headers by default");
        out.add(field, Target::Route, Path::default(), operation);
    } else {
        for name in ["endpoint-load-metrics", "endpoint-load-metrics-bin"] {
            out.add(
                field,
                Target::Route,
                "response_headers_to_remove",
                Operation::Append(name.into_node()),
            );
        }
    }
    fields
}

fn hash_policy(hash: &ConsistentHash) -> Node {
    let header = |it: &Name| node!({ "header": { "header_name": (it.name.as_str()) } });
    match hash.kind {
        ConsistentHashType::SourceIp => node!([{ "connection_properties": { "source_ip": true } }]),
        ConsistentHashType::Header => list(hash.header.iter().map(header)),
        ConsistentHashType::Headers => list(hash.headers.iter().map(header)),
        ConsistentHashType::QueryParams => {
            let parameters = hash.query_params.iter();
            list(parameters.map(|it| node!({ "query_parameter": { "name": (it.name.as_str()) } })))
        }
        ConsistentHashType::Cookie => list(hash.cookie.iter().map(|cookie| {
            let mut policy = node!({ "name": (cookie.name.as_str()) });
            put(&mut policy, "ttl", cookie.ttl);
            if !cookie.attributes.is_empty() {
                let attribute = |(name, value): (&String, &String)| {
                    node!({ "name": (name.as_str()), "value": (value.as_str()) })
                };
                let attributes = list(cookie.attributes.iter().map(attribute));
                put(&mut policy, "attributes", Some(attributes));
            }
            node!({ "cookie": (policy) })
        })),
    }
}
