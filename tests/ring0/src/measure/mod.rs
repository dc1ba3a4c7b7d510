//! Figures that only ring 0 can measure, as lines on the serial port.
//!
//! Each row's samples are taken in turns with those of all others, with interrupts off, in ticks of the time-stamp counter; each
//! holds what timing nothing takes, which is the row `empty`.

mod jobs;
mod verdict;
mod ways;

use crate::machine::Single;
use crate::machine::registers::tsc;
use crate::say;
use jobs::{Bench, Job};
use memcpy_select::cpu::Cpu;

const VERSION: u32 = 1;
const MOST_SAMPLES: usize = 2001;
/// Where instructions are emulated, there are fewer: for so long they are taken.
const LONGEST_TICKS: u64 = 6_000_000_000;
/// The first turns fill caches.
const WARM_UP: usize = 8;
const MOST_ROWS: usize = 128;

static SAMPLES: Single<[[u32; MOST_SAMPLES]; MOST_ROWS]> = Single::new([[0; MOST_SAMPLES]; MOST_ROWS]);

pub fn run() {
    let cpu = Cpu::detect();
    let bench = Bench::new(&cpu);
    // SAFETY: this function runs once.
    let samples = unsafe { SAMPLES.get() };
    for job in (0..WARM_UP).flat_map(|_| bench.jobs()) {
        bench.sample(&job);
    }
    let (start, mut rounds) = (tsc(), 0);
    while rounds < MOST_SAMPLES && (rounds == 0 || tsc() - start < LONGEST_TICKS) {
        for (job, samples) in bench.jobs().zip(samples.iter_mut()) {
            samples[rounds] = bench.sample(&job).try_into().unwrap_or(u32::MAX);
        }
        rounds += 1;
    }
    samples.iter_mut().for_each(|samples| samples[..rounds].sort_unstable());
    let empty = samples[0][rounds / 2];
    let rows = || bench.jobs().zip(samples.iter());

    say!("memcpy-select ring0 {VERSION}");
    say!("cpu {}", cpu.signature);
    match cpu.signature.hypervisor() {
        None => say!("machine bare"),
        Some("KVMKVMKVM") => say!("machine kvm"),
        Some("TCGTCGTCGTCG") => say!("machine tcg"),
        Some(other) => say!("machine {other}"),
    }
    let medians = rows().map(|(job, samples)| (job, samples[rounds / 2].saturating_sub(empty) / job.repetitions()));
    match verdict::not_real(&cpu, medians) {
        None => say!("real yes"),
        Some(why) => say!("real no: {why}"),
    }
    say!("tsc_hz {}", verdict::tsc_hz());
    for (job, samples) in rows() {
        let at = |percent: usize| Tenths::of(samples[(rounds - 1) * percent / 100], empty, job.repetitions());
        say!("row {job} cycles {} {} {} {rounds}", at(50), at(5), at(95));
    }
    say!("end");
}

/// A tick is a tenth of what this counts.
struct Tenths(u64);

impl Tenths {
    /// One repetition of a sample that holds `repetitions`, with what timing nothing takes added once.
    fn of(ticks: u32, empty: u32, repetitions: u32) -> Self {
        let one = u64::from(ticks.saturating_sub(empty)) * 10 / u64::from(repetitions);
        Self(if repetitions == 1 { u64::from(ticks) * 10 } else { one + u64::from(empty) * 10 })
    }
}

impl core::fmt::Display for Tenths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// For [`jobs`]: the kind of a row.
impl Job {
    /// How often a sample repeats what it times.
    fn repetitions(&self) -> u32 {
        match self {
            Self::Copy { .. } => jobs::TURNS,
            Self::Fault => jobs::FAULTS_A_COPY,
            _ => 1,
        }
    }
}
