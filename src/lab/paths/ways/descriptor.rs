//! Streams of bytes through descriptors: what pipe and stream socket have in common.

use crate::lab::paths::ways::{Buffer, Config, Consumer, End, Mode, PathError, Patience, Producer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Waits until a descriptor is ready, or the time is over.
pub(crate) fn poll(descriptor: impl AsFd, events: PollFlags, limit: Duration) -> Result<(), PathError> {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor.as_fd(), events)];
    match rustix::event::poll(&mut descriptors, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(cause) => Err(PathError::System { call: "poll", cause }),
    }
}

/// What a transfer of some bytes gave; nothing if there was nothing to have yet.
pub(crate) fn moved(call: &'static str, result: rustix::io::Result<usize>) -> Result<Option<usize>, PathError> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(PathError::PeerGone),
        Err(cause) => Err(PathError::System { call, cause }),
    }
}

/// Makes a descriptor's calls return at once, unless the side is to sleep in them.
pub(crate) fn set_blocking(descriptor: &OwnedFd, mode: Mode) -> Result<(), PathError> {
    let flags = rustix::fs::fcntl_getfl(descriptor).map_err(PathError::system("F_GETFL"))?;
    let flags = if mode == Mode::Blocking {
        flags - rustix::fs::OFlags::NONBLOCK
    } else {
        flags | rustix::fs::OFlags::NONBLOCK
    };
    rustix::fs::fcntl_setfl(descriptor, flags).map_err(PathError::system("F_SETFL"))
}

/// An end whose two directions are descriptors that bytes are written to and read from.
#[derive(Debug)]
pub(crate) struct ByteStream {
    incoming: OwnedFd,
    outgoing: OwnedFd,
    patience: Patience,
    calls: u64,
    src: Buffer,
    dst: Buffer,
}

impl ByteStream {
    pub(crate) fn new(incoming: OwnedFd, outgoing: OwnedFd, config: &Config) -> Result<Self, PathError> {
        set_blocking(&incoming, config.mode)?;
        set_blocking(&outgoing, config.mode)?;
        Ok(Self {
            incoming,
            outgoing,
            patience: Patience::of(config),
            calls: 0,
            src: Buffer::new(config.max_bytes, config.src_offset),
            dst: Buffer::new(config.max_bytes, config.dst_offset),
        })
    }
}

impl End for ByteStream {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let Self { outgoing, patience, calls, src, .. } = self;
        let payload = src.head(len_bytes);
        producer.fill(payload);
        let mut rest = &*payload;
        while !rest.is_empty() {
            let attempt = |calls: &mut u64| {
                *calls += 1;
                moved("write", rustix::io::write(&*outgoing, rest))
            };
            let sleep = |calls: &mut u64, limit| {
                *calls += 1;
                poll(&*outgoing, PollFlags::OUT, limit)
            };
            let count = patience.until(calls, attempt, sleep)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let Self { incoming, patience, calls, dst, .. } = self;
        let payload = dst.head(len_bytes);
        let mut filled = 0;
        while filled < len_bytes {
            let rest = &mut payload[filled..];
            let attempt = |(calls, rest): &mut (&mut u64, &mut [u8])| {
                **calls += 1;
                moved("read", rustix::io::read(&*incoming, &mut **rest))
            };
            let sleep = |(calls, _): &mut (&mut u64, &mut [u8]), limit| {
                **calls += 1;
                poll(&*incoming, PollFlags::IN, limit)
            };
            match patience.until(&mut (&mut *calls, rest), attempt, sleep)? {
                0 => return Err(PathError::PeerGone),
                count => filled += count,
            }
        }
        consumer.check(payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}
