//! Plain text for a terminal of 80 columns, with or without colour, or for a file.

use super::format::size;
use crate::lab::instruments::statistics::is_tie;
use std::fmt::Write;

/// A range of lengths: both ends belong to it.
pub fn range(from: usize, to: usize) -> String {
    if from == to { format!("at {}", size(from)) } else { format!("{} to {}", size(from), size(to)) }
}

/// How many times as fast; "=" for a tie.
pub fn speed_up(ratio: Option<f64>, noise_floor: f64) -> String {
    match ratio {
        None => "-".to_owned(),
        Some(ratio) if is_tie(ratio, noise_floor) => format!("= {ratio:.2}x"),
        Some(ratio) => format!("{ratio:.2}x"),
    }
}

/// Lines of at most 78 columns, broken at spaces.
pub fn wrap(text: &str) -> String {
    hanging(0, text)
}

/// A text as lines of at most 78 columns, broken at spaces; all but the first begin with that many spaces. The spaces that
/// the text begins with stay.
pub fn hanging(indent: usize, text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for (at, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if column > indent && column + 1 + width > COLUMNS {
            let _ = write!(lines, "\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines.push('\n');
    lines
}

/// The width of a terminal, less a margin.
const COLUMNS: usize = 78;

/// A text two columns to the right.
pub fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_spaces_and_hang() {
        let text = format!("  warn    name          {}", "word ".repeat(40).trim_end());
        let lines = hanging(24, &text);
        assert!(lines.lines().count() > 3 && lines.lines().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines.starts_with("  warn    name          word word"));
        assert!(lines.lines().skip(1).all(|line| line.starts_with(&format!("{:24}word", ""))));
        assert_eq!(wrap("a b"), "a b\n");
    }
}
