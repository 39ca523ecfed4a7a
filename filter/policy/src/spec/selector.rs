//! Conditions on requests: `clientSelectors` and what is written like them.

pub(crate) mod schema;

mod distinct;
mod metadata;

pub use distinct::{OnMissing, WHOLE_ADDRESS};
pub use metadata::{MetadataCondition, MetadataMatch, MetadataValue};

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::{Regex, RegexError, Regexes};
use crate::scalar::{Cidr, HeaderName};

/// Conditions of which all must hold; none: every request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// On request headers.
    pub headers: Vec<Named<HeaderName>>,
    /// On the method: one of these lists each.
    pub methods: Vec<MethodCondition>,
    /// On the path.
    pub paths: Vec<PathCondition>,
    /// On the client's address.
    pub sources: Vec<SourceCondition>,
    /// On query parameters.
    pub query_params: Vec<Named<String>>,
    /// On Envoy's dynamic metadata. An extension.
    pub metadata: Vec<MetadataCondition>,
}

/// A condition on something that has a name and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<N> {
    /// The name.
    pub name: N,
    /// What the value must be.
    pub condition: ValueCondition,
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueCondition {
    /// It equals this.
    Exact {
        /// The value.
        value: String,
        /// The condition holds if it does not equal, or is absent.
        invert: bool,
    },
    /// All of it matches this.
    Regex {
        /// The pattern.
        regex: Regex,
        /// The condition holds if it does not match, or is absent.
        invert: bool,
    },
    /// Each value counts on its own. It is there, unless a request without it is meant, too.
    Distinct(OnMissing),
}

/// A condition on the method: it is one of `any_of` (if there are any) and
/// none of `none_of`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodCondition {
    /// The methods to match.
    pub any_of: Vec<String>,
    /// Methods that are not.
    pub none_of: Vec<String>,
}

/// A condition on the path. The query does not count.
#[derive(Clone, Debug, PartialEq)]
pub struct PathCondition {
    /// What it must be.
    pub pattern: PathPattern,
    /// The condition holds if it is something else.
    pub invert: bool,
}

/// What a path must be.
#[derive(Clone, Debug, PartialEq)]
pub enum PathPattern {
    /// Equal.
    Exact(String),
    /// Equal, or below it: `/a` has `/a/b` below it, and not `/ab`.
    Prefix(String),
    /// All of it matches.
    Regex(Regex),
}

/// A condition on the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCondition {
    /// It lies in this range.
    pub range: Cidr,
    /// Addresses count on their own, as far as so many of their first bits differ.
    pub distinct: Option<u8>,
    /// The condition holds if it lies outside.
    pub invert: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Exact,
    Regex,
    Distinct,
}

impl Selector {
    /// Reads `clientSelectors`: up to 8 items, and every condition of every
    /// item must hold.
    pub fn read_all(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let mut selector = Self::default();
        at.list(0..=8, problems, |at, problems| {
            selector.read_item(at, regexes, problems)
        })?;
        Some(selector)
    }

    /// Reads a list of alternatives: a request that meets one of them matches.
    /// Nothing is counted there, so that `Distinct` means nothing.
    pub fn read_any(
        at: Cursor<'_>,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Vec<Self>> {
        at.list(1..=16, problems, |at, problems| {
            let mut selector = Self::default();
            selector.read_item(at, regexes, problems)?;
            if selector.is_distinct() {
                at.refuse(
                    problems,
                    Code::DistinctCondition,
                    "must not have type Distinct: this field counts nothing",
                );
            }
            Some(selector)
        })
    }

    /// Whether each value of something counts on its own.
    #[must_use]
    pub fn is_distinct(&self) -> bool {
        let headers = self.headers.iter().map(|header| &header.condition);
        let params = self.query_params.iter().map(|param| &param.condition);
        headers
            .chain(params)
            .any(|condition| matches!(condition, ValueCondition::Distinct(_)))
            || self.sources.iter().any(|source| source.distinct.is_some())
            || self.metadata.iter().any(|it| it.condition.is_distinct())
    }

    /// Whether it holds for every request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Each field is named, so that none is forgotten.
        let Self {
            headers,
            methods,
            paths,
            sources,
            query_params,
            metadata,
        } = self;
        headers.is_empty()
            && methods.is_empty()
            && paths.is_empty()
            && sources.is_empty()
            && query_params.is_empty()
            && metadata.is_empty()
    }

    fn read_item(
        &mut self,
        at: Cursor<'_>,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<()> {
        let object = at.object_of(&schema::SELECTOR, problems)?;
        if !schema::SELECTOR.names().any(|name| object.has(name)) {
            at.refuse(
                problems,
                Code::NoneOfFields,
                format!("must have one of {}", schema::SELECTOR.names_in_words()),
            );
        }
        let headers = object.or_default("headers", problems, |at, problems| {
            at.list(0..=128, problems, |at, problems| {
                read_named(at, HeaderName::read, regexes, problems)
            })
        });
        self.headers.extend(headers?);
        let methods = object.optional("methods", problems, MethodCondition::read);
        self.methods.extend(methods?);
        let path = object.optional("path", problems, |at, problems| {
            PathCondition::read(at, regexes, problems)
        });
        self.paths.extend(path?);
        let source = object.optional("sourceCIDR", problems, SourceCondition::read);
        self.sources.extend(source?);
        let params = object.or_default("queryParams", problems, |at, problems| {
            let name = |at: Cursor<'_>, problems: &mut Problems| {
                at.string_of(1..=256, problems).map(str::to_owned)
            };
            at.list(0..=16, problems, |at, problems| {
                read_named(at, name, regexes, problems)
            })
        });
        self.query_params.extend(params?);
        let metadata = object.or_default("metadata", problems, |at, problems| {
            at.list(1..=16, problems, MetadataCondition::read)
        });
        self.metadata.extend(metadata?);
        Some(())
    }
}

