//! Names with asterisks, each of which stands for any text (`wildcardMatch`). Earlier
//! releases know one at the end only.

/// A [`composite`](super::config::composite) key with at least one asterisk.
#[derive(Debug)]
pub(super) struct Wildcard {
    key: String,
    start: String,
    middle: Vec<String>,
    end: String,
}

impl Wildcard {
    /// Of a key that has one.
    pub(super) fn of(key: &str) -> Option<Self> {
        let (start, rest) = key.split_once('*')?;
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle.split('*').filter(|it| !it.is_empty());
        Some(Self {
            key: key.to_owned(),
            start: start.to_owned(),
            middle: middle.map(str::to_owned).collect(),
            end: end.to_owned(),
        })
    }

    /// As it stands among its node's children.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether a key and value are what it stands for.
    pub(super) fn matches(&self, text: &str) -> bool {
        let rest = text.strip_prefix(self.start.as_str());
        let Some(mut rest) = rest.and_then(|it| it.strip_suffix(self.end.as_str())) else {
            return false;
        };
        self.middle
            .iter()
            .all(|part| match rest.split_once(part.as_str()) {
                Some((_, behind)) => {
                    rest = behind;
                    true
                }
                None => false,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asterisks_stand_for_any_text() {
        for (key, text, wanted) in [
            ("shelf_wine*", "shelf_wine", true),
            ("shelf_wine*", "shelf_wine-red", true),
            ("shelf_wine*", "shelf_win", false),
            ("shelf_wine*", "my_shelf_wine", false),
            ("path_/buy/*/pay", "path_/buy/7/pay", true),
            ("path_/buy/*/pay", "path_/buy//pay", true),
            ("path_/buy/*/pay", "path_/buy/pay", false),
            ("path_/buy/*/pay", "path_/buy/7/look", false),
            ("path_/a/*/b/*/c", "path_/a/1/b/2/c", true),
            ("path_/a/*/b/*/c", "path_/a/1/2/c", false),
            ("path_*x*y*", "path_yx", false),
            ("path_*x*y*", "path_.x.y.", true),
            ("path_**", "path_", true),
            ("*", "anything_at all", true),
        ] {
            let wildcard = Wildcard::of(key).unwrap();
            assert_eq!(wildcard.matches(text), wanted, "{key} {text}");
        }
        assert!(Wildcard::of("shelf_wine").is_none());
    }
}
