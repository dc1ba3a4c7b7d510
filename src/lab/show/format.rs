//! Figures as text, and text that is safe to show.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// A length with its binary unit: `64 B`, `4 KiB`, `1.5 MiB`; exact bytes where no unit fits.
pub fn size(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit_bytes, name) in UNITS {
        if bytes >= unit_bytes && bytes.is_multiple_of(unit_bytes) {
            return format!("{} {name}", bytes / unit_bytes);
        }
        if bytes >= unit_bytes && bytes.is_multiple_of(unit_bytes / 2) {
            return format!("{}.5 {name}", bytes / unit_bytes);
        }
    }
    format!("{bytes} B")
}

/// Gigabytes per second with three significant digits.
pub fn gb_per_s(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A time for reading: three digits, with its unit.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns => (ns / 1e6, "ms"),
    };
    format!("{} {unit}", gb_per_s(value))
}

/// How an error or a difference is shown: a percentage with its sign.
pub fn signed_percent(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}

/// A time that may be below 0: what something saves.
pub fn signed_time(ns: f64) -> String {
    format!("{}{}", if ns < 0.0 { "-" } else { "" }, time(ns.abs()))
}

/// How many there are of a thing: `1 cell`, `2 cells`, `2 copies`, `2 processes`.
pub fn count(count: impl Display, thing: &str) -> String {
    let count = count.to_string();
    match thing.strip_suffix('y') {
        _ if count == "1" => format!("1 {thing}"),
        Some(stem) => format!("{count} {stem}ies"),
        None if thing.ends_with('s') => format!("{count} {thing}es"),
        None => format!("{count} {thing}s"),
    }
}

/// A text without what a terminal or a browser obeys and does not show: each control character but line breaks and tabs, and
/// each that changes the direction of writing, becomes its number, as in `\u001b`. So JSON stays the same JSON.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |character: char| match character {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        character => character.is_control(),
    };
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let pairs = [(0, "0 B"), (64, "64 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1537, "1537 B")];
        for (bytes, text) in pairs {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size((1 << 20) + 1), "1048577 B");
        assert_eq!(size(3 << 29), "1.5 GiB");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|of| count(of, "copy")), ["0 copies", "1 copy", "2 copies"]);
        assert_eq!([count(1_usize, "cell"), count(1000_u64, "cell")], ["1 cell", "1000 cells"]);
        assert_eq!([count(1_u32, "process"), count(2_u32, "process")], ["1 process", "2 processes"]);
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_as_its_number() {
        assert_eq!(
            printable("a \u{1b}[31m\u{7f}\u{9b}\u{202e}\rb\0"),
            "a \\u001b[31m\\u007f\\u009b\\u202e\\u000db\\u0000"
        );
        assert!(matches!(printable("lines\n\tand µs, größer\n"), Cow::Borrowed(_)));
        let json = format!("{:#}", serde_json::json!({ "name": "\u{1b}\u{9b}\u{7f}" }));
        let read: serde_json::Value = serde_json::from_str(&printable(&json)).unwrap();
        assert_eq!(read["name"], "\u{1b}\u{9b}\u{7f}");
    }

    #[test]
    fn rates_keep_three_digits() {
        assert_eq!([gb_per_s(123.45), gb_per_s(12.345), gb_per_s(1.2345)], ["123", "12.3", "1.23"]);
    }
}
