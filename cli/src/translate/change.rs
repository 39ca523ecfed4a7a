//! The result of a translation: changes, each with its field.

use std::fmt;

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

/// Which object of Envoy's configuration a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `config.bootstrap.v3.Bootstrap`.
    Bootstrap,
    /// Each `config.cluster.v3.Cluster` that a governed route sends to.
    Cluster,
    /// Each governed `config.route.v3.Route`.
    Route,
    /// The `HttpConnectionManager` that a governed route is reached through.
    HttpConnectionManager,
    /// Each governed `TcpProxy` and `UdpProxyConfig`.
    L4Proxy,
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The policy's field that causes it, such as `spec.loadBalancer.type`.
    pub field: String,
    /// Other fields that it carries, where another change carries what is
    /// around them.
    pub also: Vec<String>,
    /// Which object.
    pub target: Target,
    /// Where below that object.
    pub path: Path,
    /// What to do there.
    pub operation: Operation,
}

/// What is done at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Sets the value, and replaces an existing one.
    Set(Node),
    /// Sets the fields of this object; lists and scalars are replaced.
    Merge(Node),
    /// Sets the value if there is none.
    Default(Node),
    /// The same, for a value that no field sets but a field needs.
    Enable(Node),
    /// Sets the value in the object that the path leads to, if that exists; otherwise there
    /// is nothing to do, for this reason.
    Within(Node, &'static str),
    /// Adds to a list what it does not hold.
    Append(Node),
    /// Removes the existing value, which would contradict the policy.
    Remove,
    /// Refuses the configuration, with this reason, if there is a value (or exactly this
    /// value).
    Forbid(Option<&'static str>, &'static str),
    /// Refuses the configuration, with this reason, if there is no value.
    Require(&'static str),
    /// Puts this HTTP filter there, or over the one of its name.
    HttpFilter(Node, FilterPlace),
    /// Puts a name for statistics there, with the operators of Envoy Gateway filled in:
    /// of the object that the route is made of.
    RouteStatName(StatName),
    /// Changes the cluster's `HttpProtocolOptions`; older fields move there.
    HttpOptions(HttpPart),
    /// Sets `health_checks`; asks in the cluster's own protocol.
    HealthCheck(Node),
    /// Has health checks ask each endpoint for its own `hostname`.
    EndpointHosts,
    /// Sets the cluster's DNS settings, where it resolves names.
    Dns(Node),
    /// Sends a PROXY header of this version (`V1`, `V2`) before what the
    /// transport socket sends.
    ProxyProtocol(&'static str),
    /// Weighs the localities of these zones; others weigh 1.
    ZoneWeights(Vec<(String, u32)>),
    /// There is nothing to do, for this reason.
    Nothing(&'static str),
}

impl Operation {
    /// Whether a field is in force where this has been done. What asks, or makes
    /// way for another change, puts nothing into force.
    pub(crate) fn carries_fields(&self) -> bool {
        !matches!(
            self,
            Self::Remove | Self::Forbid(..) | Self::Require(_) | Self::EndpointHosts
        )
    }
}

/// `telemetry.metrics.routeStatName`, and what tells which object a route is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatName {
    /// The name, with operators.
    pub template: String,
    /// The namespace of routes that do not say theirs.
    pub namespace: String,
    /// The routes that the policy has for targets, as `namespace/name`.
    pub targets: Vec<String>,
}

/// Where an HTTP filter goes among those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPlace {
    /// Before the last one, the router.
    BeforeRouter,
    /// Behind all that judge or prepare a request, in front of what wraps messages.
    BehindLimits,
}

/// A part of `HttpProtocolOptions`.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpPart {
    /// Fields of `common_http_protocol_options`.
    Common(Node),
    /// Fields of `http2_protocol_options`, where the cluster speaks HTTP/2.
    Http2(Node),
    /// The client's protocol is the upstream's.
    UseDownstream,
    /// An HTTP filter that every try passes first. It takes the place of those of
    /// its kind.
    UpstreamFilter {
        /// The filter.
        filter: Node,
        /// The filters behind the router, which a cluster without filters of its
        /// own goes on with.
        of_router: Vec<Node>,
    },
}

/// A path below an object. Prints as `route.retry_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of an object, in snake case; the JSON name is found as well.
    Field(String),
    /// Every item of a list.
    Each,
    /// The item of a list whose field has this value.
    Item {
        /// The field.
        key: &'static str,
        /// Its value.
        value: &'static str,
        /// Whether an item without the field is meant, too.
        is_default: bool,
    },
}

impl Path {
    /// The path that `text` stands for: fields, `*` for every item.
    pub(crate) fn new(text: &str) -> Self {
        let step = |name: &str| match name {
            "*" => Step::Each,
            name => Step::Field(name.to_owned()),
        };
        Self(text.split('.').map(step).collect())
    }

    /// The path and one more step.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => write!(formatter, "{name}")?,
                Step::Field(name) if name.contains('.') => write!(formatter, "[{name}]")?,
                Step::Field(name) => write!(formatter, ".{name}")?,
                Step::Each => write!(formatter, "[]")?,
                Step::Item { value, .. } => write!(formatter, "[{value}]")?,
            }
        }
        Ok(())
    }
}

/// Collects changes, and what cannot be translated.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) list: Vec<Change>,
    pub(super) problems: Vec<Problem>,
}

impl Changes {
    /// Adds a change of `target` for the policy's `field` (below `spec`).
    pub(super) fn add(
        &mut self,
        field: &str,
        target: Target,
        path: impl Into<Path>,
        operation: Operation,
    ) {
        self.list.push(Change {
            field: format!("spec.{field}"),
            also: Vec::new(),
            target,
            path: path.into(),
            operation,
        });
    }

    /// Puts a filter into connection managers, where it is off, and switches it on by what
    /// routes have under its name.
    pub(super) fn add_filter(
        &mut self,
        field: &str,
        name: &str,
        (filter, place): (Node, FilterPlace),
        on: Node,
    ) {
        let target = Target::HttpConnectionManager;
        let operation = Operation::HttpFilter(filter, place);
        self.add(field, target, "http_filters", operation);
        let path = Path::new("typed_per_filter_config").then(Step::Field(name.to_owned()));
        self.add(field, Target::Route, path, Operation::Set(on));
    }

    /// Notes that the last change carries `field` (below `spec`), too.
    pub(super) fn also(&mut self, field: &str) {
        let last = self.list.last_mut().into_iter();
        last.for_each(|it| it.also.push(format!("spec.{field}")));
    }

    /// Notes that `field` (below `spec`) cannot be translated.
    pub(super) fn refuse(&mut self, field: &str, code: Code, reason: impl Into<String>) {
        let path = FieldPath::written(&format!("spec.{field}"));
        let problem = Problem::new(path, code, reason);
        self.problems.push(problem);
    }
}
