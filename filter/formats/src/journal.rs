//! Pages of a worker's journal: the worker's id, then for each budget of which it
//! holds credit two amounts, the length of the budget's name, and the name. An
//! empty page is an empty value.
//!
//! The name is what its statistics begin with, but for the dots of the policy's
//! name: they are slashes, so that it can be read again.

use std::borrow::Cow;

use btp_engine::{CellId, CellNames, HeldCredit, Label, Labels, Page, PageId};

use crate::bytes::Reader;
use crate::{Stored, versioned_key};

const VERSION: u32 = 1;

impl Stored for PageId {
    fn key(self, keys: &CellNames) -> Option<Cow<'_, str>> {
        Some(versioned_key(&self.name(keys)?, VERSION).into())
    }

    fn writer(self) -> Option<u32> {
        Some(self.worker)
    }

    #[inline(never)]
    fn decode(self, value: Vec<u8>) -> Page {
        let mut reader = Reader(&value);
        let Some(owner) = reader.u64() else {
            return Page::default();
        };
        let held = std::iter::from_fn(|| entry(&mut reader)).collect();
        Page { owner, held }
    }

    #[inline(never)]
    fn encode(self, page: &Page) -> Vec<u8> {
        if page.held.is_empty() {
            return Vec::new();
        }
        let mut value = page.owner.to_le_bytes().to_vec();
        for held in &page.held {
            let name = name_of(&held.budget);
            // A name is far shorter; what is cut off could not be read.
            let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            for number in [held.share, held.floor, length] {
                value.extend(number.to_le_bytes());
            }
            value.extend(name.as_bytes());
        }
        value
    }
}

fn entry(reader: &mut Reader<'_>) -> Option<HeldCredit> {
    let (share, floor, length) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let name = reader.slice(usize::try_from(length).ok()?)?;
    Some(HeldCredit {
        budget: budget_of(std::str::from_utf8(name).ok()?)?,
        share,
        floor,
    })
}

/// Dots are between the parts: those of the policy's name are written otherwise.
fn name_of(budget: &Labels) -> String {
    let (namespace, policy) = (&budget.namespace, budget.policy.replace('.', "/"));
    match &budget.part {
        Some((Label::Route, route)) => format!("btp.{namespace}.{policy}.route.{route}"),
        Some((Label::Cluster, cluster)) => format!("btp.{namespace}.{policy}.cluster.{cluster}"),
        _ => format!("btp.{namespace}.{policy}"),
    }
}

fn budget_of(name: &str) -> Option<Labels> {
    let (namespace, rest) = name.strip_prefix("btp.")?.split_once('.')?;
    let (policy, part) = match rest.split_once('.') {
        None => (rest, None),
        Some((policy, part)) => (policy, Some(part.split_once('.')?)),
    };
    let part = match part {
        None => None,
        Some(("route", route)) => Some((Label::Route, route.to_owned())),
        Some(("cluster", cluster)) => Some((Label::Cluster, cluster.to_owned())),
        Some(_) => return None,
    };
    Some(Labels {
        namespace: namespace.to_owned(),
        policy: policy.replace('/', "."),
        part,
        class: None,
    })
}
