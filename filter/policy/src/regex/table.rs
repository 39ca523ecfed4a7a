//! A regex as one table: for each state and each kind of byte, the next state.
//!
//! `regex-automata` builds the automaton, and this makes it small: bytes that
//! all states treat alike share a column, states that go on alike share a row,
//! and a cell takes two bytes. Its own tables take 5 to 20 times as much, and
//! each worker holds them.

use std::collections::BTreeMap;

use regex_automata::dfa::dense::{self, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::alphabet::ByteClasses;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

/// A state is the place where its row begins. The first row is the dead
/// state's, from which nothing matches; the last are those of the states in
/// which a value may end.
pub(super) struct Table {
    /// The column of each byte.
    columns: [u8; 256],
    /// The column of bytes that are not UTF-8 and count as one U+FFFD. It is
    /// another's as a rule: patterns rarely tell that character apart.
    broken: u8,
    /// Rows of next states.
    cells: Box<[u16]>,
    start: u16,
    /// The first state in which a value may end.
    ends: usize,
}

/// Why there is no table.
#[derive(Debug)]
pub(super) enum TooLarge {
    /// It would take so many bytes.
    Table(usize),
    /// The automaton that it is made from would take more than so many.
    Automaton(usize),
    /// The pattern has more than [`MOST_STEPS`] steps.
    Steps,
}

/// The most cells of a table: as many states of two bytes can tell apart.
pub(super) const MOST_CELLS: usize = 1 << 16;

/// The most steps of a pattern, repetitions written out: states of a Thompson
/// automaton.
pub(super) const MOST_STEPS: usize = 1 << 14;
/// Bytes that they may take while they are collected; reached first only where
/// steps are classes of very many ranges.
const LARGEST_STEPS: usize = 2 << 20;
/// Bytes that the automaton may take before it is made small.
const LARGEST_DFA: usize = 2 << 20;
/// Bytes that the sets of steps may take which its states stand for. Reached
/// after [`LARGEST_DFA`] as a rule. Pointers count, and those of a worker are
/// shorter than the command line's: a pattern at this bound that `btp lint`
/// refuses may load.
const LARGEST_SETS: usize = 8 << 20;
/// Bounds the time: each cell of the automaton may look at all steps.
const MOST_WORK: usize = 1 << 31;

const DEAD: usize = 0;
/// What bytes that are not UTF-8 count as.
const REPLACEMENT: &str = "\u{fffd}";

/// States by number, of which the dead one is 0.
struct Rows {
    /// Cells of a row.
    width: usize,
    cells: Vec<usize>,
    start: usize,
    /// Which states a value may end in.
    ends: Vec<bool>,
}

impl Table {
    pub(super) fn new(meaning: &Hir) -> Result<Self, TooLarge> {
        let dfa = automaton(meaning)?;
        let mut rows = Rows::of(&dfa).ok_or(TooLarge::Automaton(LARGEST_DFA))?;
        rows.merge();
        let columns = rows.narrow(dfa.byte_classes());
        let bytes = rows.cells.len() * size_of::<u16>();
        rows.table(columns).ok_or(TooLarge::Table(bytes))
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.cells)
    }

    /// Whether the whole of `value` matches. Each byte costs one step, be it
    /// UTF-8 or not, and nothing is copied.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        let (mut state, mut rest) = (usize::from(self.start), value);
        while let Err(error) = str::from_utf8(rest) {
            let (valid, after) = rest
                .split_at_checked(error.valid_up_to())
                .unwrap_or_default();
            state = self.next(self.walk(state, valid), self.broken);
            if state == DEAD {
                return false;
            }
            // Without a length it is a character that the value cuts off.
            let length = error.error_len().unwrap_or(after.len());
            rest = after.get(length..).unwrap_or_default();
        }
        self.walk(state, rest) >= self.ends
    }

    /// The state that these bytes lead to.
    fn walk(&self, mut state: usize, bytes: &[u8]) -> usize {
        for byte in bytes {
            let column = self.columns.get(usize::from(*byte)).copied();
            state = self.next(state, column.unwrap_or_default());
            if state == DEAD {
                break;
            }
        }
        state
    }

    fn next(&self, state: usize, column: u8) -> usize {
        let next = self.cells.get(state + usize::from(column));
        next.map_or(DEAD, |next| usize::from(*next))
    }
}

fn automaton(meaning: &Hir) -> Result<DFA<Vec<u32>>, TooLarge> {
    let config = thompson::Config::new()
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(LARGEST_STEPS));
    let mut compiler = thompson::Compiler::new();
    let nfa = compiler.configure(config).build_from_hir(meaning);
    let nfa = nfa.map_err(|_| TooLarge::Steps)?;
    let steps = nfa.states().len();
    if steps > MOST_STEPS {
        return Err(TooLarge::Steps);
    }
    let most = LARGEST_DFA.min(MOST_WORK / steps.max(1));
    // All matches, and not the first only: which one comes first means
    // nothing where the whole value is to match.
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(most))
        .determinize_size_limit(Some(LARGEST_SETS));
    let mut builder = dense::Builder::new();
    let dfa = builder.configure(config).build_from_nfa(&nfa);
    dfa.map_err(|_| TooLarge::Automaton(most))
}

