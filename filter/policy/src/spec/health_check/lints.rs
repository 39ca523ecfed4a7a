//! Advice on health checks.

use crate::advice::Advice;
use crate::node::Value;

impl Advice<'_, '_> {
    pub(in crate::spec) fn on_health(&mut self) {
        let most = ["healthCheck", "passive", "maxEjectionPercent"];
        if self.get(&most).map(|node| &node.value) == Some(&Value::Int(100)) {
            self.say(
                &most,
                "lets every endpoint be ejected: nobody would be left to answer",
            );
        }
        let http = ["healthCheck", "active", "http"];
        let expected = ["healthCheck", "active", "http", "expectedStatuses"];
        if self.get(&http).is_some() && self.items(&expected).is_empty() {
            self.say(&http, "has no expectedStatuses: only 200 counts as healthy");
        }
    }
}
