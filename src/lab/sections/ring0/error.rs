//! Why figures from ring 0 are not taken: what is wrong, what that means, what helps.

use std::fmt;
use std::path::PathBuf;

/// Why the log of a serial port gives no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring0Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub cause: Ring0Cause,
}

/// What is wrong with the log of a serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ring0Cause {
    /// It could not be read.
    Unreadable {
        /// What the system said, or that it is no log.
        cause: String,
    },
    /// No line begins such figures.
    NoFigures,
    /// They are of another version of this form.
    OtherVersion {
        /// The line, from 1.
        line: usize,
        /// The version.
        found: String,
    },
    /// A line cannot be what the kernel has written.
    Damaged {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        cause: String,
    },
    /// The line `end` is missing.
    Truncated,
    /// They are of another CPU than the record.
    OtherCpu {
        /// Theirs.
        found: String,
        /// The record's.
        record: String,
    },
    /// None of them is what a CPU takes.
    NotReal {
        /// The machine's name.
        machine: String,
        /// Why.
        why: String,
    },
}

/// What helps where the file is not what it should be.
const BOOT_AGAIN: &str = "boot the kernel of tests/ring0 with the word `measure` again and keep all that it prints on the \
                          serial port";

impl fmt::Display for Ring0Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, cause } = self;
        let path = path.display();
        match cause {
            Ring0Cause::Unreadable { cause } => {
                write!(f, "{path}: {cause}: no figures from ring 0 were read; name the log of a serial port")
            }
            Ring0Cause::NoFigures => write!(
                f,
                "{path}: no line `memcpy-select ring0 1` is in this file: no figures from ring 0 were read; {BOOT_AGAIN}"
            ),
            Ring0Cause::OtherVersion { line, found } => write!(
                f,
                "{path}:{line}: figures of version {found:?}, this build reads version 1: nothing is kept; use the kernel in \
                 tests/ring0 and the program of one version of memcpy-select"
            ),
            Ring0Cause::Damaged { line, cause } => {
                write!(f, "{path}:{line}: {cause}: the log is refused as a whole, nothing is kept; {BOOT_AGAIN}")
            }
            Ring0Cause::Truncated => write!(
                f,
                "{path}: the line `end` is missing: the kernel did not come to its end, or its log was cut off; nothing is \
                 kept; {BOOT_AGAIN}"
            ),
            Ring0Cause::OtherCpu { found, record } => write!(
                f,
                "{path}: figures of {found}, the record is of {record}: figures of two CPUs are not kept in one record; boot \
                 the kernel where the record was made, or make a record where it was booted"
            ),
            Ring0Cause::NotReal { machine, why } => write!(
                f,
                "{path}: ring 0 was not real on {machine} ({why}): these are no figures of a CPU, and nothing is kept; boot \
                 the kernel without an emulator, or keep them marked as not real with --unreal"
            ),
        }
    }
}

impl std::error::Error for Ring0Error {}
