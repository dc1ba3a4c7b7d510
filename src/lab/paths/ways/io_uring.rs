//! io_uring over a pair of Unix stream sockets: the kernel's asynchronous queue. What is sent is only queued; one system
//! call hands over everything that is queued and waits for what comes. A side that polls looks at the ring of completions.

use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Patience, Producer, Token, socket,
};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring as Ring, opcode};
use rustix::net::{RecvFlags, SendFlags, SocketType};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// What completions are told apart by.
const SENT: u64 = 1;
const RECEIVED: u64 = 2;
/// How long the call that hands over waits at first; a longer wait calls again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Entries of the queue beside a window of messages.
const SPARE_ENTRIES: usize = 2;

#[derive(Debug)]
pub(crate) struct IoUring;

struct Uring {
    ring: Ring,
    socket: OwnedFd,
    patience: Patience,
    calls: u64,
    src: Buffer,
    sent: usize,
    dst: Buffer,
    /// Sends that the kernel does not know of yet, and their bytes.
    queued: Vec<(Entry, usize)>,
    /// Bytes that the kernel has to send, a message each, oldest first.
    sending: VecDeque<usize>,
    is_receiving: bool,
    /// How many bytes the last receive gave.
    received: usize,
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}

impl Uring {
    fn new(socket: OwnedFd, config: &Config) -> Result<Self, PathError> {
        let entries = (config.depth + SPARE_ENTRIES).next_power_of_two();
        // Completions wait for a call that this side makes anyway, and a flag tells of them; else the kernel interrupts the
        // side for each. Linux before 5.19 knows only that.
        let ring = Ring::builder()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .build(entries as u32)
            .or_else(|_| Ring::new(entries as u32))
            .map_err(|error| PathError::unavailable("io_uring_setup")(errno(&error)))?;
        if !ring.params().is_feature_ext_arg() {
            let reason = "io_uring: this kernel cannot bound a wait (Linux 5.11 can)".to_owned();
            return Err(PathError::Unavailable { reason });
        }
        Ok(Self {
            ring,
            socket,
            patience: Patience::of(config),
            calls: 0,
            src: Buffer::slots(config.max_bytes, config.src_offset, config.depth),
            sent: 0,
            dst: Buffer::new(config.max_bytes, config.dst_offset),
            queued: Vec::new(),
            sending: VecDeque::new(),
            is_receiving: false,
            received: 0,
        })
    }

    /// Queues an entry.
    fn push(&mut self, entry: &Entry) -> Result<(), PathError> {
        // SAFETY: what the entry points to are buffers of this end, which live until the ring is gone.
        unsafe { self.ring.submission().push(entry) }.map_err(|_| PathError::protocol("more messages than the window"))
    }

    /// What the kernel has not completed yet, as far as this side has looked.
    fn outstanding(&self) -> usize {
        self.sending.len() + usize::from(self.is_receiving)
    }

    /// Hands over what is queued; waits for all completions for at most that long, if there is a limit.
    fn enter(&mut self, limit: Option<Duration>) -> Result<(), PathError> {
        self.calls += 1;
        let entered = match limit {
            None => self.ring.submit(),
            Some(limit) => {
                let limit = Timespec::from(limit);
                self.ring.submitter().submit_with_args(self.outstanding(), &SubmitArgs::new().timespec(&limit))
            }
        };
        match entered.map_err(|error| errno(&error)) {
            Ok(_) | Err(rustix::io::Errno::TIME | rustix::io::Errno::INTR) => Ok(()),
            Err(cause) => Err(PathError::System { call: "io_uring_enter", cause }),
        }
    }

    /// Takes completions.
    fn reap(&mut self) -> Result<(), PathError> {
        for completion in self.ring.completion() {
            let count =
                usize::try_from(completion.result()).map_err(|_| {
                    match rustix::io::Errno::from_raw_os_error(-completion.result()) {
                        rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET => PathError::PeerGone,
                        cause => PathError::System { call: "io_uring", cause },
                    }
                })?;
            if completion.user_data() == RECEIVED {
                self.is_receiving = false;
                self.received = count;
            } else if self.sending.pop_front() != Some(count) {
                return Err(PathError::PeerGone);
            }
        }
        Ok(())
    }

