//! Map and unmap for a single transfer: memory that stays, of which each side maps what one payload needs and unmaps it
//! afterwards. No byte is copied; page tables are written and thrown away.

use crate::lab::paths::ways::line::Line;
use crate::lab::paths::ways::shared::Mapping;
use crate::lab::paths::ways::{
    Config, Consumer, End, Limits, Opening, PAGE_BYTES, Path, PathError, Producer, Token, line, shared,
};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::OwnedFd;

#[derive(Debug)]
pub(crate) struct MapUnmap;

#[derive(Debug)]
struct Mapped {
    line: Line,
    outgoing: OwnedFd,
    incoming: OwnedFd,
    place_bytes: usize,
    places: usize,
    offset: usize,
    touch: bool,
    sent: usize,
    received: usize,
    calls: u64,
}

/// Bytes that a payload may take with its offset, in whole pages.
fn place_bytes(config: &Config) -> usize {
    (config.max_bytes + config.src_offset).max(1).next_multiple_of(PAGE_BYTES)
}

impl Mapped {
    fn new(line: Line, outgoing: OwnedFd, incoming: OwnedFd, config: &Config) -> Self {
        Self {
            line,
            outgoing,
            incoming,
            place_bytes: place_bytes(config),
            places: config.depth,
            offset: config.src_offset,
            touch: config.touch,
            sent: 0,
            received: 0,
            calls: 0,
        }
    }

    /// Maps the payload that is `turn`'s, all its pages at once if they will be touched.
    fn map(&self, memfd: &OwnedFd, turn: usize, len_bytes: usize, rights: ProtFlags) -> Result<Mapping, PathError> {
        let mut flags = MapFlags::SHARED;
        if self.touch {
            flags |= MapFlags::POPULATE;
        }
        let bytes = (len_bytes + self.offset).max(1);
        Mapping::of(memfd, turn % self.places * self.place_bytes, bytes, rights, flags)
    }
}

impl End for Mapped {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let mapping = self.map(&self.outgoing, self.sent, len_bytes, ProtFlags::READ | ProtFlags::WRITE)?;
        // SAFETY: the payload lies in the mapping; the window keeps the other side from reading it now.
        unsafe { producer.write(mapping.at().wrapping_add(self.offset), len_bytes) };
        drop(mapping);
        self.calls += 2;
        self.sent += 1;
        self.line.post([len_bytes as u64, 0, 0], |_| {});
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let ([sent_bytes, ..], _) = self.line.next()?;
        if sent_bytes != len_bytes as u64 {
            return Err(PathError::protocol(format!("a payload of {sent_bytes} bytes in place of {len_bytes}")));
        }
        let mapping = self.map(&self.incoming, self.received, len_bytes, ProtFlags::READ)?;
        // SAFETY: the payload lies in the mapping, whose size is sealed.
        unsafe { consumer.read(mapping.at().wrapping_add(self.offset), len_bytes) };
        drop(mapping);
        self.calls += 2;
        self.received += 1;
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.line.calls())
    }
}

impl Path for MapUnmap {
    fn name(&self) -> &str {
        "map_unmap"
    }

    fn about(&self) -> &str {
        "shared memory mapped and unmapped for each payload"
    }

    fn limits(&self) -> Limits {
        Limits::from(0)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let bytes = place_bytes(config) * config.depth;
        let (line, memfd) = Line::open(config, 0)?;
        let (outgoing, incoming) = (shared::sealed(bytes)?, shared::sealed(bytes)?);
        let copy =
            |memfd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(memfd, 3).map_err(PathError::system("F_DUPFD_CLOEXEC"));
        let token = line::token(memfd, [copy(&outgoing)?, copy(&incoming)?]);
        Ok(Opening::ready(token, Mapped::new(line, outgoing, incoming, config)))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let bytes = place_bytes(config) * config.depth;
        let [memfd, incoming, outgoing] = token.take()?;
        for memfd in [&incoming, &outgoing] {
            shared::verify(memfd, bytes)?;
        }
        let line = Line::join(config, 0, &memfd)?;
        Ok(Box::new(Mapped::new(line, outgoing, incoming, config)))
    }
}
