//! Where a value stands in a document: `policies[1].spec.retry.numRetries`.

use std::fmt;

/// A path, linked from leaf to root so that walking a document allocates
/// nothing until a problem has to be written down.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// The document itself.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => formatter.write_str(name),
            Self::Field(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Item(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn prints_as_people_write_it() {
        let root = Path::Root;
        let policies = Path::Field(&root, "policies");
        let first = Path::Item(&policies, 1);
        assert_eq!(Path::Field(&first, "spec").to_string(), "policies[1].spec");
    }
}
