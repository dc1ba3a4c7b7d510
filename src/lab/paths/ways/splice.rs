//! `vmsplice`: the pages of the producer go into a pipe as they are, and the consumer's read is the only copy.
//!
//! The pages stay the producer's: it must not write to them before they were read, which the window says.

use crate::lab::paths::ways::descriptor::{ByteStream, moved, poll, set_blocking};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Patience, Producer, Token, pipe,
};
use rustix::event::PollFlags;
use rustix::pipe::{IoSliceRaw, SpliceFlags};
use std::os::fd::OwnedFd;

#[derive(Debug)]
pub(crate) struct Splice;

struct Spliced {
    outgoing: OwnedFd,
    patience: Patience,
    calls: u64,
    src: Buffer,
    sent: usize,
    /// Reads as from any pipe.
    incoming: ByteStream,
}

impl Spliced {
    fn new(incoming: OwnedFd, outgoing: OwnedFd, config: &Config) -> Result<Self, PathError> {
        set_blocking(&outgoing, config.mode)?;
        let spare = rustix::io::fcntl_dupfd_cloexec(&outgoing, 3).map_err(PathError::system("F_DUPFD_CLOEXEC"))?;
        Ok(Self {
            outgoing,
            patience: Patience::of(config),
            calls: 0,
            src: Buffer::slots(config.max_bytes, config.src_offset, config.depth),
            sent: 0,
            incoming: ByteStream::new(incoming, spare, config)?,
        })
    }
}

impl End for Spliced {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let Self { outgoing, patience, calls, src, sent, .. } = self;
        let payload = src.at(*sent, len_bytes);
        *sent += 1;
        producer.fill(payload);
        let flags = if patience.mode() == Mode::Blocking { SpliceFlags::empty() } else { SpliceFlags::NONBLOCK };
        let mut done = 0;
        while done < len_bytes {
            let rest = &mut payload[done..];
            let attempt = |(calls, rest): &mut (&mut u64, &mut [u8])| {
                **calls += 1;
                let pages = [IoSliceRaw::from_slice_mut(rest)];
                // SAFETY: the slice is this process's own and lives as long as this end; the kernel reads it, and the
                // window keeps it from being written to before the other side has read it.
                moved("vmsplice", unsafe { rustix::pipe::vmsplice(&*outgoing, &pages, flags) })
            };
            let sleep = |(calls, _): &mut (&mut u64, &mut [u8]), limit| {
                **calls += 1;
                poll(&*outgoing, PollFlags::OUT, limit)
            };
            done += patience.until(&mut (&mut *calls, rest), attempt, sleep)?;
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.incoming.receive(len_bytes, consumer)
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields() + self.incoming.system_calls()?)
    }
}

impl Path for Splice {
    fn name(&self) -> &str {
        "vmsplice"
    }

    fn about(&self) -> &str {
        "pages lent to a pipe, read from it"
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
