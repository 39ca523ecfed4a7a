//! What the tables are made of.

use crate::code::Code;
use crate::node::{Node, Value};
use crate::owner::Owner;
use crate::problem::Problems;
use crate::read::Cursor;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number from `least` to `most`.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A number.
    Number,
    /// A string of `least` to `most` characters in a given form.
    Text {
        /// The least characters.
        least: usize,
        /// The most characters.
        most: usize,
        /// What they must look like.
        form: Form,
    },
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A duration in Gateway API form.
    Duration,
    /// A duration that is more than zero; the CRD takes zero, too.
    Positive,
    /// A number from 0 to 100; the CRD takes any.
    Percentage,
    /// Nothing: the field is known, and always refused.
    Never,
    /// A quantity in the narrow form, or a whole number.
    Quantity,
    /// A list.
    List {
        /// The least items.
        least: usize,
        /// The most items.
        most: usize,
        /// Items differ: as a whole (`Some("")`) or in this field.
        unique: Option<&'static str>,
        /// What each item may be.
        item: &'static Shape,
    },
    /// An object with free keys.
    Dictionary(&'static Shape),
    /// An object with known fields.
    Object(&'static Object),
    /// Any of these.
    Either(&'static [Shape]),
    /// One thing for the CRD, and another for us.
    Ours {
        /// What the CRD takes.
        crd: &'static Shape,
        /// What we take.
        ours: &'static Shape,
    },
}

/// What a string must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Free,
    /// A DNS subdomain (RFC 1123).
    DnsSubdomain,
    /// A DNS label (RFC 1123).
    DnsLabel,
    /// A DNS subdomain, or empty for Kubernetes' core group.
    Group,
    /// A kind, such as `HTTPRoute`.
    Kind,
    /// An HTTP token (RFC 9110).
    Token,
    /// Without line breaks and NUL.
    OneLine,
    /// Base64 of a whole number of bytes.
    Base64,
    /// A whole percentage, `0%` to `100%`.
    Percent,
}

/// An object: its fields, and rules over several of them.
#[derive(Debug)]
pub struct Object {
    /// Its fields.
    pub fields: &'static [Field],
    /// Rules over them.
    #[cfg(feature = "schema")]
    pub rules: &'static [Rule],
}

/// A field of an object. The filter, which has readers, knows its name only.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The side that enforces it; `None`: the same as that of the containing object.
    pub owner: Option<Owner>,
    /// What it may be.
    #[cfg(feature = "schema")]
    pub shape: Shape,
    /// Whether it must be there.
    #[cfg(feature = "schema")]
    pub required: bool,
    /// Whether it is ours, and not Envoy Gateway's.
    #[cfg(feature = "schema")]
    pub extension: bool,
    /// What it does, in whole sentences.
    #[cfg(feature = "schema")]
    pub description: &'static str,
    /// What holds where it is left out, if anything does.
    #[cfg(feature = "schema")]
    pub default: Option<&'static str>,
    /// A value for it, as YAML.
    #[cfg(feature = "schema")]
    pub example: Option<&'static str>,
    /// What is checked beyond the shape: what the CRD lets through and Envoy
    /// Gateway or Envoy refuses.
    #[cfg(feature = "schema")]
    pub check: Option<Check>,
}

/// A check of one value.
pub type Check = fn(Cursor<'_>, &mut Problems);

/// What must hold over several fields of an object.
#[derive(Debug)]
pub struct Rule {
    /// What kind of mistake it is not to keep it.
    pub code: Code,
    /// A predicate whose subject is the object.
    pub says: &'static str,
    /// Whether it holds.
    pub holds: fn(&Node) -> bool,
}

/// The largest number of 32 bits.
pub(crate) const UINT32: i64 = 4_294_967_295;
pub(crate) const ANY_INTEGER: Shape = integer(i64::MIN, i64::MAX);
pub(crate) const COUNT: Shape = integer(0, i64::MAX);
pub(crate) const PERCENT: Shape = integer(0, 100);
pub(crate) const PORT: Shape = integer(1, 65_535);
pub(crate) const STATUS: Shape = integer(100, 599);
pub(crate) const ANY_TEXT: Shape = text(0, usize::MAX);
pub(crate) const HOSTNAME: Shape = formed(1, 253, Form::DnsSubdomain);
pub(crate) const TOKEN: Shape = formed(1, 256, Form::Token);

pub(crate) const fn object(fields: &'static [Field], rules: &'static [Rule]) -> Object {
    #[cfg(not(feature = "schema"))]
    let _ = rules;
    Object {
        fields,
        #[cfg(feature = "schema")]
        rules,
    }
}

pub(crate) const fn optional(name: &'static str, description: &'static str, shape: Shape) -> Field {
    field(name, description, shape, false, false)
}

pub(crate) const fn required(name: &'static str, description: &'static str, shape: Shape) -> Field {
    field(name, description, shape, true, false)
}

pub(crate) const fn extension(
    name: &'static str,
    description: &'static str,
    shape: Shape,
) -> Field {
    field(name, description, shape, false, true)
}

const fn field(
    name: &'static str,
    description: &'static str,
    shape: Shape,
    required: bool,
    extension: bool,
) -> Field {
    #[cfg(not(feature = "schema"))]
    let _ = (description, shape, required, extension);
    Field {
        name,
        owner: None,
        #[cfg(feature = "schema")]
        shape,
        #[cfg(feature = "schema")]
        required,
        #[cfg(feature = "schema")]
        extension,
        #[cfg(feature = "schema")]
        description,
        #[cfg(feature = "schema")]
        default: None,
        #[cfg(feature = "schema")]
        example: None,
        #[cfg(feature = "schema")]
        check: None,
    }
}

impl Shape {
    /// The object it is, or that its items, values or alternatives are.
    #[must_use]
    pub fn object(&self) -> Option<&'static Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::List { item, .. } | Self::Dictionary(item) => item.object(),
            Self::Ours { crd, ours } => ours.object().or_else(|| crd.object()),
            Self::Either(shapes) => shapes.iter().find_map(Self::object),
            _ => None,
        }
    }
}

