//! The one look at a request: what its policy must know, found out at once.
//!
//! A hostcall that returns bytes costs as much for all headers as for one, so
//! either all are read, once, or at most one is.

use btp_policy::spec::Selector;

use crate::fault::{Fault, Seen};
use crate::grpc::Grpc;
use crate::grpc::reply_format::Form;
use crate::host::Host;
use crate::plan::PolicyPlan;
use crate::rate_limit::{self, Hit};
use crate::request::{ParamNames, Request};
use crate::request_buffer::Buffering;
use crate::response_override::Recall;
use crate::retry::Retries;
use crate::worker::Worker;

/// What a policy must know of a request. Worked out at load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// What it has to do with gRPC.
    pub(crate) grpc: bool,
    /// Its headers, its method and path among them.
    pub(crate) headers: bool,
    /// The client's address.
    pub(crate) source: bool,
    /// How its body is framed, if it has one.
    pub(crate) body: bool,
    /// What stands in Envoy's dynamic metadata under these paths.
    pub(crate) metadata: Vec<MetadataPath>,
    /// These parameters of its query.
    pub(crate) params: ParamNames,
}

/// A namespace of the dynamic metadata, then one key for each level.
pub(crate) type MetadataPath = Vec<String>;

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// What its client understands; only known if its content type was at hand.
    pub(crate) form: Option<Form>,
    /// What it has to do with gRPC; only known if the policy needs it.
    pub(crate) grpc: Grpc,
    /// The rate limits that count it.
    pub(crate) limits: Vec<Hit>,
    /// What overrides will want to know of it.
    pub(crate) recall: Recall,
    /// Its body; only known if the policy needs it and there is one.
    pub(crate) body: BodyLook,
    /// It may be tried again.
    pub(crate) retry: bool,
}

/// What the headers say of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyLook {
    /// The length that the client declared.
    pub(crate) length: Option<u64>,
    /// The most bytes that it may have.
    pub(crate) limit: u64,
    /// It is behind a request to become a stream without end.
    pub(crate) tunnel: Option<Tunnel>,
    /// The client sends it only when it is told to.
    pub(crate) expects_continue: bool,
}

/// What a request asks to become, in both directions and without end. Until
/// the upstream accepts, what comes is a body, which Envoy keeps to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tunnel {
    /// Another protocol, such as WebSocket. (Envoy answers upgrades that it is
    /// not to accept before any filter sees them, takes the header away where
    /// `connection` does not name it, and shows an extended CONNECT of HTTP/2
    /// in this form, too.)
    Upgrade,
    /// A connection of its own (CONNECT).
    Connect,
}

impl Tunnel {
    fn asked_by(request: &Request<'_>) -> Option<Self> {
        if request.method() == b"CONNECT" {
            return Some(Self::Connect);
        }
        request.header("upgrade").map(|_| Self::Upgrade)
    }

    /// Whether a response with this status says that it is one from now on.
    pub(crate) fn is_accepted_by(self, status: u16) -> bool {
        match self {
            Self::Upgrade => status == 101,
            Self::Connect => matches!(status, 200..=299),
        }
    }
}

impl Needs {
    /// What one of these alternatives asks about.
    pub(crate) fn of(selectors: &[Selector]) -> Self {
        let all = selectors.iter().map(Self::of_selector);
        Self {
            headers: !selectors.is_empty(),
            ..all.fold(Self::default(), Self::and)
        }
    }

    /// What these conditions ask about.
    pub(crate) fn of_selector(selector: &Selector) -> Self {
        Self {
            headers: !(selector.headers.is_empty()
                && selector.methods.is_empty()
                && selector.paths.is_empty()
                && selector.query_params.is_empty()),
            source: !selector.sources.is_empty(),
            metadata: selector.metadata.iter().map(|it| it.path.clone()).collect(),
            params: selector
                .query_params
                .iter()
                .map(|it| it.name.clone())
                .collect(),
            ..Self::default()
        }
    }

