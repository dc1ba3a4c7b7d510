//! The copies of the table without the table: the same producer, block, kernel and consumer in the same order, with a
//! [note](crate::lab::paths::ways::line) in place of request and answer. What one of these takes longer than another is what a copy costs
//! where the table makes it: into a block that the other core has read last, or out of one that it has written last.
//!
//! These are no ways to send anything, and have no row in the table of paths.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::line::Line;
use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, PAGE_BYTES, Path, PathError, Producer, Token, line, shared,
};
use crate::transport::blocks::payloads_at_rest;
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Instant;

/// What happens to a payload on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// The producer writes memory of its own, the consumer reads memory of its own, and nothing passes.
    Apart,
    /// Written and read in the block.
    InPlace,
    /// Copied into the block, and read there.
    CopyIn,
    /// Written in the block, and copied out.
    CopyOut,
    /// Both copies.
    CopyBoth,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 5] = [Self::Apart, Self::InPlace, Self::CopyIn, Self::CopyOut, Self::CopyBoth];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::InPlace => "in_place",
            Self::CopyIn => "copy_in",
            Self::CopyOut => "copy_out",
            Self::CopyBoth => "copy_both",
        }
    }

    /// Whether the payload is copied into the block.
    pub const fn copies_in(self) -> bool {
        matches!(self, Self::CopyIn | Self::CopyBoth)
    }

    /// Whether the payload is copied out of the block.
    pub const fn copies_out(self) -> bool {
        matches!(self, Self::CopyOut | Self::CopyBoth)
    }

    /// Whether a kernel copies.
    pub const fn has_kernel(self) -> bool {
        self.copies_in() || self.copies_out()
    }
}

/// A way, and how many bytes of its own each consumer walks through after each payload that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    name: String,
    way: Way,
    is_shared: bool,
    walk_bytes: usize,
}

/// What the names begin with.
const NAME: &str = "stage_";
/// What the names of those end with whose blocks both sides write.
pub(crate) const SHARED: &str = "_shared";
/// What stands before the bytes that are walked.
const WALK: char = '@';

impl Stage {
    /// A way alone. Each side has a block that it alone writes, and maps the other one for reading only; or both write both, and the
    /// sides change them after each round trip: as the table's blocks are with either allocator.
    pub fn of(way: Way, is_shared: bool) -> Self {
        let name = format!("{NAME}{}{}", way.name(), if is_shared { SHARED } else { "" });
        Self { name, way, is_shared, walk_bytes: 0 }
    }

    /// A way, and a walk through that many bytes.
    pub fn with_walk(way: Way, walk_bytes: usize) -> Self {
        Self { name: format!("{NAME}{}{WALK}{walk_bytes}", way.name()), way, is_shared: false, walk_bytes }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(NAME)?;
        let (way, walk) = rest.split_once(WALK).map_or((rest, None), |(way, walk)| (way, Some(walk)));
        let (way, is_shared) = way.strip_suffix(SHARED).map_or((way, false), |way| (way, true));
        let way = Way::ALL.into_iter().find(|known| known.name() == way)?;
        match walk {
            Some(walk) => Some(Self::with_walk(way, walk.parse().ok()?)),
            None => Some(Self::of(way, is_shared)),
        }
    }

    /// The name, as records have it.
    pub fn path_name(&self) -> &str {
        &self.name
    }

    /// What happens to the payload.
    pub const fn way(&self) -> Way {
        self.way
    }

    /// How many bytes are walked through.
    pub const fn walk_bytes(&self) -> usize {
        self.walk_bytes
    }
}

/// Cache lines that lead from one to the next in an order that no prefetcher guesses.
type Lines = Vec<[u64; 8]>;

thread_local! {
    /// Working sets that are in use: ends with equally long ones share them, so that they differ by what passes between two
    /// walks, and not by where the system has put their pages.
    static SETS: RefCell<Vec<Weak<Lines>>> = const { RefCell::new(Vec::new()) };
}

/// A working set, and the time of walks through it.
struct Walk {
    lines: Rc<Lines>,
    total_ns: u64,
    walks: u64,
}

impl Walk {
    const LINE_BYTES: usize = 64;

    fn through(bytes: usize) -> Option<Self> {
        let count = bytes / Self::LINE_BYTES;
        let lines = SETS.with_borrow_mut(|sets| {
            sets.retain(|set| set.strong_count() > 0);
            let known = sets.iter().filter_map(Weak::upgrade).find(|set| set.len() == count);
            known.unwrap_or_else(|| {
                let made = Rc::new(Self::lines(count));
                sets.push(Rc::downgrade(&made));
                made
            })
        });
        (count > 0).then_some(Self { lines, total_ns: 0, walks: 0 })
    }

    /// That many lines, in one circle.
    fn lines(count: usize) -> Lines {
        let mut order: Vec<usize> = (0..count).collect();
        // Xorshift (Marsaglia, 2003), and an exchange as Fisher and Yates have it.
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for last in (1..count).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(last, (random % (last as u64 + 1)) as usize);
        }
        let mut lines = vec![[0; 8]; count];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            lines[*from][0] = *to as u64;
        }
        lines
    }

    fn walk(&mut self) {
        let start = Instant::now();
        let mut at = 0;
        for _ in 0..self.lines.len() {
            at = self.lines[at][0] as usize;
        }
        std::hint::black_box(at);
        self.total_ns += start.elapsed().as_nanos() as u64;
        self.walks += 1;
    }
}

