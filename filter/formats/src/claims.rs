//! Claims on quotas, three words each: key, worker, amount. Where several quotas
//! are kept in one place, the upper half of the amount is the owner. And the
//! registry of workers, two words each: the worker, its last heartbeat.

use std::num::NonZeroU32;

use btp_engine::{Claims, HeldClaim, Owner, QuotaId, Registration, Registry, RegistryId};

use crate::Stored;
use crate::bytes::{of_words, words};

const OWNER_SHIFT: u32 = 32;
const AMOUNT: u64 = (1 << OWNER_SHIFT) - 1;

impl Stored for QuotaId {
    #[inline(never)]
    fn decode(self, value: Vec<u8>) -> Claims {
        let words = words(&value);
        let claims = words.as_chunks().0.iter();
        let claims = claims.map(|&[key, worker, word]| {
            let (owner, amount) = match self {
                Self::Own(_) => (0, word),
                Self::Shared(_) => (word >> OWNER_SHIFT, word & AMOUNT),
            };
            let owner = u32::try_from(owner).ok().and_then(NonZeroU32::new);
            HeldClaim {
                key,
                worker,
                owner: owner.map(Owner),
                amount,
            }
        });
        Claims(claims.collect())
    }

    #[inline(never)]
    fn encode(self, Claims(claims): &Claims) -> Vec<u8> {
        let claims = claims.iter().flat_map(|held| {
            let owner = held.owner.map_or(0, |Owner(owner)| u64::from(owner.get()));
            let word = match self {
                Self::Own(_) => held.amount,
                Self::Shared(_) => owner << OWNER_SHIFT | held.amount.min(AMOUNT),
            };
            [held.key, held.worker, word]
        });
        of_words(&claims.collect::<Vec<u64>>())
    }
}

impl Stored for RegistryId {
    fn decode(self, value: Vec<u8>) -> Registry {
        let words = words(&value);
        let workers = words.as_chunks().0.iter();
        let workers = workers.map(|&[worker, heartbeat_ns]| Registration {
            worker,
            heartbeat_ns,
        });
        Registry(workers.collect())
    }

    fn encode(self, Registry(workers): &Registry) -> Vec<u8> {
        let workers = workers.iter();
        let workers = workers.flat_map(|it| [it.worker, it.heartbeat_ns]);
        of_words(&workers.collect::<Vec<u64>>())
    }
}
