//! `admissionControl` as types.

use serde::Deserialize;

use crate::scalar::Duration;
use crate::spec::native_types::api;

use super::schema::GRPC_STATUSES;

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

impl GrpcCriteria {
    /// The numbers of the named statuses, as gRPC counts them.
    pub fn status_numbers(&self) -> impl Iterator<Item = u32> {
        let named = |name| (0..).zip(GRPC_STATUSES).find(|(_, it)| it == name);
        self.status_codes
            .iter()
            .filter_map(named)
            .map(|(number, _)| number)
    }
}
