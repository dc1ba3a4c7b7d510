//! What is kept now and then, at sampled calls: processor time, the last update, the process's mappings.

use crate::slots::is_dead;
use crate::{clock, start};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use memcpy_select::recording::{ENDED, PROCESSES, ProcessTime, Recording};
use rustix::process::getpid;

/// The longest time between two updates: a twentieth to a tenth of a second with counters of 2.5 to 5 GHz.
const UPDATE_TICKS: u64 = 1 << 28;
/// Mappings are read again after some seconds at the earliest.
const MAPS_TICKS: u64 = 1 << 32;

/// What a process knows of itself; empty after a fork.
#[repr(C)]
pub(crate) struct Process {
    /// Entries of the table in use.
    pub(crate) entries: AtomicU32,
    /// 1 + the place among the recording's processes; `PROCESSES` + 1: none was free. 0: not noticed yet.
    place: AtomicU32,
    start_ticks: AtomicU64,
    updated_ticks: AtomicU64,
    maps_ticks: AtomicU64,
    samples: AtomicU64,
    sampling_ticks: AtomicU64,
}

impl Process {
    /// Makes the process known to the recording, once.
    pub(crate) fn notice(&self, recording: &Recording) {
        if self.place.load(Relaxed) != 0 {
            return;
        }
        let now = clock::ticks();
        self.start_ticks.store(now, Relaxed);
        self.updated_ticks.store(now, Relaxed);
        let pid = getpid().as_raw_nonzero().get().cast_unsigned();
        let header = &recording.header;
        let (places, ended) = header.processes.split_at(PROCESSES - 1);
        let take = |process: &ProcessTime, from| process.pid.compare_exchange(from, pid, Relaxed, Relaxed).is_ok();
        let place = places.iter().position(|process| take(process, 0)).or_else(|| {
            let place = places.iter().position(|process| {
                let from = process.pid.load(Relaxed);
                is_dead(from) && take(process, from)
            })?;
            header.processes_ended.fetch_add(1, Relaxed);
            for all in ended {
                let cpu_ns = places[place].cpu_ns.load(Relaxed);
                all.cpu_ns.fetch_add(cpu_ns.saturating_sub(places[place].cpu_start_ns.load(Relaxed)), Relaxed);
                all.pid.store(ENDED, Relaxed);
            }
            Some(place)
        });
        if self.place.compare_exchange(0, place.unwrap_or(PROCESSES) as u32 + 1, Relaxed, Relaxed).is_err() {
            // Another thread of the process was faster: the place is left empty.
            if let Some(place) = place {
                header.processes[place].pid.store(0, Relaxed);
            }
            return;
        }
        match place {
            Some(place) => {
                let process = &header.processes[place];
                process.cpu_start_ns.store(clock::cpu_ns(), Relaxed);
                self.update(recording);
            }
            None => {
                header.processes_missed.fetch_add(1, Relaxed);
            }
        }
    }

    /// After a sampled call that ended at `now` and took `sampling_ticks` besides its copy.
    pub(crate) fn sampled(&self, recording: &Recording, now: u64, sampling_ticks: u64) {
        self.samples.fetch_add(1, Relaxed);
        // An interrupt is no cost of recording.
        self.sampling_ticks.fetch_add(sampling_ticks.min(40_000), Relaxed);
        let updated = self.updated_ticks.load(Relaxed);
        let since_update = now.wrapping_sub(updated).cast_signed();
        // Soon at first: a short program has its time kept, too.
        let since_start = now.wrapping_sub(self.start_ticks.load(Relaxed));
        if since_update < (since_start / 8).clamp(1 << 20, UPDATE_TICKS).cast_signed() {
            return;
        }
        if self.updated_ticks.compare_exchange(updated, now, Relaxed, Relaxed).is_err() {
            return;
        }
        self.update(recording);
        let maps = self.maps_ticks.load(Relaxed);
        if place_is_first(&self.place)
            && now.wrapping_sub(maps) >= MAPS_TICKS
            && since_start >= MAPS_TICKS
            && self.maps_ticks.compare_exchange(maps, now, Relaxed, Relaxed).is_ok()
        {
            start::keep_maps(&recording.maps[1]);
        }
    }

    /// Writes what the clocks say.
    pub(crate) fn update(&self, recording: &Recording) {
        let header = &recording.header;
        let place = self.place.load(Relaxed) as usize;
        if let Some(process) = place.checked_sub(1).and_then(|place| header.processes.get(place)) {
            process.cpu_ns.store(clock::cpu_ns(), Relaxed);
            process.updated_ns.store(clock::ns(clock::Clock::Monotonic), Relaxed);
        }
        clock::write(&header.updated);
        let samples = self.samples.load(Relaxed);
        if samples > 0 && place == 1 {
            let milliticks = self.sampling_ticks.load(Relaxed).wrapping_mul(1000) / samples;
            header.sample_milliticks.store(milliticks, Relaxed);
        }
    }
}

/// Whether the process is the one that made the recording, whose mappings the file has.
fn place_is_first(place: &AtomicU32) -> bool {
    place.load(Relaxed) == 1
}
