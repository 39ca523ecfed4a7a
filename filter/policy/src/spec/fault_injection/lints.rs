//! Advice on faults.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::Node;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_faults(&mut self) {
        let abort = ["faultInjection", "abort", "grpcStatus"];
        let refs = self.items(&["targetRefs"]).iter();
        let mut targets = refs.chain(self.items(&["targetSelectors"]));
        let is_http =
            |target: &Node| target.field("kind").and_then(Node::as_str) == Some("HTTPRoute");
        if self.get(&abort).is_some() && targets.any(is_http) {
            self.warn(
                &abort,
                Code::GrpcStatusForHttp,
                "aborts plain HTTP requests with status 200: write httpStatus for an HTTPRoute",
            );
        }
    }
}
