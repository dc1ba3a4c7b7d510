//! What the conductor and a side say to each other: one JSON message each way at a time, over a Unix seqpacket socket,
//! with descriptors beside it.

use crate::lab::paths::cell::{Cell, Contender};
use crate::lab::paths::ways::{Config, PathError, Token, socket};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The longest message.
const MESSAGE_BYTES: usize = 384 << 10;

/// What a side is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Stay on this logical CPU.
    Pin { cpu: usize },
    /// Make the near end of one more connection of a path, in this slot.
    Open { slot: usize, path: String, config: Config },
    /// End what `Open` began, now that the far side joins.
    Finish { slot: usize },
    /// Make the far end. The descriptors of the token are beside the message.
    Join { slot: usize, path: String, config: Config, bytes: Vec<u8> },
    /// Move payloads.
    Run { slot: usize, traffic: Traffic },
    /// Drop the ends of a slot.
    Close { slot: usize },
}

/// What a side answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Done, and there is nothing to tell.
    Done,
    /// The near end is begun. The descriptors of the token are beside the message.
    Opened { bytes: Vec<u8>, cost: Cost },
    /// The end is there.
    Ready { cost: Cost },
    /// The payloads were moved.
    Moved(Box<Moved>),
    /// The path is not to be had here.
    Unavailable { reason: String },
    /// It did not work.
    Failed { what: String },
}

impl Answer {
    pub(crate) fn refusal(error: PathError) -> Self {
        match error {
            PathError::Unavailable { reason } => Self::Unavailable { reason },
            other => Self::Failed { what: other.to_string() },
        }
    }
}

/// What setting up took on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Time, in nanoseconds.
    pub ns: u64,
    /// Page faults.
    pub faults: u64,
}

/// Which payloads are moved, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) pattern: Pattern,
    pub(crate) len_bytes: usize,
    /// The length of what is sent back where only one side sends payloads.
    pub(crate) back_bytes: usize,
    pub(crate) messages: u64,
    /// Messages before those that count.
    pub(crate) settling: u64,
    pub(crate) depth: usize,
    pub(crate) touch: bool,
}

impl Traffic {
    /// That many messages of a contender in a cell, after others untimed.
    pub(crate) fn of(contender: &Contender<'_>, cell: &Cell, pattern: Pattern, messages: u64, settling: u64) -> Self {
        Self {
            pattern,
            len_bytes: cell.payload_bytes,
            back_bytes: contender.path.limits().min_bytes,
            messages,
            settling,
            depth: cell.depth,
            touch: cell.touch,
        }
    }
}

/// Who sends payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Both sides in turn: a message is there and back.
    PingPong,
    /// The near side alone, as far as the window lets it; the far side sends credits back.
    OneWay,
}

impl Pattern {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PingPong, Self::OneWay];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PingPong => "ping_pong",
            Self::OneWay => "one_way",
        }
    }
}

/// What one side saw of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Time, in nanoseconds.
    pub total_ns: u64,
    /// Processor time of the side, in nanoseconds.
    pub cpu_ns: u64,
    /// System calls on the path; nothing if the path does not count them.
    pub system_calls: Option<u64>,
    /// Page faults that needed no disk.
    pub faults: u64,
    /// Payloads that were not what was sent.
    pub wrong: u64,
    /// Round trips: nanoseconds, and how many took that long; of the near side alone.
    pub round_trips: Vec<(u64, u32)>,
    /// Core cycles that were counted beside the run, and how many nanoseconds they took; of the near side alone.
    pub clock: (u64, u64),
    /// What the ends timed beside the transfers: how often, and nanoseconds in all.
    pub beside: (u64, u64),
}

/// One end of a control socket.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
    space: Vec<u8>,
}

/// Why nothing came over a control socket.
#[derive(Debug)]
pub(crate) enum ControlError {
    /// The other side closed it, or ended.
    Closed,
    /// Nothing came in time.
    Silent,
    /// Something else.
    Broken(String),
}

impl Control {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, space: vec![0; MESSAGE_BYTES] }
    }

    /// Two connected ones; the second is for another process.
    pub(crate) fn pair() -> rustix::io::Result<(Self, OwnedFd)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for socket in [&one, &other] {
            rustix::net::sockopt::set_socket_send_buffer_size(socket, MESSAGE_BYTES)?;
        }
        Ok((Self::new(one), other))
    }

    /// Whether there is something to hear, or the other side is gone.
    pub(crate) fn has_news(&self) -> bool {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(rustix::event::poll(&mut sockets, Some(&at_once)), Ok(0))
    }

    pub(crate) fn say(&self, message: &impl Serialize, descriptors: &[OwnedFd]) -> Result<(), ControlError> {
        let text = serde_json::to_vec(message).map_err(|error| ControlError::Broken(error.to_string()))?;
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        match socket::send_with(&self.socket, &text, &borrowed, SendFlags::empty()) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Err(ControlError::Closed),
            Err(error) => Err(ControlError::Broken(format!("sendmsg: {error}"))),
        }
    }

    /// The next message. Without a limit it waits until there is one or the socket is closed.
    pub(crate) fn hear<T: DeserializeOwned>(
        &mut self,
        limit: Option<Duration>,
    ) -> Result<(T, Vec<OwnedFd>), ControlError> {
        if let Some(limit) = limit {
            let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
            let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
            match rustix::event::poll(&mut sockets, Some(&limit)) {
                Ok(0) => return Err(ControlError::Silent),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(ControlError::Broken(format!("poll: {error}"))),
            }
        }
        let (count, descriptors) = match socket::receive_with(&self.socket, &mut self.space, RecvFlags::empty()) {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Err(ControlError::Closed),
            Ok(received) => received,
            Err(error) => return Err(ControlError::Broken(format!("recvmsg: {error}"))),
        };
        let message = serde_json::from_slice(&self.space[..count]);
        message.map(|message| (message, descriptors)).map_err(|error| ControlError::Broken(error.to_string()))
    }
}

/// A token as a message has it.
pub(crate) fn token(bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Token {
    Token { bytes, descriptors }
}
