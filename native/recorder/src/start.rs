//! The start, when the library is loaded, and the end.

use crate::environment::Asked;
use crate::say::{Refusal, decimal};
use crate::slots::{self, Private};
use crate::{clock, entry, routines};
use core::ptr;
use core::sync::atomic::Ordering::{Relaxed, Release};
use memcpy_select::interpose;
use memcpy_select::recording::{Arm, Maps, Recording, Under, flags, reuse};
use memcpy_select_startup::environment::{PathBuffer, fill, open_file};
use memcpy_select_startup::plan;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstatfs, ftruncate, open, readlinkat_raw};
use rustix::io::{Errno, fcntl_getfd};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous};
use rustix::process::{Resource, getpid, getppid, getrlimit};

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

const FILE_BYTES: usize = size_of::<Recording>();
/// A file is made where that many of its size are free: what has no memory behind it would end the program.
const FREE_FILES: u64 = 16;

/// Makes the recording, and from then on calls are counted; or says why not.
extern "C" fn start() {
    let started = clock::ticks();
    // SAFETY: number 2 is not closed by anything here, and whether it is open is asked first.
    let stderr = unsafe { BorrowedFd::borrow_raw(2) };
    let may_say = fcntl_getfd(stderr).is_ok();
    if let Err(refusal) = record(started)
        && may_say
    {
        refusal.say(stderr);
    }
}

fn record(started: u64) -> Result<(), Refusal> {
    let found = routines::find();
    let asked = Asked::read()?;
    let recording = make(asked.folder)?;
    let private = private()?;
    let header = &recording.header;
    header.pid.store(getpid().as_raw_nonzero().get().cast_unsigned(), Relaxed);
    header.parent.store(getppid().map_or(0, |parent| parent.as_raw_nonzero().get().cast_unsigned()), Relaxed);
    header.period.store(asked.period, Relaxed);
    header.under.store(asked.under as u32, Relaxed);
    header.flags.store(if found { flags::LIBC_FOUND } else { 0 }, Relaxed);
    header.ticks_per_second.store(clock::ticks_per_second(), Relaxed);
    header.empty_milliticks.store(empty_milliticks(), Relaxed);
    clock::write(&header.start);
    clock::write(&header.updated);
    if is_filtered() {
        header.reuse_errno.store(Errno::PERM.raw_os_error().unsigned_abs(), Relaxed);
        header.reuse_state.store(reuse::REFUSED, Relaxed);
    }
    keep_program(recording);
    keep_maps(&recording.maps[0]);
    // Before any call is counted: what decides on a plan copies.
    interpose::start_with(plan::install);
    let is_plan_first = started & 1 << 4 != 0;
    routines::set_arm(match asked.under {
        Under::Plan => Arm::Plan,
        Under::Both if is_plan_first => Arm::Plan,
        Under::Both | Under::Libc => Arm::Libc,
    });
    slots::begin(recording, private);
    header.call_milliticks.store(call_milliticks(private), Relaxed);
    private.process.notice(recording);
    header.setup_ticks.store(clock::ticks().wrapping_sub(started), Relaxed);
    recording.publish();
    Ok(())
}

/// The program calls `exit`, or returns from `main`.
extern "C" fn end() {
    let (Some(recording), Some(private)) = (slots::recording(), slots::private()) else {
        return;
    };
    private.process.update(recording);
    let header = &recording.header;
    if header.pid.load(Relaxed) == getpid().as_raw_nonzero().get().cast_unsigned() {
        keep_maps(&recording.maps[1]);
        header.flags.fetch_or(flags::ENDED, Relaxed);
    }
}

/// The file: `<process>-<nanoseconds since 1970>.recording`.
fn make(mut path: PathBuffer) -> Result<&'static Recording, Refusal> {
    let no_file = Refusal::new(
        "no file can be made in the folder that MEMCPY_SELECT_RECORDING names",
        "name one that this user may write",
    );
    let (mut pid, mut time) = ([0; 20], [0; 20]);
    let pid = decimal(u64::from(getpid().as_raw_nonzero().get().cast_unsigned()), &mut pid);
    let time = decimal(clock::ns(clock::Clock::Realtime), &mut time);
    let parts = [b"/", pid.as_bytes(), b"-", time.as_bytes(), b".recording"];
    let is_short = parts.into_iter().all(|part| path.push(part).is_some());
    let path = path.as_c_str().filter(|_| is_short).ok_or(no_file)?;
    let limit = getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|bytes| bytes < FILE_BYTES as u64) {
        return Err(Refusal::new(
            "files may not be as long as a recording",
            "raise the limit of file sizes (ulimit -f)",
        ));
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| no_file.because(error))?;
    let result = reserve(&file).and_then(|()| map(&file));
    if result.is_err() {
        // An empty file tells less than none.
        let _ = rustix::fs::unlink(path);
    }
    result
}

fn reserve(file: &OwnedFd) -> Result<(), Refusal> {
    let no_room = Refusal::new("there is no room for a recording", "free memory or disk space where the folder is");
    let system = fstatfs(file).map_err(|error| no_room.because(error))?;
    let free_bytes = system.f_bavail.saturating_mul(system.f_bsize.cast_unsigned());
    // Some file systems do not know how much they have.
    if system.f_blocks > 0 && free_bytes < FREE_FILES * FILE_BYTES as u64 {
        return Err(no_room);
    }
    ftruncate(file, FILE_BYTES as u64).map_err(|error| no_room.because(error))
}

