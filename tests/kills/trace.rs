//! A forked copy of this process that is stopped at each system call, or each instruction, and killed there.
//!
//! Every instruction of the production code is a point to be killed at, without a line in it that is there for the tests.

use super::neighbours::sys::{Child, End};
use std::ffi::{c_int, c_long};
use std::ptr;
use std::time::Instant;

unsafe extern "C" {
    fn ptrace(request: c_long, child: c_int, at: *mut u8, data: *mut u8) -> c_long;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn raise(signal: c_int) -> c_int;
}

const TRACE_ME: c_long = 0;
const CONTINUE: c_long = 7;
const SINGLE_STEP: c_long = 9;
const TO_SYSTEM_CALL: c_long = 24;
const SET_OPTIONS: c_long = 0x4200;
/// System calls are told from signals; the child ends with its tracer.
const OPTIONS: usize = 1 | 0x10_0000;
const SIGKILL: c_int = 9;
const SIGTRAP: c_int = 5;
const SIGSTOP: c_int = 19;

/// The child stops here and can be told to go on: the end of one step of what it does, and the start of the next.
pub fn marker() {
    // SAFETY: a traced child stops; that is all.
    unsafe { raise(SIGSTOP) };
}

/// Where a traced child has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the start or the end of a system call.
    SystemCall,
    /// After an instruction.
    Instruction,
    /// At a [`marker`].
    Marker,
    /// Not at all: it has ended by itself.
    Ended,
}

/// How far a child goes.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    ToMarker,
    ToSystemCall,
    OneInstruction,
}

pub struct Traced {
    child: Child,
    is_ended: bool,
}

impl Traced {
    /// Starts one that does `work`; it stands at a first marker of its own.
    pub fn start(work: impl FnOnce()) -> Self {
        let child = Child::start(|| {
            // SAFETY: the parent is there to trace.
            unsafe { ptrace(TRACE_ME, 0, ptr::null_mut(), ptr::null_mut()) };
            marker();
            work();
            0
        });
        let mut traced = Self { child, is_ended: false };
        assert_eq!(traced.wait(), Stop::Marker);
        // SAFETY: the child is ours and stopped; the options are a number in the place of an address.
        let result = unsafe {
            ptrace(SET_OPTIONS, traced.child.number(), ptr::null_mut(), ptr::without_provenance_mut(OPTIONS))
        };
        assert_eq!(result, 0, "cannot trace: {}", std::io::Error::last_os_error());
        traced
    }

    /// Lets it go on.
    pub fn go(&mut self, pace: Pace) -> Stop {
        if self.is_ended {
            return Stop::Ended;
        }
        let request = match pace {
            Pace::ToMarker => CONTINUE,
            Pace::ToSystemCall => TO_SYSTEM_CALL,
            Pace::OneInstruction => SINGLE_STEP,
        };
        // SAFETY: the child is ours and stopped; it gets no signal.
        let result = unsafe { ptrace(request, self.child.number(), ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(result, 0, "cannot go on: {}", std::io::Error::last_os_error());
        self.wait()
    }

    fn wait(&mut self) -> Stop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result, and the child is ours.
        let waited = unsafe { waitpid(self.child.number(), &mut status, 0) };
        assert_eq!(waited, self.child.number(), "cannot wait: {}", std::io::Error::last_os_error());
        if status & 0xff != 0x7f {
            assert_eq!(status, 0, "the child failed by itself, before it was killed");
            self.is_ended = true;
            return Stop::Ended;
        }
        match status >> 8 & 0xff {
            0x85 => Stop::SystemCall,
            SIGSTOP => Stop::Marker,
            SIGTRAP => Stop::Instruction,
            other => panic!("the child got signal {other}"),
        }
    }

    /// Kills it where it stands; when that was.
    pub fn kill(self) -> Instant {
        let now = Instant::now();
        if !self.is_ended {
            // SAFETY: the child is ours and not waited for yet, so that the number is its own.
            unsafe { kill(self.child.number(), SIGKILL) };
            assert_eq!(self.child.end(), End::Signal(SIGKILL));
        }
        now
    }
}
