//! Pages of a worker's journal: the worker's id, then for each budget of which it
//! holds credit two amounts, the length of the budget's name, and the name. An
//! empty page is an empty value.

use std::borrow::Cow;

use btp_engine::{CellId, CellNames, HeldCredit, Page, PageId};

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
            // A name is far shorter; what is cut off could not be read.
            let length = u32::try_from(held.budget.len()).unwrap_or(u32::MAX);
            for number in [held.share, held.floor, length] {
                value.extend(number.to_le_bytes());
            }
            value.extend(held.budget.as_bytes());
        }
        value
    }
}

fn entry(reader: &mut Reader<'_>) -> Option<HeldCredit> {
    let (share, floor, length) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let name = reader.slice(usize::try_from(length).ok()?)?;
    Some(HeldCredit {
        budget: std::str::from_utf8(name).ok()?.to_owned(),
        share,
        floor,
    })
}
