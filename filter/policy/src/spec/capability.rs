//! Who enforces which field of `spec`: the filter, Envoy, or nobody yet.

/// What an instance of the filter can be told to enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named as the fields")]
pub enum Capability {
    FaultInjection,
    RateLimit,
    RequestBuffer,
    ResponseOverride,
    /// `retry` and `retryConstraint`.
    Retry,
}

/// Who puts a field into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It says where the policy applies.
    Attachment,
    /// The filter.
    Filter(Capability),
    /// Envoy, by its own configuration.
    Envoy,
}

/// Every field of `spec`.
pub const FIELDS: [(&str, Owner); 27] = [
    ("targetRef", Owner::Attachment),
    ("targetRefs", Owner::Attachment),
    ("targetSelectors", Owner::Attachment),
    ("mergeType", Owner::Attachment),
    ("faultInjection", Owner::Filter(Capability::FaultInjection)),
    ("rateLimit", Owner::Filter(Capability::RateLimit)),
    ("requestBuffer", Owner::Filter(Capability::RequestBuffer)),
    (
        "responseOverride",
        Owner::Filter(Capability::ResponseOverride),
    ),
    ("retry", Owner::Filter(Capability::Retry)),
    ("retryConstraint", Owner::Filter(Capability::Retry)),
    ("admissionControl", Owner::Envoy),
    ("bandwidthLimit", Owner::Envoy),
    ("circuitBreaker", Owner::Envoy),
    ("compression", Owner::Envoy),
    ("compressor", Owner::Envoy),
    ("connection", Owner::Envoy),
    ("dns", Owner::Envoy),
    ("healthCheck", Owner::Envoy),
    ("http2", Owner::Envoy),
    ("httpUpgrade", Owner::Envoy),
    ("loadBalancer", Owner::Envoy),
    ("proxyProtocol", Owner::Envoy),
    ("routingType", Owner::Envoy),
    ("tcpKeepalive", Owner::Envoy),
    ("telemetry", Owner::Envoy),
    ("timeout", Owner::Envoy),
    ("useClientProtocol", Owner::Envoy),
];

/// Fields that Envoy could put into force and no tool here writes, each with
/// what a person can do instead. The one list of them: `btp apply` refuses
/// these, and whoever speaks of a policy says so.
pub const BY_HAND: [(&str, &str); 3] = [
    (
        "admissionControl",
        "configure Envoy's admission_control filter by hand",
    ),
    (
        "bandwidthLimit",
        "configure Envoy's bandwidth_limit filter by hand",
    ),
    (
        "telemetry",
        "set tracing and stat_prefix of the route by hand",
    ),
];

impl Capability {
    /// All of them, by the names that `enforce` takes.
    pub const ALL: [(&'static str, Self); 5] = [
        ("faultInjection", Self::FaultInjection),
        ("responseOverride", Self::ResponseOverride),
        ("rateLimit", Self::RateLimit),
        ("requestBuffer", Self::RequestBuffer),
        ("retry", Self::Retry),
    ];
}

/// Who enforces the field `name` of `spec`; `None` if there is no such field.
#[must_use]
pub fn owner_of(name: &str) -> Option<Owner> {
    let found = FIELDS.iter().find(|(field, _)| *field == name);
    found.map(|(_, owner)| *owner)
}

/// What a person can do where no tool here writes the field `name` of `spec`;
/// `None` for any other field.
#[must_use]
pub fn by_hand(name: &str) -> Option<&'static str> {
    let found = BY_HAND.iter().find(|(field, _)| *field == name);
    found.map(|(_, instead)| *instead)
}
