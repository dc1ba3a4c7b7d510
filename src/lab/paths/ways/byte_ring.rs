//! A ring of bytes in shared memory for one producer and one consumer: copied in, copied out, no kernel in between.
//!
//! Both indices run free; each is written by one side alone. Long payloads pass in pieces, so that both sides copy at the
//! same time. Every payload starts a cache line.
//!
//! # References
//! - Leslie Lamport, "Proving the Correctness of Multiprocess Programs" (1977): the ring without locks.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::line::{sleep, wake};
use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Patience, Producer, Token, shared,
};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the numbers of a ring stand: written up to, read up to, whether the reader and the writer sleep.
const TAIL: usize = 0;
const HEAD: usize = 128;
const READER_SLEEPS: usize = 256;
const WRITER_SLEEPS: usize = 384;
/// Where the bytes start.
const DATA: usize = 4096;
/// The least and the most that a ring holds: less than a second-level cache, so that what was written is still near.
const RING_BYTES: (usize, usize) = (64 << 10, 1 << 20);
/// What is published at once.
const PIECE_BYTES: usize = 32 << 10;
/// Where a payload starts is a multiple of this.
const LINE_BYTES: usize = 64;

#[derive(Debug)]
pub(crate) struct ByteRing;

#[derive(Debug)]
struct Ring {
    memory: Mapping,
    capacity: usize,
    patience: Patience,
    calls: u64,
    copier: Copier,
    outgoing: Side,
    incoming: Side,
    src: Buffer,
    dst: Buffer,
}

/// One direction, as one side sees it.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// Where its ring starts in the memory.
    start: usize,
    /// How far this side got.
    own: u32,
    /// How far the other side had got when it was looked at last.
    other: u32,
}

fn capacity(config: &Config) -> usize {
    let window = config.max_bytes.next_multiple_of(LINE_BYTES).saturating_mul(config.depth);
    window.clamp(RING_BYTES.0, RING_BYTES.1).next_power_of_two()
}

impl Ring {
    fn new(memory: Mapping, config: &Config, is_near: bool) -> Result<Self, PathError> {
        let capacity = capacity(config);
        let starts = [0, DATA + capacity];
        let side = |at: usize| Side { start: starts[at], own: 0, other: 0 };
        Ok(Self {
            memory,
            capacity,
            patience: Patience::of(config),
            calls: 0,
            copier: Copier::named(config.kernel.as_deref())?,
            outgoing: side(usize::from(!is_near)),
            incoming: side(usize::from(is_near)),
            src: Buffer::new(config.max_bytes, config.src_offset),
            dst: Buffer::new(config.max_bytes, config.dst_offset),
        })
    }

