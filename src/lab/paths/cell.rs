//! What is varied: the payload and the circumstances, and who moves it.

#![forbid(unsafe_code)]

use crate::lab::paths::ways::{Config, Mode, Path, Tiers};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the two sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Each on a logical CPU of its own.
    TwoCores,
    /// Both on one logical CPU.
    OneCore,
}

impl Placement {
    /// Both.
    pub const ALL: [Self; 2] = [Self::TwoCores, Self::OneCore];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoCores => "two_cores",
            Self::OneCore => "one_core",
        }
    }
}

/// A payload and its circumstances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// How the sides wait.
    pub mode: Mode,
    /// Where they run.
    pub placement: Placement,
    /// Whether the producer writes every byte, and the consumer reads and checks every byte.
    pub touch: bool,
    /// How many messages may be under way.
    pub depth: usize,
    /// Over how many connections of the same path the messages take turns.
    pub connections: usize,
    /// Where the payload starts in its page at the sender, in bytes.
    pub src_offset: usize,
    /// Where the payload starts in its page at the receiver, in bytes.
    pub dst_offset: usize,
    /// The length of the payload in bytes.
    pub payload_bytes: usize,
}

impl Cell {
    /// One message at a time over one connection, aligned to pages, both sides touching.
    pub const fn simple(payload_bytes: usize, mode: Mode, placement: Placement) -> Self {
        Self { mode, placement, touch: true, depth: 1, connections: 1, src_offset: 0, dst_offset: 0, payload_bytes }
    }

    /// The same circumstances, as ends are made for.
    pub fn config(&self, contender: &Contender<'_>, tiers: Tiers) -> Config {
        Config {
            max_bytes: self.payload_bytes.max(contender.path.limits().min_bytes),
            depth: self.depth,
            mode: self.mode,
            one_core: self.placement == Placement::OneCore,
            touch: self.touch,
            src_offset: self.src_offset,
            dst_offset: self.dst_offset,
            kernel: contender.kernel.clone(),
            tiers,
        }
    }

    /// Whether these are the plainest circumstances: one message at a time over one connection between two cores that poll,
    /// from page to page.
    pub fn is_plain(&self) -> bool {
        *self == Self { touch: self.touch, ..Self::simple(self.payload_bytes, Mode::Polling, Placement::TwoCores) }
    }

    /// Whether anything but the length is the same.
    pub fn is_beside(&self, other: &Self) -> bool {
        Self { payload_bytes: 0, ..*self } == Self { payload_bytes: 0, ..*other }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let touch = if self.touch { "touched" } else { "untouched" };
        write!(f, "{} B, {}, {}, {touch}, depth {}", self.payload_bytes, self.mode, self.placement.name(), self.depth)?;
        if self.connections > 1 {
            write!(f, ", {} connections", self.connections)?;
        }
        if (self.src_offset, self.dst_offset) != (0, 0) {
            write!(f, ", offsets {} to {}", self.src_offset, self.dst_offset)?;
        }
        Ok(())
    }
}

/// A path, and the kernel that copies on it.
#[derive(Clone, Debug)]
pub struct Contender<'a> {
    /// The path.
    pub path: &'a dyn Path,
    /// The kernel; `memcpy_auto` if there is none, where the path copies in user space at all.
    pub kernel: Option<String>,
    /// Whether this is a path's second run.
    pub is_again: bool,
    /// Whether it is measured in the plainest circumstances alone.
    pub is_plain_only: bool,
}

impl<'a> Contender<'a> {
    /// A path with `memcpy_auto`.
    pub const fn plain(path: &'a dyn Path) -> Self {
        Self { path, kernel: None, is_again: false, is_plain_only: false }
    }

    /// The name in records.
    pub fn name(&self) -> String {
        format!("{}{}", self.path.name(), if self.is_again { crate::lab::paths::AGAIN } else { "" })
    }

    /// Why it cannot be measured at a cell, if so.
    pub fn refuses(&self, cell: &Cell) -> Option<String> {
        let limits = self.path.limits();
        let (least, most) = (limits.min_bytes, limits.max_bytes);
        if cell.payload_bytes < least || cell.payload_bytes > most {
            return Some(format!("its payloads have {least} to {most} bytes"));
        }
        if cell.depth > limits.max_depth {
            return Some(format!("no more than {} of its messages are under way", limits.max_depth));
        }
        if !self.path.modes().contains(&cell.mode) {
            return Some(format!("it does not wait by {}", cell.mode));
        }
        if self.path.keeps_offset() && cell.src_offset != cell.dst_offset {
            return Some("pages keep their offsets: another one needs a copy".to_owned());
        }
        None
    }
}
