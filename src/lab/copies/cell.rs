//! A cell of the grid: one length at one place of source and destination.

#![forbid(unsafe_code)]

use crate::lab::copies::calls::Calls;
use crate::select::{Aliasing, Class};
use std::borrow::Cow;
use std::fmt;

/// Where the data is before the copy, and what happens to it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Residency {
    /// The same buffers again and again: in the smallest cache that holds both.
    Hot,
    /// Other buffers each time, none of which is in any cache.
    Cold,
    /// As hot, and after each copy a consumer reads one word of every cache line of it.
    Touch,
    /// Before each copy other code has written the destination and read the source: both are as much in the caches as they
    /// fit. Neither is timed.
    Used,
    /// As used, and the time until every byte of the copy has been read counts.
    Read,
    /// As hot, while all other cores do the same in memory of their own.
    Crowd,
    /// As hot, by this many threads at once, each on a logical CPU and in memory of its own; figures are of one of them.
    Threads(u16),
    /// Not one length but a sequence of calls.
    Calls(Calls),
}

impl Residency {
    /// The name in records.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Hot => Cow::Borrowed("hot"),
            Self::Cold => Cow::Borrowed("cold"),
            Self::Touch => Cow::Borrowed("touch"),
            Self::Used => Cow::Borrowed("used"),
            Self::Read => Cow::Borrowed("read"),
            Self::Crowd => Cow::Borrowed("crowd"),
            Self::Threads(count) => Cow::Owned(format!("{THREADS}{count}")),
            Self::Calls(calls) => Cow::Owned(calls.to_string()),
        }
    }

    /// Whether several cores copy at once.
    pub const fn is_crowded(self) -> bool {
        matches!(self, Self::Crowd | Self::Threads(_))
    }

    /// The residency of that name.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(count) = name.strip_prefix(THREADS) {
            let threads = count.parse().ok().filter(|count| *count > 1).map(Self::Threads);
            return threads.filter(|threads| threads.name() == name);
        }
        let single = [Self::Hot, Self::Cold, Self::Touch, Self::Used, Self::Read, Self::Crowd];
        let known = single.into_iter().find(|residency| residency.name() == name);
        known.or_else(|| Calls::named(name).map(Self::Calls))
    }
}

/// What the name of [`Residency::Threads`] begins with.
const THREADS: &str = "threads-";

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

/// Where `malloc` puts short blocks, from a cache line.
const MALLOC_OFFSET: usize = 16;

impl Cell {
    /// Offsets modulo a cache line, source and destination half a page apart so that they do not alias modulo 4096.
    pub const fn hot(len_bytes: usize, dst_offset: usize, src_offset: usize) -> Self {
        Self { len_bytes, dst_offset, src_offset: src_offset + APART_BYTES, residency: Residency::Hot }
    }

    /// As [`hot`](Self::hot) with another residency.
    pub const fn with(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }

    /// A sequence of calls, which has no length or place of its own.
    pub const fn calls(calls: Calls) -> Self {
        Self { len_bytes: 0, dst_offset: 0, src_offset: 0, residency: Residency::Calls(calls) }
    }

    /// Offsets in a page as they are: for a source and a destination that alias modulo 4096.
    pub const fn at(len_bytes: usize, dst_offset: usize, src_offset: usize) -> Self {
        Self { len_bytes, dst_offset, src_offset, residency: Residency::Hot }
    }

    /// The destination this many bytes after the source modulo 4096, which stands where `malloc` puts short blocks.
    pub const fn distant(len_bytes: usize, distance_bytes: usize) -> Self {
        Self::at(len_bytes, (MALLOC_OFFSET + distance_bytes) % 4096, MALLOC_OFFSET)
    }

    /// The alignment class of its copies. Where copies are spread over memory, only the place in a line is given.
    pub const fn class(&self) -> Class {
        let class = Class::of(self.dst_offset, self.src_offset);
        match self.residency {
            Residency::Hot
            | Residency::Touch
            | Residency::Used
            | Residency::Read
            | Residency::Crowd
            | Residency::Threads(_) => class,
            Residency::Cold | Residency::Calls(_) => Class::new(class.alignment, Aliasing::Apart),
        }
    }

    /// How far the destination is after the source modulo 4096; nothing where they are half a page apart, as far as a cache line
    /// shows, or where copies are spread over memory.
    pub const fn distance_bytes(&self) -> Option<usize> {
        let distance = (self.dst_offset + 4096 - self.src_offset) % 4096;
        let is_apart = distance.abs_diff(APART_BYTES) < 128;
        let is_spread = matches!(self.residency, Residency::Cold | Residency::Calls(_));
        if is_apart || is_spread { None } else { Some(distance) }
    }

    /// The offsets modulo a cache line, destination first: how tables name the alignment.
    pub const fn line_offsets(&self) -> (usize, usize) {
        (self.dst_offset % 64, self.src_offset % 64)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.residency {
            Residency::Calls(calls) => write!(f, "{calls}"),
            residency => {
                let Self { len_bytes, dst_offset, src_offset, .. } = self;
                write!(f, "{len_bytes} bytes to +{dst_offset} from +{src_offset}, {}", residency.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residencies_have_one_name_each() {
        let single = [
            Residency::Hot,
            Residency::Cold,
            Residency::Touch,
            Residency::Used,
            Residency::Read,
            Residency::Crowd,
            Residency::Threads(2),
        ];
        for residency in single.into_iter().chain(Calls::all().map(Residency::Calls)) {
            assert_eq!(Residency::named(&residency.name()), Some(residency));
        }
        for name in ["", "warm", "threads", "threads-", "threads-0", "threads-1", "threads-02", "threads-70000"] {
            assert_eq!(Residency::named(name), None, "{name}");
        }
    }
}
