//! Where kernels are timed against each other, and one timing of one kernel there.

use super::super::class::Class;
use super::super::ways::{Pairs, Walk, read_all};
use super::CALIBRATE_MAX_BYTES;
use crate::kernel::{CopyFn, Kernel, ReadyKernel, Stores};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;
use std::vec::Vec;

/// How a program uses the memory around a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The same copy again and again.
    Steady,
    /// Before each copy other code writes the destination and reads the source.
    Used,
    /// As used, and the time until every byte of the copy has been read counts.
    Read,
    /// Other memory each time, far from what was copied last.
    Cold,
}

impl Way {
    /// How much it counts: as in [records](crate::lab::record), programs use the memory that they copy to and read their copies.
    const fn weight(self) -> f64 {
        match self {
            Self::Used | Self::Read => 2.0,
            Self::Steady | Self::Cold => 1.0,
        }
    }
}

/// One length at one place, used in one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) len_bytes: usize,
    /// Destination and source offsets in their pages.
    pub(super) place: (usize, usize),
    pub(super) way: Way,
    pub(super) weight: f64,
}

/// Both as `malloc` gives short blocks; both at page + 16, as it gives large ones; the first, but alike in their lines; both on
/// a line; the destination some bytes further in its page than the source.
const PLACES: [(usize, usize); 5] = [(16, 2048 + 48), (16, 16), (32, 2048 + 96), (0, 2048), (113, 80)];
/// The longest copy that all kernels are timed at.
const LONGEST_SHORT_BYTES: usize = 1 << 20;
/// The longest copy that is timed: source and destination with their offsets stay within the limit.
const MAX_LEN_BYTES: usize = 16 << 20;
/// Room for a page's alignment, an offset in a page, and the line behind a pair.
const MARGIN_BYTES: usize = 3 * 4096;
/// Copies from here to here are timed on cold memory too: shorter ones differ by what they do to the store queue, longer ones
/// are nearly as cold in the other ways.
const COLD_BYTES: core::ops::RangeInclusive<usize> = 256..=32 << 10;

impl Spot {
    /// All of them, shortest first: powers of two, and the middles between them where plans change kernels most. The longer
    /// the copy, the fewer the spots: a visit must not take long.
    pub(super) fn all() -> Vec<Self> {
        let powers = (6..=20).map(|power| 1_usize << power);
        let mut lengths: Vec<usize> = powers.flat_map(|bytes| [bytes, bytes + bytes / 2]).collect();
        lengths.retain(|bytes| *bytes > super::super::INLINE_MAX_BYTES);
        lengths.retain(|bytes| *bytes <= 64 << 10 || bytes.is_power_of_two());
        lengths.extend([4 << 20, MAX_LEN_BYTES]);
        lengths.into_iter().flat_map(Self::of_length).collect()
    }

    fn of_length(len_bytes: usize) -> Vec<Self> {
        // Beyond the caches nothing is left of what other code did: the loop tells no more.
        let (places, ways) = match len_bytes {
            0..=0x1_0000 => (5, &[Way::Steady, Way::Used, Way::Read, Way::Cold][..]),
            0x1_0001..=0x4_0000 => (2, &[Way::Steady, Way::Used, Way::Read][..]),
            0x4_0001..=LONGEST_SHORT_BYTES => (1, &[Way::Steady, Way::Used, Way::Read][..]),
            _ => (1, &[Way::Read][..]),
        };
        // Large blocks of `malloc` both stand at page + 16.
        let places = if places == 1 { &PLACES[1..2] } else { &PLACES[..places] };
        let is_timed =
            |way: &&Way| **way != Way::Cold || COLD_BYTES.contains(&len_bytes) && len_bytes.is_power_of_two();
        ways.iter()
            .filter(is_timed)
            .flat_map(|way| {
                let places = if *way == Way::Cold { &PLACES[..1] } else { places };
                let weight = way.weight() / places.len() as f64;
                places.iter().map(move |place| Self { len_bytes, place: *place, way: *way, weight })
            })
            .collect()
    }

    /// Whether a copy takes so long that only the promising kernels are timed.
    pub(super) const fn is_long(&self) -> bool {
        self.len_bytes > LONGEST_SHORT_BYTES
    }

    /// The class of its copies. Where they are spread over memory, no place in the page is the destination's.
    pub(super) fn class(&self) -> Class {
        Class::of(self.place.0, self.place.1)
    }
}

/// How long the copies of one timing take together, about.
const BURST_NS: f64 = 2_500.0;
/// Non-temporal stores are not tried below: a copy costs ten times as much and more, and leaves the next a cold destination.
const NON_TEMPORAL_FROM_BYTES: usize = 256 << 10;

/// Whether a kernel has a chance at a length.
pub(super) fn is_worth_trying(kernel: &Kernel, len_bytes: usize) -> bool {
    kernel.stores() != Stores::NonTemporal || len_bytes >= NON_TEMPORAL_FROM_BYTES
}

