//! Messages by size: short ones inside the note, longer ones by one direct copy, the longest handed over. The limits
//! between the three are parameters.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::handover::{PREPARE_CALLS, TAKE_CALLS};
use crate::lab::paths::ways::line::Line;
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, Path, PathError, Producer, Token, handover, line, remote_read,
    socket,
};
use rustix::net::{RecvFlags, SendFlags, SocketType};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

/// Where one tier ends and the next begins, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiers {
    /// The longest payload that is sent inside the note.
    pub inline_max_bytes: usize,
    /// The longest payload that is copied directly; longer ones are handed over.
    pub direct_max_bytes: usize,
}

impl Tiers {
    /// As the design was proposed: what fits eight registers, and about 250 KiB.
    pub const GIVEN: Self = Self { inline_max_bytes: 64, direct_max_bytes: 250 << 10 };
    /// The most that a note has room for.
    pub const INLINE_MAX_BYTES: usize = 224;
}

impl fmt::Display for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inline to {} B", self.inline_max_bytes)?;
        if self.direct_max_bytes == usize::MAX {
            return write!(f, ", then a direct copy");
        }
        write!(f, ", a direct copy to {} B, then handed over", self.direct_max_bytes)
    }
}

/// How one message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Inline,
    Direct,
    Handover,
}

impl Tier {
    pub(crate) const fn of(len_bytes: usize, tiers: Tiers) -> Self {
        if len_bytes <= tiers.inline_max_bytes && len_bytes <= Tiers::INLINE_MAX_BYTES {
            Self::Inline
        } else if len_bytes <= tiers.direct_max_bytes {
            Self::Direct
        } else {
            Self::Handover
        }
    }

    /// Copies that a payload makes.
    pub(crate) const fn copies(self) -> u32 {
        match self {
            Self::Inline => 2,
            Self::Direct => 1,
            Self::Handover => 0,
        }
    }
}

/// An end that sends each payload by its tier.
#[derive(Debug)]
pub(crate) struct TieredEnd {
    line: Line,
    /// What payloads are handed over through.
    socket: OwnedFd,
    tiers: Tiers,
    process: u64,
    copier: Copier,
    calls: u64,
    src: Buffer,
    sent: usize,
    dst: Buffer,
    offset: usize,
    touch: bool,
}

impl TieredEnd {
    pub(crate) fn open(config: &Config, tiers: Tiers) -> Result<Opening, PathError> {
        if config.max_bytes > tiers.inline_max_bytes && tiers.direct_max_bytes > 0 {
            remote_read::probe()?;
        }
        let (line, memfd) = Line::open(config, Tiers::INLINE_MAX_BYTES)?;
        let (near, far) = socket::pair(SocketType::SEQPACKET)?;
        Ok(Opening::ready(line::token(memfd, [far]), Self::new(line, near, config, tiers)?))
    }

    pub(crate) fn join(config: &Config, tiers: Tiers, token: Token) -> Result<Box<dyn End>, PathError> {
        let [memfd, socket] = token.take()?;
        let line = Line::join(config, Tiers::INLINE_MAX_BYTES, &memfd)?;
        Ok(Box::new(Self::new(line, socket, config, tiers)?))
    }

    fn new(line: Line, socket: OwnedFd, config: &Config, tiers: Tiers) -> Result<Self, PathError> {
        // Where each payload has memory of its own, no buffer for the longest is needed.
        let copied_bytes = config.max_bytes.min(tiers.direct_max_bytes.max(Tiers::INLINE_MAX_BYTES));
        Ok(Self {
            line,
            socket,
            tiers,
            process: u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()),
            copier: Copier::named(config.kernel.as_deref())?,
            calls: 0,
            src: Buffer::slots(copied_bytes, config.src_offset, config.depth),
            sent: 0,
            dst: Buffer::new(copied_bytes, config.dst_offset),
            offset: config.src_offset,
            touch: config.touch,
        })
    }
}

