//! System calls of paths that do not count their own: counted by tracing both sides, in a run of its own that is not timed.

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How long a side may take to stop.
const STOPPING: Duration = Duration::from_secs(2);
/// How long the tracer sleeps when neither side has stopped.
const PAUSE: Duration = Duration::from_micros(20);

/// Both sides, traced until this is dropped.
#[derive(Debug)]
pub(super) struct Tracer {
    sides: [Pid; 2],
    attached: usize,
}

impl Tracer {
    /// Begins to trace; nothing if the system does not allow it.
    pub(super) fn attach(process_ids: [u32; 2]) -> Option<Self> {
        let mut tracer = Self { sides: process_ids.map(|id| Pid::from_raw(id.cast_signed())), attached: 0 };
        for side in tracer.sides {
            ptrace::seize(side, Options::PTRACE_O_TRACESYSGOOD).ok()?;
            tracer.attached += 1;
            stop(side)?;
            ptrace::syscall(side, None).ok()?;
        }
        Some(tracer)
    }

    /// How many system calls both sides enter or leave until `is_over`, halved; nothing if a side ended, or if it takes
    /// longer than the limit.
    pub(super) fn count(&self, limit: Duration, mut is_over: impl FnMut() -> bool) -> Option<u64> {
        let start = Instant::now();
        let mut stops = 0;
        while start.elapsed() < limit {
            let mut is_quiet = true;
            for side in self.sides {
                let signal = match stopped(side)? {
                    WaitStatus::StillAlive => continue,
                    WaitStatus::PtraceSyscall(_) => {
                        stops += 1;
                        None
                    }
                    WaitStatus::Stopped(_, signal) => Some(signal),
                    _ => None,
                };
                is_quiet = false;
                ptrace::syscall(side, signal).ok()?;
            }
            if is_quiet {
                if is_over() {
                    return Some(stops / 2);
                }
                std::thread::sleep(PAUSE);
            }
        }
        None
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        for side in &self.sides[..self.attached] {
            // A side that has ended needs nothing; any other is stopped, and goes on untraced.
            if stop(*side).is_some() {
                let _ = ptrace::detach(*side, None);
            }
        }
    }
}

/// Stops a side that is traced. It may have stopped for another reason just before, which does as well.
fn stop(side: Pid) -> Option<()> {
    ptrace::interrupt(side).ok()?;
    let start = Instant::now();
    while start.elapsed() < STOPPING {
        match stopped(side)? {
            WaitStatus::StillAlive => std::thread::sleep(PAUSE),
            _ => return Some(()),
        }
    }
    None
}

/// Why a side has stopped, if it has; nothing if it has ended, which is left for whoever waits for its end.
fn stopped(side: Pid) -> Option<WaitStatus> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    match waitid(Id::Pid(side), flags | WaitPidFlag::WNOWAIT).ok()? {
        WaitStatus::StillAlive => Some(WaitStatus::StillAlive),
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => None,
        _ => waitpid(side, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)).ok(),
    }
}
