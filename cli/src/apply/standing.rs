//! Where the instances are: the lines of the report, and a record of it beside the steps
//! that restore the object, so that the next run can tell which of them a person has moved
//! since.

use btp_policy::node::{Node, Value};

use super::filter::Instance;
use super::order::{Group, Spot, Why};
use crate::envoy::address::{Address, Step};
use crate::envoy::files::Config;
use crate::envoy::json::{list, node, put};
use crate::envoy::listener::connection_managers;
use crate::envoy::plugin::is_made;
use crate::envoy::tree::{field, items, text};
use crate::envoy::undo;

/// The field of a listener's record.
const FIELD: &str = "filters";

/// Why there is a filter in front of an instance.
const FRONT: &str = "it copies nested dynamic metadata to where the module can read it";

/// An instance that has been put somewhere.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The object that contains it, for people.
    pub(crate) owner: String,
    pub(crate) list: &'static str,
    pub(crate) name: String,
    pub(crate) place: usize,
    /// The names of the filters on either side.
    pub(crate) behind: Option<String>,
    pub(crate) in_front_of: Option<String>,
    pub(crate) why: &'static str,
}

/// A place that a person has chosen by moving an instance.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The connection manager.
    manager: Address,
    group: Group,
    /// How many of the person's own filters are in front.
    place: usize,
}

impl Standing {
    /// Of the filter at `place` of a list.
    pub(crate) fn at(
        owner: String,
        list: &'static str,
        filters: &[Node],
        place: usize,
        why: &'static str,
    ) -> Self {
        let name = |place: Option<usize>| {
            let filter = filters.get(place?)?;
            Some(
                text(filter, "name")
                    .unwrap_or("one without a name")
                    .to_owned(),
            )
        };
        Self {
            owner,
            list,
            name: name(Some(place)).unwrap_or_default(),
            place,
            behind: name(place.checked_sub(1)),
            in_front_of: name(Some(place + 1)),
            why,
        }
    }

    /// A line of the report.
    pub(crate) fn line(&self) -> String {
        let Self {
            owner,
            list,
            name,
            place,
            why,
            ..
        } = self;
        let behind = match &self.behind {
            Some(name) => format!("behind {name}"),
            None => "first".to_owned(),
        };
        let before = self.in_front_of.as_ref();
        let before = before.map_or(String::new(), |name| format!(", in front of {name}"));
        format!("{owner}, {list}[{place}] {name}: {behind}{before}; {why}")
    }
}

impl Why {
    /// The reason, for people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Usual(Group::Faults) => {
                "faults and overrides come before everything but health checks"
            }
            Self::Usual(Group::Limits) => {
                "limits and retries come after all filters that check or change a request"
            }
            Self::Shared => "there is no filter between the places of faults and of limits",
            Self::Option(Group::Faults) => "--faults-behind says so",
            Self::Option(Group::Limits) => "--limits-behind says so",
            Self::Moved => "kept where it was moved to",
            Self::Tries => "every attempt passes it",
        }
    }
}

/// Where the instances are in a connection manager that has them already.
pub(crate) fn all(hcm: &Node, owner: &str, instances: &[Instance]) -> Vec<Standing> {
    let filters = items(hcm, "http_filters");
    let router = filters.last().and_then(|it| field(it, "typed_config"));
    let behind = router.map_or(&[][..], |it| items(it, "upstream_http_filters"));
    let mut standing = Vec::new();
    for it in instances {
        let mut add = |list, filters, place, why| {
            standing.push(Standing::at(owner.to_owned(), list, filters, place, why));
        };
        if it.front.is_some() {
            let place = it.place.unwrap_or(filters.len().saturating_sub(1));
            add("http_filters", filters, place.saturating_sub(1), FRONT);
        }
        match it.place {
            Some(place) => add("http_filters", filters, place, it.why.text()),
            None => add("upstream_http_filters", behind, 0, it.why.text()),
        }
    }
    standing
}

