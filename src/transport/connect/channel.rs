//! The socket of a session: it brings the two sides together, passes memory objects, wakes a side that waits for many, and
//! its hang-up tells of the other side's death.
//!
//! No call here waits but [`Channel::wait`], and that for a limited time: the flag that keeps a call from waiting is given
//! with each call (`MSG_DONTWAIT`), because a flag of the descriptor is the other side's to change when it has a copy. That
//! is why the two sides wake each other with this socket and not with an eventfd, which has no such flag: a hostile peer
//! could fill it and make it blocking, and the next wake would never return.

use super::ConnectError;
use super::credentials::peer_process;
use super::wire::{Bytes, MAGIC, MESSAGE_BYTES, Message, Parcel, Refusal, VERSION};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// No message has more descriptors. One that comes with more is closed in the kernel.
const MAX_DESCRIPTORS: usize = 2;

/// Objects that are kept without being asked for; what comes behind them stays in the socket.
const MAX_PARCELS: usize = 64;
/// Wakes, and objects that find no descriptor, that are taken in at once, at most.
const MAX_OTHERS: usize = 128;

/// One side's end of a session's socket.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    /// The process that connected, where it is known and another one.
    process: Option<OwnedFd>,
    /// The message that is being received, how much of it has come, and what came with it.
    inbox: Bytes,
    inbox_bytes: usize,
    descriptors: Vec<OwnedFd>,
    parcels: VecDeque<(Parcel, OwnedFd)>,
    /// Objects that found no descriptor in this process, and were not asked for since. Which they were is not known.
    lost: u32,
}

impl Channel {
    /// A socket to a server that was connected to by name: the process that listens there is watched too.
    pub(super) fn to_server(stream: UnixStream) -> Self {
        let mut channel = Self::new(stream);
        channel.watch_process();
        // Only the process that listened is known. If it had ended before, then another one serves, a child that has the
        // socket from it, and its hang-up has to do.
        if channel.is_gone() {
            channel.process = None;
        }
        channel
    }

