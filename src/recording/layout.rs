//! What lies where in a recording. Every word is an atomic number: any bytes at all are a valid value of these types.

#![forbid(unsafe_code)]

use super::bins::{LENGTH_BINS, LengthBin, SITE_LENGTHS};
use super::kinds::{Arm, Group, Kind};
use crate::select::Class;
use core::mem::offset_of;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// How many threads have a slot of their own. One more is shared by all others.
pub const SLOTS: usize = 128;
/// How many call sites are told apart.
pub const SITES: usize = 4096;
/// How many processes have their processor time kept, the last place included.
pub const PROCESSES: usize = 64;
/// The number of the place that is for all processes that ended.
pub const ENDED: u32 = u32::MAX;
/// The longest text of a process's mappings that is kept, in bytes.
pub const MAPS_BYTES: usize = 256 << 10;

/// Bits of [`Header::flags`].
pub mod flags {
    /// The program ended by `exit` or by returning from `main`, and its last words were written.
    pub const ENDED: u32 = 1;
    /// The installed libc's routines were found; without them both [arms](super::Arm) are memcpy-select's.
    pub const LIBC_FOUND: u32 = 2;
}

/// Values of [`Header::reuse_state`].
pub mod reuse {
    /// Nothing was tried.
    pub const UNTRIED: u32 = 0;
    /// Hardware breakpoints work here.
    pub const WORKS: u32 = 1;
    /// The system refused one: [`Header::reuse_errno`](super::Header::reuse_errno) says why.
    pub const REFUSED: u32 = 2;
    /// One was set, and an access of its address was not counted.
    pub const SILENT: u32 = 3;
}

/// The whole file.
#[repr(C)]
pub struct Recording {
    /// What the recording is of, and how it was made.
    pub header: Header,
    /// Exact counts, by thread. The last one is shared.
    pub slots: [Slot; SLOTS + 1],
    /// What a sample of the calls was like.
    pub samples: Samples,
    /// Where sampled calls came from: open addressing by [`Site::home`].
    pub sites: [Site; SITES],
    /// The process's mappings at its start, and as they were seen last.
    pub maps: [Maps; 2],
}

/// A moment on three clocks.
#[repr(C)]
pub struct Moment {
    /// Nanoseconds since 1970.
    pub realtime_ns: AtomicU64,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: AtomicU64,
    /// The time-stamp counter, in ticks.
    pub ticks: AtomicU64,
}

/// What the recording is of, and how it was made.
#[repr(C)]
pub struct Header {
    /// [`Recording::MAGIC`], written last: before, the file is not ready.
    pub magic: AtomicU64,
    /// [`Recording::VERSION`].
    pub version: AtomicU32,
    /// Bits of [`flags`].
    pub flags: AtomicU32,
    /// The length of the file in bytes.
    pub bytes: AtomicU64,
    /// The process, as it knows itself.
    pub pid: AtomicU32,
    /// Its parent at the start.
    pub parent: AtomicU32,
    /// One call in that many is sampled.
    pub period: AtomicU32,
    /// An [`Under`](super::Under).
    pub under: AtomicU32,
    /// When the recording started.
    pub start: Moment,
    /// When anything but the exact counts was written last, at most ten times a second.
    pub updated: Moment,
    /// Ticks of the time-stamp counter in a second, as the CPU says it; 0: it does not, and two moments have to do.
    pub ticks_per_second: AtomicU64,
    /// What a timed copy of nothing takes, in thousandths of a tick: part of each timed copy.
    pub empty_milliticks: AtomicU64,
    /// What recording adds to a call that is not sampled, in thousandths of a tick, as measured at the start.
    pub call_milliticks: AtomicU64,
    /// What a sampled call takes besides its copy, in thousandths of a tick: the mean so far.
    pub sample_milliticks: AtomicU64,
    /// Ticks spent before the program's own start, making this file.
    pub setup_ticks: AtomicU64,
    /// One of [`reuse`].
    pub reuse_state: AtomicU32,
    /// The system's error number, where it refused.
    pub reuse_errno: AtomicU32,
    /// What an access right after arming shows as, in nanoseconds: times below are not told apart.
    pub reuse_floor_ns: AtomicU64,
    /// How long an access was waited for at least, in nanoseconds.
    pub reuse_window_ns: AtomicU64,
    /// Calls by threads that had no slot of their own were counted in the shared one if this is not 0: how often that slot
    /// was given out.
    pub shared_slot_uses: AtomicU64,
    /// Forked processes that found no place among [`Self::processes`]: their processor time is not kept.
    pub processes_missed: AtomicU64,
    /// Forked processes that ended and gave their place to another: their processor time is in the last place, together.
    pub processes_ended: AtomicU64,
    /// Not used.
    pub reserved: [AtomicU64; 7],
    /// Sampled calls from sites that found no place in the table.
    pub sites_missed: Tally,
    /// The processor time of the process, then of those that it forked. The last place is for all that
    /// [ended](Self::processes_ended), and has the number [`ENDED`].
    pub processes: [ProcessTime; PROCESSES],
    /// The path of its program.
    pub program: PathText,
}