struct Staged {
    line: Line,
    /// The near side's at first, and the far side's. Where each is one side's alone, it takes turns between several places, as the
    /// table does.
    blocks: [Mapping; 2],
    block_bytes: usize,
    places: usize,
    /// Which of them is this side's at first, and how many payloads it has sent and received.
    own: usize,
    sent: usize,
    received: usize,
    stage: Stage,
    copier: Copier,
    src: Buffer,
    dst: Buffer,
    walk: Option<Walk>,
}

fn block_bytes(config: &Config) -> usize {
    config.max_bytes.next_multiple_of(PAGE_BYTES).max(PAGE_BYTES)
}

impl Stage {
    fn places(&self, config: &Config) -> usize {
        if self.is_shared { 1 } else { payloads_at_rest(config.max_bytes) }
    }

    /// All places of a side.
    fn side_bytes(&self, config: &Config) -> usize {
        self.places(config) * block_bytes(config)
    }

    fn end(&self, line: Line, blocks: [&OwnedFd; 2], own: usize, config: &Config) -> Result<Staged, PathError> {
        let bytes = self.side_bytes(config);
        let map = |number: usize| {
            let may_write = self.is_shared || number == own;
            if may_write { Mapping::all(blocks[number], bytes) } else { Mapping::to_read(blocks[number], bytes) }
        };
        Ok(Staged {
            line,
            blocks: [map(0)?, map(1)?],
            block_bytes: block_bytes(config),
            places: self.places(config),
            own,
            sent: 0,
            received: 0,
            stage: self.clone(),
            copier: Copier::named(config.kernel.as_deref())?,
            src: Buffer::new(config.max_bytes, config.src_offset),
            dst: Buffer::new(config.max_bytes, config.dst_offset),
            walk: Walk::through(self.walk_bytes),
        })
    }
}

impl Staged {
    /// The block that is this side's at first, or the other one, after so many payloads.
    fn block(&self, first: usize, payloads: usize) -> *mut u8 {
        let changes = if self.stage.is_shared { payloads } else { 0 };
        self.blocks[(first + changes) % 2].at().wrapping_add(payloads % self.places * self.block_bytes)
    }
}

impl End for Staged {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let block = self.block(self.own, self.sent);
        self.sent += 1;
        let (way, src) = (self.stage.way, self.src.head(len_bytes));
        if way.copies_in() || way == Way::Apart {
            producer.fill(src);
        } else {
            // SAFETY: the block has room for the longest payload, and is this side's until the note is posted.
            unsafe { producer.write(block, len_bytes) };
        }
        if way.copies_in() {
            // SAFETY: the block is this side's, as for the write; the source is private memory.
            unsafe { self.copier.copy(block, src.as_ptr(), len_bytes) };
        }
        self.line.post([len_bytes as u64, 0, 0], |_| {});
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let ([sent_bytes, ..], _) = self.line.next()?;
        if sent_bytes != len_bytes as u64 {
            return Err(PathError::protocol(format!("a payload of {sent_bytes} bytes in place of {len_bytes}")));
        }
        let block = self.block(1 - self.own, self.received);
        self.received += 1;
        let (way, dst) = (self.stage.way, self.dst.head(len_bytes));
        if way.copies_out() {
            // SAFETY: the block has the longest payload, and is this side's until it answers; the copy is private memory.
            unsafe { self.copier.copy(dst.as_mut_ptr(), block, len_bytes) };
        }
        match way {
            Way::CopyOut | Way::CopyBoth => consumer.check(dst),
            // SAFETY: the block has the longest payload, and is this side's until it answers.
            Way::InPlace | Way::CopyIn => unsafe { consumer.read(block, len_bytes) },
            // What is read is what this side would have been sent.
            Way::Apart => consumer.skim(dst),
        }
        match &mut self.walk {
            Some(walk) if len_bytes > 0 => walk.walk(),
            _ => {}
        }
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.line.calls())
    }

    fn beside(&self) -> (u64, u64) {
        self.walk.as_ref().map_or((0, 0), |walk| (walk.walks, walk.total_ns))
    }
}

impl Path for Stage {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &str {
        "the copies of the table without the table"
    }

    fn limits(&self) -> Limits {
        Limits { max_depth: 1, ..Limits::from(0) }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        u32::from(self.way.copies_in()) + u32::from(self.way.copies_out())
    }

    fn has_kernel(&self) -> bool {
        self.way.has_kernel()
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (line, memfd) = Line::open(config, 0)?;
        let (to_far, to_near) = (shared::sealed(self.side_bytes(config))?, shared::sealed(self.side_bytes(config))?);
        let end = self.end(line, [&to_far, &to_near], 0, config)?;
        Ok(Opening::ready(line::token(memfd, [to_far, to_near]), end))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [memfd, to_far, to_near] = token.take()?;
        let line = Line::join(config, 0, &memfd)?;
        for block in [&to_far, &to_near] {
            shared::verify(block, self.side_bytes(config))?;
        }
        Ok(Box::new(self.end(line, [&to_far, &to_near], 1, config)?))
    }
}
