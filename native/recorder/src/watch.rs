//! How soon a copy is read or written again: a hardware breakpoint inside its destination, armed after the copy.
//!
//! The kernel counts the first access and stops the event's own clock, which runs while the thread runs
//! (`PERF_EVENT_IOC_REFRESH`): a later sampled call, of any thread, reads both. There is one breakpoint at a time in a process,
//! and at most some hundred a second. Its descriptor has a number that programs do not expect to be free; before it is used
//! it is asked whether it still is what it was.

use crate::system;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use memcpy_select::recording::{Line, Recording, reuse};
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::ioctl::{Getter, IntegerSetter, ioctl, opcode};

/// No breakpoint before a quarter of a second or half of one has passed: the first one in a system, for which the kernel changes its
/// own code, takes it milliseconds.
const FIRST_TICKS: u64 = 1 << 29;
/// From one breakpoint to the next: some hundred a second.
const PAUSE_TICKS: u64 = 1 << 25;
/// From one look at a breakpoint to the next.
const LOOK_TICKS: u64 = 1 << 21;
/// As long as that a breakpoint is waited for at most, if its thread does not run.
const GIVE_UP_TICKS: u64 = 1 << 32;
/// How long an access is waited for, of the thread's own running time.
const WINDOW_NS: u64 = 25_000_000;
/// Descriptors from there on are taken.
const LOWEST_FD: i32 = 700;

/// The breakpoint of a process; empty after a fork.
#[repr(C)]
pub(crate) struct Watch {
    /// 1 while a thread is in here. Others do not wait.
    is_busy: AtomicU32,
    /// Its descriptor, less one; 0: none.
    fd: AtomicI32,
    /// The kernel's number of the event.
    id: AtomicU64,
    /// When to come again.
    due_ticks: AtomicU64,
    armed_ticks: AtomicU64,
    line: AtomicU32,
    reserved: AtomicU32,
    len: AtomicU64,
}

impl Watch {
    /// After a sampled copy that ended at `now`.
    pub(crate) fn sampled(&self, recording: &Recording, now: u64, dst: usize, len: usize, random: u64) {
        let state = recording.header.reuse_state.load(Relaxed);
        let due = self.due_ticks.load(Relaxed);
        let is_early = now.wrapping_sub(due).cast_signed() < 0;
        if len == 0 || is_early || state == reuse::REFUSED || state == reuse::SILENT {
            return;
        }
        if self.is_busy.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            return;
        }
        let pause = if due == 0 {
            FIRST_TICKS
        } else if self.fd.load(Relaxed) != 0 {
            self.look(recording, now)
        } else {
            self.begin(recording, now, dst, len, random)
        };
        self.due_ticks.store(now.wrapping_add(pause), Relaxed);
        self.is_busy.store(0, Release);
    }

    /// Arms a breakpoint, and returns after how many ticks to come again.
    fn begin(&self, recording: &Recording, now: u64, dst: usize, len: usize, random: u64) -> u64 {
        let header = &recording.header;
        if header.reuse_state.load(Relaxed) == reuse::UNTRIED {
            header.reuse_window_ns.store(WINDOW_NS, Relaxed);
            match try_out() {
                Ok((0, _)) => {
                    header.reuse_state.store(reuse::SILENT, Relaxed);
                    return PAUSE_TICKS;
                }
                Ok((_, after_ns)) => {
                    header.reuse_floor_ns.store(after_ns, Relaxed);
                    header.reuse_state.store(reuse::WORKS, Relaxed);
                }
                Err(error) => {
                    header.reuse_errno.store(error.raw_os_error().unsigned_abs(), Relaxed);
                    header.reuse_state.store(reuse::REFUSED, Relaxed);
                    return PAUSE_TICKS;
                }
            }
        }
        let line = if random & 1 == 0 { Line::First } else { Line::Last };
        let (address, bytes) = watched(line, dst, len);
        let armed = Event::open(address, bytes).and_then(|event| event.id().map(|id| (event, id)));
        let Ok((event, id)) = armed else {
            return GIVE_UP_TICKS;
        };
        self.id.store(id, Relaxed);
        self.armed_ticks.store(now, Relaxed);
        self.line.store(line as u32, Relaxed);
        self.len.store(len as u64, Relaxed);
        if event.arm().is_err() {
            return GIVE_UP_TICKS;
        }
        self.fd.store(event.into_raw_fd() + 1, Relaxed);
        LOOK_TICKS
    }

    /// Looks at the breakpoint, and returns after how many ticks to come again.
    fn look(&self, recording: &Recording, now: u64) -> u64 {
        let line = if self.line.load(Relaxed) == 0 { Line::First } else { Line::Last };
        let counted = recording.reuse_of(line, self.len.load(Relaxed) as usize);
        let fd = self.fd.load(Relaxed) - 1;
        // SAFETY: if the descriptor was closed meanwhile, the system says so.
        let event = unsafe { BorrowedFd::borrow_raw(fd) };
        if id(event) != Ok(self.id.load(Relaxed)) {
            // The program closed it, and may have another file under this number.
            self.fd.store(0, Relaxed);
            counted.lost.fetch_add(1, Relaxed);
            return PAUSE_TICKS;
        }
        match count(event) {
            Ok((0, passed_ns)) if passed_ns >= WINDOW_NS => {
                counted.not_within.fetch_add(1, Relaxed);
            }
            Ok((0, _)) if now.wrapping_sub(self.armed_ticks.load(Relaxed)) < GIVE_UP_TICKS => return LOOK_TICKS,
            Ok((0, _)) | Err(_) => {
                counted.lost.fetch_add(1, Relaxed);
            }
            Ok((_, after_ns)) => counted.add(after_ns),
        }
        self.fd.store(0, Relaxed);
        // SAFETY: it is the event that was opened here, and nothing else closes it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        PAUSE_TICKS
    }
}

