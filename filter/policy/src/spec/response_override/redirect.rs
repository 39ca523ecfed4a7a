//! `responseOverride[].redirect`: with `mode: Client` (an extension) the
//! client is told to go elsewhere. Without it, Envoy's internal redirect is
//! meant: Envoy runs the request again on another route and answers with what
//! comes back, which only Envoy itself can do.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::{Authority, Part, Template, is_dns_subdomain};

use super::response::read_template;

/// `redirect`: a place to go to instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Whether Envoy or the client follows the redirect.
    pub mode: RedirectMode,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host that is asked.
    pub hostname: Option<String>,
    /// The path of the new request. Only a client's may have operators.
    pub path: Option<Template>,
    /// The port that is asked.
    pub port: Option<u16>,
    /// The hosts, some with a port, that may stand for a missing `hostname`
    /// when a request names them; all readable as [`Authority`]. Empty: any.
    pub hosts: Vec<String>,
    /// The status the client gets: 301, 302, and 303, 307 or 308 in mode
    /// `Client`.
    pub status: u16,
    /// The client gets the original status instead. Only of an internal one.
    pub keep_status: bool,
}

/// Which side follows a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectMode {
    /// Envoy, unseen by the client.
    Internal,
    /// The client: it gets a Location.
    Client,
}

impl Redirect {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::REDIRECT, problems)?;
        let mode = object.or("mode", RedirectMode::Internal, problems, |at, problems| {
            at.choice(&[("Client", RedirectMode::Client)], problems)
        })?;
        let scheme = object.optional("scheme", problems, |at, problems| {
            at.choice(&[("http", "http"), ("https", "https")], problems)
        });
        let hostname = object.optional("hostname", problems, |at, problems| {
            let name = at.string(problems)?;
            if !is_dns_subdomain(name) {
                at.refuse(
                    problems,
                    Code::MalformedName,
                    "must be a DNS name (RFC 1123)",
                );
            }
            Some(name.to_owned())
        });
        let path = object.optional("path", problems, |at, problems| {
            read_path(at, mode, problems)
        })?;
        let port = object.optional("port", problems, |at, problems| {
            let port = at.integer(1..=65_535, problems)?;
            u16::try_from(port).ok()
        });
        let hosts = object.or_default("hosts", problems, |at, problems| {
            read_hosts(at, mode, &object, problems)
        })?;
        let status = object.or("statusCode", 302, problems, |at, problems| {
            read_status(at, mode, problems)
        })?;
        let keep_status = object.or("keepStatus", false, problems, |at, problems| {
            let keeps = at.boolean(problems)?;
            if keeps && mode == RedirectMode::Client {
                let reason = "must be left out beside mode: Client, which sets its own status to \
                    send the client elsewhere";
                at.refuse(problems, Code::ExcludedField, reason);
            } else if keeps && object.has("statusCode") {
                let reason = "must be left out beside statusCode, which sets the status";
                at.refuse(problems, Code::ExcludedField, reason);
            }
            Some(keeps)
        })?;
        let leads_back = ["scheme", "hostname", "path", "port"]
            .iter()
            .all(|name| !object.has(name));
        if mode == RedirectMode::Client && leads_back {
            at.refuse(
                problems,
                Code::NoneOfFields,
                "must have scheme, hostname, path or port: else it leads the client back to the \
                 same address",
            );
        }
        Some(Self {
            mode,
            scheme: scheme.flatten().map(str::to_owned),
            hostname: hostname.flatten(),
            path,
            port: port.flatten(),
            hosts,
            status,
            keep_status,
        })
    }

    /// Whether the client is sent to the host that its request names.
    #[must_use]
    pub fn echoes_host(&self) -> bool {
        self.mode == RedirectMode::Client
            && self.hostname.is_none()
            && (self.scheme.is_some() || self.port.is_some())
    }
}

fn read_hosts(
    at: Cursor<'_>,
    mode: RedirectMode,
    redirect: &Object<'_>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    if mode == RedirectMode::Internal {
        at.refuse(problems, Code::FieldOfType, "needs mode: Client");
    } else if redirect.has("hostname") {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must be left out beside hostname, which sets the host",
        );
    } else if !redirect.has("scheme") && !redirect.has("port") {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must be left out: without scheme and port the redirect has only a path, and names no \
             host",
        );
    }
    at.list(1..=64, problems, |at, problems| {
        let text = at.string(problems)?;
        if Authority::parse(text.as_bytes()).is_none() {
            at.refuse(
                problems,
                Code::MalformedHost,
                "must be a host, such as shop.example, shop.example:8443 or [2001:db8::1]",
            );
        }
        Some(text.to_owned())
    })
}

fn read_status(at: Cursor<'_>, mode: RedirectMode, problems: &mut Problems) -> Option<u16> {
    let status = at.integer(300..=399, problems)?;
    let (is_known, reason) = match mode {
        RedirectMode::Internal => (
            matches!(status, 301 | 302),
            "must be 301 or 302; 303, 307 and 308 need mode: Client",
        ),
        RedirectMode::Client => (
            matches!(status, 301..=303 | 307 | 308),
            "must be 301, 302, 303, 307 or 308",
        ),
    };
    if !is_known {
        at.refuse(problems, Code::WrongStatus, reason);
        return None;
    }
    u16::try_from(status).ok()
}

fn read_path(at: Cursor<'_>, mode: RedirectMode, problems: &mut Problems) -> Option<Template> {
    let object = at.object_of(&super::schema::PATH, problems)?;
    if let Some(at) = object.required("type", problems) {
        at.choice(&[("ReplaceFullPath", ())], problems);
    }
    if let Some(at) = object.get("replacePrefixMatch") {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must be left out: type is ReplaceFullPath",
        );
    }
    let at = object.required("replaceFullPath", problems)?;
    let path = at.string_of(0..=1024, problems)?;
    if mode == RedirectMode::Internal {
        if path.contains('#') {
            at.refuse(
                problems,
                Code::MalformedPath,
                "must not have a fragment (#)",
            );
        }
        return Some(Template::literal(path));
    }
    let template = read_template(at, path, problems)?;
    if !path.starts_with('/') || path.starts_with("//") {
        at.refuse(problems, Code::MalformedPath, "must begin with one /");
    }
    let is_plain = |part: &Part| match part {
        Part::Text(text) => text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)),
        Part::Operator { .. } => true,
    };
    if !template.parts().iter().all(is_plain) {
        at.refuse(
            problems,
            Code::MalformedPath,
            "must be written in URL characters: percent-encode others, with %% for the percent \
             sign",
        );
    }
    Some(template)
}
