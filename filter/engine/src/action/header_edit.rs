//! Changes to the headers of the current response.

use super::{Fields, HeaderText};
use crate::host::headers::HeaderView;

/// One change. `:status` is a header, too. Where among the others a header ends
/// up is the host's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// The header has this value alone.
    Set(HeaderText, HeaderText),
    /// The header has this value beside any that it has.
    Add(HeaderText, HeaderText),
    /// There is no such header.
    Remove(HeaderText),
}

impl HeaderEdit {
    /// Another status.
    pub(crate) fn status(status: u16) -> Self {
        Self::Set(":status".into(), u64::from(status).into())
    }

    /// What these headers are after the edits.
    pub(crate) fn apply(edits: Vec<Self>, headers: &dyn HeaderView) -> Fields {
        let mut fields = Fields::new();
        headers.for_each(&mut |name, value| fields.push((name.to_vec(), value.to_vec())));
        for edit in edits {
            if let Self::Set(name, _) | Self::Remove(name) = &edit {
                fields.retain(|(other, _)| *other != **name);
            }
            if let Self::Set(name, value) | Self::Add(name, value) = edit {
                fields.push((name.into_bytes(), value.into_bytes()));
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn edits_are_made_in_their_order() {
        let text = |text: &'static str| HeaderText::from(text);
        let headers = vec![("a", "1"), ("b", "1"), ("a", "2")];
        let edits = vec![
            HeaderEdit::Add(text("b"), text("2")),
            HeaderEdit::Set(text("a"), text("3")),
            HeaderEdit::Add(text("a"), text("4")),
            HeaderEdit::Add(text("c"), text("1")),
            HeaderEdit::Remove(text("c")),
            HeaderEdit::Remove(text("d")),
        ];
        let fields = HeaderEdit::apply(edits, &headers);
        let wanted = [("b", "1"), ("b", "2"), ("a", "3"), ("a", "4")];
        assert_eq!(
            fields,
            wanted.map(|(name, value)| (name.into(), value.into()))
        );
    }
}
