//! Chance that can be repeated: the same seed draws the same.

use btp_policy::hash::SplitMix64;

/// A generator.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

impl Dice {
    /// A generator of its own for each list of numbers.
    pub fn new(seeds: &[u64]) -> Self {
        let seed = seeds.iter().fold(0_u64, |state, seed| {
            let mixed = state ^ seed.wrapping_mul(0xd6e8_feb8_6659_fd93);
            mixed.wrapping_add(SplitMix64::STEP)
        });
        Self(SplitMix64::new(seed))
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % (end.max(1) as u64)) as usize
    }

    /// A number of `least..=most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Whether one of `of` comes up.
    pub fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// So many bytes of any kind.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.draw() as u8).collect()
    }

    /// A word of letters, for names that nobody has had before.
    pub fn word(&mut self) -> String {
        let letters = (0..10).map(|_| char::from(b'a' + self.below(26) as u8));
        letters.collect()
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for end in (1..of.len()).rev() {
            of.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_draws_the_same_and_another_does_not() {
        let draws = |seeds: &[u64]| {
            let mut dice = Dice::new(seeds);
            [dice.draw(), dice.draw()]
        };
        assert_eq!(draws(&[1, 2]), draws(&[1, 2]));
        assert_ne!(draws(&[1, 2]), draws(&[2, 1]));
        assert_ne!(draws(&[1, 2]), draws(&[1, 3]));
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut numbers: Vec<usize> = (0..50).collect();
        Dice::new(&[7]).shuffle(&mut numbers);
        assert_ne!(numbers, (0..50).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
}
