//! A cell of the grid: one length at one place of source and destination.

#![forbid(unsafe_code)]

use std::fmt;

/// Where the data is before the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Residency {
    /// The same buffers again and again: in the smallest cache that holds both.
    Hot,
}

impl Residency {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
        }
    }

    /// The residency of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Hot].into_iter().find(|residency| residency.name() == name)
    }
}

/// One length at one place. Offsets count from a page boundary (4096 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Length in bytes.
    pub len_bytes: usize,
    /// Offset of the destination in its page.
    pub dst_offset: usize,
    /// Offset of the source in its page.
    pub src_offset: usize,
    /// Where the data is before the copy.
    pub residency: Residency,
}

/// How far the source stands from the destination modulo 4096 where a grid does not want them to alias.
pub const APART_BYTES: usize = 2048;

impl Cell {
    /// Offsets modulo a cache line, source and destination half a page apart so that they do not alias modulo 4096.
    pub const fn hot(len_bytes: usize, dst_offset: usize, src_offset: usize) -> Self {
        Self { len_bytes, dst_offset, src_offset: src_offset + APART_BYTES, residency: Residency::Hot }
    }

    /// The offsets modulo a cache line, destination first: how tables name the alignment.
    pub const fn line_offsets(&self) -> (usize, usize) {
        (self.dst_offset % 64, self.src_offset % 64)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes to +{} from +{}", self.len_bytes, self.dst_offset, self.src_offset)
    }
}
