//! A number that no session, ring or region of blocks can have.

#![forbid(unsafe_code)]

use std::fmt;

/// A number that no session can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeometryError {
    /// What it counts, and what is allowed.
    pub what: &'static str,
    /// The number.
    pub found: u64,
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: there is no session; change the server's geometry or this side's limits",
            self.found, self.what
        )
    }
}

impl std::error::Error for GeometryError {}
