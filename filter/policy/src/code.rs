//! A number for each cause of a problem, which never changes: `BTP0107`.
//!
//! Messages may change from release to release, but codes do not. So the text about a code
//! in `docs/reference/codes.md` and the settings that allow or deny it stay valid. A number
//! is never used again for another cause. The hundreds group them: 00 files and syntax, 01
//! fields and values, 02 targets, 03 the plugin configuration, 04 what the filter cannot
//! enforce, 05 advice, 06 Envoy configurations that are refused, 07 those that are unwise,
//! 08 global limits.

use std::fmt;

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)*) => {
        /// A cause of problems. Prints as `BTP0107`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $title] $name = $number,)*
        }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is wrong, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

// Numbers that were in use and are not any more: 210 (kinds of targets that were not supported
// yet), 307 (a setting that had no effect yet), 402 (a field that was not translated), 502
// (a field without effect).
codes! {
    // 00: files and their syntax
    NotReadable = 1, "the file cannot be read";
    NotUtf8 = 2, "the file is not UTF-8 text";
    NotWritable = 3, "the file cannot be written";
    NotYaml = 4, "the text is not YAML";
    NotJson = 5, "the text is not JSON";
    NestsTooDeep = 6, "lists and objects nest too deep";
    TooManyValues = 7, "the text has too many values";
    OpenAnchor = 8, "an alias refers to an unfinished anchor";
    KeyIsNoString = 9, "the key of an object is not a string";
    UnknownTag = 10, "a value has an unknown YAML tag";
    DocumentIsNoObject = 11, "a document is not an object";
    NoKind = 12, "an object has no kind";
    MistakenKind = 13, "the kind of an object is misspelt";
    OtherApi = 14, "a BackendTrafficPolicy of another API group";
    DefinedTwice = 15, "two objects have the same kind, namespace and name";
    NoPolicies = 16, "the files hold no policy";
    MoreProblems = 17, "more problems than are listed";
    // 01: fields and values
    UnknownField = 101, "an unknown field";
    MissingField = 102, "a required field is missing";
    DuplicateField = 103, "a field is given twice";
    WrongType = 104, "a value is of the wrong type";
    OutOfBounds = 105, "a number is out of bounds";
    NotWhole = 106, "a number is not whole";
    UnknownChoice = 107, "a value is not one of the allowed values";
    WrongConstant = 108, "a value is not the only allowed value";
    ListLength = 109, "a list has too few or too many items";
    TextLength = 110, "a string is too short or too long";
    ListedTwice = 111, "an item is listed twice";
    NameTaken = 112, "two rules or classes have the same name";
    ExcludedField = 113, "two fields cannot be set together";
    NoneOfFields = 114, "none of several fields is set";
    NotExactlyOne = 115, "not exactly one of several fields is set";
    FieldOfType = 116, "the fields do not fit the type";
    OldSpelling = 117, "a field is written as in an older release";
    ImpliedField = 118, "a field that the API requires is left out";
    Extension = 119, "a field or value is an extension";
    MalformedDuration = 120, "a value is not a duration";
    DurationOutOfBounds = 121, "a duration is too short or too long";
    PartOfSecond = 122, "a duration is not whole seconds";
    MalformedQuantity = 123, "a value is not a quantity";
    QuantityOutOfBounds = 124, "a quantity is too small or too large";
    MalformedPercentage = 125, "a value is not a percentage";
    MalformedTimestamp = 126, "a value is not a time";
    MalformedCidr = 127, "a value is not an address range";
    MalformedHeaderName = 128, "a value is not a header name";
    MalformedHeaderValue = 129, "a header value has control characters";
    ReservedHeader = 130, "a header is written by others";
    MalformedRegex = 131, "a value is not a regular expression";
    MalformedName = 132, "a value is not a DNS name";
    MalformedKind = 133, "a value is not a kind or API group";
    MalformedHost = 134, "a value is not a host";
    MalformedMediaType = 135, "a value is not a media type";
    MalformedPath = 136, "a value is not a path";
    MalformedTemplate = 137, "a command operator is wrong";
    UnknownOperator = 138, "an unknown operator in a name of statistics";
    MalformedMethod = 139, "a value is not a method";
    MalformedCookie = 140, "a cookie is malformed";
    MalformedProtocol = 141, "a value is not a protocol";
    MalformedMetadataKey = 142, "a key of dynamic metadata is malformed";
    BrokenLine = 143, "a string has line breaks";
    MalformedBase64 = 144, "a value is not base64";
    WrongOrder = 145, "two values are in the wrong order";
    WrongStatus = 146, "a status is not allowed here";
    SecondDefaultRule = 147, "two rules are the default rule";
    BurstTooLarge = 148, "a burst takes too long to refill";
    CostAboveLimit = 149, "a request costs more than its limit allows";
    DistinctCondition = 150, "a Distinct condition where nothing is counted";
    NotPrime = 151, "a number is not prime";
    WeightsTooLarge = 152, "the sum of the weights is too large";
    TotalTooSmall = 153, "maxTotal is smaller than one body";
    GlobalOnly = 154, "a setting of global limits in a local one";
    ReservesTooLarge = 157, "classes reserve more places than max";
    // 02: targets and attachment
    MergeNeedsRoutes = 201, "a mergeType in a policy that targets more than routes";
    NeedsHttpTargets = 202, "an HTTP field in a policy without HTTP targets";
    SelectorValues = 203, "values do not fit the operator of a label selector";
    Conflicted = 204, "an older policy has the same target";
    TwoForEverything = 205, "two policies apply to everything";
    MergesPastRoute = 206, "a rule's policy does not merge with its route's policy";
    HidesGatewayPolicy = 207, "a route's policy hides the Gateway's";
    SwitchedOff = 208, "an administrator has disabled the policy";
    TargetNotFound = 209, "a target is not in the configuration";
    LabelsNotFound = 211, "no object has the labels of a selector";
    // 03: the plugin configuration
    UnknownPolicy = 301, "attachment names a policy that does not exist";
    DisabledPolicy = 302, "attachment names a disabled policy";
    TooMuchMemory = 303, "the configuration takes too much memory";
    TooManyDistributions = 304, "too many different delay distributions";
    FaultsElsewhere = 305, "another instance injects the faults";
    DownstreamOnly = 306, "a capability that cannot be enforced upstream";
    HeadersNotHeld = 308, "bodies cannot be buffered unless headers are held";
    // 04: what the filter cannot enforce, ConfigMaps and regular expressions
    EnvoysField = 401, "a field that Envoy itself enforces";
    InternalRedirect = 403, "a redirect inside Envoy";
    ConfigMapNotFound = 404, "a ConfigMap is missing";
    ConfigMapKey = 405, "a ConfigMap has no body";
    ConfigMapBody = 406, "the body in a ConfigMap is wrong";
    BinaryData = 407, "a ConfigMap has binary data";
    ExpensiveRegex = 408, "a regular expression is too expensive";
    RegexesTooLarge = 409, "all regular expressions together take too much memory";
    RegexNotRead = 410, "a regular expression was not checked";
    TooManyRegexes = 411, "a policy has too many conditions with regular expressions";
    TooManyOperators = 412, "a policy has too many command operators";
    TooManyRequestRules = 413, "too many overrides look at requests";
    // 05: advice
    DeprecatedField = 501, "a field is deprecated";
    OtherRateLimitType = 503, "rateLimit.type disables the limits";
    GrpcStatusForHttp = 504, "a gRPC status for plain HTTP requests";
    LongDistinctLimit = 505, "a long limit by a header that clients choose";
    BodyAboveBuffer = 506, "bodies are larger than Envoy buffers";
    GrpcUnbounded = 507, "a limit that does not apply to gRPC calls";
    TotalUsedUp = 508, "idle clients can use up the total";
    LongIdleTimeout = 509, "idle connections are kept longer than servers keep them";
    NoKeepalive = 510, "long-lived connections without keepalive";
    AllEjected = 511, "every endpoint may be ejected";
    OnlyStatus200 = 512, "only status 200 counts as healthy";
    NoPendingRequests = 513, "no request can wait for a connection";
    DefaultBreakers = 514, "circuit breakers are at their defaults";
    CompressorOff = 515, "a compressor without settings is off";
    BesideRetryBudget = 516, "maxParallelRetries beside a retryBudget";
    WithoutSplit = 517, "local origin failures are not counted separately";
    ConstraintWithoutRetry = 518, "a retryConstraint without a retry";
    ManyRetries = 519, "many retries";
    NoConnectFailure = 520, "retries leave out failed connections";
    CodesWithoutTrigger = 521, "status codes without their trigger";
    TriggerWithoutCodes = 522, "a trigger without status codes";
    SecondBudget = 523, "two budgets for retries";
    CutShort = 524, "Envoy's default breaker cuts retries short";
    ReserveRetries = 525, "more retries than mode Reserve has";
    TimeoutWithoutTrigger = 526, "no trigger covers the timeout of an attempt";
    TryNeverEnds = 527, "an attempt may take longer than its request";
    NoTimeForTries = 528, "the request ends before its attempts";
    FixedWindows = 529, "a rate limit service counts in fixed windows";
    RequestCostMetadata = 530, "the cost of requests comes from metadata";
    ResponseCostMetadata = 531, "the cost of responses comes from metadata";
    KeylessUnlimited = 532, "requests without the key are not limited";
    ThresholdOfTimeouts = 533, "unhealthyThreshold does not apply to wrong statuses";
    ReservesAgainstOrder = 538, "a class reserves more than an earlier class";
    OneAddressFamily = 539, "a limit for each address of only one IP family";
    WholeIpv6Addresses = 540, "an IPv6 client has many addresses";
    RejectedTry = 546, "a rejected attempt ends the request";
    // 06: Envoy configurations that are refused
    NotOneDocument = 601, "a file does not hold one YAML document";
    DuplicateKey = 602, "a key is given twice";
    NoBootstrap = 603, "the file is no Envoy bootstrap";
    WrongResource = 604, "a resource is of the wrong kind";
    SecondResource = 605, "a file has a second resource";
    FileOfTwoKinds = 606, "one file for two kinds of resources";
    NothingToGovern = 607, "nothing that policies can apply to";
    WrongShape = 608, "a value of the configuration is of the wrong type";
    NodeWithoutId = 609, "the node has no id or cluster";
    StopsRetries = 610, "a route retries on envoy-ratelimited";
    UnseenRoutes = 611, "the routes cannot be seen";
    RouteNameTaken = 612, "routes with different policies have the same name";
    SharedRoutes = 613, "listeners with different policies share routes";
    FilterIsThere = 614, "the filter is already present";
    EnforcedTwice = 615, "two instances enforce the same fields";
    AmbiguousListener = 616, "a listener matches several targets";
    OwnHttpFilters = 617, "a cluster has HTTP filters of its own";
    SlashInName = 618, "a name in metadata has a slash";
    Contradiction = 619, "the configuration contradicts the policy";
    ClusterByRequest = 620, "the cluster is chosen by each request";
    UnknownCluster = 621, "a cluster is not in the configuration";
    Undone = 622, "another change has undone a setting";
    EditedSince = 623, "the configuration was edited after btp apply";
    RedirectMeets = 624, "a redirect and another rule can both apply";
    RedirectsMerged = 625, "redirects replace the rules of a merged policy";
    UnknownCondition = 626, "a condition that a redirect does not support";
    UnknownPlace = 627, "an option names a filter that does not exist";
    NotDelivered = 628, "the files cannot be written to the folder";
    UnsayableMetadata = 629, "Envoy cannot show the metadata to a module";
    OutdatedAttachment = 630, "attachment does not match the routes";
    WrongModuleFilter = 631, "the module has no such filter";
    WrongModuleConfig = 632, "the module cannot read its configuration";
    MissingCapabilities = 633, "the filter lacks capabilities";
    // 07: Envoy configurations that are unwise
    ListenersUnseen = 701, "some listeners are not seen";
    SpoofedAddress = 702, "clients can choose their address";
    PathSpelling = 703, "other spellings of a path evade the policy";
    NoIdleTimeout = 704, "idle streams keep their places for good";
    AnyHostRedirect = 705, "a redirect leads to any host";
    MixedBuilds = 706, "both builds of the filter in one chain";
    NestedRouteMetadata = 707, "a module cannot read the metadata of routes";
    NestedMetadata = 708, "a module cannot read nested metadata";
    ProbesLimited = 709, "health checks meet limits and faults";
    PreflightsLimited = 710, "preflights meet limits";
    WrittenBehind = 711, "a condition does not see what is written behind it";
    ModuleMayClose = 712, "the module may be unloaded";
    SeparateVms = 713, "two instances do not share a VM";
    IgnoredWeights = 714, "the weights of localities are ignored";
    HttpOnly = 715, "a field has no effect without HTTP";
    ChosenByFilter = 716, "another filter chooses the cluster";
    PartlyInForce = 717, "a field applies to only some clusters of a route";
    WeightedClusters = 718, "a client is kept at one endpoint, not at one cluster";
    UnlabelledMetrics = 719, "metrics have no labels";
    NothingTraced = 720, "nothing is traced without a provider";
    NoUpstreamSpan = 721, "attempts have no span of their own";
    SharedCookie = 722, "clusters share the cookie of a session";
    SessionOfAggregate = 723, "a session does not reach the clusters of an aggregate";
    // 08: global limits
    NoRateLimitService = 801, "global limits without a rate limit service";
    UncountableRoute = 802, "two routes cannot be counted apart";
    ServiceNameTaken = 803, "a name for the rate limit service is taken";
    UnknownToService = 804, "the rate limit service has no such setting";
    LocalOnly = 805, "a condition that only local limits support";
    RouteWithoutBackend = 806, "a route without a backend is not counted";
}

impl Code {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code that is written as `BTP` and four digits, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = Self::number_in(text)?;
        let is_it = |code: &&Self| code.number() == number;
        Self::ALL.iter().find(is_it).copied()
    }

    /// The number in `BTP` and four digits, whether there is such a code or not.
    #[must_use]
    pub fn number_in(text: &str) -> Option<u16> {
        let (prefix, digits) = text.split_at_checked(3)?;
        let is_one = prefix.eq_ignore_ascii_case("BTP")
            && digits.len() == 4
            && digits.bytes().all(|it| it.is_ascii_digit());
        is_one.then(|| digits.parse().ok()).flatten()
    }

    /// The code whose number is nearest.
    #[must_use]
    pub fn nearest(number: u16) -> Option<Self> {
        let distance = |code: &&Self| code.number().abs_diff(number);
        Self::ALL.iter().min_by_key(distance).copied()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BTP{:04}", self.number())
    }
}

#[cfg(test)]
mod tests;
