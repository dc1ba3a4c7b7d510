//! Signals for a program that another one waits for: passed on to it, so that what ends it ends it alone, and what it did is
//! still reported.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// The process that signals are passed on to; 0: none yet, or no more.
static PASSED_TO: AtomicI32 = AtomicI32::new(0);
/// A signal that came before there was one.
static PENDING: AtomicI32 = AtomicI32::new(0);

/// Signals that end a process or mean something to it.
const PASSED_ON: [i32; 7] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// Passes signals on while it is there. One at a time in a process.
#[derive(Debug)]
pub struct PassingOn {
    before: Vec<(i32, libc::sigaction)>,
}

impl PassingOn {
    /// From now on; to nothing yet. Signals that this process ignores, as `nohup` makes it do, stay ignored, by its children too.
    pub fn begin() -> Self {
        PASSED_TO.store(0, SeqCst);
        PENDING.store(0, SeqCst);
        let ours = |signal: i32| {
            let mut action = none();
            action.sa_sigaction = (on_signal as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            let before = set(signal, Some(&action))?;
            if before.sa_sigaction == libc::SIG_IGN {
                set(signal, Some(&before));
                return None;
            }
            Some((signal, before))
        };
        Self { before: PASSED_ON.into_iter().filter_map(ours).collect() }
    }

    /// To this process. It must be a child that was not waited for, as long as signals are passed on to it.
    pub fn to(&self, pid: u32) {
        let pid = i32::try_from(pid).unwrap_or(0);
        PASSED_TO.store(pid, SeqCst);
        let pending = PENDING.swap(0, SeqCst);
        if pending != 0 {
            send(pid, pending);
        }
    }
}

impl Drop for PassingOn {
    fn drop(&mut self) {
        PASSED_TO.store(0, SeqCst);
        for (signal, action) in &self.before {
            set(*signal, Some(action));
        }
    }
}

/// What a terminal sends, it sends to all processes that run in it; what another process sends is for this one alone.
extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    if info.is_null() {
        return;
    }
    // SAFETY: the system passes a valid one, which is not null.
    let code = unsafe { (*info).si_code };
    if code > 0 {
        return;
    }
    match PASSED_TO.load(SeqCst) {
        0 => PENDING.store(signal, SeqCst),
        pid => send(pid, signal),
    }
}

/// Sends a signal to a child.
pub fn send(pid: i32, signal: i32) {
    if pid <= 0 {
        return;
    }
    // SAFETY: this thread's error number has an address for as long as the thread runs.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the address is valid, and this thread's alone.
    let before = unsafe { *errno };
    // SAFETY: `kill` takes any two numbers.
    unsafe { libc::kill(pid, signal) };
    // What a handler interrupts finds its own error number.
    // SAFETY: as where it was read.
    unsafe { *errno = before };
}

fn none() -> libc::sigaction {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all of its fields are numbers, an optional function, and a set of bits: zeros are valid values of them.
    unsafe { action.assume_init() }
}

/// Sets what a signal does, or only asks; what it did before.
fn set(signal: i32, action: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    let mut before = none();
    let new = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both are valid or null; the handler, where there is one, does nothing but atomic accesses and `kill`, which a
    // handler may call.
    let result = unsafe { libc::sigaction(signal, new, &mut before) };
    (result == 0).then_some(before)
}
