//! How much is measured: the one setting a reader may want to change.

#![forbid(unsafe_code)]

use crate::lab::instruments::words::unknown;
use std::fmt;

/// The environment variable that `cargo bench` reads the effort from.
pub const VARIABLE: &str = "MEMCPY_SELECT_EFFORT";

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every other size, aligned and misaligned once: seconds.
    Quick,
    /// Every power of two and eight placements: under a minute.
    Default,
    /// Sizes beside and between the powers of two as well, more rounds: many minutes.
    Full,
}

impl Effort {
    /// All efforts.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Default, Self::Full];

    /// The name, as the variable spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Default => "default",
            Self::Full => "full",
        }
    }

    /// The effort of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownEffort`] for any other word.
    pub fn named(name: &str) -> Result<Self, UnknownEffort> {
        let found = Self::ALL.into_iter().find(|effort| effort.name() == name);
        found.ok_or_else(|| UnknownEffort(name.to_owned()))
    }

    /// The effort that [`VARIABLE`] asks for; [`Effort::Default`] where it is not set.
    ///
    /// # Errors
    ///
    /// [`UnknownEffort`] if it holds any other word.
    pub fn from_environment() -> Result<Self, UnknownEffort> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::Default),
            Some(value) => Self::named(&value.to_string_lossy()),
        }
    }
}

/// A word that names no effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEffort(String);

impl fmt::Display for UnknownEffort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Effort::ALL.map(Effort::name);
        write!(f, "{VARIABLE}={}: nothing was measured: {}", self.0, unknown("effort", &self.0, &known))
    }
}

impl std::error::Error for UnknownEffort {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused_by_name() {
        for effort in Effort::ALL {
            assert_eq!(Effort::named(effort.name()), Ok(effort));
        }
        let message = Effort::named("fast").unwrap_err().to_string();
        assert!(message.contains("MEMCPY_SELECT_EFFORT=fast") && message.contains("quick, default or full"));
    }
}
