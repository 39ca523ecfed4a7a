//! What the filter is given while it is attacked: all capabilities at once.

use std::fmt;

use serde_json::{Value, json};

/// Bodies of more bytes must not reach the upstream.
pub const BODY_LIMIT: usize = 65_536;

/// A set of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Bodies are buffered, refused answers get HTML or JSON.
    Buffer,
    /// Bodies are counted as they pass, some errors redirect.
    Stream,
    /// There are no policies: for a test that the guarantees can fail.
    Nothing,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buffer => "Buffer",
            Self::Stream => "Stream",
            Self::Nothing => "Nothing",
        })
    }
}

impl Setup {
    /// The plugin configuration in front of the router. `version` is what the
    /// route `deny` answers, so that a worker shows which one it has.
    pub fn plugin(self, version: u64) -> Value {
        let mut plugin = self.all_policies(version);
        if self == Self::Nothing {
            plugin["policies"] = json!([]);
        }
        plugin
    }

    fn all_policies(self, version: u64) -> Value {
        json!({
            "allowOnHeadersStopIteration": true,
            "limits": {"distinctKeys": 1024},
            "policies": [
                policy("p", &["up", "up-h2"], &self.attacked()),
                policy("deny", &["deny"], &deny(version)),
                policy("honest", &["honest"], &honest()),
            ],
            // Every version is another configuration.
            "configMaps": [{"metadata": {"name": format!("v{version}")}, "data": {"response.body": "unused"}}],
        })
    }

    /// The one of the cluster, which is all about retries.
    pub fn upstream_plugin(self) -> Value {
        json!({"position": "Upstream", "policies": []})
    }

    fn attacked(self) -> Value {
        let (buffer, override_rules) = match self {
            Self::Buffer => (
                json!({"limit": BODY_LIMIT, "mode": "Buffer", "maxTotal": "1Mi", "maxDuration": "2s",
                       "minDataRate": {"bytesPerSecond": 10_000, "gracePeriod": "300ms"}}),
                pages(),
            ),
            Self::Stream | Self::Nothing => {
                (json!({"limit": BODY_LIMIT, "mode": "Stream"}), redirects())
            }
        };
        json!({
            "faultInjection": {
                "match": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "delay": {"distribution": {"uniform": {"min": "1ms", "max": "80ms"}}, "percentage": 30},
                "abort": {"httpStatus": 503, "percentage": 3, "body": "injected"},
                "maxActive": 20,
            },
            "requestBuffer": buffer,
            "responseOverride": override_rules,
            "rateLimit": {"local": {"rules": [
                {"name": "all", "clientSelectors": [{"path": {"type": "PathPrefix", "value": "/"}}],
                 "limit": {"requests": 100_000, "unit": "Second"}, "xRateLimitHeaders": "DraftVersion10"},
                {"name": "users", "clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}],
                 "limit": {"requests": 50, "unit": "Minute"}},
                {"name": "places", "clientSelectors": [{"path": {"type": "PathPrefix", "value": "/"}}],
                 "concurrency": {"max": 200}},
                {"name": "queue", "clientSelectors": [{"headers": [{"name": "x-queue", "value": "yes"}]}],
                 "limit": {"requests": 100, "unit": "Second", "burst": 1}, "queue": {"maxDelay": "200ms"}},
            ]}},
            "retry": {"numRetries": 2,
                      "retryOn": {"triggers": ["5xx", "reset", "connect-failure", "unavailable", "refused-stream"]},
                      "perRetry": {"timeout": "700ms"}},
            "retryConstraint": {"budget": {"percent": 20, "interval": "2s"},
                                "minRetryRate": {"count": 5, "interval": "1s"},
                                "reportExhausted": true},
        })
    }
}

fn policy(name: &str, routes: &[&str], spec: &Value) -> Value {
    let target = |name: &&str| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
    let mut spec = spec.clone();
    spec["targetRefs"] = routes.iter().map(target).collect();
    json!({"metadata": {"name": name}, "spec": spec})
}