/// What the next run must know of the instances in one connection manager,
/// which has them already; `way` leads there from the listener.
pub(crate) fn record(hcm: &Node, way: &[Step], instances: &[Instance]) -> Vec<Node> {
    let filters = items(hcm, "http_filters");
    let entry = |instance: &Instance| {
        let place = instance.place?;
        let (behind, in_front_of) = neighbours(filters, place);
        let groups = instance.groups.iter().map(|it| node!(it.name()));
        let mut entry = node!({
            "manager": (way_text(way)),
            "name": (&instance.name),
            "for": (list(groups)),
        });
        put(&mut entry, "behind", behind);
        put(&mut entry, "in_front_of", in_front_of);
        put(
            &mut entry,
            "kept",
            (instance.why == Why::Moved).then_some(true),
        );
        Some(entry)
    };
    instances.iter().filter_map(entry).collect()
}

/// Adds that to the record of a listener.
pub(crate) fn write(listener: &mut Node, entries: Vec<Node>) {
    undo::note(listener, FIELD, list(entries));
}

/// The places of instances that a person has moved, in a configuration as it
/// was written.
pub(crate) fn moved(config: &Config) -> Vec<Kept> {
    let mut found = Vec::new();
    for address in config.listeners() {
        let Some(listener) = config.at(&address) else {
            continue;
        };
        let Some(Value::List(entries)) = undo::noted(listener, FIELD).map(|it| &it.value) else {
            continue;
        };
        for (way, _, hcm) in connection_managers(listener) {
            let own = way_text(&way);
            let of_this = entries.iter();
            for entry in of_this.filter(|it| text(it, "manager") == Some(own.as_str())) {
                let Some(place) = place_if_moved(hcm, entry) else {
                    continue;
                };
                let mut manager = address.clone();
                manager.path.extend(way.iter().cloned());
                let names: Vec<&str> = items(entry, "for")
                    .iter()
                    .filter_map(Node::as_str)
                    .collect();
                let groups = Group::ALL.into_iter();
                found.extend(
                    groups
                        .filter(|it| names.contains(&it.name()))
                        .map(|group| Kept {
                            manager: manager.clone(),
                            group,
                            place,
                        }),
                );
            }
        }
    }
    found
}

impl Kept {
    /// Where that is now, if one of these is about this group and manager.
    pub(crate) fn find(all: &[Self], manager: &Address, group: Group, hcm: &Node) -> Option<Spot> {
        let kept = all.iter();
        let mut kept = kept.filter(|it| it.manager == *manager && it.group == group);
        let wanted = kept.next()?.place;
        let filters = items(hcm, "http_filters");
        let mut own = (0..filters.len()).filter(|place| !is_made(&filters[*place]));
        let place = match wanted.checked_sub(1) {
            Some(before) => own.nth(before)? + 1,
            None => own.next()?,
        };
        // Behind the last nothing runs.
        (place < filters.len()).then_some(Spot {
            place,
            why: Why::Moved,
        })
    }
}

/// How many of the person's filters are in front of an instance that is no longer between
/// its recorded neighbours. One neighbour may change without a move: a filter was added or
/// removed.
fn place_if_moved(hcm: &Node, entry: &Node) -> Option<usize> {
    let filters = items(hcm, "http_filters");
    let name = text(entry, "name");
    let place = filters.iter().position(|it| text(it, "name") == name)?;
    let (behind, in_front_of) = neighbours(filters, place);
    let is_moved = behind != text(entry, "behind") && in_front_of != text(entry, "in_front_of");
    let is_kept = entry.field("kept").is_some();
    let own = filters[..place].iter().filter(|it| !is_made(it)).count();
    (is_moved || is_kept).then_some(own)
}

/// The person's own filters on either side.
fn neighbours(filters: &[Node], place: usize) -> (Option<&str>, Option<&str>) {
    let is_own = |it: &&Node| !is_made(it);
    let before = filters[..place].iter().rfind(is_own);
    let after = filters[place + 1..].iter().find(is_own);
    (
        before.and_then(|it| text(it, "name")),
        after.and_then(|it| text(it, "name")),
    )
}

/// A way as people read it.
fn way_text(way: &[Step]) -> String {
    let path = way.to_vec();
    Address { file: 0, path }.to_string()
}