impl Rows {
    /// The states that can be reached; a column for each class of bytes, and
    /// the last for bytes that are not UTF-8.
    fn of(dfa: &DFA<Vec<u32>>) -> Option<Self> {
        let columns = dfa.byte_classes().representatives(..);
        let bytes: Vec<u8> = columns.filter_map(|unit| unit.as_u8()).collect();
        let start = start::Config::new().anchored(Anchored::Yes);
        let start = dfa.start_state(&start).ok()?;
        // Its first state is the dead one.
        let dead = StateID::ZERO;
        let mut found = vec![dead];
        let mut numbers = BTreeMap::from([(dead, DEAD)]);
        let mut number = |state, found: &mut Vec<StateID>| {
            *numbers.entry(state).or_insert_with(|| {
                found.push(state);
                found.len() - 1
            })
        };
        let mut rows = Self {
            width: bytes.len() + 1,
            cells: Vec::new(),
            start: number(start, &mut found),
            ends: Vec::new(),
        };
        while let Some(state) = found.get(rows.ends.len()).copied() {
            let end = dfa.next_eoi_state(state);
            rows.ends.push(dfa.is_match_state(end));
            let nexts = bytes.iter().map(|byte| dfa.next_state(state, *byte));
            let broken = REPLACEMENT.bytes();
            let broken = broken.fold(state, |state, byte| dfa.next_state(state, byte));
            let nexts = nexts.chain([broken]);
            rows.cells
                .extend(nexts.map(|next| number(next, &mut found)));
        }
        Some(rows)
    }

    /// Lets states that go on alike be one, as far as a few passes find them.
    fn merge(&mut self) {
        const PASSES: usize = 4;
        for _ in 0..PASSES {
            let mut numbers = BTreeMap::new();
            let mut renumbered = Vec::with_capacity(self.ends.len());
            let mut kept = Vec::new();
            for (row, ends) in self.cells.chunks(self.width).zip(&self.ends) {
                let number = *numbers.entry((*ends, row)).or_insert_with(|| {
                    kept.push((*ends, row));
                    kept.len() - 1
                });
                renumbered.push(number);
            }
            if kept.len() == self.ends.len() {
                return;
            }
            let new = |state: usize| renumbered.get(state).copied().unwrap_or(DEAD);
            let cells = kept.iter().flat_map(|(_, row)| row.iter());
            let cells = cells.map(|next| new(*next)).collect();
            let ends = kept.iter().map(|(ends, _)| *ends).collect();
            (self.cells, self.ends, self.start) = (cells, ends, new(self.start));
        }
    }

    /// Lets classes of bytes that all states treat alike share a column; gives
    /// the column of each byte, and that of bytes that are not UTF-8.
    fn narrow(&mut self, classes: &ByteClasses) -> ([u8; 256], u8) {
        let column = |index: usize| -> Vec<usize> {
            let rows = self.cells.chunks(self.width);
            rows.filter_map(|row| row.get(index).copied()).collect()
        };
        let mut numbers = BTreeMap::new();
        let mut kept = Vec::new();
        let mut renumbered = Vec::with_capacity(self.width);
        for index in 0..self.width {
            // Fewer than there are bytes: some are in no character.
            let number = *numbers.entry(column(index)).or_insert_with(|| {
                kept.push(index);
                u8::try_from(kept.len() - 1).unwrap_or(u8::MAX)
            });
            renumbered.push(number);
        }
        let rows = self.cells.chunks(self.width);
        let cells = rows.flat_map(|row| kept.iter().filter_map(|index| row.get(*index).copied()));
        (self.cells, self.width) = (cells.collect(), kept.len());
        let columns = std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).unwrap_or(u8::MAX);
            let class = usize::from(classes.get(byte));
            renumbered.get(class).copied().unwrap_or_default()
        });
        (columns, renumbered.last().copied().unwrap_or_default())
    }

    /// `None` if it has too many cells.
    fn table(self, (columns, broken): ([u8; 256], u8)) -> Option<Table> {
        if self.cells.len() > MOST_CELLS {
            return None;
        }
        let states = 0..self.ends.len();
        let (ending, others): (Vec<_>, Vec<_>) =
            states.partition(|state| self.ends.get(*state).copied().unwrap_or_default());
        let ends = others.len() * self.width;
        let order: Vec<usize> = others.into_iter().chain(ending).collect();
        let mut places = vec![0_u16; order.len()];
        for (index, state) in order.iter().enumerate() {
            let place = u16::try_from(index * self.width).ok()?;
            *places.get_mut(*state)? = place;
        }
        let place = |state: usize| places.get(state).copied();
        let rows: Vec<&[usize]> = self.cells.chunks(self.width).collect();
        let ordered = order.iter().filter_map(|state| rows.get(*state).copied());
        let cells: Option<Vec<u16>> = ordered.flatten().map(|next| place(*next)).collect();
        Some(Table {
            columns,
            broken,
            cells: cells?.into(),
            start: place(self.start)?,
            ends,
        })
    }
}