impl Object {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.fields.iter().map(|field| field.name)
    }

    /// The names of its fields, as a person reads them.
    pub(crate) fn names_in_words(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}

impl Field {
    /// The field, put into force by this owner.
    pub(crate) const fn by(self, owner: Owner) -> Self {
        Self {
            owner: Some(owner),
            ..self
        }
    }

    /// The field, with what holds where it is left out.
    pub(crate) const fn or(self, default: &'static str) -> Self {
        #[cfg(not(feature = "schema"))]
        let _ = default;
        Self {
            #[cfg(feature = "schema")]
            default: Some(default),
            ..self
        }
    }

    /// The field, with a value for it as YAML.
    pub(crate) const fn example(self, example: &'static str) -> Self {
        #[cfg(not(feature = "schema"))]
        let _ = example;
        Self {
            #[cfg(feature = "schema")]
            example: Some(example),
            ..self
        }
    }

    /// The field, checked beyond its shape.
    pub(crate) const fn checked(self, check: Check) -> Self {
        #[cfg(not(feature = "schema"))]
        let _ = check;
        Self {
            #[cfg(feature = "schema")]
            check: Some(check),
            ..self
        }
    }
}

pub(crate) const fn rule(code: Code, says: &'static str, holds: fn(&Node) -> bool) -> Rule {
    Rule { code, says, holds }
}

pub(crate) const fn integer(least: i64, most: i64) -> Shape {
    Shape::Integer { least, most }
}

pub(crate) const fn text(least: usize, most: usize) -> Shape {
    formed(least, most, Form::Free)
}

pub(crate) const fn formed(least: usize, most: usize, form: Form) -> Shape {
    Shape::Text { least, most, form }
}

pub(crate) const fn list(least: usize, most: usize, item: &'static Shape) -> Shape {
    Shape::List {
        least,
        most,
        unique: None,
        item,
    }
}

/// One thing for the CRD, and another for us.
pub(crate) const fn ours(crd: &'static Shape, ours: &'static Shape) -> Shape {
    Shape::Ours { crd, ours }
}

/// A list of any length.
pub(crate) const fn many(item: &'static Shape) -> Shape {
    list(0, usize::MAX, item)
}

pub(crate) const fn unique(
    key: &'static str,
    least: usize,
    most: usize,
    item: &'static Shape,
) -> Shape {
    Shape::List {
        least,
        most,
        unique: Some(key),
        item,
    }
}

/// A fraction: `numerator` out of `denominator`, 100 by default.
pub(crate) static FRACTION: Object = object(
    &[
        required(
            "numerator",
            "The numerator of the fraction; not above denominator.",
            integer(0, i64::MAX),
        ),
        optional(
            "denominator",
            "The denominator of the fraction.",
            integer(1, i64::MAX),
        )
        .or("100"),
    ],
    &[rule(
        Code::OutOfBounds,
        "must not have a numerator above its denominator",
        |fraction| {
            let whole = |name, default| match fraction.field(name).map(|node| &node.value) {
                Some(Value::Int(number)) => *number,
                _ => default,
            };
            whole("numerator", 0) <= whole("denominator", 100)
        },
    )],
);

/// Whether the field is there and not null.
pub(crate) fn has(node: &Node, field: &str) -> bool {
    node.field(field).is_some()
}

/// Whether the field is a list with at least one item.
#[cfg(feature = "schema")]
pub(crate) fn has_items(node: &Node, field: &str) -> bool {
    !items(node, field).is_empty()
}

/// The items of the list in `field`.
pub(crate) fn items<'a>(node: &'a Node, field: &str) -> &'a [Node] {
    match node.field(field).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The text in `field`, or the default if it is not there.
pub(crate) fn text_in<'a>(node: &'a Node, field: &str, default: &'a str) -> &'a str {
    node.field(field).and_then(Node::as_str).unwrap_or(default)
}

/// How many of these fields are there.
pub(crate) fn count(node: &Node, fields: &[&str]) -> usize {
    fields.iter().filter(|field| has(node, field)).count()
}
