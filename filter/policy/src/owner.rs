//! Which side enforces a field of `spec`: the filter or Envoy.

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

/// The side that enforces a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It says where the policy applies.
    Attachment,
    /// The filter.
    Filter(Capability),
    /// Envoy, by its own configuration.
    Envoy,
}

impl Capability {
    /// The names that `enforce` takes.
    pub const NAMES: [&'static str; 5] = [
        Self::ALL[0].0,
        Self::ALL[1].0,
        Self::ALL[2].0,
        Self::ALL[3].0,
        Self::ALL[4].0,
    ];

    /// All of them, by the names that `enforce` takes.
    pub const ALL: [(&'static str, Self); 5] = [
        ("faultInjection", Self::FaultInjection),
        ("responseOverride", Self::ResponseOverride),
        ("rateLimit", Self::RateLimit),
        ("requestBuffer", Self::RequestBuffer),
        ("retry", Self::Retry),
    ];
}

impl Owner {
    /// Whether Envoy does it: the filter does not look into such fields.
    #[must_use]
    pub const fn is_native(self) -> bool {
        matches!(self, Self::Envoy)
    }
}
