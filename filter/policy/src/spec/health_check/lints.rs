//! Advice on health checks.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::Value;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_health(&mut self) {
        let most = ["healthCheck", "passive", "maxEjectionPercent"];
        if self.get(&most).map(|node| &node.value) == Some(&Value::Int(100)) {
            self.warn(
                &most,
                Code::AllEjected,
                "lets Envoy eject every endpoint, so that none is left to answer",
            );
        }
        let http = ["healthCheck", "active", "http"];
        let expected = ["healthCheck", "active", "http", "expectedStatuses"];
        if self.get(&http).is_some() && self.items(&expected).is_empty() {
            self.warn(
                &http,
                Code::OnlyStatus200,
                "has no expectedStatuses: only 200 counts as healthy",
            );
        }
        let threshold = ["healthCheck", "active", "unhealthyThreshold"];
        let retriable = ["healthCheck", "active", "http", "retriableStatuses"];
        if self.get(&http).is_some()
            && self.get(&threshold).is_some()
            && self.items(&retriable).is_empty()
        {
            self.warn(
                &threshold,
                Code::ThresholdOfTimeouts,
                "does not apply to wrong statuses: a single one makes an endpoint unhealthy at \
                 once; only failed connections and timeouts are counted. List statuses to \
                 tolerate in http.retriableStatuses",
            );
        }
    }
}
