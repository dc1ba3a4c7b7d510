//! Words of the command line: lengths, and names of which there is a list. There is one reader for each, and what it refuses
//! comes with what was probably meant.

#![forbid(unsafe_code)]

/// How lengths are written, for texts of help.
pub const LENGTHS: &str =
    "bytes, or with a unit: K, KB or KiB (1024 bytes), M, MB or MiB, G, GB or GiB, in either case";

/// Units are binary, all of them: sizes of memory are. The last one is what a near miss is held against.
const UNITS: [(&[&str], usize); 4] =
    [(&["", "b"], 1), (&["k", "kb", "kib"], 1 << 10), (&["m", "mb", "mib"], 1 << 20), (&["g", "gb", "gib"], 1 << 30)];

/// A length in bytes from a word: `64`, `4k`, `4KB`, `4 KiB`, `1.5MiB`.
///
/// # Errors
///
/// What is wrong with the word, and what was probably meant.
pub fn length(word: &str) -> Result<usize, String> {
    let end = word.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(word.len());
    let (number, unit) = (&word[..end], word[end..].trim().to_ascii_lowercase());
    let bytes = |unit_bytes| bytes(number, unit_bytes);
    if let Some((_, unit_bytes)) = UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())) {
        return bytes(*unit_bytes).ok_or_else(|| cause(None));
    }
    let names: Vec<&str> = UNITS.iter().flat_map(|(names, _)| *names).copied().collect();
    let meant =
        nearest(&unit, &names).or_else(|| names.into_iter().find(|name| unit.starts_with(*name) && !name.is_empty()));
    let known = meant.and_then(|meant| UNITS.iter().find(|(names, _)| names.contains(&meant)));
    let guess = known.and_then(|(names, unit_bytes)| Some((names.last().copied()?, bytes(*unit_bytes)?)));
    Err(cause(guess.map(|(unit, bytes)| (format!("{number}{}", spelled(unit)), bytes))))
}

/// A number of units in bytes, if that is a whole number of bytes.
fn bytes(number: &str, unit_bytes: usize) -> Option<usize> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10_usize.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = part.parse::<usize>().ok()?.checked_mul(unit_bytes)?;
    let whole = whole.parse::<usize>().ok()?.checked_mul(unit_bytes)?;
    part.is_multiple_of(scale).then(|| whole.checked_add(part / scale))?
}

fn spelled(unit: &str) -> &'static str {
    match unit {
        "kib" => "KiB",
        "mib" => "MiB",
        "gib" => "GiB",
        _ => "",
    }
}

fn cause(meant: Option<(String, usize)>) -> String {
    match meant {
        Some((meant, bytes)) => format!("this is no length; did you mean {meant} ({bytes} bytes)?"),
        None => format!("this is no length; use a whole number of {LENGTHS}"),
    }
}

/// The name that a word is a near miss of, if there is one.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    /// As far as clap goes for its own options.
    const ALIKE: f64 = 0.7;
    let word = word.to_ascii_lowercase();
    let alike = known.iter().map(|name| (strsim::jaro(&word, &name.to_ascii_lowercase()), *name));
    alike.filter(|(alike, _)| *alike > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// What to say of a word that is none of a list: `there is no such kernel; did you mean avx_nt?`, or what there is if it is
/// like none.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let instead = match (nearest(word, known), known) {
        (Some(name), _) => format!("did you mean {name}?"),
        (None, [first @ .., last]) if !first.is_empty() => format!("use {} or {last}", first.join(", ")),
        (None, all) => format!("use {}", all.join("")),
    };
    format!("there is no such {what}; {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_unit_is_the_same_length() {
        for word in ["4096", "4096b", "4096 B", "4k", "4K", "4KB", "4kb", "4KiB", "4 kib", "4.0k"] {
            assert_eq!(length(word), Ok(4096), "{word}");
        }
        assert_eq!(length("1.5 MiB"), Ok(3 << 19));
        assert_eq!(["1m", "1MB", "1MiB"].map(|word| length(word).unwrap()), [1 << 20; 3]);
        assert_eq!(["2g", "2GB", "2GiB"].map(|word| length(word).unwrap()), [2 << 30; 3]);
        assert_eq!(["0", "1"].map(|word| length(word).unwrap()), [0, 1]);
    }

    #[test]
    fn what_is_no_length_is_refused_with_what_was_meant() {
        let refused =
            ["", "k", "-1", "+1", "1.3", "0x10", "1e3", "4 4", "1.5.5k", ".", "1.", ".5k", "18014398509481985k"];
        for word in refused {
            assert!(length(word).unwrap_err().contains("this is no length"), "{word}");
        }
        for (word, meant) in
            [("4kbi", "4KiB (4096 bytes)"), ("1mbyte", "1MiB (1048576"), ("2gbi", "2GiB"), ("4kbytes", "4KiB")]
        {
            let message = length(word).unwrap_err();
            assert!(message.contains(&format!("did you mean {meant}")), "{message}");
        }
    }

    #[test]
    fn a_near_miss_is_named_and_a_far_one_is_not() {
        let known = ["avx_nt", "sse2_nt", "rep_movsb"];
        for (word, name) in
            [("avxnt", "avx_nt"), ("AVX_NT", "avx_nt"), ("rep_movb", "rep_movsb"), ("sse_nt", "sse2_nt")]
        {
            assert_eq!(nearest(word, &known), Some(name), "{word}");
        }
        assert_eq!(nearest("xyz", &known), None);
        assert_eq!(unknown("kernel", "xyz", &known), "there is no such kernel; use avx_nt, sse2_nt or rep_movsb");
        assert_eq!(unknown("kernel", "avxnt", &known), "there is no such kernel; did you mean avx_nt?");
    }
}
