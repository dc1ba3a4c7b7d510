//! The floor: a cache line each way, and nothing else. The line holds a number that says "there is one more", and the
//! payload too where it fits; a longer one lies in pages of its own beside it. No ring, no descriptor, no check, no wake-up,
//! and full trust. What another path over shared memory takes more than this one is what its request costs.
//!
//! It is one slot for each message of the window, so that no side asks whether a place is free: the window says so. Long payloads take
//! turns between more places, as the table's do.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, PAGE_BYTES, Path, PathError, Patience, Producer, Token,
    shared,
};
use crate::transport::blocks::payloads_at_rest;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A slot's line.
const LINE_BYTES: usize = 64;
/// Where the payload starts in it: behind the number, and aligned for vectors.
const PAYLOAD_AT: usize = 16;
/// The longest payload that lies in the line.
const IN_LINE_BYTES: usize = LINE_BYTES - PAYLOAD_AT;

/// The floor, and the same with a copy on either side.
#[derive(Debug)]
pub(crate) struct Bare {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether the producer writes elsewhere, and its payload is copied into the shared memory.
    pub(crate) copies_in: bool,
    /// Whether the payload is copied out, and the consumer reads it there.
    pub(crate) copies_out: bool,
    /// Whether the receiver maps long payloads for reading only, as one does that is not to be trusted with them.
    pub(crate) reads_only: bool,
}

#[derive(Debug)]
struct Lines {
    memory: Mapping,
    /// The same, for reading only.
    to_read: Option<Mapping>,
    layout: Layout,
    patience: Patience,
    copier: Copier,
    /// Memory of this side's own, where it copies.
    src: Option<Buffer>,
    dst: Option<Buffer>,
    /// Which direction this side sends in, and how many messages it has sent and received.
    outgoing: Direction,
    incoming: Direction,
}

#[derive(Clone, Copy, Debug)]
struct Direction {
    start: usize,
    count: u32,
}

/// Where things stand in the shared memory.
#[derive(Clone, Copy, Debug)]
struct Layout {
    slots: usize,
    /// Places of long payloads.
    places: usize,
    /// From one long payload to the next; 0 if all lie in lines.
    step_bytes: usize,
    /// All of one direction: its lines, then its payloads, in whole pages.
    direction_bytes: usize,
}

impl Layout {
    fn of(config: &Config) -> Self {
        let slots = config.depth.max(1).next_power_of_two();
        let is_long = config.max_bytes > IN_LINE_BYTES;
        let step_bytes = if is_long { config.max_bytes.next_multiple_of(PAGE_BYTES) } else { 0 };
        let places = slots.max(payloads_at_rest(config.max_bytes));
        let lines_bytes = (slots * LINE_BYTES).next_multiple_of(PAGE_BYTES);
        Self { slots, places, step_bytes, direction_bytes: lines_bytes + places * step_bytes }
    }

    /// Both directions.
    const fn bytes(self) -> usize {
        2 * self.direction_bytes
    }

    /// The line of a direction's message.
    fn line(self, direction: Direction) -> usize {
        direction.start + direction.count as usize % self.slots * LINE_BYTES
    }

    /// Where its payload lies.
    fn payload(self, direction: Direction, len_bytes: usize) -> usize {
        if len_bytes <= IN_LINE_BYTES {
            return self.line(direction) + PAYLOAD_AT;
        }
        let pages = direction.start + self.direction_bytes - self.places * self.step_bytes;
        pages + direction.count as usize % self.places * self.step_bytes
    }
}

