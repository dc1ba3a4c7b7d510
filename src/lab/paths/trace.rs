//! System calls of paths that do not count their own: counted by tracing both sides, in a run of its own that is not timed.

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How long a thread may take to stop.
const STOPPING: Duration = Duration::from_secs(2);
/// How long the tracer sleeps when no thread has stopped.
const PAUSE: Duration = Duration::from_micros(20);

/// All threads of both sides, traced until this is dropped.
#[derive(Debug)]
pub(crate) struct Tracer {
    threads: Vec<Pid>,
}

impl Tracer {
    /// Begins to trace; nothing if the system does not allow it.
    pub(crate) fn attach(process_ids: [u32; 2]) -> Option<Self> {
        let mut tracer = Self { threads: Vec::new() };
        for process_id in process_ids {
            for entry in std::fs::read_dir(format!("/proc/{process_id}/task")).ok()? {
                let thread = Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?);
                ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD).ok()?;
                tracer.threads.push(thread);
                stop(thread)?;
                ptrace::syscall(thread, None).ok()?;
            }
        }
        Some(tracer)
    }

    /// How many system calls both sides enter or leave until `is_over`, halved; nothing if a side ended, or if it takes
    /// longer than the limit.
    pub(crate) fn count(&self, limit: Duration, mut is_over: impl FnMut() -> bool) -> Option<u64> {
        let start = Instant::now();
        let mut stops = 0;
        while start.elapsed() < limit {
            let mut is_quiet = true;
            for &thread in &self.threads {
                let signal = match stopped(thread)? {
                    WaitStatus::StillAlive => continue,
                    WaitStatus::PtraceSyscall(_) => {
                        stops += 1;
                        None
                    }
                    WaitStatus::Stopped(_, signal) => Some(signal),
                    _ => None,
                };
                is_quiet = false;
                ptrace::syscall(thread, signal).ok()?;
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
        for &thread in &self.threads {
            // What has ended needs nothing; any other thread is stopped, and goes on untraced.
            if stop(thread).is_some() {
                let _ = ptrace::detach(thread, None);
            }
        }
    }
}

/// Stops a thread that is traced. It may have stopped for another reason just before, which does as well.
fn stop(thread: Pid) -> Option<()> {
    ptrace::interrupt(thread).ok()?;
    let start = Instant::now();
    while start.elapsed() < STOPPING {
        match stopped(thread)? {
            WaitStatus::StillAlive => std::thread::sleep(PAUSE),
            _ => return Some(()),
        }
    }
    None
}

/// Why a thread has stopped, if it has; nothing if it has ended, which is left to the caller that waits for its end.
fn stopped(thread: Pid) -> Option<WaitStatus> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    match waitid(Id::Pid(thread), flags | WaitPidFlag::WNOWAIT).ok()? {
        WaitStatus::StillAlive => Some(WaitStatus::StillAlive),
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => None,
        _ => waitpid(thread, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)).ok(),
    }
}
