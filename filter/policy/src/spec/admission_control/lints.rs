//! Advice on admission control: what it does to retries.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::Value;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_admission_control(&mut self) {
        let admission = ["admissionControl"];
        if self.get(&admission).is_none() || self.get(&["retry"]).is_none() {
            return;
        }
        let most = ["admissionControl", "maxRejectionPercent"];
        if self.get(&most).map(|it| &it.value) == Some(&Value::Int(0)) {
            return;
        }
        self.warn(
            &admission,
            Code::RejectedTry,
            "applies to each attempt of a request, and a rejected attempt ends the request, \
             whatever retry sets: for requests to get all their attempts, lower \
             maxRejectionPercent, or leave one of them out",
        );
    }
}