/// The buffers.
pub(super) struct Buffers {
    dst: Vec<u8>,
    src: Vec<u8>,
    /// Where the cold copies of each length have come to: each goes on where the last one stopped.
    walks: BTreeMap<usize, Walk>,
    /// What reading the clock costs.
    clock_ns: f64,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let bytes = MAX_LEN_BYTES + MARGIN_BYTES;
        const { assert!(2 * (MAX_LEN_BYTES + MARGIN_BYTES) <= CALIBRATE_MAX_BYTES) };
        let clock_ns = (0..64).map(|_| Instant::now().elapsed().as_nanos()).min().unwrap_or(0) as f64;
        // Zeroed pages of the source are one and the same page of the system's: it is written, to be memory of its own.
        Self { dst: std::vec![0; bytes], src: std::vec![1; bytes], walks: BTreeMap::new(), clock_ns }
    }

    /// Nanoseconds of one copy by a kernel, from as many as are worth a timing at what one usually took.
    pub(super) fn time(&mut self, kernel: ReadyKernel, spot: &Spot, usual_ns: Option<f64>) -> f64 {
        let len = spot.len_bytes;
        // Not known yet: about what most copies take.
        let usual_ns = usual_ns.unwrap_or(10.0 + len as f64 / 8.0);
        let iterations = (BURST_NS / usual_ns.max(1.0)).clamp(1.0, 512.0) as usize;
        let start = |range: &[u8]| range.as_ptr().addr().next_multiple_of(4096) - range.as_ptr().addr();
        let (dst_at, src_at) = (start(&self.dst) + spot.place.0, start(&self.src) + spot.place.1);
        let (dst, src) = (&mut self.dst[dst_at..], &self.src[src_at..]);
        let room = MAX_LEN_BYTES;
        let (dst, src) = (dst.as_mut_ptr(), src.as_ptr());
        let copies = Copies { entry: kernel.kernel().entry(), dst, src, len };
        let total_ns = match spot.way {
            Way::Steady => {
                // What the one before left out of the caches is not this one's doing.
                // SAFETY: both ranges have room for the longest length at every place, and are two buffers.
                unsafe {
                    copies.time(1 + iterations / 32, |_| (0, 0));
                    copies.time(iterations, |_| (0, 0))
                }
            }
            Way::Used | Way::Read => {
                let pairs = Pairs::new(len, room);
                let at_pair = |pair| (pairs.offset(pair), pairs.offset(pair));
                let mut left = iterations;
                let mut total_ns = 0.0;
                while left > 0 {
                    let count = left.min(pairs.count);
                    // SAFETY: every pair lies in the ranges, with room for the length.
                    let passed_ns = unsafe {
                        pairs.used_by_others(count, dst, src);
                        match spot.way {
                            Way::Read => copies.time_and_read(count, at_pair),
                            _ => copies.time(count, at_pair),
                        }
                    };
                    total_ns += passed_ns - self.clock_ns;
                    left -= count;
                }
                total_ns
            }
            Way::Cold => {
                let walk = self.walks.entry(len).or_insert_with(|| Walk::new(len, room));
                let offsets: Vec<(usize, usize)> = (0..iterations).map(|_| walk.next()).collect();
                // SAFETY: every slot lies in the ranges.
                unsafe { copies.time(iterations, |at| offsets[at]) }
            }
        };
        (total_ns / iterations as f64).max(0.1)
    }
}

/// Copies of one length, at offsets from two places.
#[derive(Clone, Copy)]
struct Copies {
    entry: CopyFn,
    dst: *mut u8,
    src: *const u8,
    len: usize,
}

impl Copies {
    /// # Safety
    ///
    /// The destination is valid for writes and the source for reads of the length at each offset, and the two are apart.
    /// The entry point can run here.
    unsafe fn time(self, count: usize, offset: impl Fn(usize) -> (usize, usize)) -> f64 {
        let start = Instant::now();
        for at in 0..count {
            // SAFETY: the caller's.
            unsafe { self.copy(offset(at)) };
        }
        start.elapsed().as_nanos() as f64
    }

    /// # Safety
    ///
    /// As for [`time`](Self::time).
    unsafe fn time_and_read(self, count: usize, offset: impl Fn(usize) -> (usize, usize)) -> f64 {
        let start = Instant::now();
        for at in 0..count {
            // SAFETY: the caller's.
            let dst = unsafe { self.copy(offset(at)) };
            // SAFETY: the length is that of the copy that was just made there.
            unsafe { read_all(dst, self.len) };
        }
        start.elapsed().as_nanos() as f64
    }

    /// # Safety
    ///
    /// As for [`time`](Self::time).
    #[inline(always)]
    unsafe fn copy(self, offset: (usize, usize)) -> *const u8 {
        let (dst, src) = (black_box(self.dst.wrapping_add(offset.0)), black_box(self.src.wrapping_add(offset.1)));
        // SAFETY: the caller's.
        unsafe { (self.entry)(dst, src, self.len) };
        dst
    }
}
