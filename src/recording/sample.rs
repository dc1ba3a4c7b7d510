//! What one sampled call adds to a recording. Any number of threads may add at once.

#![forbid(unsafe_code)]

use super::bins::{LengthBin, outlier_ticks, site_length, square_shift};
use super::kinds::{Arm, Function, Kind, Line};
use super::layout::{Recording, Reuse, SITES, Site};
use crate::select::Class;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One sampled call.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What it did.
    pub kind: Kind,
    /// What was called.
    pub function: Function,
    /// The destination's address.
    pub dst: usize,
    /// The source's address; of a fill nothing.
    pub src: usize,
    /// Its length in bytes.
    pub len: usize,
    /// The return address.
    pub site: u64,
    /// What carried it out.
    pub arm: Arm,
    /// What it took, in ticks of the time-stamp counter.
    pub ticks: u64,
}

/// How many places of the table are looked at for a call site.
const SITE_PROBES: usize = 32;

impl Recording {
    /// Adds a sampled call to everything that is sampled; the exact counts are not touched.
    pub fn add_sample(&self, sample: &Sample) {
        let site = self.add_untimed(sample);
        self.add_time(sample, site);
    }

    /// Adds what a sampled call was like, and not what it took. Returns where it came from, if there is room for that.
    pub fn add_untimed(&self, sample: &Sample) -> Option<&Site> {
        let Sample { kind, dst, src, len, .. } = *sample;
        let samples = &self.samples;
        if kind == Kind::Fill {
            samples.fill_offsets[dst % 64].add(len);
        } else {
            samples.dst_offsets[dst % 64].add(len);
            samples.src_offsets[src % 64].add(len);
            samples.distances[dst.wrapping_sub(src) % 4096].add(len);
        }
        if kind == Kind::Copy {
            let octave = (usize::BITS - len.leading_zeros()) as usize;
            samples.classes[Class::number(dst, src)][octave].add(len);
        }
        let site = self.site(sample.site);
        match site {
            Some(site) => site.add(sample),
            None => self.header.sites_missed.add(len),
        }
        site
    }

    /// Adds what a sampled call took.
    pub fn add_time(&self, sample: &Sample, site: Option<&Site>) {
        let Sample { kind, len, arm, ticks, .. } = *sample;
        let is_outlier = ticks >= outlier_ticks(len);
        let bin = LengthBin::of(len);
        let timing = &self.samples.timings[kind.group() as usize][bin.place()][arm as usize];
        if is_outlier {
            timing.outliers.fetch_add(1, Relaxed);
            timing.outlier_ticks.fetch_add(ticks, Relaxed);
        } else {
            timing.copies.fetch_add(1, Relaxed);
            timing.ticks.fetch_add(ticks, Relaxed);
            timing.squares.fetch_add((ticks >> square_shift(bin)).wrapping_pow(2), Relaxed);
        }
        match site {
            Some(site) if is_outlier => {
                site.outliers.fetch_add(1, Relaxed);
            }
            Some(site) => {
                site.timed.fetch_add(1, Relaxed);
                site.ticks.fetch_add(ticks, Relaxed);
            }
            None => {}
        }
    }

    /// The entry of a return address, made where there is none yet and a place is free.
    fn site(&self, address: u64) -> Option<&Site> {
        let home = Site::home(address);
        (0..SITE_PROBES).map(|step| &self.sites[(home + step) % SITES]).find(|site| {
            let mut found = site.address.load(Relaxed);
            if found == 0 {
                found = site.address.compare_exchange(0, address, Relaxed, Relaxed).err().unwrap_or(address);
            }
            found == address
        })
    }

    /// The counter of how soon copies of that length are accessed again.
    pub fn reuse_of(&self, line: Line, len: usize) -> &Reuse {
        let size = match len {
            0..=256 => 0,
            257..=4096 => 1,
            4097..=0x1_0000 => 2,
            _ => 3,
        };
        &self.samples.reuse[line as usize][size]
    }
}

impl Reuse {
    /// Adds an access after so many nanoseconds.
    pub fn add(&self, after_ns: u64) {
        self.after_log2_ns[after_ns.max(1).ilog2() as usize].fetch_add(1, Relaxed);
    }
}

impl Site {
    fn add(&self, sample: &Sample) {
        let calls_before = self.tally.calls.fetch_add(1, Relaxed);
        self.tally.bytes.fetch_add(sample.len as u64, Relaxed);
        let len_before = self.last_len.swap(sample.len as u64, Relaxed);
        if calls_before > 0 && len_before == sample.len as u64 {
            self.repeats.fetch_add(1, Relaxed);
        }
        self.functions.fetch_or(1 << sample.function as u32, Relaxed);
        self.lengths[site_length(sample.len)].fetch_add(1, Relaxed);
    }
}

/// Adds to a counter that this thread alone writes.
#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl super::Slot {
    /// Counts a call, in a slot that this thread alone writes.
    pub fn count(&self, kind: Kind, len: usize) {
        self.count_with(kind, len, bump);
    }

    /// Counts a call in the slot that threads share.
    pub fn count_shared(&self, kind: Kind, len: usize) {
        self.count_with(kind, len, |counter, by| {
            counter.fetch_add(by, Relaxed);
        });
    }

    #[inline]
    fn count_with(&self, kind: Kind, len: usize, add: impl Fn(&AtomicU64, u64)) {
        let counts = &self.kinds[kind as usize];
        match counts.singles.get(len) {
            Some(calls) => add(calls, 1),
            None => {
                let tally = &counts.others[LengthBin::of(len).place() - LengthBin::SINGLES];
                add(&tally.calls, 1);
                add(&tally.bytes, len as u64);
            }
        }
    }
}
