//! Eight bytes through an eventfd, one each way: the least that the kernel can carry. The value travels in registers.
//!
//! An eventfd adds up what is written to it, and holds no zero: the payload is one number between 1 and 2⁶⁴ − 2, and one
//! message is under way.

use crate::lab::paths::ways::descriptor::{moved, poll, set_blocking};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, Path, PathError, Patience, Producer, Token,
};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use std::os::fd::OwnedFd;

const BYTES: usize = 8;

#[derive(Debug)]
pub(crate) struct EventFd;

#[derive(Debug)]
struct Events {
    incoming: OwnedFd,
    outgoing: OwnedFd,
    patience: Patience,
    calls: u64,
    payload: Buffer,
}

impl Events {
    fn new(incoming: OwnedFd, outgoing: OwnedFd, config: &Config) -> Result<Self, PathError> {
        set_blocking(&incoming, config.mode)?;
        Ok(Self { incoming, outgoing, patience: Patience::of(config), calls: 0, payload: Buffer::new(BYTES, 0) })
    }
}

impl End for Events {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let payload = self.payload.head(len_bytes);
        producer.fill(payload);
        self.calls += 1;
        match moved("write", rustix::io::write(&self.outgoing, payload))? {
            Some(BYTES) => Ok(()),
            _ => Err(PathError::protocol("an eventfd that did not take eight bytes")),
        }
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let Self { incoming, patience, calls, payload, .. } = self;
        let payload = payload.head(len_bytes);
        let attempt = |(calls, payload): &mut (&mut u64, &mut [u8])| {
            **calls += 1;
            moved("read", rustix::io::read(&*incoming, &mut **payload))
        };
        let sleep = |(calls, _): &mut (&mut u64, &mut [u8]), limit| {
            **calls += 1;
            poll(&*incoming, PollFlags::IN, limit)
        };
        patience.until(&mut (calls, &mut *payload), attempt, sleep)?;
        consumer.check(payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for EventFd {
    fn name(&self) -> &str {
        "eventfd"
    }

    fn about(&self) -> &str {
        "eight bytes through an eventfd"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: BYTES, max_bytes: BYTES, max_depth: 1 }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let make = || eventfd(0, EventfdFlags::CLOEXEC).map_err(PathError::unavailable("eventfd2"));
        let (to_far, to_near) = (make()?, make()?);
        let copy =
            |event: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(event, 3).map_err(PathError::system("F_DUPFD_CLOEXEC"));
        let token = Token::of([copy(&to_far)?, copy(&to_near)?]);
        Ok(Opening::ready(token, Events::new(to_near, to_far, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [incoming, outgoing] = token.take()?;
        Ok(Box::new(Events::new(incoming, outgoing, config)?))
    }
}
