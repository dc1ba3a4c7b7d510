//! Parts of the transport by themselves, in one process: what a block costs, what checking a chain costs, what a set of
//! many semaphores costs more than one, and what a server takes that has nothing to do. Whole paths are measured beside
//! them, between two processes.

mod blocks;
mod figures;
mod idle;
mod sets;

pub use figures::{PartFigure, part_figures};

use crate::lab::instruments::affinity::{CpuPair, pin_to};
use crate::lab::instruments::effort::Effort;
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Instant;

/// What was measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A block is allocated and given back.
    Block,
    /// A chain that came from the other side is walked and checked, a turn an entry.
    ChainEntry,
    /// `wait_set_any` finds the one member that was posted.
    WaitSetAny,
    /// A server with one client that asks for nothing waits.
    Idle,
}

impl Part {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::ChainEntry => "chain_entry",
            Self::WaitSetAny => "wait_set_any",
            Self::Idle => "idle",
        }
    }
}

/// One round of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSample {
    /// Which part.
    pub part: Part,
    /// In which variant.
    pub subject: String,
    /// How many there are of what the part is about: blocks held at once, entries of a chain, members of a set.
    pub members: u32,
    /// The length of a block in bytes, where there are blocks; otherwise 0.
    pub bytes: u32,
    /// In which round.
    pub round: u32,
    /// How often it was done.
    pub turns: u64,
    /// Time of all turns together, in nanoseconds.
    pub total_ns: u64,
    /// Processor time that the thread used for them, in nanoseconds.
    pub cpu_ns: u64,
}

/// A part that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRefusal {
    /// Which part.
    pub part: Part,
    /// Why.
    pub reason: String,
}

impl fmt::Display for PartRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part.name(), self.reason)
    }
}

/// What one round of a part is made with.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u32,
    /// Logical CPUs for the thread that is timed, and for another that it works with.
    cpus: CpuPair,
}

impl Round {
    /// A sample of `turns` turns of what `work` does; nothing is kept of work that failed.
    fn time<E: fmt::Display>(
        self,
        (part, subject): (Part, &str),
        (members, bytes): (u32, u32),
        turns: u64,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<PartSample, String> {
        let (start, cpu_start) = (Instant::now(), thread_cpu_ns());
        work().map_err(|error| error.to_string())?;
        let (cpu_ns, total_ns) = (thread_cpu_ns() - cpu_start, start.elapsed().as_nanos() as u64);
        let subject = subject.to_owned();
        Ok(PartSample { part, subject, members, bytes, round: self.number, turns, total_ns, cpu_ns })
    }
}

/// Processor time of this thread so far.
fn thread_cpu_ns() -> u64 {
    let cpu = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    cpu.tv_sec.unsigned_abs() * 1_000_000_000 + cpu.tv_nsec.unsigned_abs()
}

/// Keeps this thread on one logical CPU; where the system refuses, it runs anywhere, which the rounds' spread shows.
fn pin(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let _ = pin_to(cpu);
    }
}

/// Measures all parts in turn, round by round, in a thread of their own; what one part cannot do leaves the others.
pub fn measure_parts(cpus: CpuPair, effort: Effort) -> (Vec<PartSample>, Vec<PartRefusal>) {
    let rounds = match effort {
        Effort::Quick => 5,
        Effort::Default => 9,
        Effort::Full => 25,
    };
    let measure = move || {
        pin(cpus.near);
        let (mut samples, mut refusals) = (Vec::new(), Vec::new());
        let mut take = |part, taken: Result<Vec<PartSample>, String>| match taken {
            Ok(taken) => samples.extend(taken),
            Err(reason) => {
                let refusal = PartRefusal { part, reason };
                if !refusals.contains(&refusal) {
                    refusals.push(refusal);
                }
            }
        };
        for number in 0..rounds {
            let round = Round { number, cpus };
            take(Part::Block, blocks::allocation(round));
            take(Part::ChainEntry, blocks::validation(round));
            take(Part::WaitSetAny, sets::awake(round));
            take(Part::WaitSetAny, sets::asleep(round));
        }
        take(Part::Idle, idle::idle(Round { number: 0, cpus }));
        (samples, refusals)
    };
    std::thread::scope(|scope| match scope.spawn(measure).join() {
        Ok(measured) => measured,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
