//! `sampling`: whether a share is drawn anew for each request, or the same
//! key always fares the same.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::HeaderName;

/// How shares are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// Each request is a draw of its own.
    #[default]
    Random,
    /// The draw is a hash of the seed and the request's key.
    Sticky {
        /// Another seed picks other keys.
        seed: u64,
        /// What tells requests apart.
        key: SamplingKey,
    },
}

/// What tells requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SamplingKey {
    /// `x-request-id`.
    RequestId,
    /// A request header.
    Header(HeaderName),
    /// The client's address, without port.
    SourceIp,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    RequestId,
    Header,
    SourceIp,
}

impl Sampling {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::SAMPLING, problems)?;
        let kinds = [
            ("None", Kind::None),
            ("RequestID", Kind::RequestId),
            ("Header", Kind::Header),
            ("SourceIP", Kind::SourceIp),
        ];
        let seed = object.or_default("seed", problems, |at, problems| {
            u64::try_from(at.integer(0..=i64::MAX, problems)?).ok()
        });
        let name = object.optional("name", problems, HeaderName::read);
        let kind = object
            .required("key", problems)
            .and_then(|at| at.choice(&kinds, problems))?;
        if kind != Kind::Header
            && let Some(at) = object.get("name")
        {
            at.refuse(
                problems,
                Code::FieldOfType,
                "must be left out: only key Header has a name",
            );
        }
        let key = match kind {
            Kind::None => {
                if let Some(at) = object.get("seed") {
                    at.refuse(
                        problems,
                        Code::FieldOfType,
                        "must be left out: key None draws at random",
                    );
                }
                return Some(Self::Random);
            }
            Kind::RequestId => SamplingKey::RequestId,
            Kind::SourceIp => SamplingKey::SourceIp,
            Kind::Header => {
                object.required("name", problems)?;
                SamplingKey::Header(name??)
            }
        };
        Some(Self::Sticky { seed: seed?, key })
    }
}