impl End for TieredEnd {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let turn = self.sent;
        self.sent += 1;
        match Tier::of(len_bytes, self.tiers) {
            Tier::Inline => {
                let payload = self.src.at(turn, len_bytes);
                producer.fill(payload);
                let copier = self.copier;
                self.line.post([len_bytes as u64, 0, 0], |beside| {
                    // SAFETY: a note has room for the longest inline payload; `payload` is private memory.
                    unsafe { copier.copy(beside, payload.as_ptr(), len_bytes) };
                });
            }
            Tier::Direct => {
                let payload = self.src.at(turn, len_bytes);
                producer.fill(payload);
                let address = payload.as_ptr().expose_provenance() as u64;
                self.line.post([len_bytes as u64, address, self.process], |_| {});
            }
            Tier::Handover => {
                let memfd = handover::prepare(len_bytes, self.offset, self.touch, producer)?;
                socket::send_with(&self.socket, &[0], &[memfd.as_fd()], SendFlags::empty())
                    .map_err(PathError::system("sendmsg"))?;
                self.calls += PREPARE_CALLS + 2;
                self.line.post([len_bytes as u64, 0, 0], |_| {});
            }
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let ([sent_bytes, address, process], beside) = self.line.next()?;
        if sent_bytes != len_bytes as u64 {
            return Err(PathError::protocol(format!("a payload of {sent_bytes} bytes in place of {len_bytes}")));
        }
        match Tier::of(len_bytes, self.tiers) {
            Tier::Inline => {
                let payload = self.dst.head(len_bytes);
                // SAFETY: a note has room for the longest inline payload; `payload` is private memory.
                unsafe { self.copier.copy(payload.as_mut_ptr(), beside, len_bytes) };
                consumer.check(payload);
            }
            Tier::Direct => {
                let process =
                    i32::try_from(process).map_err(|_| PathError::protocol("a process number that is none"))?;
                let payload = self.dst.head(len_bytes);
                self.calls += remote_read::read_from(process, address as usize, payload)?;
                consumer.check(payload);
            }
            Tier::Handover => {
                let (_, mut received) = socket::receive_with(&self.socket, &mut [0], RecvFlags::DONTWAIT)
                    .map_err(PathError::system("recvmsg"))?;
                let memfd = received.pop().ok_or_else(|| PathError::protocol("a hand-over of nothing"))?;
                handover::take(&memfd, len_bytes, self.offset, self.touch, consumer)?;
                self.calls += TAKE_CALLS + 1;
            }
        }
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.line.calls())
    }
}

/// The first tier alone.
#[derive(Debug)]
pub(crate) struct Inline;

/// Short payloads inside the note, whatever the tiers.
const INLINE: Tiers = Tiers { inline_max_bytes: Tiers::INLINE_MAX_BYTES, direct_max_bytes: 0 };

impl Path for Inline {
    fn name(&self) -> &str {
        "inline"
    }

    fn about(&self) -> &str {
        "short payloads inside a note in shared memory"
    }

    fn limits(&self) -> Limits {
        Limits { max_bytes: Tiers::INLINE_MAX_BYTES, ..Limits::from(0) }
    }

    fn copies(&self, len_bytes: usize, _config: &Config) -> u32 {
        Tier::of(len_bytes, INLINE).copies()
    }

    fn has_kernel(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        TieredEnd::open(config, INLINE)
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        TieredEnd::join(config, INLINE, token)
    }
}

/// All three tiers, with limits of this choice.
#[derive(Debug)]
pub(crate) struct Tiered {
    name: &'static str,
    about: &'static str,
    tiers: fn(&Config) -> Tiers,
}

/// With the limits as they were proposed.
pub(crate) static GIVEN: Tiered = Tiered {
    name: "tiered_given",
    about: "inline, direct copy or hand-over, by size as proposed",
    tiers: |_| Tiers::GIVEN,
};

/// With the limits that the run has measured.
pub(crate) static MEASURED: Tiered = Tiered {
    name: "tiered_measured",
    about: "inline, direct copy or hand-over, by size as measured",
    tiers: |config| config.tiers,
};

impl Path for Tiered {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn limits(&self) -> Limits {
        Limits::from(0)
    }

    fn copies(&self, len_bytes: usize, config: &Config) -> u32 {
        Tier::of(len_bytes, (self.tiers)(config)).copies()
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        TieredEnd::open(config, (self.tiers)(config))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        TieredEnd::join(config, (self.tiers)(config), token)
    }
}