fn deny(version: u64) -> Value {
    json!({"rateLimit": {"local": {
        "rules": [{"limit": {"requests": 0, "unit": "Hour"}}],
        "reject": {"body": format!("version {version}")},
    }}})
}

/// Generous, with a bound of which workers take places ahead: updates must
/// not lose any.
fn honest() -> Value {
    json!({
        "requestBuffer": {"limit": "1Mi"},
        "responseOverride": [{"match": {"statusCodes": [{"type": "Value", "value": 404}]},
                              "response": {"body": {"type": "Inline", "inline": "no %PATH(NQ)%"}}}],
        "rateLimit": {"local": {"rules": [{"concurrency": {"max": 200}}]}},
    })
}

/// Values of the request in bodies and headers, escaped and not.
fn pages() -> Value {
    json!([
        {"match": {"statusCodes": [{"type": "Value", "value": 429}, {"type": "Value", "value": 408}]},
         "response": {"variants": [
             {"contentType": "text/html", "body": {"type": "Inline", "inline": "<p>%REQ(:path)% %REQ(user-agent):20% %QUERY_PARAM(q)%</p>"}},
             {"contentType": "application/json", "body": {"type": "Inline", "inline": "{\"path\": \"%PATH(WQ):500%\", \"was\": %RESPONSE_CODE%}"}},
         ]}},
        {"match": {"statusCodes": [{"type": "Range", "range": {"start": 500, "end": 599}}],
                   "requests": [{"headers": [{"name": "x-user", "type": "RegularExpression", "value": "[a-m].*"}]}]},
         "response": {"contentType": "text/html", "body": {"type": "Inline", "inline":
             "<p>%REQ(:path)% %PATH(NQ)% %QUERY_PARAM(q)% %REQ(x-any?cookie)% %RESP(x-any)%</p>"},
             "header": {"set": [{"name": "x-path", "value": "%REQ(:path):100%"}]}},
         "keepHeaders": "All"},
        {"match": {"statusCodes": [{"type": "Range", "range": {"start": 500, "end": 599}}]},
         "response": {"statusCode": 500, "contentType": "application/json",
                      "body": {"type": "Inline", "inline": "{\"path\": \"%REQ(:path)%\", \"agent\": \"%REQ(user-agent)%\"}"}}},
        {"match": {"statusCodes": [{"type": "Value", "value": 413}]},
         "response": {"keepBody": true, "header": {"set": [{"name": "x-query", "value": "%QUERY_PARAM(q)%"}]}}},
    ])
}

fn redirects() -> Value {
    json!([
        {"match": {"statusCodes": [{"type": "Value", "value": 503}]},
         "redirect": {"mode": "Client", "scheme": "https",
                      "path": {"type": "ReplaceFullPath", "replaceFullPath": "/sorry?%QUERY_PARAM(q):30%"}}},
        {"match": {"statusCodes": [{"type": "Range", "range": {"start": 500, "end": 599}}],
                   "responseHeaders": [{"name": "x-any", "value": {"type": "RegularExpression", "value": ".*"}}]},
         "response": {"body": {"type": "Inline", "inline": "%RESP(x-any)% %REQ(:path)%", "format": "RawTemplate"}},
         "keepHeaders": ["x-any", "set-cookie"]},
        {"match": {"grpcStatus": [8, 13, 14]},
         "response": {"grpcStatus": 9, "body": {"type": "Inline", "inline": "%GRPC_STATUS_NUMBER% %REQ(:path)%"}}},
        {"match": {"statusCodes": [{"type": "Range", "range": {"start": 400, "end": 599}}]}, "source": "Local",
         "response": {"contentType": "text/html", "body": {"type": "Inline", "inline": "<p>%REQ(:authority)% %REQ(:path)%</p>"}}},
    ])
}
