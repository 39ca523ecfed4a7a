//! Advice on circuit breakers.

use crate::code::Code;
use crate::linter::Linter;
use crate::node::{Node, Value};
use crate::spec::targets::TargetKind;

const DEFAULT_LIMIT: i64 = 1024;

impl Linter<'_, '_> {
    pub(in crate::spec) fn on_circuit_breaker(&mut self) {
        if self.get(&["circuitBreaker"]).is_none() {
            return;
        }
        let pending = ["circuitBreaker", "maxPendingRequests"];
        if self.get(&pending).map(|it| &it.value) == Some(&Value::Int(0)) {
            self.warn(
                &pending,
                Code::NoPendingRequests,
                "lets no request wait for a connection, and Envoy opens one only for a waiting \
                 request: every request without an open connection gets a 503, the first \
                 included. Write 1 or more",
            );
        }
        // Connections without HTTP have no other limit.
        let limits: &[&str] = match self.is_for_connections() {
            true => &["maxConnections"],
            false => &[
                "maxConnections",
                "maxPendingRequests",
                "maxParallelRequests",
            ],
        };
        let is_default = |name: &&&str| {
            let limit = self.get(&["circuitBreaker", name]).map(|node| &node.value);
            matches!(limit, None | Some(Value::Int(DEFAULT_LIMIT)))
        };
        let defaults: Vec<&str> = limits.iter().filter(is_default).copied().collect();
        if !defaults.is_empty() {
            let message = format!(
                "leaves {} at the default of {DEFAULT_LIMIT}, which fits few backends",
                defaults.join(", ")
            );
            self.warn(&["circuitBreaker"], Code::DefaultBreakers, message);
        }
    }

    /// Whether all targets are routes of connections or datagrams.
    fn is_for_connections(&self) -> bool {
        let Some(Value::List(targets)) = self.get(&["targetRefs"]).map(|it| &it.value) else {
            return false;
        };
        let kind = |it: &Node| TargetKind::from_name(it.field("kind")?.as_str()?);
        !targets.is_empty()
            && targets
                .iter()
                .all(|it| kind(it).is_some_and(TargetKind::is_l4_route))
    }
}

#[cfg(test)]
mod tests {
    use crate::json;
    use crate::problem::Problems;
    use crate::read::Cursor;
    use crate::spec::lint;

    #[test]
    fn connections_have_one_limit() {
        let said = |kinds: &str, breaker: &str| {
            let spec = format!(r#"{{"targetRefs":[{kinds}],"circuitBreaker":{breaker}}}"#);
            let node = json::parse(spec.as_bytes()).unwrap();
            let mut warnings = Problems::default();
            lint(Cursor::root(&node), &mut warnings);
            let texts = warnings.into_vec().into_iter().map(|it| it.to_string());
            texts
                .filter(|it| it.contains("default of 1024"))
                .collect::<Vec<_>>()
        };
        let tcp = r#"{"kind":"TCPRoute"}"#;
        assert_eq!(said(tcp, r#"{"maxConnections":5}"#), [""; 0]);
        let found = said(tcp, "{}");
        assert!(
            found[0].contains("leaves maxConnections at the default"),
            "{found:?}"
        );
        let both = format!(r#"{tcp},{{"kind":"HTTPRoute"}}"#);
        let found = said(&both, r#"{"maxConnections":5}"#);
        assert!(found[0].contains("maxParallelRequests"), "{found:?}");
    }
}
