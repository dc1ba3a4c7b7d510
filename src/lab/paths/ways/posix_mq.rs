//! POSIX message queues, one each way: the kernel copies in and out, and keeps messages apart. For small ones only.
//!
//! A queue has a name while it is made, and loses it at once: on Linux it is a descriptor, which is sent like any other.

use crate::lab::paths::ways::descriptor::{moved, poll, set_blocking};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, Path, PathError, Patience, Producer, Token,
};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode as Rights;
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the system says what users may ask for, and what holds where it does not (mq_overview(7)).
const DEPTH: (&str, usize) = ("/proc/sys/fs/mqueue/msg_max", 10);
const BYTES: (&str, usize) = ("/proc/sys/fs/mqueue/msgsize_max", 8192);

#[derive(Debug)]
pub(crate) struct PosixMq;

#[derive(Debug)]
struct Queues {
    incoming: Queue,
    outgoing: Queue,
    patience: Patience,
    calls: u64,
    src: Buffer,
    dst: Buffer,
    message_bytes: usize,
}

/// A queue's descriptor, and the name by which the calls know it, which closes nothing.
#[derive(Debug)]
struct Queue {
    descriptor: OwnedFd,
    name: MqdT,
}

impl Queue {
    fn of(descriptor: OwnedFd, config: &Config) -> Result<Self, PathError> {
        set_blocking(&descriptor, config.mode)?;
        // SAFETY: the descriptor lives as long as this value; if it were no queue's, every call on it would fail.
        let name = unsafe { MqdT::from_raw_fd(descriptor.as_raw_fd()) };
        Ok(Self { descriptor, name })
    }
}

fn limit((file, usual): (&str, usize)) -> usize {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(usual)
}

fn errno(cause: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(cause as i32)
}

/// A queue without a name.
fn queue(config: &Config) -> Result<OwnedFd, PathError> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("/memcpy-select-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let flags = MQ_OFlag::O_RDWR | MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_CLOEXEC;
    let attributes = MqAttr::new(0, config.depth as i64, config.max_bytes.max(1) as i64, 0);
    let unavailable = |cause| PathError::unavailable("mq_open")(errno(cause));
    let queue = mq_open(name.as_str(), flags, Rights::S_IRUSR | Rights::S_IWUSR, Some(&attributes));
    let queue = queue.map_err(unavailable)?;
    mq_unlink(name.as_str()).map_err(|cause| PathError::system("mq_unlink")(errno(cause)))?;
    // SAFETY: on Linux a queue is a file descriptor, and this object owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(queue.into_raw_fd()) })
}

impl Queues {
    fn new(incoming: OwnedFd, outgoing: OwnedFd, config: &Config) -> Result<Self, PathError> {
        // A receiver must have room for the longest message of the queue.
        let message_bytes = config.max_bytes.max(1);
        Ok(Self {
            incoming: Queue::of(incoming, config)?,
            outgoing: Queue::of(outgoing, config)?,
            patience: Patience::of(config),
            calls: 0,
            src: Buffer::new(config.max_bytes, config.src_offset),
            dst: Buffer::new(message_bytes, config.dst_offset),
            message_bytes,
        })
    }
}

impl End for Queues {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let Self { outgoing, patience, calls, src, .. } = self;
        let payload = src.head(len_bytes);
        producer.fill(payload);
        let attempt = |calls: &mut u64| {
            *calls += 1;
            moved("mq_send", mq_send(&outgoing.name, payload, 0).map(|()| 0).map_err(errno))
        };
        let sleep = |calls: &mut u64, limit| {
            *calls += 1;
            poll(&outgoing.descriptor, PollFlags::OUT, limit)
        };
        patience.until(calls, attempt, sleep).map(drop)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let Self { incoming, patience, calls, dst, message_bytes, .. } = self;
        let message = dst.head(*message_bytes);
        let attempt = |(calls, message): &mut (&mut u64, &mut [u8])| {
            **calls += 1;
            moved("mq_receive", mq_receive(&incoming.name, message, &mut 0).map_err(errno))
        };
        let sleep = |(calls, _): &mut (&mut u64, &mut [u8]), limit| {
            **calls += 1;
            poll(&incoming.descriptor, PollFlags::IN, limit)
        };
        let count = patience.until(&mut (calls, &mut *message), attempt, sleep)?;
        if count != len_bytes {
            return Err(PathError::protocol(format!("a message of {count} bytes in place of {len_bytes}")));
        }
        consumer.check(&message[..len_bytes]);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for PosixMq {
    fn name(&self) -> &str {
        "posix_mq"
    }

    fn about(&self) -> &str {
        "two POSIX message queues"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 0, max_bytes: limit(BYTES), max_depth: limit(DEPTH) }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (to_far, to_near) = (queue(config)?, queue(config)?);
        let copy =
            |queue: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(queue, 3).map_err(PathError::system("F_DUPFD_CLOEXEC"));
        let token = Token::of([copy(&to_far)?, copy(&to_near)?]);
        Ok(Opening::ready(token, Queues::new(to_near, to_far, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [incoming, outgoing] = token.take()?;
        Ok(Box::new(Queues::new(incoming, outgoing, config)?))
    }
}