    /// A socket of which only the hang-up tells of the other side's death, until its [process is
    /// watched](Self::watch_process).
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            socket: stream.into(),
            process: None,
            inbox: Bytes::default(),
            inbox_bytes: 0,
            descriptors: Vec::new(),
            parcels: VecDeque::new(),
            lost: 0,
        }
    }

    /// Watches the process that connected, or listened, too. The hang-up alone would miss a process that died while a copy
    /// that it forked still holds the socket.
    pub(super) fn watch_process(&mut self) {
        self.process = peer_process(self.socket.as_fd());
    }

    /// The process at the other end, readable when it has ended: for a poll of many.
    pub fn process(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(OwnedFd::as_fd)
    }

    /// Wakes the other side if it waits for its socket. Never waits itself: where the socket is full, the other side has
    /// unread wakes.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`].
    #[cold]
    pub fn wake(&self) -> Result<(), ConnectError> {
        match self.send(Message::Wake, &[]) {
            Err(ConnectError::Congested) => Ok(()),
            result => result,
        }
    }

    /// Takes in whatever wakes have come, for a side to which the other one sends nothing else, and says what that took: the
    /// reads, none where nothing had come, and [`ALL`](Self::ALL) where more came than a few, or descriptors. What comes is dropped
    /// unread.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`].
    pub fn drain(&self) -> Result<u32, ConnectError> {
        // A peer that rings as it should has one wake here, or two. The system frees what is read piece by piece, and a hostile
        // one's may have a byte each.
        const MOST_BYTES: usize = 2 * MESSAGE_BYTES;
        let mut bytes = [0; MOST_BYTES];
        for reads in 0..2 {
            let into = &mut [IoSliceMut::new(&mut bytes)];
            let control = &mut RecvAncillaryBuffer::new(&mut []);
            match recvmsg(&self.socket, into, control, RecvFlags::DONTWAIT) {
                // The system closes up to 253 of them, which takes as long as many reads.
                Ok(received) if received.flags.contains(ReturnFlags::CTRUNC) => return Ok(Self::ALL),
                Ok(received) if received.bytes == 0 => return Err(ConnectError::PeerGone),
                Ok(received) if received.bytes < MOST_BYTES => return Ok(reads + 1),
                Ok(_) => {}
                Err(Errno::AGAIN | Errno::INTR) => return Ok(reads),
                Err(_) => return Err(ConnectError::PeerGone),
            }
        }
        Ok(Self::ALL)
    }

    /// More reads than are made at once.
    pub const ALL: u32 = u32::MAX;

    /// Whether the other side has hung up or its process has ended.
    pub fn is_gone(&self) -> bool {
        self.watch(Duration::ZERO, PollFlags::empty()).is_err()
    }

    /// Waits until something comes, a wake or an object, for at most the limit, and takes it in; whether something came.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`], and what a message that does not belong here is.
    pub fn wait(&mut self, limit: Duration) -> Result<bool, ConnectError> {
        let has_come = self.watch(limit, PollFlags::IN)?;
        if has_come {
            self.take_in(MAX_PARCELS)?;
        }
        Ok(has_come)
    }

    /// Passes a memory object.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`]; [`ConnectError::Congested`] if the other side reads too slowly.
    pub fn pass(&self, parcel: Parcel, object: BorrowedFd<'_>) -> Result<(), ConnectError> {
        self.send(Message::Parcel(parcel), &[object])
    }

    /// The object of that name, which the other side passes or has passed. Others that come before it are kept: `most` in all, with
    /// this one, and 64 at least.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Timeout`] if it does not come, [`ConnectError::Resources`] if it is one that found no descriptor,
    /// [`ConnectError::PeerGone`], and what a message that does not belong here is: one more object, too.
    pub fn accept_parcel(&mut self, id: u64, most: usize, limit: Duration) -> Result<(Parcel, OwnedFd), ConnectError> {
        let deadline = Deadline::after(limit);
        let most = most.max(MAX_PARCELS);
        loop {
            let is_all = self.take_in(most)?;
            if let Some(at) = self.parcels.iter().position(|(parcel, _)| parcel.id == id)
                && let Some(found) = self.parcels.remove(at)
            {
                return Ok(found);
            }
            if self.parcels.len() >= most {
                return Err(ConnectError::Message { kind: Message::Parcel(self.parcels[0].0).kind() });
            }
            if is_all && self.lost > 0 {
                self.lost -= 1;
                return Err(ConnectError::Resources { cause: Errno::MFILE.into() });
            }
            self.wait_until(&deadline)?;
        }
    }

    /// Takes in the messages that have come after the handshake, until so many objects are kept; whether those were all.
    fn take_in(&mut self, most: usize) -> Result<bool, ConnectError> {
        let mut others = 0;
        while self.parcels.len() < most && others < MAX_OTHERS {
            match self.receive() {
                Ok(None) => return Ok(true),
                Ok(Some((Message::Wake, _))) => others += 1,
                Ok(Some((Message::Parcel(parcel), mut descriptors))) => {
                    let found = descriptors.len();
                    let object = descriptors.pop().ok_or(ConnectError::Descriptors { expected: 1, found })?;
                    self.parcels.push_back((parcel, object));
                }
                Ok(Some((message, _))) => return Err(ConnectError::Message { kind: message.kind() }),
                Err(ConnectError::Resources { .. }) => {
                    self.lost = self.lost.saturating_add(1);
                    others += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Tells the other side why there will be no session, as far as it reads.
    pub(super) fn refuse(&self, reason: Refusal) {
        let _ = self.send(Message::Refused { reason, version: VERSION }, &[]);
    }

    pub(super) fn send(&self, message: Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), ConnectError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(ConnectError::Descriptors { expected: MAX_DESCRIPTORS, found: descriptors.len() });
        }
        let bytes = message.encode();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match retry_on_intr(|| sendmsg(&self.socket, &[IoSlice::new(bytes.as_flattened())], &mut control, flags)) {
            // So few bytes go whole or not at all.
            Ok(MESSAGE_BYTES) => Ok(()),
            Ok(_) | Err(Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS) => Err(ConnectError::Congested),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(ConnectError::PeerGone),
            Err(cause) => Err(ConnectError::socket(cause)),
        }
    }

    /// The next message, if the whole of it has come. Of what is sent beyond its descriptors nothing stays open.
    pub(super) fn receive(&mut self) -> Result<Option<(Message, Vec<OwnedFd>)>, ConnectError> {
        // Each turn receives a byte at least.
        while self.inbox_bytes < MESSAGE_BYTES {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let rest = &mut self.inbox.as_flattened_mut()[self.inbox_bytes..];
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let received = match recvmsg(&self.socket, &mut [IoSliceMut::new(rest)], &mut control, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Err(ConnectError::PeerGone),
                Err(cause) => return Err(ConnectError::socket(cause)),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    self.descriptors.extend(descriptors);
                }
            }
            let found = self.descriptors.len();
            if received.flags.contains(ReturnFlags::CTRUNC) || found > MAX_DESCRIPTORS {
                return Err(match self.socket.try_clone() {
                    // There was no room for another descriptor, and there is none now.
                    Err(cause) if found < MAX_DESCRIPTORS => ConnectError::Resources { cause },
                    _ => ConnectError::Descriptors { expected: MAX_DESCRIPTORS, found },
                });
            }
            if received.bytes == 0 {
                return Err(ConnectError::PeerGone);
            }
            self.inbox_bytes += received.bytes;
            // What is something else entirely is named so at once, not when 64 bytes of it have come.
            if !MAGIC.starts_with(&self.inbox.as_flattened()[..self.inbox_bytes.min(MAGIC.len())]) {
                return Err(ConnectError::NotATable);
            }
        }
        self.inbox_bytes = 0;
        let descriptors = std::mem::take(&mut self.descriptors);
        let message = Message::decode(&self.inbox)?;
        let (expected, found) = (message.descriptors(), descriptors.len());
        if expected != found {
            return Err(ConnectError::Descriptors { expected, found });
        }
        Ok(Some((message, descriptors)))
    }

    /// Waits until there may be something to receive.
    pub(super) fn wait_until(&self, deadline: &Deadline) -> Result<(), ConnectError> {
        self.watch(deadline.left()?, PollFlags::IN).map(drop)
    }

    /// Whether there is something to receive, waiting for at most the limit.
    fn watch(&self, limit: Duration, events: PollFlags) -> Result<bool, ConnectError> {
        let process = self.process.as_ref();
        let mut watched = [
            PollFd::new(&self.socket, events | PollFlags::RDHUP),
            PollFd::new(process.unwrap_or(&self.socket), PollFlags::IN),
        ];
        let count = 1 + usize::from(process.is_some());
        // A limit beyond what the system counts is none.
        let limit = Timespec::try_from(limit).ok();
        match poll(&mut watched[..count], limit.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(cause) => return Err(ConnectError::socket(cause)),
        }
        let [socket, process] = watched.map(|watched| watched.revents());
        let is_gone = socket.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) || !process.is_empty();
        // What was sent before the hang-up is received first.
        let has_come = socket.contains(PollFlags::IN);
        if is_gone && !has_come { Err(ConnectError::PeerGone) } else { Ok(has_come) }
    }
}

impl AsFd for Channel {
    /// The socket: readable when the other side wakes this one, hung up when it is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A moment that all waits of one call end at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    limit: Duration,
    /// When the time began. To put it off is not to count so much of it.
    pub(super) start: Instant,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self { limit, start: Instant::now() }
    }

    /// What is left, never nothing.
    pub(super) fn left(&self) -> Result<Duration, ConnectError> {
        let left = self.limit.saturating_sub(self.start.elapsed());
        if left.is_zero() { Err(ConnectError::Timeout { limit: self.limit }) } else { Ok(left) }
    }
}
