//! The log of a serial port, with the figures of the kernel in `tests/ring0/` somewhere in it:
//!
//! ```text
//! memcpy-select ring0 1
//! cpu intel-6-207-2
//! machine bare
//! real yes
//! tsc_hz 2100000000
//! row xsaves_xrstors/avx cycles 151 149 190 10000
//! end
//! ```
//!
//! `machine` is `bare`, `kvm`, `tcg` or what another hypervisor calls itself; `real` is `yes`, or `no: ` and why. A row has its
//! name, the median, the 5th and the 95th percentile in ticks of the time-stamp counter, and how many samples; with `real` or
//! `modelled` behind them, it is not as the line `real` says. Firmware may have written before the first line, also in the same
//! line, and anybody behind the last. Of several such blocks, as of a machine that was booted twice, the last counts.

use super::error::Ring0Cause;
use super::{Machine, Ring0, Row};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What begins the figures; the version follows.
const HEAD: &str = "memcpy-select ring0 ";
const VERSION: &str = "1";
/// What ends them.
const END: &str = "end";

/// No log is longer.
const MAX_BYTES: u64 = 16 << 20;

/// The text of a file. Bytes of firmware that are no text are replaced.
pub(super) fn read(path: &Path) -> Result<String, Ring0Cause> {
    let unreadable = |cause: String| Ring0Cause::Unreadable { cause };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!("more than {} MiB are no such log", MAX_BYTES >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the lines above the rows say.
#[derive(Default)]
struct Heads<'a> {
    cpu: Option<&'a str>,
    machine: Option<&'a str>,
    real: Option<&'a str>,
    tsc_hz: Option<&'a str>,
}

impl<'a> Heads<'a> {
    /// The place for the value of such a line.
    fn of(&mut self, word: &str) -> Option<&mut Option<&'a str>> {
        match word {
            "cpu" => Some(&mut self.cpu),
            "machine" => Some(&mut self.machine),
            "real" => Some(&mut self.real),
            "tsc_hz" => Some(&mut self.tsc_hz),
            _ => None,
        }
    }

    fn machine(&self) -> Result<Machine, String> {
        let said = |name: &str, value: Option<&str>| {
            value.map(str::to_owned).ok_or_else(|| format!("there is no line `{name}` above"))
        };
        let real = said("real", self.real)?;
        let not_real = match (real.as_str(), real.strip_prefix("no:").map(str::trim)) {
            ("yes", _) => String::new(),
            (_, Some(why)) if !why.is_empty() => why.to_owned(),
            _ => return Err(format!("`real {real}` is neither `real yes` nor `real no: ` and why")),
        };
        let tsc_hz = number(&said("tsc_hz", self.tsc_hz)?)?;
        Machine { cpu: said("cpu", self.cpu)?, machine: said("machine", self.machine)?, not_real, tsc_hz }.checked()
    }
}

/// The figures in a log.
pub(super) fn parse(text: &str) -> Result<Ring0, Ring0Cause> {
    let heads = text.lines().enumerate().filter_map(|(at, line)| Some((at, line.split_once(HEAD)?.1.trim())));
    let (first, version) = heads.last().ok_or(Ring0Cause::NoFigures)?;
    if version != VERSION {
        return Err(Ring0Cause::OtherVersion { line: first + 1, found: version.to_owned() });
    }
    let mut heads = Heads::default();
    let mut rows: Vec<(usize, &str)> = Vec::new();
    for (at, line) in text.lines().enumerate().skip(first + 1) {
        let damaged = |cause: String| Ring0Cause::Damaged { line: at + 1, cause };
        let line = line.trim();
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        if line == END {
            let machine = heads.machine().map_err(damaged)?;
            return figures(machine, &rows);
        } else if word == "row" {
            rows.push((at + 1, value));
        } else if let Some(head) = heads.of(word) {
            if head.replace(value.trim()).is_some() {
                return Err(damaged(format!("the line `{word}` is there twice")));
            }
        } else if !line.is_empty() {
            return Err(damaged(format!("{line:?} is no line of such figures")));
        }
    }
    Err(Ring0Cause::Truncated)
}

fn figures(machine: Machine, lines: &[(usize, &str)]) -> Result<Ring0, Ring0Cause> {
    let mut rows: Vec<Row> = Vec::new();
    for (line, value) in lines {
        let row = row(value, machine.not_real.is_empty()).and_then(|row| row.checked(&machine, &rows));
        rows.push(row.map_err(|cause| Ring0Cause::Damaged { line: *line, cause })?);
    }
    Ok(Ring0 { machine, rows })
}

