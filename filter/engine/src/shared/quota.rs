//! How much of something is held at once, all workers together: bytes of
//! bodies, requests that wait, requests in flight.
//!
//! A cell says which worker holds how much of what. What dead workers held is
//! dropped when another finds no room ([`super::claims`]), and soon after their
//! death in any case ([`super::reaper`]).

use super::classes::{Class, ClassShare};
use crate::host::shared_state::{Cells, Claims, HeldClaim, Owner, QuotaId, Update};

/// A bounded number of things, in units of the capability that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) id: QuotaId,
    /// The most of one key that is held at once.
    pub(crate) max: u64,
    /// How many claims there are at most.
    pub(crate) slots: usize,
    /// Whose claims these are, where several quotas are kept in one place. Such a
    /// quota holds less than 2³² of a key.
    pub(crate) owner: Option<Owner>,
    /// The class of the claim, where classes share a key.
    pub(crate) share: Option<ClassShare>,
}

/// The claims on a quota, by key and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Each key has its own bound.
    pub(crate) key: u64,
    pub(crate) worker: u64,
}

/// The result of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClaimOutcome {
    /// The claims were out of reach.
    #[default]
    Contended,
    Granted,
    /// All of it is held.
    Full,
    /// There is no slot left for this claim.
    NoRoom,
}

/// The effect of a claim or a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) outcome: ClaimOutcome,
    /// How much was taken.
    pub(crate) taken: u64,
    /// By how much changed what is held, that of the dead included.
    pub(crate) by: i64,
}

/// The amount that a dead worker held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedClaim {
    /// `None`: there is one quota only, or the claim does not say.
    pub(crate) owner: Option<Owner>,
    pub(crate) amount: u64,
}

/// Slots of a quota that has one key.
pub(crate) const WORKERS: usize = 1024;

/// Giving back and clearing up must not fail, however busy the others are.
const TRIES: usize = 16;

impl DroppedClaim {
    pub(crate) fn signed(self) -> i64 {
        i64::try_from(self.amount).unwrap_or(i64::MAX)
    }
}

impl Quota {
    /// Takes as much as there is room for, at least and at most so much.
    #[inline(never)]
    pub(crate) fn take<S>(self, shared: &S, claim: Claim, amount: (u64, u64)) -> Change
    where
        S: Cells<QuotaId>,
    {
        let taken = shared.update(self.id, |Claims(claims)| {
            let (outcome, taken) = self.claim(claims, claim, amount);
            let by = i64::try_from(taken).unwrap_or(0);
            let change = Change { outcome, taken, by };
            match outcome {
                ClaimOutcome::Granted => Update::Write(change),
                _ => Update::Keep(change),
            }
        });
        taken.unwrap_or_default()
    }

    /// Gives so much back; gives by how much changed what is held.
    #[inline(never)]
    pub(crate) fn give_back<S>(self, shared: &S, claim: Claim, amount: u64) -> i64
    where
        S: Cells<QuotaId>,
    {
        let claim = self.of_class(claim);
        let give = || {
            shared.update(self.id, |Claims(claims)| {
                let Some(place) = claims.iter().position(|held| is_of(held, claim)) else {
                    return Update::Keep(0);
                };
                let Some(held) = claims.get_mut(place) else {
                    return Update::Keep(0);
                };
                let back = held.amount.min(amount);
                held.amount -= back;
                if held.amount == 0 {
                    claims.remove(place);
                }
                Update::Write(back)
            })
        };
        let back = (0..TRIES).find_map(|_| give().ok());
        i64::try_from(back.unwrap_or(0)).map_or(0, i64::wrapping_neg)
    }

    fn claim(
        self,
        claims: &mut Vec<HeldClaim>,
        claim: Claim,
        (least, max): (u64, u64),
    ) -> (ClaimOutcome, u64) {
        let taken = self.room(claim.key, claims).min(max);
        if taken < least {
            return (ClaimOutcome::Full, 0);
        }
        let own = self.of_class(claim);
        if let Some(held) = claims.iter_mut().find(|held| is_of(held, own)) {
            held.amount = held.amount.saturating_add(taken);
        } else if claims.len() < self.slots || self.has_slot(claim, claims) {
            claims.push(HeldClaim {
                key: own.key,
                worker: own.worker,
                owner: self.owner,
                amount: taken,
            });
        } else {
            return (ClaimOutcome::NoRoom, 0);
        }
        (ClaimOutcome::Granted, taken)
    }

    /// How much of a key may be claimed.
    fn room(self, key: u64, claims: &[HeldClaim]) -> u64 {
        if let Some(share) = self.share {
            return share.room(self.max, key, claims);
        }
        let of_key = claims.iter().filter(|held| held.key == key);
        let held = of_key.fold(0, |sum: u64, held| sum.saturating_add(held.amount));
        self.max.saturating_sub(held)
    }

    /// Whether the worker has a slot for this key as another class: its classes have one
    /// together, or what one of them finds no slot for would count elsewhere.
    fn has_slot(self, claim: Claim, claims: &[HeldClaim]) -> bool {
        let of_key = |held: &HeldClaim| Class::in_claim(held.key, claim.key).is_some();
        let mut held = claims.iter().filter(|held| held.worker == claim.worker);
        self.share.is_some() && held.any(of_key)
    }

    /// The claim of the class that asks.
    fn of_class(self, claim: Claim) -> Claim {
        let class = self.share.map_or(Class::NONE, |share| share.class);
        Claim {
            key: class.of_key(claim.key),
            ..claim
        }
    }
}

/// Workers that hold something there, in any order and several times.
pub(crate) fn claimants<S: Cells<QuotaId>>(id: QuotaId, shared: &S) -> Vec<u64> {
    let claimants = shared.update(id, |Claims(claims)| {
        Update::Keep(claims.iter().map(|held| held.worker).collect())
    });
    claimants.unwrap_or_default()
}

/// Drops what the `dead` hold there, as far as it is `ours`, and says what that
/// was.
#[inline(never)]
pub(crate) fn drop_claims<S: Cells<QuotaId>>(
    id: QuotaId,
    dead: &[u64],
    shared: &S,
    ours: impl Fn(Option<Owner>) -> bool,
) -> Vec<DroppedClaim> {
    let goes = |held: &HeldClaim| dead.contains(&held.worker) && ours(held.owner);
    let drop_them = || {
        shared.update(id, |Claims(claims)| {
            let lost = claims.iter().filter(|held| goes(held));
            let lost: Vec<DroppedClaim> = lost
                .map(|held| DroppedClaim {
                    owner: held.owner,
                    amount: held.amount,
                })
                .collect();
            if lost.is_empty() {
                return Update::Keep(lost);
            }
            claims.retain(|held| !goes(held));
            Update::Write(lost)
        })
    };
    // Nobody may look here again before somebody else dies.
    let lost = (0..TRIES).find_map(|_| drop_them().ok());
    lost.unwrap_or_default()
}

fn is_of(held: &HeldClaim, claim: Claim) -> bool {
    (held.key, held.worker) == (claim.key, claim.worker)
}

#[cfg(test)]
mod tests;
