//! How often a program copies which lengths, as a file: what `profile` counts, and `sweep` and `calibrate` measure by.

use super::stored;
use super::table::CsvFile;
use super::{RecordError, is_record};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The file in a record, without its ending.
pub const WORKLOAD: &str = "workload";
/// No file has more ranges.
const MOST_RANGES: usize = 4096;
/// What a copy takes about: so much to begin with, and the rest by its length.
const CALL_NS: f64 = 10.0;
const BYTES_PER_NS: f64 = 8.0;
/// How many parts of two octaves there are from 64 bytes to 16 MiB.
const EVEN_PARTS: f64 = 9.0;
/// No copy is longer, in bytes.
const MOST_BYTES: u64 = 1 << 47;

/// How many calls copied a length within a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthRange {
    /// The shortest length, in bytes.
    pub from_bytes: u64,
    /// The longest, in bytes.
    pub up_to_bytes: u64,
    /// How many calls there were.
    pub calls: u64,
}

impl LengthRange {
    /// The middle of the range, in bytes.
    pub const fn middle_bytes(&self) -> u64 {
        self.from_bytes + (self.up_to_bytes - self.from_bytes) / 2
    }
}

/// How often which lengths are copied: ranges in ascending order that do not overlap, and one call at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLengths(Vec<LengthRange>);

impl CallLengths {
    /// These ranges.
    ///
    /// # Errors
    ///
    /// The number of the range, from 0, that cannot be one, and why.
    pub fn new(ranges: Vec<LengthRange>) -> Result<Self, (usize, String)> {
        let mut calls = 0_u64;
        for (at, range) in ranges.iter().enumerate() {
            let LengthRange { from_bytes, up_to_bytes, .. } = *range;
            if from_bytes > up_to_bytes || up_to_bytes > MOST_BYTES {
                return Err((at, format!("{from_bytes} to {up_to_bytes} is no range of lengths in bytes")));
            }
            if at.checked_sub(1).is_some_and(|before| ranges[before].up_to_bytes >= from_bytes) {
                return Err((at, format!("the range from {from_bytes} does not begin behind the one before it")));
            }
            let sum = calls.checked_add(range.calls);
            calls = sum.ok_or_else(|| (at, "the numbers of calls add up to more than 64 bits hold".to_owned()))?;
        }
        match ranges.len() {
            _ if calls == 0 => Err((ranges.len(), "there is no call in it".to_owned())),
            count if count > MOST_RANGES => Err((MOST_RANGES, format!("there are more than {MOST_RANGES} ranges"))),
            _ => Ok(Self(ranges)),
        }
    }

    /// Reads a file with the columns `from_bytes`, `up_to_bytes` and `calls`, compressed with gzip if its name ends in
    /// `.gz`; or that of a record, by its folder.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`] with the file, and where there is one the line, that is wrong.
    pub fn read(path: &Path) -> Result<Self, WorkloadError> {
        let refused = |line, cause: String| WorkloadError { path: path.to_owned(), line, cause };
        let plain = path.join(format!("{WORKLOAD}.csv"));
        let file = match path.is_dir() {
            false => path.to_owned(),
            true => stored::find(&plain, is_record(path)).ok_or_else(|| {
                refused(None, format!("this folder has no {WORKLOAD}.csv; only a record of `profile` has one"))
            })?,
        };
        let bytes = stored::read(&file).map_err(|error| match error {
            RecordError::Damaged { line, cause, .. } => refused(Some(line), cause),
            RecordError::Unreadable { cause, .. } => refused(None, cause),
            other => refused(None, other.to_string()),
        })?;
        let mut ranges = Vec::new();
        for (at, row) in csv::Reader::from_reader(&bytes[..]).deserialize::<LengthRange>().enumerate() {
            ranges.push(row.map_err(|error| refused(Some(at as u64 + 2), error.to_string()))?);
            if at > MOST_RANGES {
                break;
            }
        }
        Self::new(ranges).map_err(|(at, cause)| refused(Some(at as u64 + 2), cause))
    }

    /// As a file of a record.
    ///
    /// # Errors
    ///
    /// As for [`CsvFile::of`].
    pub fn file(&self) -> Result<CsvFile, RecordError> {
        CsvFile::of(WORKLOAD, &self.0)
    }

    /// The ranges, shortest first.
    pub fn ranges(&self) -> &[LengthRange] {
        &self.0
    }

    /// How many calls there are.
    pub fn calls(&self) -> u64 {
        self.0.iter().map(|range| range.calls).sum()
    }

    /// Those that are no longer than this, if there is any call among them.
    pub fn up_to(&self, bytes: u64) -> Option<Self> {
        let kept = self.0.iter().filter(|range| range.up_to_bytes <= bytes).copied().collect();
        Self::new(kept).ok()
    }

