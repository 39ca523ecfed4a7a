//! What a page links to, and what of it can be linked to.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// The links and headings of a page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) links: Vec<Link>,
    /// Each heading as the part of a link behind `#`.
    pub(super) anchors: BTreeSet<String>,
}

/// A link or a picture.
#[derive(Debug)]
pub(super) struct Link {
    /// What is shown of it.
    pub(super) text: String,
    /// As written, but for escapes.
    pub(super) destination: String,
    /// Where the destination is in the page; none if it is not written as
    /// `[text](destination)`.
    pub(super) place: Option<Range<usize>>,
    /// Counted from one.
    pub(super) line: usize,
}

impl Link {
    /// Whether it leads out of the repository, to another site or to a mailbox.
    pub(super) fn is_external(&self) -> bool {
        let scheme = self.destination.split_once(':').map(|(scheme, _)| scheme);
        scheme.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphabetic()))
    }

    /// The path, which is empty within a page, and the part behind `#`.
    pub(super) fn parts(&self) -> (&str, Option<&str>) {
        match self.destination.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor)),
            None => (&self.destination, None),
        }
    }
}

/// Reads a page.
pub(super) fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut open: Vec<Link> = Vec::new();
    let mut heading = None;
    for (event, range) in
        Parser::new_ext(text, Options::ENABLE_GFM | Options::ENABLE_TABLES).into_offset_iter()
    {
        match event {
            Event::Start(
                Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }
                | Tag::Image {
                    link_type,
                    dest_url,
                    ..
                },
            ) => open.push(Link {
                text: String::new(),
                place: place(text, &range, link_type, &dest_url),
                destination: dest_url.into_string(),
                line: text[..range.start].matches('\n').count() + 1,
            }),
            Event::End(TagEnd::Link | TagEnd::Image) => page.links.extend(open.pop()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default(), &page.anchors);
                page.anchors.insert(anchor);
            }
            Event::Text(shown) | Event::Code(shown) => {
                for link in &mut open {
                    link.text.push_str(&shown);
                }
                if let Some(heading) = &mut heading {
                    heading.push_str(&shown);
                }
            }
            _ => {}
        }
    }
    page
}

fn place(text: &str, link: &Range<usize>, kind: LinkType, to: &str) -> Option<Range<usize>> {
    if kind != LinkType::Inline {
        return None;
    }
    let start = link.start + text[link.clone()].rfind("](")? + 2;
    let place = start..start + to.len();
    (text.get(place.clone()) == Some(to)).then_some(place)
}

/// How repository hosts, and mdBook, name a heading.
fn anchor(heading: &str, taken: &BTreeSet<String>) -> String {
    let letters = heading.trim().chars().filter_map(|letter| match letter {
        '-' | '_' => Some(letter),
        _ if letter.is_whitespace() => Some('-'),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    let name: String = letters.flat_map(char::to_lowercase).collect();
    if !taken.contains(&name) {
        return name;
    }
    let numbered = (1..).map(|number| format!("{name}-{number}"));
    let mut free = numbered.filter(|name| !taken.contains(name));
    free.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pictures_are_found_where_they_stand() {
        let text = "# A\n\nSee [`b` and more](b.md#c \"title\").\n\n\
                    | [![d](d.svg)](e/) |\n|---|\n\n    [no](code)\n\n`[no](code)`\n";
        let page = read(text);
        let links: Vec<_> = page.links.iter().map(|it| (&*it.text, it.line)).collect();
        assert_eq!(links, [("b and more", 3), ("d", 5), ("d", 5)]);
        for (link, written) in page.links.iter().zip(["b.md#c", "d.svg", "e/"]) {
            assert_eq!(&text[link.place.clone().unwrap()], written);
        }
        assert_eq!(page.links[0].parts(), ("b.md", Some("c")));
    }

    #[test]
    fn a_link_that_is_written_in_another_form_has_no_place() {
        let page = read("[a] and <https://example.com>\n\n[a]: b.md\n");
        assert_eq!(page.links[0].destination, "b.md");
        assert!(page.links[0].place.is_none() && !page.links[0].is_external());
        assert!(page.links[1].is_external());
    }

    #[test]
    fn headings_are_named_as_repository_hosts_do() {
        let page = read(
            "# What `btp top` says: a *summary*\n\n## BTP0506 bodies – and more\n\n\
             ## Same\n\n## Same\n\nUnder_lined\n---\n",
        );
        let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
        let wanted = [
            "btp0506-bodies--and-more",
            "same",
            "same-1",
            "under_lined",
            "what-btp-top-says-a-summary",
        ];
        assert_eq!(anchors, wanted);
    }
}
