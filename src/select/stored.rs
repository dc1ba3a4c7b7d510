//! What a file holds that keeps plans from one start of a program to the next: a line with the version of this crate that wrote
//! it, the text of a plan for [`Policy::User`], and that of one for [`Policy::NoSimd`].

#![forbid(unsafe_code)]

use super::Policy;
use super::plan::Plan;
use super::text::load;
#[cfg(feature = "std")]
use super::text_error::TextError;
use super::text_error::{Excerpt, LoadError};
use crate::cpu::Cpu;
use core::fmt;

/// Whose plans these are. Without assembly other kernels are to choose from, and code for debugging takes its time around each
/// copy: what it measures is not for programs that are built for release.
pub const BUILD: &str = match (cfg!(memcpy_select_asm), cfg!(memcpy_select_out_of_line)) {
    (true, false) => env!("CARGO_PKG_VERSION"),
    (true, true) => concat!(env!("CARGO_PKG_VERSION"), "-debug"),
    (false, _) => concat!(env!("CARGO_PKG_VERSION"), "-no-asm"),
};

/// How the first line begins; the version follows. To whatever reads plans it is a comment.
pub(super) const MARK: &str = "# memcpy-select ";
/// How each plan begins.
const HEADER: &str = "memcpy-select plan ";

/// The parts of such a file.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The version that wrote it, if it says so.
    pub version: Option<&'a str>,
    /// The first text, with what comes before it.
    pub first: &'a str,
    /// The second text; empty if there is none.
    pub second: &'a str,
}

impl<'a> Stored<'a> {
    /// Finds the parts, whatever they hold.
    pub fn split(text: &'a str) -> Self {
        let version = text.lines().next().and_then(|line| line.strip_prefix(MARK));
        let start = text.find(HEADER).map_or(text.len(), |at| at + HEADER.len());
        let second = text[start..].find(HEADER).map_or(text.len(), |at| start + at);
        let (first, second) = text.split_at(second);
        Self { version, first, second }
    }

    /// The plan for [`Policy::User`] of a file that holds one plan or both.
    ///
    /// # Errors
    ///
    /// [`StoredError`] if another version wrote the file, or if its first text is no such plan for this CPU.
    pub fn user_plan(&self, cpu: &Cpu) -> Result<Plan, StoredError> {
        if let Some(other) = self.version.filter(|version| *version != BUILD) {
            return Err(StoredError::OtherVersion(Excerpt::new(other)));
        }
        match load(self.first, cpu) {
            Ok((Policy::User, plan)) => Ok(plan),
            Ok(_) => Err(StoredError::OtherPolicy),
            Err(error) => Err(StoredError::Refused(error)),
        }
    }

    /// The plan of the second text, and the policy that it is for. Lines of errors are those of the file.
    ///
    /// # Errors
    ///
    /// As for [`load`].
    #[cfg(feature = "std")]
    pub(super) fn load_second(&self, cpu: &Cpu) -> Result<(Policy, Plan), LoadError> {
        let before = self.first.lines().count();
        load(self.second, cpu).map_err(|error| match error {
            LoadError::Text(TextError { line, kind }) => LoadError::Text(TextError { line: line + before, kind }),
            other => other,
        })
    }
}

/// Why a file gives no plan for [`Policy::User`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredError {
    /// Another version of this crate wrote it.
    OtherVersion(Excerpt),
    /// Its first plan is for another policy.
    OtherPolicy,
    /// Its text is refused.
    Refused(LoadError),
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion(version) => {
                write!(
                    f,
                    "version {version} of memcpy-select wrote it, and this is {BUILD}: it is ignored; measure anew"
                )
            }
            Self::OtherPolicy => {
                f.write_str("its first plan is not for the policy user: it is ignored; name one that is")
            }
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StoredError {}