    /// Waits until this is so, handing over what is queued first.
    fn wait(&mut self, is_so: fn(&Self) -> bool) -> Result<(), PathError> {
        let mut patience = self.patience;
        if patience.mode() == Mode::Polling {
            self.enter(None)?;
        } else {
            // One call hands over and waits.
            self.enter(Some(FIRST_WAIT))?;
        }
        patience.until(
            self,
            |uring| {
                if uring.ring.submission().taskrun() {
                    uring.enter(None)?;
                }
                uring.reap()?;
                Ok(is_so(uring).then_some(()))
            },
            |uring, limit| uring.enter(Some(limit)),
        )?;
        self.patience = patience;
        Ok(())
    }

    /// Queues the sends that were held back, in their order: the kernel keeps it only between linked ones.
    fn release(&mut self) -> Result<(), PathError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        if !self.sending.is_empty() {
            self.wait(|uring| uring.sending.is_empty())?;
        }
        let queued = std::mem::take(&mut self.queued);
        let last = queued.len() - 1;
        for (at, (entry, len_bytes)) in queued.into_iter().enumerate() {
            let flags = if at < last { Flags::IO_LINK } else { Flags::empty() };
            self.push(&entry.flags(flags))?;
            self.sending.push_back(len_bytes);
        }
        Ok(())
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.outstanding() == 0 {
            return;
        }
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        // Whatever was under way ends with the socket.
        let _ = self.enter(Some(FIRST_WAIT)).and_then(|()| self.reap());
        if self.outstanding() > 0 {
            // The kernel may still use them.
            std::mem::forget(std::mem::replace(&mut self.src, Buffer::new(0, 0)));
            std::mem::forget(std::mem::replace(&mut self.dst, Buffer::new(0, 0)));
        }
    }
}

impl End for Uring {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let payload = self.src.at(self.sent, len_bytes);
        self.sent += 1;
        producer.fill(payload);
        // Without the flag a long payload could be sent in part, and the rest not at all.
        let whole = (RecvFlags::WAITALL.bits() | SendFlags::NOSIGNAL.bits()).cast_signed();
        let bytes = u32::try_from(len_bytes).map_err(|_| PathError::protocol("a payload of more than 4 GiB"))?;
        let entry = opcode::Send::new(Fd(self.socket.as_raw_fd()), payload.as_ptr(), bytes).flags(whole);
        self.queued.push((entry.build().user_data(SENT), len_bytes));
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.release()?;
        let payload = self.dst.head(len_bytes);
        let whole = RecvFlags::WAITALL.bits().cast_signed();
        let bytes = u32::try_from(len_bytes).map_err(|_| PathError::protocol("a payload of more than 4 GiB"))?;
        let entry = opcode::Recv::new(Fd(self.socket.as_raw_fd()), payload.as_mut_ptr(), bytes).flags(whole);
        self.push(&entry.build().user_data(RECEIVED))?;
        self.is_receiving = true;
        self.wait(|uring| !uring.is_receiving)?;
        if self.received != len_bytes {
            return Err(PathError::PeerGone);
        }
        consumer.check(self.dst.head(len_bytes));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.release()?;
        if self.sending.is_empty() { Ok(()) } else { self.wait(|uring| uring.sending.is_empty()) }
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for IoUring {
    fn name(&self) -> &str {
        "io_uring"
    }

    fn about(&self) -> &str {
        "io_uring over a pair of Unix stream sockets"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (near, far) = socket::pair(SocketType::STREAM)?;
        Ok(Opening::ready(Token::of([far]), Uring::new(near, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        Ok(Box::new(Uring::new(socket, config)?))
    }
}
