//! How much is measured.

/// The settings from the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// Rounds of each comparison, instead of its own number.
    pub(crate) rounds: Option<usize>,
    /// Only shows that everything runs.
    pub(crate) is_smoke: bool,
}

impl Setup {
    /// How many rounds a comparison makes that makes `usual` by itself.
    pub(crate) fn rounds(self, usual: usize) -> usize {
        match self.rounds {
            Some(rounds) => rounds,
            None => self.amount(usual, 2),
        }
    }

    /// How much of something there is: `usual`, or `short` in a smoke test.
    pub(crate) fn amount(self, usual: usize, short: usize) -> usize {
        if self.is_smoke { short } else { usual }
    }
}