    /// How much copies of about a length count beside the others, for
    /// [`calibrate_weighted`](crate::select::calibrate_weighted): the share of the time of all copies that those from half to twice
    /// the length take, over what it would be if all lengths counted alike.
    pub fn weight(&self, len_bytes: usize) -> f64 {
        let len_bytes = len_bytes as u64;
        let time = |range: &LengthRange| range.calls as f64 * (CALL_NS + range.middle_bytes() as f64 / BYTES_PER_NS);
        let is_near =
            |range: &&LengthRange| (len_bytes / 2..len_bytes.saturating_mul(2)).contains(&range.middle_bytes());
        let all: f64 = self.0.iter().map(time).sum();
        self.0.iter().filter(is_near).map(time).sum::<f64>() / all * EVEN_PARTS
    }

    /// The text that [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let range = |word: &str| {
            let (lengths, calls) = word.split_once(':')?;
            let (from, up_to) = lengths.split_once("..").unwrap_or((lengths, lengths));
            let number = |word: &str| word.parse().ok();
            Some(LengthRange { from_bytes: number(from)?, up_to_bytes: number(up_to)?, calls: number(calls)? })
        };
        Self::new(text.split(',').map(range).collect::<Option<_>>()?).ok()
    }
}

/// On one line: `16:5,64..71:3`.
impl fmt::Display for CallLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, LengthRange { from_bytes, up_to_bytes, calls }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match from_bytes == up_to_bytes {
                true => write!(f, "{comma}{from_bytes}:{calls}")?,
                false => write!(f, "{comma}{from_bytes}..{up_to_bytes}:{calls}")?,
            }
        }
        Ok(())
    }
}

/// Why a workload cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadError {
    path: PathBuf,
    line: Option<u64>,
    cause: String,
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(
            f,
            ": {}: nothing was measured; name a record of `memcpy-select profile`, or a file with the columns from_bytes, \
             up_to_bytes and calls, ranges in ascending order",
            self.cause
        )
    }
}

impl std::error::Error for WorkloadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from_bytes: u64, up_to_bytes: u64, calls: u64) -> LengthRange {
        LengthRange { from_bytes, up_to_bytes, calls }
    }

    #[test]
    fn lengths_read_back_from_their_text() {
        let lengths = CallLengths::new(vec![range(0, 0, 7), range(16, 16, 5), range(64, 71, 3)]).unwrap();
        assert_eq!(lengths.to_string(), "0:7,16:5,64..71:3");
        assert_eq!(CallLengths::parse(&lengths.to_string()), Some(lengths.clone()));
        assert_eq!((lengths.calls(), lengths.up_to(63).unwrap().calls()), (15, 12));
        // 3 copies of some 67 bytes beside 12 shorter ones: 55 of 190 ns.
        assert!((lengths.weight(64) - 9.0 * 55.0 / 187.0).abs() < 0.2, "{}", lengths.weight(64));
        assert_eq!(lengths.weight(4096), 0.0);
        assert_eq!(CallLengths::new(vec![range(16, 16, 5)]).unwrap().up_to(15), None);
        for text in ["", "16", "16:", "16:0", "16..8:1", "16:1,16:1", "64..71:1,71:1", "-1:1", "16:1,", "16:1,a:2"] {
            assert_eq!(CallLengths::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_workload_is_refused_with_its_line() {
        let folder = std::env::temp_dir().join(format!("memcpy-select-workload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("workload.csv");
        let head = "from_bytes,up_to_bytes,calls\n";
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            CallLengths::read(&path).unwrap_err().to_string()
        };
        let many: String = (0..5000).map(|at| format!("{at},{at},1\n")).collect();
        let cases = [
            ("", ":2: there is no call"),
            (head, ":2: there is no call"),
            ("a,b\n1,2\n", ":2: "),
            (&format!("{head}1,2,3\n1,x,3\n"), ":3: "),
            (&format!("{head}1,2,3\n2,4,3\n"), ":3: the range from 2 does not begin"),
            (&format!("{head}9,2,3\n"), ":2: 9 to 2 is no range"),
            (&format!("{head}1,1,18446744073709551615\n2,2,1\n"), ":3: the numbers of calls"),
            (&format!("{head}1,2\n"), ":2: "),
            (&format!("{head}{many}"), "more than 4096 ranges"),
        ];
        for (text, cause) in cases {
            let message = refused(text);
            assert!(message.contains(cause) && message.contains("nothing was measured; name a"), "{message}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(CallLengths::read(&path).unwrap_err().to_string().contains("No such file"));
        assert!(CallLengths::read(&folder).unwrap_err().to_string().contains("this folder has no workload.csv"));
        std::fs::write(&path, format!("{head}1,2,3\n")).unwrap();
        assert_eq!(CallLengths::read(&folder).unwrap(), CallLengths::read(&path).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