fn read_named<N>(
    at: Cursor<'_>,
    read_name: impl Fn(Cursor<'_>, &mut Problems) -> Option<N>,
    regexes: &Regexes,
    problems: &mut Problems,
) -> Option<Named<N>> {
    let object = at.object_of(&schema::VALUE_MATCH, problems)?;
    let name = object
        .required("name", problems)
        .and_then(|at| read_name(at, problems));
    let kinds = [
        ("Exact", Kind::Exact),
        ("RegularExpression", Kind::Regex),
        ("Distinct", Kind::Distinct),
    ];
    let kind = object.or("type", Kind::Exact, problems, |at, problems| {
        at.choice(&kinds, problems)
    })?;
    if kind == Kind::Distinct {
        for field in ["value", "invert"] {
            if let Some(at) = object.get(field)
                && at.node.value != crate::node::Value::Bool(false)
            {
                at.refuse(
                    problems,
                    Code::FieldOfType,
                    "must be left out: type Distinct matches every value",
                );
            }
        }
        let condition = ValueCondition::Distinct(OnMissing::read(&object, problems)?);
        return Some(Named {
            name: name?,
            condition,
        });
    }
    OnMissing::refuse(&object, problems);
    let invert = object.or_default("invert", problems, Cursor::boolean)?;
    let at = object.required("value", problems)?;
    let condition = match kind {
        Kind::Regex => ValueCondition::Regex {
            regex: read_regex(at, regexes, problems)?,
            invert,
        },
        _ => ValueCondition::Exact {
            value: at.string_of(1..=1024, problems)?.to_owned(),
            invert,
        },
    };
    Some(Named {
        name: name?,
        condition,
    })
}

impl MethodCondition {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        const METHODS: [&str; 9] = [
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
        ];
        let mut condition = Self::default();
        at.list(0..=usize::MAX, problems, |at, problems| {
            let object = at.object_of(&schema::METHOD, problems)?;
            let invert = object.or_default("invert", problems, Cursor::boolean);
            let choices = METHODS.map(|method| (method, method));
            let method = object.required("value", problems)?;
            let method = method.choice(&choices, problems)?.to_owned();
            if invert? {
                condition.none_of.push(method);
            } else {
                condition.any_of.push(method);
            }
            Some(())
        })?;
        Some(condition)
    }
}

impl PathCondition {
    fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Kind {
            Exact,
            Prefix,
            Regex,
        }
        let kinds = [
            ("Exact", Kind::Exact),
            ("PathPrefix", Kind::Prefix),
            ("RegularExpression", Kind::Regex),
        ];
        let object = at.object_of(&schema::PATH, problems)?;
        let kind = object.or("type", Kind::Prefix, problems, |at, problems| {
            at.choice(&kinds, problems)
        })?;
        let invert = object.or_default("invert", problems, Cursor::boolean)?;
        let root = "/".to_owned();
        let default = match kind {
            Kind::Prefix => PathPattern::Prefix(root),
            // As a regular expression it holds for the whole path, too.
            Kind::Exact | Kind::Regex => PathPattern::Exact(root),
        };
        let pattern = object.or("value", default, problems, |at, problems| {
            let text = at.string_of(0..=1024, problems)?;
            if !matches!(kind, Kind::Regex) && !text.starts_with('/') {
                at.refuse(problems, Code::MalformedPath, "must begin with /");
            }
            Some(match kind {
                Kind::Exact => PathPattern::Exact(text.to_owned()),
                Kind::Prefix => PathPattern::Prefix(text.to_owned()),
                Kind::Regex => PathPattern::Regex(read_regex(at, regexes, problems)?),
            })
        })?;
        Some(Self { pattern, invert })
    }
}

impl SourceCondition {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::SOURCE, problems)?;
        let is_distinct = object.or_default("type", problems, |at, problems| {
            at.choice(&[("Exact", false), ("Distinct", true)], problems)
        })?;
        let invert = object.or_default("invert", problems, Cursor::boolean)?;
        let range = Cidr::read(object.required("value", problems)?, problems)?;
        let distinct = if is_distinct {
            Some(distinct::read_prefix_length(
                &object, range, invert, problems,
            )?)
        } else {
            distinct::refuse_without_distinct(&object, "prefixLength", problems);
            None
        };
        Some(Self {
            range,
            distinct,
            invert,
        })
    }
}

/// Reads a regex of 1 to 1024 bytes.
pub(super) fn read_regex(
    at: Cursor<'_>,
    regexes: &Regexes,
    problems: &mut Problems,
) -> Option<Regex> {
    let pattern = at.string_of(1..=1024, problems)?;
    match regexes.get(pattern) {
        Ok(regex) => Some(regex),
        Err(RegexError { code, reason }) => {
            at.refuse(problems, code, reason);
            None
        }
    }
}