/// The processor time of one process.
#[repr(C)]
pub struct ProcessTime {
    /// The process; 0: none.
    pub pid: AtomicU32,
    /// Not used.
    pub reserved: AtomicU32,
    /// Its processor time (user and system, all threads) in nanoseconds, when it was written last.
    pub cpu_ns: AtomicU64,
    /// Its processor time when it started recording here.
    pub cpu_start_ns: AtomicU64,
    /// When it was written last: nanoseconds of `CLOCK_MONOTONIC`.
    pub updated_ns: AtomicU64,
}

/// A path.
#[repr(C)]
pub struct PathText {
    /// How many bytes it has.
    pub len: AtomicU64,
    /// The bytes.
    pub bytes: [AtomicU8; 4096],
}

/// What `/proc/self/maps` said.
#[repr(C)]
pub struct Maps {
    /// How many bytes it has. 0: not yet written, or being written.
    pub len: AtomicU64,
    /// 1 if there was more than [`MAPS_BYTES`].
    pub is_cut: AtomicU64,
    /// The bytes.
    pub bytes: [AtomicU8; MAPS_BYTES],
}

/// Calls, and their bytes.
#[repr(C)]
#[derive(Debug)]
pub struct Tally {
    /// How many calls.
    pub calls: AtomicU64,
    /// How many bytes.
    pub bytes: AtomicU64,
}

/// The exact counts of one thread.
#[repr(C)]
pub struct Slot {
    /// The thread that writes: process in the upper half, thread in the lower. 0: free.
    pub owner: AtomicU64,
    /// Calls until the next sample.
    pub countdown: AtomicI32,
    /// Not used.
    pub reserved: AtomicU32,
    /// The state of the slot's random numbers.
    pub random: AtomicU64,
    /// Calls until the next sample in the shared slot, whose [`countdown`](Self::countdown) is always 0.
    pub shared_countdown: AtomicI32,
    /// Not used.
    pub reserved_too: [AtomicU32; 11],
    /// Calls and bytes of each [`Kind`].
    pub kinds: [Counts; Kind::ALL.len()],
}

/// Calls and bytes by length.
#[repr(C)]
pub struct Counts {
    /// Calls of each length that has a bin of its own.
    pub singles: [AtomicU64; LengthBin::SINGLES],
    /// Calls and bytes of the other bins.
    pub others: [Tally; LENGTH_BINS - LengthBin::SINGLES],
}

impl Counts {
    /// Calls and bytes of a bin.
    pub fn in_bin(&self, bin: LengthBin) -> (u64, u64) {
        match self.singles.get(bin.place()) {
            Some(calls) => {
                let calls = calls.load(Relaxed);
                (calls, calls.wrapping_mul(bin.place() as u64))
            }
            None => self.others[bin.place() - LengthBin::SINGLES].load(),
        }
    }
}