/// The bytes that are watched: eight that are aligned, as the CPU wants them, inside the line and the copy; one where those have no
/// place.
fn watched(line: Line, dst: usize, len: usize) -> (usize, usize) {
    let end = dst.wrapping_add(len);
    match line {
        _ if len < 16 && matches!(line, Line::First) => (dst, 1),
        _ if len < 16 => (end.wrapping_sub(1), 1),
        Line::First => (dst.wrapping_add(7) & !7, 8),
        Line::Last => (end.wrapping_sub(8) & !7, 8),
    }
}

/// Whether accesses are counted, and the time after which they show at the earliest, in nanoseconds: the first ones take longest.
fn try_out() -> Result<(u64, u64), Errno> {
    static TRIED: AtomicU64 = AtomicU64::new(0);
    let mut least = (1, u64::MAX);
    for _ in 0..4 {
        let event = Event::open(core::ptr::from_ref(&TRIED).addr(), 8)?;
        event.arm()?;
        TRIED.fetch_add(1, Relaxed);
        let (accesses, after_ns) = count(event.0.as_fd())?;
        least = (least.0.min(accesses), least.1.min(after_ns));
    }
    Ok(least)
}

/// A breakpoint.
struct Event(OwnedFd);

/// What `perf_event_open` takes, in its second version (72 bytes).
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
    breakpoint_bytes: u64,
}

impl Event {
    /// A breakpoint for reads and writes by this thread, in user mode, which is not armed yet.
    fn open(address: usize, bytes: usize) -> Result<Self, Errno> {
        const PERF_EVENT_OPEN: usize = 298;
        const TYPE_BREAKPOINT: u32 = 5;
        const READ_OR_WRITE: u32 = 3;
        const FORMAT_TOTAL_TIME_ENABLED: u64 = 1;
        const DISABLED: u64 = 1;
        const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 3 << 5;
        const FLAG_FD_CLOEXEC: usize = 8;
        let attributes = Attributes {
            kind: TYPE_BREAKPOINT,
            size: size_of::<Attributes>() as u32,
            config: 0,
            sample_period: 1,
            sample_type: 0,
            read_format: FORMAT_TOTAL_TIME_ENABLED,
            flags: DISABLED | EXCLUDE_KERNEL_AND_HYPERVISOR,
            wakeup_events: 0,
            breakpoint_kind: READ_OR_WRITE,
            breakpoint_address: address as u64,
            breakpoint_bytes: bytes as u64,
        };
        // This thread, on any CPU, in no group.
        let arguments = [(&raw const attributes).addr(), 0, usize::MAX, usize::MAX, FLAG_FD_CLOEXEC];
        // SAFETY: the system reads the attributes, whose size they say, and makes a descriptor.
        let fd = unsafe { system::call(PERF_EVENT_OPEN, arguments) }?;
        // SAFETY: the system just made it for this call.
        let low = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        fcntl_dupfd_cloexec(&low, LOWEST_FD).map(Self)
    }

    /// Counts one access from now on, and stops.
    fn arm(&self) -> Result<(), Errno> {
        const REFRESH: u32 = opcode::none(b'$', 2);
        // SAFETY: the request takes a number.
        let refresh = unsafe { IntegerSetter::<REFRESH>::new_usize(1) };
        // SAFETY: the request changes nothing in memory.
        unsafe { ioctl(&self.0, refresh) }
    }

    fn id(&self) -> Result<u64, Errno> {
        id(self.0.as_fd())
    }

    fn into_raw_fd(self) -> i32 {
        self.0.into_raw_fd()
    }
}

/// The kernel's number of an event; an error if the descriptor is something else.
fn id(event: BorrowedFd<'_>) -> Result<u64, Errno> {
    const ID: u32 = opcode::read::<u64>(b'$', 7);
    // SAFETY: the request writes a number of 64 bits.
    let getter = unsafe { Getter::<ID, u64>::new() };
    // SAFETY: as above; other kinds of files refuse it.
    unsafe { ioctl(event, getter) }
}

/// How many accesses were counted, and for how many nanoseconds.
fn count(event: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    let mut bytes = [0; 16];
    if read(event, &mut bytes)? != bytes.len() {
        return Err(Errno::IO);
    }
    let words = u128::from_le_bytes(bytes);
    Ok((words as u64, (words >> 64) as u64))
}
