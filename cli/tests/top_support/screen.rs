//! What a terminal shows after what was written to it: as many of the sequences that move the
//! cursor and clear the screen as are used.

/// The places of a screen.
pub(crate) struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The begin of a sequence that is not over.
    pending: String,
}

impl Screen {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self {
            lines: vec![vec![' '; columns]; rows],
            row: 0,
            column: 0,
            pending: String::new(),
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        let text = std::mem::take(&mut self.pending) + text;
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            if character == '\u{1b}' {
                let ends = |it: char| it.is_ascii_alphabetic();
                let Some(length) = rest.get(2..).and_then(|it| it.find(ends)) else {
                    rest.clone_into(&mut self.pending);
                    return;
                };
                let (sequence, after) = rest.split_at(length + 3);
                self.obey(&sequence[2..]);
                rest = after;
                continue;
            }
            rest = &rest[character.len_utf8()..];
            match character {
                '\r' => self.column = 0,
                '\n' => self.row += 1,
                _ => self.put(character),
            }
        }
    }

    fn put(&mut self, character: char) {
        let line = self.lines.get_mut(self.row);
        if let Some(place) = line.and_then(|line| line.get_mut(self.column)) {
            *place = character;
        }
        self.column += 1;
    }

    fn obey(&mut self, sequence: &str) {
        if let Some(place) = sequence.strip_suffix('H') {
            let (row, column) = place.split_once(';').unwrap_or(("1", "1"));
            let from_zero = |it: &str| it.parse().map_or(0, |it: usize| it.saturating_sub(1));
            (self.row, self.column) = (from_zero(row), from_zero(column));
        } else if sequence.ends_with('J') || sequence.starts_with("?1049") {
            // Cleared, or another screen, which is empty.
            for line in &mut self.lines {
                line.fill(' ');
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter().map(|it| it.iter().collect::<String>());
        lines.map(|it| format!("{}\n", it.trim_end())).collect()
    }
}