fn map(file: &OwnedFd) -> Result<&'static Recording, Refusal> {
    // SAFETY: a new mapping, at a place that the system chooses.
    let mapping = unsafe {
        mmap(ptr::null_mut(), FILE_BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file.as_fd(), 0)
    };
    let mapping = mapping.map_err(|error| no_memory().because(error))?;
    // SAFETY: the mapping has the length of the type, starts with a page and is never taken away; all of it are atomic numbers,
    // for which zeros are valid, and others may write the file.
    Ok(unsafe { &*mapping.cast::<Recording>() })
}

/// Memory that forked children find empty.
fn private() -> Result<&'static Private, Refusal> {
    let bytes = size_of::<Private>();
    // SAFETY: a new mapping, at a place that the system chooses.
    let mapping =
        unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
    let mapping = mapping.map_err(|error| no_memory().because(error))?;
    // SAFETY: the mapping was just made, and nothing uses it yet.
    unsafe { madvise(mapping, bytes, Advice::LinuxWipeOnFork) }.map_err(|error| {
        Refusal::new("memory cannot be wiped in children (MADV_WIPEONFORK)", "Linux 4.14 is needed").because(error)
    })?;
    // SAFETY: the mapping has the length of the type, starts with a page and is never taken away; all of it are atomic numbers,
    // for which zeros are valid.
    Ok(unsafe { &*mapping.cast::<Private>() })
}

const fn no_memory() -> Refusal {
    Refusal::new("there is no memory for a recording", "raise the limit of address space")
}

/// Whether system calls are filtered (seccomp): a call that few programs make, as that for breakpoints, could end this one.
fn is_filtered() -> bool {
    const NONE: &[u8] = b"\nSeccomp:\t0\n";
    let mut status = [0; 4096];
    let len = open_file(c"/proc/self/status").and_then(|file| fill(&file, &mut status)).unwrap_or(0);
    !status[..len].windows(NONE.len()).any(|line| line == NONE)
}

/// The path of the program.
fn keep_program(recording: &Recording) {
    let program = &recording.header.program;
    let mut path = [core::mem::MaybeUninit::uninit(); 4096];
    let Ok((path, _)) = readlinkat_raw(CWD, c"/proc/self/exe", &mut path[..]) else {
        return;
    };
    for (place, byte) in program.bytes.iter().zip(path.iter()) {
        place.store(*byte, Relaxed);
    }
    program.len.store(path.len() as u64, Relaxed);
}

/// Reads `/proc/self/maps`; keeps what was there where it cannot be read.
pub(crate) fn keep_maps(maps: &Maps) {
    let Ok(file) = open_file(c"/proc/self/maps") else {
        return;
    };
    maps.len.store(0, Relaxed);
    // SAFETY: the bytes are atomic ones that only this thread writes now, in memory that may be written.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(maps.bytes.as_ptr().cast::<u8>().cast_mut(), maps.bytes.len()) };
    let len = fill(&file, bytes).unwrap_or(0);
    maps.is_cut.store(u64::from(len == maps.bytes.len()), Relaxed);
    maps.len.store(len as u64, Release);
}

/// What timing nothing takes: the mean over many, without those that something came between.
fn empty_milliticks() -> u64 {
    unsafe extern "sysv64" fn nothing(dst: *mut u8, _: *const u8, _: usize) -> *mut u8 {
        dst
    }
    let nothing = core::hint::black_box(nothing as routines::Routine);
    let (mut sum, mut count) = (0_u64, 0);
    for _ in 0..512 {
        let start = clock::ticks();
        // SAFETY: it does nothing.
        unsafe { nothing(ptr::null_mut(), ptr::null(), 0) };
        let ticks = clock::ticks().wrapping_sub(start);
        if ticks < 1000 {
            sum += ticks;
            count += 1;
        }
    }
    (sum * 1000).checked_div(count).unwrap_or(0)
}

/// What counting adds to a call of 16 bytes: the least of a few turns, in a slot that belongs to no thread.
fn call_milliticks(private: &Private) -> u64 {
    const CALLS: u64 = 256;
    let under = routines::under(memcpy_select::recording::Function::Memcpy);
    let entry = private.lend(slots::scratch());
    let (mut with, mut without) = (u64::MAX, u64::MAX);
    for _ in 0..8 {
        with = with.min(copies(CALLS, entry::memcpy));
        without = without.min(copies(CALLS, under));
    }
    entry.key.store(0, Relaxed);
    with.saturating_sub(without) * 1000 / CALLS
}

/// The ticks of that many copies.
fn copies(calls: u64, routine: routines::Routine) -> u64 {
    let routine = core::hint::black_box(routine);
    let (src, mut dst) = ([0_u8; 16], [0_u8; 16]);
    let start = clock::ticks();
    for _ in 0..calls {
        // SAFETY: both have 16 bytes.
        unsafe { routine(dst.as_mut_ptr(), src.as_ptr(), 16) };
    }
    let _ = core::hint::black_box(&dst);
    clock::ticks().wrapping_sub(start)
}
