//! `admissionControl` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

api! {
    /// `admissionControl`.
    AdmissionControl {
        max_rejection_percent: Option<u8>,
        min_request_rate: Option<u64>,
        min_success_rate: Option<u8>,
        rejection_aggression: Option<u64>,
        sampling_window: Option<Duration>,
        success_criteria: Option<SuccessCriteria>,
    }
}

api! {
    /// `admissionControl.successCriteria`.
    SuccessCriteria { http: Option<HttpCriteria>, grpc: Option<GrpcCriteria> }
}

api! {
    /// `successCriteria.http`.
    HttpCriteria { status_codes: Vec<u16> }
}

api! {
    /// `successCriteria.grpc`, by the names of gRPC's statuses.
    GrpcCriteria { status_codes: Vec<String> }
}
