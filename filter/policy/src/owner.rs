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
    /// Nobody: Envoy could, and no tool here writes it. `btp apply` refuses the
    /// field.
    Nobody(ByHand),
}

/// What nobody puts into force yet, and a person can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// Envoy's `bandwidth_limit` filter.
    BandwidthLimit,
    /// A route's tracing and `stat_prefix`.
    Telemetry,
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
    /// Whether Envoy does it, or could: the filter does not look into such fields.
    #[must_use]
    pub const fn is_native(self) -> bool {
        matches!(self, Self::Envoy | Self::Nobody(_))
    }

    /// What a person can do where no tool here writes a field.
    #[must_use]
    pub const fn by_hand(self) -> Option<&'static str> {
        match self {
            Self::Nobody(ByHand::BandwidthLimit) => {
                Some("configure Envoy's bandwidth_limit filter by hand")
            }
            Self::Nobody(ByHand::Telemetry) => {
                Some("set tracing and stat_prefix of the route by hand")
            }
            _ => None,
        }
    }
}
