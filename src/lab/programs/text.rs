//! The text that many workloads read: the same bytes in every run.

#![forbid(unsafe_code)]

use crate::lab::instruments::random::SplitMix64;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How long it is.
pub const TEXT_BYTES: usize = 64 << 20;
/// How many words there are to choose from.
const WORDS: u64 = 2000;

/// Writes lines of a number and some words, short ones and frequent ones more often than others, as logs have them.
///
/// # Errors
///
/// What the system says.
pub fn write(path: &Path) -> io::Result<()> {
    let mut random = SplitMix64(0x7e97);
    let letters = |random: &mut SplitMix64| {
        let count = 2 + random.below(10);
        (0..count).map(|_| char::from(b'a' + random.below(26) as u8)).collect::<String>()
    };
    let words: Vec<String> = (0..WORDS).map(|_| letters(&mut random)).collect();
    let mut file = BufWriter::new(File::create(path)?);
    let (mut left, mut line) = (TEXT_BYTES, String::new());
    while left > 0 {
        line.clear();
        line.push_str(&format!("{:08}", random.below(1 << 26)));
        for _ in 0..4 + random.below(12) {
            line.push(' ');
            // Cubed, so that the first words come most often.
            line.push_str(&words[(random.share().powi(3) * WORDS as f64) as usize]);
        }
        line.truncate(left - 1);
        line.push('\n');
        file.write_all(line.as_bytes())?;
        left -= line.len();
    }
    file.into_inner()?.sync_all().or(Ok(()))
}
