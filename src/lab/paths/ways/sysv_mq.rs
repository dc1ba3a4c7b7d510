//! System V message queues, one each way: the kernel copies in and out, and keeps messages apart. For small ones only.
//!
//! Such a queue is no descriptor: it stays until it is removed, and on Linux whoever waits at one that is removed is told
//! so and the messages are gone (msgctl(2), `IPC_RMID`), so that it cannot be removed ahead as shared memory can. A
//! [`Guard`] makes the queues therefore, and removes them when the near side drops its end or dies, however it does.

use crate::lab::paths::ways::descriptor::moved;
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, MAX_DEPTH, Mode, Opening, PAGE_BYTES, Path, PathError, Patience, Producer,
    Token,
};
use nix::libc::{self, c_int, c_long};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Where the system says how long a message may be, and what holds where it does not (msgop(2)).
const BYTES: (&str, usize) = ("/proc/sys/kernel/msgmax", 8192);
/// What stands before each message: its type, above 0.
const TYPE_BYTES: usize = size_of::<c_long>();
const TYPE: c_long = 1;
/// What the guard says for each queue: its number, or an error's with a minus.
const WORD_BYTES: usize = size_of::<c_int>();

#[derive(Debug)]
pub(crate) struct SysvMq;

/// A process that does nothing but make two queues, wait until the other end of its pipe is closed, and remove them.
#[derive(Debug)]
struct Guard {
    process: Pid,
    /// No other process has this end: when it is closed, the guard ends.
    alive: Option<OwnedFd>,
}

impl Guard {
    /// The guard and its queues.
    fn start() -> Result<(Self, [c_int; 2]), PathError> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(PathError::system("pipe2"));
        let ((wait, alive), (hear, tell)) = (pipe()?, pipe()?);
        // SAFETY: the child calls nothing but `guard`, which makes system calls alone and never returns.
        let forked = unsafe { fork() }.map_err(|cause| PathError::unavailable("fork")(errno(cause as i32)))?;
        let process = match forked {
            ForkResult::Child => guard(wait.as_raw_fd(), tell.as_raw_fd()),
            ForkResult::Parent { child } => child,
        };
        drop((wait, tell));
        let guard = Self { process, alive: Some(alive) };
        let mut words = [0; 2 * WORD_BYTES];
        let mut heard = 0;
        while heard < words.len() {
            match rustix::io::read(&hear, &mut words[heard..]) {
                Ok(0) => return Err(PathError::protocol("a guard of queues that ended")),
                Ok(count) => heard += count,
                Err(Errno::INTR) => {}
                Err(cause) => return Err(PathError::System { call: "read", cause }),
            }
        }
        let word = |at: usize| c_int::from_ne_bytes(std::array::from_fn(|byte| words[at * WORD_BYTES + byte]));
        let queues = [word(0), word(1)];
        match queues.into_iter().find(|queue| *queue < 0) {
            Some(refused) => Err(PathError::unavailable("msgget")(errno(-refused))),
            None => Ok((guard, queues)),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.alive = None;
        // Once it is reaped, the queues are gone.
        while nix::sys::wait::waitpid(self.process, None) == Err(nix::errno::Errno::EINTR) {}
    }
}

fn errno(number: i32) -> Errno {
    Errno::from_raw_os_error(number)
}

/// The guard's whole life, in a process of its own: system calls alone, since nothing else is sure to work after a fork.
fn guard(wait: RawFd, tell: RawFd) -> ! {
    // What is typed at the terminal is not for this process.
    // SAFETY: no argument.
    unsafe { libc::setsid() };
    let (low, high) = (wait.min(tell).unsigned_abs(), wait.max(tell).unsigned_abs());
    for (first, last) in [(0, low.checked_sub(1)), (low + 1, high.checked_sub(1)), (high + 1, Some(u32::MAX))] {
        if let Some(last) = last.filter(|last| first <= *last) {
            // So that nobody waits for this process to close what it has not opened. Where there is no such call, whoever
            // looks for the side's end waits for its pipe's, which comes first.
            // SAFETY: numbers alone; nothing in this process uses those descriptors any longer.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
    let mut queues = [0; 2];
    for queue in &mut queues {
        // SAFETY: numbers alone.
        let made = unsafe { libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT | 0o600) };
        *queue = if made < 0 { -nix::errno::Errno::last_raw() } else { made };
    }
    // SAFETY: the words are as long as is said.
    unsafe { libc::write(tell, queues.as_ptr().cast(), size_of_val(&queues)) };
    // SAFETY: this process's own descriptor.
    unsafe { libc::close(tell) };
    loop {
        let mut byte = 0_u8;
        // SAFETY: there is room for the byte.
        let read = unsafe { libc::read(wait, (&raw mut byte).cast(), 1) };
        if read >= 0 || nix::errno::Errno::last_raw() != libc::EINTR {
            break;
        }
    }
    for queue in queues.into_iter().filter(|queue| *queue >= 0) {
        // SAFETY: this order takes no structure.
        unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) };
    }
    // SAFETY: ends this process, and runs nothing of what it was forked from.
    unsafe { libc::_exit(0) }
}

