//! A line of notes in shared memory, one each way: a few words, and a few bytes beside them, published by a number in
//! the note itself, so that a short message is one cache line. Paths that move payloads otherwise tell of them here.
//!
//! The sender does not ask whether a place is free: the window says so.

use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{Config, Mode, PathError, Patience, Token, shared};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// Two cache lines: what one side writes and the other reads stands that far apart.
const APART_BYTES: usize = 128;
/// Where the bytes of a note start.
const HEAD_BYTES: usize = 8 * (1 + WORDS);
/// Words of a note.
pub(crate) const WORDS: usize = 3;

/// Wakes the sleeper on this flag, after something was published; returns how many system calls that took.
pub(crate) fn wake(sleeps: &AtomicU32) -> u64 {
    fence(Ordering::SeqCst);
    if sleeps.load(Ordering::Relaxed) == 0 {
        return 0;
    }
    sleeps.store(0, Ordering::SeqCst);
    // A side that has woken by itself needs no wake-up.
    let _ = futex::wake(sleeps, futex::Flags::empty(), 1);
    1
}

/// Sleeps until woken, but not if something is there already once the flag is seen; returns the number of system calls.
pub(crate) fn sleep(sleeps: &AtomicU32, is_there: impl FnOnce() -> bool, limit: Duration) -> Result<u64, PathError> {
    sleeps.store(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    if is_there() {
        sleeps.store(0, Ordering::SeqCst);
        return Ok(0);
    }
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    let slept = futex::wait(sleeps, futex::Flags::empty(), 1, Some(&limit));
    sleeps.store(0, Ordering::SeqCst);
    match slept {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(1),
        Err(cause) => Err(PathError::System { call: "futex", cause }),
    }
}

/// One side's end of both lines.
#[derive(Debug)]
pub(crate) struct Line {
    memory: Mapping,
    patience: Patience,
    calls: u64,
    note_bytes: usize,
    notes: usize,
    /// Where the outgoing line starts, and how many notes it has had.
    outgoing: (usize, u32),
    /// The same for the incoming one.
    incoming: (usize, u32),
}

/// What a configuration makes of it: bytes of a note, notes of a line, bytes of a line.
fn geometry(config: &Config, beside_bytes: usize) -> (usize, usize, usize) {
    let note_bytes = (HEAD_BYTES + beside_bytes).next_multiple_of(64);
    let notes = config.depth.max(2).next_power_of_two();
    (note_bytes, notes, (APART_BYTES + note_bytes * notes).next_multiple_of(APART_BYTES))
}

impl Line {
    /// Makes both lines; returns the near end, and the memory for the far one.
    pub(crate) fn open(config: &Config, beside_bytes: usize) -> Result<(Self, OwnedFd), PathError> {
        let (_, _, line_bytes) = geometry(config, beside_bytes);
        let memfd = shared::sealed(2 * line_bytes)?;
        Ok((Self::new(Mapping::all(&memfd, 2 * line_bytes)?, config, beside_bytes, true), memfd))
    }

    /// The far end.
    pub(crate) fn join(config: &Config, beside_bytes: usize, memfd: &OwnedFd) -> Result<Self, PathError> {
        let (_, _, line_bytes) = geometry(config, beside_bytes);
        shared::verify(memfd, 2 * line_bytes)?;
        Ok(Self::new(Mapping::all(memfd, 2 * line_bytes)?, config, beside_bytes, false))
    }

    fn new(memory: Mapping, config: &Config, beside_bytes: usize, is_near: bool) -> Self {
        let (note_bytes, notes, line_bytes) = geometry(config, beside_bytes);
        let (outgoing, incoming) = if is_near { (0, line_bytes) } else { (line_bytes, 0) };
        let patience = Patience::of(config);
        Self { memory, patience, calls: 0, note_bytes, notes, outgoing: (outgoing, 0), incoming: (incoming, 0) }
    }

    /// The place of a line's note.
    fn note(&self, (start, count): (usize, u32)) -> *mut u8 {
        let at = start + APART_BYTES + count as usize % self.notes * self.note_bytes;
        self.memory.at().wrapping_add(at)
    }

    /// A number that both sides look at.
    fn number(&self, at: *mut u8) -> &AtomicU32 {
        // SAFETY: `at` is in the mapping, which lives as long as `self`, at a multiple of 64; both processes access it as
        // an atomic of four bytes alone.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }

    fn sleeps(&self, start: usize) -> &AtomicU32 {
        self.number(self.memory.at().wrapping_add(start))
    }

    /// Publishes a note. `beside` writes the bytes beside the words.
    pub(crate) fn post(&mut self, words: [u64; WORDS], beside: impl FnOnce(*mut u8)) {
        let note = self.note(self.outgoing);
        for (at, word) in words.into_iter().enumerate() {
            // SAFETY: the words of a note lie in the mapping, at multiples of 8; the window keeps the other side from
            // reading them now.
            unsafe { note.wrapping_add(8 * (1 + at)).cast::<u64>().write_volatile(word) };
        }
        beside(note.wrapping_add(HEAD_BYTES));
        self.outgoing.1 = self.outgoing.1.wrapping_add(1);
        self.number(note).store(self.outgoing.1, Ordering::Release);
        if self.patience.mode() != Mode::Polling {
            self.calls += wake(self.sleeps(self.outgoing.0));
        }
    }

    /// Waits for the next note: its words, and where the bytes beside them are until the window has moved on.
    pub(crate) fn next(&mut self) -> Result<([u64; WORDS], *const u8), PathError> {
        let note = self.note(self.incoming);
        let number = self.incoming.1.wrapping_add(1);
        let mut patience = self.patience;
        let is_there = |line: &Self| line.number(note).load(Ordering::Acquire) == number;
        patience.until(
            self,
            |line| Ok(is_there(line).then_some(())),
            |line, limit| {
                line.calls += sleep(line.sleeps(line.incoming.0), || is_there(line), limit)?;
                Ok(())
            },
        )?;
        self.patience = patience;
        self.incoming.1 = number;
        // SAFETY: as in `post`; the words are read once.
        let word = |at: usize| unsafe { note.wrapping_add(8 * (1 + at)).cast::<u64>().read_volatile() };
        Ok((std::array::from_fn(word), note.wrapping_add(HEAD_BYTES)))
    }

    /// System calls so far.
    pub(crate) const fn calls(&self) -> u64 {
        self.calls + self.patience.yields()
    }
}

/// The near end of a line and the token that leads to it.
pub(crate) fn token(memfd: OwnedFd, others: impl IntoIterator<Item = OwnedFd>) -> Token {
    Token { bytes: Vec::new(), descriptors: std::iter::once(memfd).chain(others).collect() }
}