    /// Both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for path in other.metadata {
            if !self.metadata.contains(&path) {
                self.metadata.push(path);
            }
        }
        Self {
            grpc: self.grpc || other.grpc,
            headers: self.headers || other.headers,
            source: self.source || other.source,
            body: self.body || other.body,
            metadata: self.metadata,
            params: self.params.and(other.params),
        }
    }
}

impl Look {
    /// In which form the client is told what replaces a response at hand. Who
    /// only says gRPC, and not even in a POST, is told as anybody else.
    pub(crate) fn told_in(&self) -> Form {
        match self.form.unwrap_or_default() {
            Form::Grpc if self.grpc == Grpc::None => Form::Http,
            form => form,
        }
    }

    /// Looks at the request at hand, once for all capabilities; `end` if its
    /// headers are all of it. `route` is a hash of its route's name.
    pub(crate) fn at<H: Host>(
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        route: u64,
        end: bool,
    ) -> (Self, Seen) {
        let needs = &policy.needs;
        let overrides = policy.overrides.as_ref();
        let started_ns = overrides.and_then(|it| it.start(host));
        let needs_body = needs.body && !end;
        let fault = policy.fault.as_ref();
        let limits = policy.limits.as_ref();
        let seed = match limits {
            Some(_) => worker.seed(rate_limit::SEED, host),
            None => [0; 2],
        };
        let hits = |request: &Request<'_>| {
            limits.map_or_else(Vec::new, |limits| limits.hits(request, seed, route))
        };
        let source = needs.source.then(|| host.source_address()).flatten();
        let paths = needs.metadata.iter();
        let metadata: Vec<(&MetadataPath, Vec<u8>)> = paths
            .filter_map(|path| Some((path, host.metadata(path)?)))
            .collect();
        let retries = policy.retries.as_ref();
        if !needs.headers && !needs_body {
            let form = needs.grpc.then(|| Form::of_request(host));
            let look = Self {
                form,
                grpc: form.map_or(Grpc::None, |form| Grpc::of_request(form, host)),
                limits: hits(&Request::new(&[], source).with_metadata(&metadata)),
                recall: Recall::of_time(started_ns),
                body: BodyLook::default(),
                retry: retries.is_some_and(Retries::is_for_all),
            };
            return (look, fault.map(Fault::unseen).unwrap_or_default());
        }
        let (mut look, seen, shortage, is_post) = host.request_headers(|headers| {
            let request = Request::new(headers, source)
                .with_metadata(&metadata)
                .with_params(&needs.params);
            let (recall, shortage) = overrides
                .map(|it| it.recall(&request, started_ns, worker.value_limits()))
                .unwrap_or_default();
            let content_type = request.header("content-type");
            let is_post = request.method() == b"POST";
            let look = Self {
                form: Some(Form::of(&content_type.unwrap_or_default()).posted(is_post)),
                grpc: Grpc::None,
                limits: hits(&request),
                recall,
                body: match &policy.buffering {
                    Some(buffering) if needs_body => BodyLook::at(&request, buffering),
                    _ => BodyLook::default(),
                },
                retry: retries.is_some_and(|retries| retries.is_for(&request)),
            };
            let seen = fault.map(|fault| fault.see(&request));
            (look, seen.unwrap_or_default(), shortage, is_post)
        });
        if needs.grpc || needs_body {
            look.grpc = Grpc::of(look.form.unwrap_or_default(), |_| is_post, host);
        }
        if let Some(overrides) = overrides {
            overrides.tell_shortage(shortage, host);
        }
        (look, seen)
    }
}

impl BodyLook {
    #[inline(never)]
    fn at(request: &Request<'_>, buffering: &Buffering) -> Self {
        let is = |name, wanted: &[u8]| {
            let value = request.header(name);
            value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        };
        Self {
            length: request
                .header("content-length")
                .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()),
            limit: buffering.limit_of(request),
            tunnel: Tunnel::asked_by(request),
            expects_continue: is("expect", b"100-continue"),
        }
    }
}
