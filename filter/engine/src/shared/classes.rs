//! Classes that share the amount of one key, of which each may have a part reserved.
//!
//! A class gets what is reserved for it and what nobody reserves, and never what is
//! reserved for another. As long as no update changes the bound or the reserves while
//! something is held, what is held and what is reserved and not held are together no more
//! than the bound; so a class gets its whole reserve at any time.
//!
//! A claim has the number of its class in the lowest four bits of its key, by which it
//! differs from the key itself. Claims look as they always did, and one that was made
//! without a class, before an update or by another release, is of no class.

use btp_policy::spec::MOST_CLASSES;

use crate::host::shared_state::HeldClaim;

/// The class of a claim, by its place in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Class(u8);

/// What is reserved for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserves([u64; MOST_CLASSES]);

/// The class that asks, and what is reserved for it and for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassShare {
    pub(crate) class: Class,
    pub(crate) reserves: Reserves,
}

/// The bits of a key that tell classes apart.
const BITS: u32 = 4;
const _: () = assert!(MOST_CLASSES < 1 << BITS, "each class has a number");

impl Class {
    /// No class: nothing is reserved.
    pub(crate) const NONE: Self = Self(0);

    /// The class at this place of the list.
    pub(crate) fn at(place: usize) -> Self {
        let number = u8::try_from(place.saturating_add(1)).ok();
        Self(number.filter(|it| *it < 1 << BITS).unwrap_or(0))
    }

    /// Its place in the list, if it has one.
    pub(crate) fn place(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }

    /// The key of its claims.
    pub(crate) fn of_key(self, key: u64) -> u64 {
        key ^ u64::from(self.0)
    }

    /// The class of a claim, if that is on `key`.
    pub(crate) fn in_claim(claim: u64, key: u64) -> Option<Self> {
        let number = u8::try_from(claim ^ key).ok()?;
        (number < 1 << BITS).then_some(Self(number))
    }
}

impl Reserves {
    pub(crate) fn new(reserved: impl IntoIterator<Item = u64>) -> Self {
        let mut reserves = Self::default();
        let places = reserves.0.iter_mut();
        places.zip(reserved).for_each(|(place, it)| *place = it);
        reserves
    }

    /// Those of a bound that is so many times as large.
    pub(crate) fn times(self, factor: u64) -> Self {
        Self(self.0.map(|reserved| reserved.saturating_mul(factor)))
    }
}

impl ClassShare {
    /// How much of `key` this class may take, of `max` in all.
    pub(crate) fn room(&self, max: u64, key: u64, claims: &[HeldClaim]) -> u64 {
        let mut held = 0_u64;
        // What is reserved and not held. Of a class that is not there any more, and of
        // none, that is nothing.
        let Reserves(mut kept) = self.reserves;
        for claim in claims {
            let Some(class) = Class::in_claim(claim.key, key) else {
                continue;
            };
            held = held.saturating_add(claim.amount);
            if let Some(kept) = class.place().and_then(|place| kept.get_mut(place)) {
                *kept = kept.saturating_sub(claim.amount);
            }
        }
        let free = max.saturating_sub(held);
        let own = self.class.place().and_then(|place| kept.get_mut(place));
        let own = own.map_or(0, std::mem::take);
        let others = kept.iter().fold(0_u64, |sum, it| sum.saturating_add(*it));
        // After an update less may be free than is reserved: `max` is kept in any case.
        own.max(free.saturating_sub(others)).min(free)
    }
}

#[cfg(test)]
mod tests;
