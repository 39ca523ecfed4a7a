//! `responseOverride[].redirect`: Envoy's internal redirect. It runs the
//! request again on another route and answers with what comes back; the
//! client is not redirected.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::is_dns_subdomain;

/// `redirect`: the response of another route in place of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host that is asked.
    pub hostname: Option<String>,
    /// The path that is asked for.
    pub path: Option<String>,
    /// The port that is asked.
    pub port: Option<u16>,
    /// The status the client gets: 301 or 302.
    pub status: u16,
}

impl Redirect {
    pub(super) fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let known = ["scheme", "hostname", "path", "port", "statusCode"];
        let object = at.object(&known, problems)?;
        let scheme = object
            .get("scheme")
            .and_then(|at| at.choice(&[("http", "http"), ("https", "https")], problems));
        let hostname = object.get("hostname").and_then(|at| {
            let name = at.string(problems)?;
            if !is_dns_subdomain(name) {
                at.refuse(problems, "must be a DNS name (RFC 1123)");
            }
            Some(name.to_owned())
        });
        let path = object
            .get("path")
            .and_then(|at| read_redirect_path(at, problems));
        let port = object.get("port").and_then(|at| {
            let port = at.integer(1..=65_535, problems)?;
            u16::try_from(port).ok()
        });
        let status = match object.get("statusCode") {
            Some(at) => u16::try_from(at.integer(301..=302, problems)?).ok()?,
            None => 302,
        };
        Some(Self {
            scheme: scheme.map(str::to_owned),
            hostname,
            path,
            port,
            status,
        })
    }
}

fn read_redirect_path(at: At<'_>, problems: &mut Problems) -> Option<String> {
    let object = at.object(&["type", "replaceFullPath", "replacePrefixMatch"], problems)?;
    if let Some(at) = object.required("type", problems) {
        at.choice(&[("ReplaceFullPath", ())], problems);
    }
    if let Some(at) = object.get("replacePrefixMatch") {
        at.refuse(problems, "must be left out: type is ReplaceFullPath");
    }
    let at = object.required("replaceFullPath", problems)?;
    let path = at.string_of(0..=1024, problems)?;
    if path.contains('#') {
        at.refuse(problems, "must not have a fragment (#)");
    }
    Some(path.to_owned())
}