impl Lines {
    /// The number of a direction's next message.
    fn number(&self, direction: Direction) -> &AtomicU32 {
        let at = self.memory.at().wrapping_add(self.layout.line(direction));
        // SAFETY: in the mapping, which lives as long as `self`, at a multiple of 64; both processes access it as an
        // atomic of four bytes alone.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }

    /// Where a payload is written.
    fn place(&self, direction: Direction, len_bytes: usize) -> *mut u8 {
        self.memory.at().wrapping_add(self.layout.payload(direction, len_bytes))
    }

    /// Where it is read.
    fn place_to_read(&self, direction: Direction, len_bytes: usize) -> *const u8 {
        let memory = self.to_read.as_ref().filter(|_| len_bytes > IN_LINE_BYTES).unwrap_or(&self.memory);
        memory.at().wrapping_add(self.layout.payload(direction, len_bytes))
    }
}

impl End for Lines {
    #[inline]
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let place = self.place(self.outgoing, len_bytes);
        match &mut self.src {
            Some(src) => {
                let src = src.head(len_bytes);
                producer.fill(src);
                // SAFETY: the slot has room for the longest payload, the buffer is private, and the window keeps the other
                // side away.
                unsafe { self.copier.copy(place, src.as_ptr(), len_bytes) };
            }
            // SAFETY: the slot has room for the longest payload, and the window keeps the other side away.
            None => unsafe { producer.write(place, len_bytes) },
        }
        let next = self.outgoing.count.wrapping_add(1);
        self.number(self.outgoing).store(next, Ordering::Release);
        self.outgoing.count = next;
        Ok(())
    }

    #[inline]
    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let next = self.incoming.count.wrapping_add(1);
        let mut patience = self.patience;
        let is_there =
            |lines: &mut &Self| Ok((lines.number(lines.incoming).load(Ordering::Acquire) == next).then_some(()));
        patience.until(&mut &*self, is_there, |_, _: Duration| Ok(()))?;
        self.patience = patience;
        let place = self.place_to_read(self.incoming, len_bytes);
        match &mut self.dst {
            Some(dst) => {
                let dst = dst.head(len_bytes);
                // SAFETY: the slot has the payload until the window moves on, and the buffer is private.
                unsafe { self.copier.copy(dst.as_mut_ptr(), place, len_bytes) };
                consumer.check(dst);
            }
            // SAFETY: the slot has the payload until the window moves on.
            None => unsafe { consumer.read(place, len_bytes) },
        }
        self.incoming.count = next;
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.patience.yields())
    }
}

impl Bare {
    fn lines(&self, memfd: &OwnedFd, config: &Config, is_near: bool) -> Result<Lines, PathError> {
        let layout = Layout::of(config);
        let to_read = self.reads_only.then(|| Mapping::to_read(memfd, layout.bytes())).transpose()?;
        let direction = |at: usize| Direction { start: at * layout.direction_bytes, count: 0 };
        let own = |is_needed: bool, offset| is_needed.then(|| Buffer::new(config.max_bytes, offset));
        Ok(Lines {
            memory: Mapping::all(memfd, layout.bytes())?,
            to_read,
            layout,
            patience: Patience::of(config),
            copier: Copier::named(config.kernel.as_deref())?,
            src: own(self.copies_in, config.src_offset),
            dst: own(self.copies_out, config.dst_offset),
            outgoing: direction(usize::from(!is_near)),
            incoming: direction(usize::from(is_near)),
        })
    }
}

impl Path for Bare {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn limits(&self) -> Limits {
        Limits::from(0)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        u32::from(self.copies_in) + u32::from(self.copies_out)
    }

    fn modes(&self) -> &[Mode] {
        &[Mode::Polling]
    }

    fn has_kernel(&self) -> bool {
        self.copies_in || self.copies_out
    }

    fn keeps_offset(&self) -> bool {
        !self.copies_out
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let bytes = Layout::of(config).bytes();
        let memfd = shared::sealed(bytes)?;
        let lines = self.lines(&memfd, config, true)?;
        Ok(Opening::ready(Token::of([memfd]), lines))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let bytes = Layout::of(config).bytes();
        let [memfd] = token.take()?;
        shared::verify(&memfd, bytes)?;
        Ok(Box::new(self.lines(&memfd, config, false)?))
    }
}
