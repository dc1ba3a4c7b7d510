//! `splice`: the pages of the producer's file go into a pipe as they are, and from there into the consumer's file, which
//! is the only copy. Both files are memory, which their owners map; neither call reads or writes a program's buffer.
//!
//! The pages in the pipe stay the producer's: it must not write to them before they were taken out, which the window says.

use crate::lab::paths::ways::descriptor::{moved, poll, set_blocking};
use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{
    Config, Consumer, End, Limits, Mode, Opening, PAGE_BYTES, Path, PathError, Patience, Producer, Token, pipe, shared,
};
use rustix::event::PollFlags;
use rustix::pipe::SpliceFlags;
use std::os::fd::{AsFd, OwnedFd};

#[derive(Debug)]
pub(crate) struct SpliceFile;

/// Slots of equal size in a file of this process alone.
struct Slots {
    file: OwnedFd,
    mapping: Mapping,
    offset: usize,
    step_bytes: usize,
    slots: usize,
}

impl Slots {
    fn new(slot_bytes: usize, offset: usize, slots: usize) -> Result<Self, PathError> {
        let step_bytes = (slot_bytes + offset).next_multiple_of(PAGE_BYTES).max(PAGE_BYTES);
        let file = shared::sealed(step_bytes * slots)?;
        let mapping = Mapping::all(&file, step_bytes * slots)?;
        Ok(Self { file, mapping, offset, step_bytes, slots })
    }

    /// Where the slot that is `turn`'s starts in the file.
    const fn at(&self, turn: usize) -> usize {
        turn % self.slots * self.step_bytes + self.offset
    }

    /// The same in memory.
    fn memory(&self, turn: usize) -> *mut u8 {
        self.mapping.at().wrapping_add(self.at(turn))
    }
}

struct Spliced {
    incoming: OwnedFd,
    outgoing: OwnedFd,
    patience: Patience,
    calls: u64,
    src: Slots,
    sent: usize,
    dst: Slots,
}

impl Spliced {
    fn new(incoming: OwnedFd, outgoing: OwnedFd, config: &Config) -> Result<Self, PathError> {
        set_blocking(&incoming, config.mode)?;
        set_blocking(&outgoing, config.mode)?;
        Ok(Self {
            incoming,
            outgoing,
            patience: Patience::of(config),
            calls: 0,
            src: Slots::new(config.max_bytes, config.src_offset, config.depth)?,
            sent: 0,
            dst: Slots::new(config.max_bytes, config.dst_offset, 1)?,
        })
    }

    /// Splices that many bytes from or to a place of a file, as many calls as it takes.
    fn splice(&mut self, len_bytes: usize, start: usize, is_out: bool) -> Result<(), PathError> {
        let Self { incoming, outgoing, patience, calls, src, dst, .. } = self;
        let (pipe, events) = if is_out { (&*outgoing, PollFlags::OUT) } else { (&*incoming, PollFlags::IN) };
        let flags = if patience.mode() == Mode::Blocking { SpliceFlags::empty() } else { SpliceFlags::NONBLOCK };
        let mut done = 0;
        while done < len_bytes {
            let mut place = (start + done) as u64;
            let attempt = |calls: &mut u64| {
                *calls += 1;
                let rest = len_bytes - done;
                let spliced = if is_out {
                    rustix::pipe::splice(src.file.as_fd(), Some(&mut place), pipe.as_fd(), None, rest, flags)
                } else {
                    rustix::pipe::splice(pipe.as_fd(), None, dst.file.as_fd(), Some(&mut place), rest, flags)
                };
                moved("splice", spliced)
            };
            let sleep = |calls: &mut u64, limit| {
                *calls += 1;
                poll(pipe, events, limit)
            };
            match patience.until(calls, attempt, sleep)? {
                0 => return Err(PathError::PeerGone),
                count => done += count,
            }
        }
        Ok(())
    }
}

impl End for Spliced {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let turn = self.sent;
        self.sent += 1;
        // SAFETY: the slot lies in the mapping, and the window keeps the other side from needing it any longer.
        unsafe { producer.write(self.src.memory(turn), len_bytes) };
        self.splice(len_bytes, self.src.at(turn), true)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.splice(len_bytes, self.dst.at(0), false)?;
        // SAFETY: the slot lies in the mapping, and this side alone writes to it.
        unsafe { consumer.read(self.dst.memory(0), len_bytes) };
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for SpliceFile {
    fn name(&self) -> &str {
        "splice"
    }

    fn about(&self) -> &str {
        "pages of a file lent to a pipe, and spliced from it into another file"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        1
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (far, [reads, writes]) = pipe::both_ways(config)?;
        Ok(Opening::ready(Token::of(far), Spliced::new(reads, writes, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [reads, writes] = token.take()?;
        Ok(Box::new(Spliced::new(reads, writes, config)?))
    }
}
