//! The difference of two texts in the unified format that `diff -u` and
//! `git` print.

use std::fmt::Write as _;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Same,
    Gone,
    New,
}

/// What leads from `old` to `new`; nothing if they are the same.
pub(crate) fn unified(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    if old == new {
        return String::new();
    }
    let olds: Vec<&str> = old.split_inclusive('\n').collect();
    let news: Vec<&str> = new.split_inclusive('\n').collect();
    let lines = compare(&olds, &news);
    let mut out = format!("--- {old_name}\n+++ {new_name}\n");
    let mut start = 0;
    while let Some(first) = lines[start..].iter().position(|line| line.0 != Kind::Same) {
        let first = start + first;
        let mut last = first;
        let mut end = first;
        while end < lines.len() && end <= last + 2 * CONTEXT {
            if lines[end].0 != Kind::Same {
                last = end;
            }
            end += 1;
        }
        let from = first.saturating_sub(CONTEXT).max(start);
        let to = (last + 1 + CONTEXT).min(lines.len());
        hunk(&lines, from, to, &mut out);
        start = to;
    }
    out
}

fn hunk(lines: &[(Kind, &str)], from: usize, to: usize, out: &mut String) {
    let count = |lines: &[(Kind, &str)], not: Kind| lines.iter().filter(|it| it.0 != not).count();
    let (before, inside) = (&lines[..from], &lines[from..to]);
    let range = |not: Kind| {
        let length = count(inside, not);
        let first = count(before, not) + usize::from(length > 0);
        format!("{first},{length}")
    };
    let _ = writeln!(out, "@@ -{} +{} @@", range(Kind::New), range(Kind::Gone));
    for (kind, text) in inside {
        let sign = match kind {
            Kind::Same => ' ',
            Kind::Gone => '-',
            Kind::New => '+',
        };
        out.push(sign);
        out.push_str(text);
        if !text.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The lines of both in one order, by Myers' greedy algorithm between what
/// is the same at both ends.
fn compare<'a>(olds: &[&'a str], news: &[&'a str]) -> Vec<(Kind, &'a str)> {
    let head = olds.iter().zip(news).take_while(|(o, n)| o == n).count();
    let rest = olds.len().min(news.len()) - head;
    let tail = olds.iter().rev().zip(news.iter().rev());
    let tail = tail.take(rest).take_while(|(o, n)| o == n).count();
    let mut lines: Vec<_> = olds[..head].iter().map(|it| (Kind::Same, *it)).collect();
    let (old_end, new_end) = (olds.len() - tail, news.len() - tail);
    myers(&olds[head..old_end], &news[head..new_end], &mut lines);
    lines.extend(olds[old_end..].iter().map(|it| (Kind::Same, *it)));
    lines
}

/// More changes than this are shown as one block: memory grows with their
/// square.
const MOST: i64 = 2000;

fn myers<'a>(olds: &[&'a str], news: &[&'a str], lines: &mut Vec<(Kind, &'a str)>) {
    let (width, height) = (length(olds), length(news));
    // The furthest old line reached on each diagonal, -MOST-1 to MOST+1.
    let mut furthest = vec![0_i64; place(MOST + 1, MOST + 1) + 1];
    let mut trace: Vec<Vec<i64>> = Vec::new();
    for changes in 0..=MOST.min(width + height) {
        let (first, last) = (place(-changes - 1, MOST + 1), place(changes + 1, MOST + 1));
        trace.push(furthest[first..=last].to_vec());
        for k in (-changes..=changes).step_by(2) {
            let reached = |k: i64| furthest[place(k, MOST + 1)];
            let mut x = match goes_down(k, changes, reached) {
                true => reached(k + 1),
                false => reached(k - 1) + 1,
            };
            while x < width && x - k < height && olds[place(x, 0)] == news[place(x - k, 0)] {
                x += 1;
            }
            furthest[place(k, MOST + 1)] = x;
            if x >= width && x - k >= height {
                walk_back(olds, news, &trace, lines);
                return;
            }
        }
    }
    lines.extend(olds.iter().map(|it| (Kind::Gone, *it)));
    lines.extend(news.iter().map(|it| (Kind::New, *it)));
}

fn walk_back<'a>(
    olds: &[&'a str],
    news: &[&'a str],
    trace: &[Vec<i64>],
    lines: &mut Vec<(Kind, &'a str)>,
) {
    let mut found = Vec::new();
    let (mut x, mut y) = (length(olds), length(news));
    for (changes, row) in trace.iter().enumerate().rev() {
        let changes = i64::try_from(changes).unwrap_or(MOST);
        let reached = |k: i64| row[place(k, changes + 1)];
        let k = x - y;
        let down = goes_down(k, changes, reached);
        let before = if down { k + 1 } else { k - 1 };
        let (old_x, old_y) = (reached(before), reached(before) - before);
        while x > old_x && y > old_y {
            (x, y) = (x - 1, y - 1);
            found.push((Kind::Same, olds[place(x, 0)]));
        }
        if changes > 0 && down {
            found.push((Kind::New, news[place(old_y, 0)]));
        } else if changes > 0 {
            found.push((Kind::Gone, olds[place(old_x, 0)]));
        }
        (x, y) = (old_x, old_y);
    }
    lines.extend(found.into_iter().rev());
}

/// Whether the best way to diagonal `k` takes a new line, not an old one.
fn goes_down(k: i64, changes: i64, reached: impl Fn(i64) -> i64) -> bool {
    k == -changes || (k != changes && reached(k - 1) < reached(k + 1))
}

fn place(number: i64, zero: i64) -> usize {
    usize::try_from(number + zero).unwrap_or(0)
}

fn length(lines: &[&str]) -> i64 {
    i64::try_from(lines.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_from_diff() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nk2\nl";
        assert_eq!(
            unified(old, new, "x", "y"),
            "--- x\n+++ y\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -9,4 +9,5 @@\n i\n j\n k\n\
             -l\n+k2\n+l\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(old, old, "x", "y"), "");
    }

    #[test]
    fn every_line_is_accounted_for() {
        // All pairs of short texts over two letters.
        let texts: Vec<Vec<&str>> = (0..6_usize)
            .flat_map(|length| {
                (0..1_usize << length).map(move |bits| {
                    (0..length)
                        .map(|it| if bits >> it & 1 == 1 { "a" } else { "b" })
                        .collect()
                })
            })
            .collect();
        for old in &texts {
            for new in &texts {
                let lines = compare(old, new);
                let side = |not| {
                    lines
                        .iter()
                        .filter(|it| it.0 != not)
                        .map(|it| it.1)
                        .collect::<Vec<_>>()
                };
                assert_eq!(&side(Kind::New), old);
                assert_eq!(&side(Kind::Gone), new);
            }
        }
    }
}
