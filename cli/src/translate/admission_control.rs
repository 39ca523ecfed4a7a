//! `admissionControl`: Envoy's filter of that name among those that every try to
//! the cluster passes.

use btp_policy::native::{AdmissionControl, SuccessCriteria};
use btp_policy::node::Node;

use super::change::{Changes, HttpPart, Operation, Path, Target};
use crate::envoy::json::{IntoNode, list, node, put};

/// What the filter is called where `btp apply` puts it.
pub(crate) const NAME: &str = "btp.admission_control";

const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl";

pub(super) fn translate(admission: &AdmissionControl, out: &mut Changes) {
    let mut config = node!({
        "@type": TYPE,
        "enabled": { "default_value": true },
    });
    put(&mut config, "sampling_window", admission.sampling_window);
    let percent =
        |percent: Option<u8>| percent.map(|it| default(node!({ "value": (f64::from(it)) })));
    put(
        &mut config,
        "sr_threshold",
        percent(admission.min_success_rate),
    );
    // The table bounds it.
    let aggression = admission.rejection_aggression;
    let aggression =
        aggression.map(|it| default(i64::try_from(it).unwrap_or(i64::MAX).into_node()));
    put(&mut config, "aggression", aggression);
    let rate = admission.min_request_rate;
    let rate = rate.map(|it| default(u32::try_from(it).unwrap_or(u32::MAX).into_node()));
    put(&mut config, "rps_threshold", rate);
    put(
        &mut config,
        "max_rejection_probability",
        percent(admission.max_rejection_percent),
    );
    // Without it Envoy refuses the filter; empty, it has its defaults.
    let criteria = admission.success_criteria.as_ref();
    let criteria = criteria.map_or(node!({}), success_criteria);
    put(&mut config, "success_criteria", Some(criteria));
    let filter = node!({ "name": NAME, "typed_config": (config) });
    let of_router = Vec::new();
    let part = HttpPart::UpstreamFilter { filter, of_router };
    let operation = Operation::HttpOptions(part);
    out.add(
        "admissionControl",
        Target::Cluster,
        Path::default(),
        operation,
    );
}

/// A value that no runtime key changes.
fn default(value: Node) -> Node {
    node!({ "default_value": (value) })
}

/// Each list stands for itself: of what it does not speak, Envoy's default holds. An
/// empty one says nothing, and Envoy would refuse it.
fn success_criteria(criteria: &SuccessCriteria) -> Node {
    let mut found = node!({});
    let http = criteria.http.as_ref().map(|it| it.status_codes.as_slice());
    if let Some(codes) = http.filter(|it| !it.is_empty()) {
        let range = |code: &u16| {
            let start = u32::from(*code);
            node!({ "start": start, "end": (start + 1) })
        };
        let ranges = list(codes.iter().map(range));
        put(
            &mut found,
            "http_criteria",
            Some(node!({ "http_success_status": (ranges) })),
        );
    }
    let grpc = criteria.grpc.as_ref();
    if let Some(grpc) = grpc.filter(|it| !it.status_codes.is_empty()) {
        let numbers = list(grpc.status_numbers().map(IntoNode::into_node));
        put(
            &mut found,
            "grpc_criteria",
            Some(node!({ "grpc_success_status": (numbers) })),
        );
    }
    found
}