/// What a sample of the calls was like. Unsampled calls are in none of these.
#[repr(C)]
pub struct Samples {
    /// By the destination's address modulo 64, for all but fills.
    pub dst_offsets: [Tally; 64],
    /// By the source's address modulo 64.
    pub src_offsets: [Tally; 64],
    /// By the destination's address modulo 64, for fills.
    pub fill_offsets: [Tally; 64],
    /// By (destination − source) modulo 4096.
    pub distances: [Tally; 4096],
    /// Copies that do not overlap, by [`Class`] (its place in [`Class::ALL`]) and octave of the length: 0, then 1, then 2 to
    /// 3, then 4 to 7.
    pub classes: [[Tally; 65]; Class::ALL.len()],
    /// Timed copies by [`Group`], length and [`Arm`].
    pub timings: [[[Timing; Arm::ALL.len()]; LENGTH_BINS]; Group::ALL.len()],
    /// How soon a copy is read again, by [`Line`](super::Line) and the length of the copy: up to 256 bytes, 4 KiB, 64 KiB, more.
    pub reuse: [[Reuse; 4]; 2],
}

/// How long copies took.
#[repr(C)]
pub struct Timing {
    /// How many copies.
    pub copies: AtomicU64,
    /// Their ticks, the [empty pair's](Header::empty_milliticks) included.
    pub ticks: AtomicU64,
    /// The sum of the squares of their ticks, each shifted right by [`square_shift`](super::square_shift) before.
    pub squares: AtomicU64,
    /// Copies that took [so long](super::outlier_ticks) that something else ran meanwhile; not in the above.
    pub outliers: AtomicU64,
    /// The ticks of those.
    pub outlier_ticks: AtomicU64,
}

/// How soon the copy is accessed again.
#[repr(C)]
pub struct Reuse {
    /// Accessed after 2 to the power of the place nanoseconds up to twice that.
    pub after_log2_ns: [AtomicU64; 64],
    /// Not accessed while it was watched.
    pub not_within: AtomicU64,
    /// Not known: the breakpoint was taken away.
    pub lost: AtomicU64,
}

/// Sampled calls from one place.
#[repr(C)]
pub struct Site {
    /// The return address. 0: free.
    pub address: AtomicU64,
    /// Sampled calls and their bytes.
    pub tally: Tally,
    /// How many had the length of the sampled call before.
    pub repeats: AtomicU64,
    /// The length of the last one, in bytes.
    pub last_len: AtomicU64,
    /// The ticks of those that were no outliers, the [empty pair's](Header::empty_milliticks) included.
    pub ticks: AtomicU64,
    /// Bit `n`: the `n`th [`Function`](super::Function) was called.
    pub functions: AtomicU32,
    /// How many were outliers.
    pub outliers: AtomicU32,
    /// How many were timed and no outliers: those whose ticks these are.
    pub timed: AtomicU32,
    /// Not used.
    pub reserved: AtomicU32,
    /// Calls by length: [`site_length`](super::site_length).
    pub lengths: [AtomicU32; SITE_LENGTHS],
}

impl Site {
    /// Where the search for a return address starts.
    #[inline]
    pub const fn home(address: u64) -> usize {
        (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize
    }
}

const _: () = assert!(SITES == 1 << 12, "`Site::home` gives twelve bits");
/// No line is written by two threads because their slots meet in it: a mapping starts with a page.
const _: () = assert!(offset_of!(Recording, slots).is_multiple_of(64) && size_of::<Slot>().is_multiple_of(64));
/// Without bytes between its parts, any words are a valid value.
const _: () = assert!(
    size_of::<Recording>()
        == size_of::<Header>()
            + (SLOTS + 1) * size_of::<Slot>()
            + size_of::<Samples>()
            + SITES * size_of::<Site>()
            + 2 * size_of::<Maps>()
);

impl Tally {
    /// Adds one call.
    #[inline]
    pub fn add(&self, bytes: usize) {
        self.calls.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Calls and bytes.
    pub fn load(&self) -> (u64, u64) {
        (self.calls.load(Relaxed), self.bytes.load(Relaxed))
    }
}

impl PathText {
    /// The bytes, as many as there are.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        text(&self.len, &self.bytes)
    }
}

impl Maps {
    /// The bytes, as many as there are.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        text(&self.len, &self.bytes)
    }
}

fn text<'a>(len: &AtomicU64, bytes: &'a [AtomicU8]) -> impl Iterator<Item = u8> + 'a {
    let len = usize::try_from(len.load(Relaxed)).unwrap_or(usize::MAX);
    bytes.iter().take(len).map(|byte| byte.load(Relaxed))
}