struct Queues {
    incoming: c_int,
    outgoing: c_int,
    flags: c_int,
    patience: Patience,
    calls: u64,
    /// Each with room for a type before the payload.
    src: Buffer,
    dst: Buffer,
    /// Of the near side.
    _guard: Option<Guard>,
}

impl Queues {
    fn new([incoming, outgoing]: [c_int; 2], config: &Config, guard: Option<Guard>) -> Self {
        // The payload starts where it is to start; its type stands before.
        let buffer =
            |offset: usize| Buffer::new(TYPE_BYTES + config.max_bytes, offset % PAGE_BYTES + PAGE_BYTES - TYPE_BYTES);
        let (mut src, dst) = (buffer(config.src_offset), buffer(config.dst_offset));
        src.head(TYPE_BYTES).copy_from_slice(&TYPE.to_ne_bytes());
        let flags = if config.mode == Mode::Blocking { 0 } else { libc::IPC_NOWAIT };
        Self { incoming, outgoing, flags, patience: Patience::of(config), calls: 0, src, dst, _guard: guard }
    }
}

/// What a call returned, by the rules of a descriptor: a queue that is removed is a side that is gone, and one without a
/// message has none yet.
fn result(call: &'static str, returned: isize) -> Result<Option<usize>, PathError> {
    if returned >= 0 {
        return moved(call, Ok(returned.unsigned_abs()));
    }
    match errno(nix::errno::Errno::last_raw()) {
        Errno::IDRM | Errno::INVAL => Err(PathError::PeerGone),
        Errno::NOMSG => Ok(None),
        other => moved(call, Err(other)),
    }
}

/// Nothing tells when a queue is ready but the call itself.
fn no_sleep<T>(_: &mut T, _: std::time::Duration) -> Result<(), PathError> {
    Ok(())
}

impl End for Queues {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let Self { outgoing, flags, patience, calls, src, .. } = self;
        let message = src.head(TYPE_BYTES + len_bytes);
        producer.fill(&mut message[TYPE_BYTES..]);
        let attempt = |calls: &mut u64| {
            *calls += 1;
            // SAFETY: the message has a type and `len_bytes` bytes behind it.
            let sent = unsafe { libc::msgsnd(*outgoing, message.as_ptr().cast(), len_bytes, *flags) };
            result("msgsnd", sent as isize)
        };
        patience.until(calls, attempt, no_sleep).map(drop)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let Self { incoming, flags, patience, calls, dst, .. } = self;
        let message = dst.head(TYPE_BYTES + len_bytes);
        let attempt = |(calls, message): &mut (&mut u64, &mut [u8])| {
            **calls += 1;
            // SAFETY: there is room for a type and `len_bytes` bytes.
            result("msgrcv", unsafe { libc::msgrcv(*incoming, message.as_mut_ptr().cast(), len_bytes, 0, *flags) })
        };
        let count = patience.until(&mut (calls, &mut *message), attempt, no_sleep)?;
        if count != len_bytes {
            return Err(PathError::protocol(format!("a message of {count} bytes in place of {len_bytes}")));
        }
        consumer.check(&message[TYPE_BYTES..]);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for SysvMq {
    fn name(&self) -> &str {
        "sysv_mq"
    }

    fn about(&self) -> &str {
        "two System V message queues"
    }

    fn limits(&self) -> Limits {
        let max_bytes = std::fs::read_to_string(BYTES.0).ok().and_then(|text| text.trim().parse().ok());
        Limits { min_bytes: 0, max_bytes: max_bytes.unwrap_or(BYTES.1), max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn modes(&self) -> &[Mode] {
        &[Mode::Polling, Mode::Blocking]
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (guard, [to_far, to_near]) = Guard::start()?;
        let bytes = [to_far, to_near].into_iter().flat_map(c_int::to_ne_bytes).collect();
        let end = Queues::new([to_near, to_far], config, Some(guard));
        Ok(Opening::ready(Token { bytes, descriptors: Vec::new() }, end))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let (words, rest) = token.bytes.as_chunks::<WORD_BYTES>();
        match (words, rest) {
            ([incoming, outgoing], []) => {
                let queues = [*incoming, *outgoing].map(c_int::from_ne_bytes);
                Ok(Box::new(Queues::new(queues, config, None)))
            }
            _ => Err(PathError::protocol("a token that does not name two queues")),
        }
    }
}