/// A row, which is real by what the head says unless it says so itself.
fn row(line: &str, is_real: bool) -> Result<Row, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, "cycles", ticks, p5, p95, samples, own @ ..] = words.as_slice() else {
        return Err(format!("`row {line}` is not `row <name> cycles <median> <p5> <p95> <samples>`"));
    };
    let real = match own {
        [] => is_real,
        ["real"] => true,
        ["modelled"] => false,
        _ => return Err(format!("`{}` is neither `real` nor `modelled`", own.join(" "))),
    };
    let [ticks, p5_ticks, p95_ticks] = [number(ticks)?, number(p5)?, number(p95)?];
    Ok(Row { name: (*name).to_owned(), ticks, p5_ticks, p95_ticks, samples: number(samples)?, real })
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number of this kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "SeaBIOS\r\nBooting from ROM..memcpy-select ring0 1\r\ncpu intel-6-207-2\r\nmachine kvm\r\nreal no: the \
                       timer exits\r\ntsc_hz 2100000000\r\n\r\nrow empty cycles 26 24 28 1000\r\nrow xsaves_xrstors/avx cycles \
                       176.5 170 200 1000 real\r\nrow fault_fixup cycles 900 890 990 10 modelled\r\nend\r\nhalted\r\n";

    fn refused(from: &str, to: &str) -> Ring0Cause {
        let text = LOG.replacen(from, to, 1);
        assert_ne!(text, LOG, "{from}");
        parse(&text).unwrap_err()
    }

    #[test]
    fn figures_are_read_from_among_other_lines() {
        let ring0 = parse(LOG).unwrap();
        let Machine { cpu, machine, not_real, tsc_hz } = &ring0.machine;
        assert_eq!((cpu.as_str(), machine.as_str(), *tsc_hz), ("intel-6-207-2", "kvm", 2_100_000_000));
        assert_eq!(not_real, "the timer exits");
        let reals: Vec<bool> = ring0.rows.iter().map(|row| row.real).collect();
        assert_eq!(reals, [false, true, false]);
        // 176.5 − 26 ticks of 2.1 GHz, at 3 core cycles a nanosecond.
        let cycles = ring0.cycles("xsaves_xrstors/avx", 3.0).unwrap();
        assert!((cycles - 215.0).abs() < 1e-9, "{cycles}");
        assert_eq!(ring0.cycles("fault_fixup", 3.0), None, "it is not real");
        assert_eq!(ring0.cycles("xsaves_xrstors/avx", 0.0), None, "the core clock is not known");
        let twice = format!("{}{LOG}", LOG.replace("176.5", "180"));
        assert_eq!(parse(&twice).unwrap(), ring0, "the last block counts");
    }

    #[test]
    fn what_is_no_such_log_is_refused_with_the_line() {
        assert_eq!(refused(HEAD, "something else "), Ring0Cause::NoFigures);
        assert_eq!(refused("ring0 1", "ring0 2"), Ring0Cause::OtherVersion { line: 2, found: "2".to_owned() });
        assert_eq!(
            refused("end\r\n", ""),
            Ring0Cause::Damaged { line: 11, cause: "\"halted\" is no line of such figures".to_owned() }
        );
        assert_eq!(parse(LOG.split("end").next().unwrap()).unwrap_err(), Ring0Cause::Truncated);
        let cases = [
            ("machine kvm", "cpu kvm", 4, "`cpu` is there twice"),
            ("machine kvm\r\n", "", 10, "no line `machine`"),
            ("real no: the timer exits", "real perhaps", 11, "neither `real yes` nor"),
            ("real no: the timer exits", "real no:", 11, "neither `real yes` nor"),
            ("2100000000", "fast", 11, "\"fast\" is no number"),
            ("2100000000", "21", 11, "21 ticks a second"),
            ("kvm", "k\u{1b}[2J", 11, "no name of a machine"),
            ("kvm", "tcg", 9, "an emulator, no figure is real"),
            ("26 24 28", "26 x 28", 8, "\"x\" is no number"),
            ("26 24 28", "26 27 28", 8, "do not rise"),
            ("26 24 28", "26 24 NaN", 8, "do not rise"),
            ("26 24 28", "26 -24 28", 8, "do not rise"),
            ("28 1000", "28 0", 8, "no samples"),
            ("28 1000", "28 1000 perhaps", 8, "neither `real` nor `modelled`"),
            ("28 1000", "28", 8, "is not `row <name> cycles"),
            ("fault_fixup", "empty", 10, "empty is there twice"),
            ("fault_fixup", "fault\u{7}", 10, "no name of a figure"),
            ("row empty", "roe empty", 8, "no line of such figures"),
        ];
        for (from, to, line, cause) in cases {
            match refused(from, to) {
                Ring0Cause::Damaged { line: at, cause: said } => {
                    assert!(at == line && said.contains(cause), "{from} → {to}: line {at}: {said}");
                }
                other => panic!("{from} → {to}: {other:?}"),
            }
        }
    }
}