    fn number(&self, side: Side, field: usize) -> &AtomicU32 {
        let at = self.memory.at().wrapping_add(side.start + field);
        // SAFETY: in the mapping, which lives as long as `self`, at a multiple of 128; both processes access it as an
        // atomic of four bytes alone.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }

    /// Waits until the other side has got so far that `is_enough` of the distance between the two.
    fn wait(
        &mut self,
        mut side: Side,
        (theirs, sleeps): (usize, usize),
        is_enough: impl Fn(Side) -> bool,
    ) -> Result<Side, PathError> {
        if is_enough(side) {
            return Ok(side);
        }
        let mut patience = self.patience;
        let look = |ring: &Self, side: &mut Side| {
            side.other = ring.number(*side, theirs).load(Ordering::Acquire);
            is_enough(*side)
        };
        patience.until(
            &mut (&mut *self, &mut side),
            |(ring, side)| Ok(look(ring, side).then_some(())),
            |(ring, side), limit| {
                let slept = sleep(ring.number(**side, sleeps), || look(ring, &mut side.clone()), limit)?;
                ring.calls += slept;
                Ok(())
            },
        )?;
        self.patience = patience;
        Ok(side)
    }

    /// Publishes how far this side got.
    fn publish(&mut self, side: Side, (field, sleeps): (usize, usize)) {
        self.number(side, field).store(side.own, Ordering::Release);
        if self.patience.mode() != Mode::Polling {
            self.calls += wake(self.number(side, sleeps));
        }
    }

    /// The place of a position, and how many bytes there are up to the end of the ring.
    fn place(&self, side: Side) -> (*mut u8, usize) {
        let at = side.own as usize % self.capacity;
        (self.memory.at().wrapping_add(side.start + DATA + at), self.capacity - at)
    }

    /// Copies a piece into the ring, or out of it, in two parts where the ring ends in between.
    ///
    /// # Safety
    ///
    /// `own` is valid for reads (in) or writes (out) of `len_bytes` bytes, which are no more than the ring holds.
    unsafe fn copy(&self, side: Side, own: *mut u8, len_bytes: usize, is_in: bool) {
        let (place, room) = self.place(side);
        let first = len_bytes.min(room);
        let start = self.memory.at().wrapping_add(side.start + DATA);
        for (ring, own, len_bytes) in [(place, own, first), (start, own.wrapping_add(first), len_bytes - first)] {
            let (dst, src) = if is_in { (ring, own) } else { (own, ring) };
            // SAFETY: the ring's part lies in the mapping; the caller vouches for the other, which is private memory.
            unsafe { self.copier.copy(dst, src, len_bytes) };
        }
    }
}

/// How far behind a position the next payload starts.
fn padding(position: u32) -> u32 {
    position.wrapping_neg() % LINE_BYTES as u32
}

impl End for Ring {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        producer.fill(self.src.head(len_bytes));
        let src = self.src.head(len_bytes).as_mut_ptr();
        let mut done = 0;
        while done < len_bytes {
            let piece = (len_bytes - done).min(PIECE_BYTES);
            let capacity = self.capacity;
            let has_room = |side: Side| capacity - side.own.wrapping_sub(side.other) as usize >= piece + LINE_BYTES;
            let mut side = self.wait(self.outgoing, (HEAD, WRITER_SLEEPS), has_room)?;
            // SAFETY: the payload has `len_bytes` bytes, and the ring room for a piece.
            unsafe { self.copy(side, src.wrapping_add(done), piece, true) };
            side.own = side.own.wrapping_add(piece as u32);
            done += piece;
            if done == len_bytes {
                side.own = side.own.wrapping_add(padding(side.own));
            }
            self.outgoing = side;
            self.publish(side, (TAIL, READER_SLEEPS));
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let dst = self.dst.head(len_bytes).as_mut_ptr();
        let mut done = 0;
        while done < len_bytes {
            let piece = (len_bytes - done).min(PIECE_BYTES);
            let is_there = |side: Side| side.other.wrapping_sub(side.own) as usize >= piece;
            let mut side = self.wait(self.incoming, (TAIL, READER_SLEEPS), is_there)?;
            // SAFETY: the buffer has `len_bytes` bytes, and the ring a piece.
            unsafe { self.copy(side, dst.wrapping_add(done), piece, false) };
            side.own = side.own.wrapping_add(piece as u32);
            done += piece;
            if done == len_bytes {
                side.own = side.own.wrapping_add(padding(side.own));
            }
            self.incoming = side;
            self.publish(side, (HEAD, WRITER_SLEEPS));
        }
        consumer.check(self.dst.head(len_bytes));
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for ByteRing {
    fn name(&self) -> &str {
        "byte_ring"
    }

    fn about(&self) -> &str {
        "a ring of bytes in shared memory"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn has_kernel(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let bytes = 2 * (DATA + capacity(config));
        let memfd: OwnedFd = shared::sealed(bytes)?;
        let ring = Ring::new(Mapping::all(&memfd, bytes)?, config, true)?;
        Ok(Opening::ready(Token::of([memfd]), ring))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let bytes = 2 * (DATA + capacity(config));
        let [memfd] = token.take()?;
        shared::verify(&memfd, bytes)?;
        Ok(Box::new(Ring::new(Mapping::all(&memfd, bytes)?, config, false)?))
    }
}
