//! Rounds of all neighbours, in shuffled order; then what safety costs; then newcomers.

use super::newcomers;
use super::place::Pace;
use super::record::{GrowingNeighbours, NEWCOMERS, NeighbourGrowth, SAFETY, Sample};
use super::roles::{MODES, NEIGHBOURS, Nature, Neighbour, Reader, Role, elsewhere, names};
use super::{Newcomer, safety};
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::instruments::affinity::{CpuPair, on};
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::random::SplitMix64;
use crate::lab::instruments::round_trips::counts;
use crate::lab::record::CsvFile;
use crate::transport::{Address, Waiting};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Between a neighbour's start and the first round trip that counts.
const SETTLING: Duration = Duration::from_millis(15);

/// A way to wait, with its name.
type Mode = (&'static str, Waiting);

/// What a run measures, one step after the other.
#[derive(Clone, Debug)]
pub enum Step {
    /// All neighbours once, while all wait like this.
    Round(Mode, u32),
    /// What safety costs.
    Safety,
    /// Newcomers beside each neighbour.
    Newcomers,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Round((mode, _), round) => write!(f, "{mode}, round {}", round + 1),
            Self::Safety => f.write_str("what safety costs"),
            Self::Newcomers => f.write_str("newcomers"),
        }
    }
}

/// All neighbours, on these logical CPUs: the server's is the near one.
pub struct Neighbours {
    effort: Effort,
    cpus: CpuPair,
    random: SplitMix64,
    server: Option<Served>,
    /// How often each hostile neighbour did what it does when it was there last, in each way to wait.
    paces: HashMap<(&'static str, &'static str), Pace>,
}

impl Neighbours {
    /// A run on these logical CPUs: the far one is the client's, and its neighbour's.
    pub fn new(effort: Effort, cpus: CpuPair) -> Self {
        Self { effort, cpus, random: SplitMix64(0x5eed), server: None, paces: HashMap::new() }
    }

    /// Rounds, and how long a neighbour is watched in each.
    fn rounds(&self) -> (u32, Duration) {
        let (rounds, time_ms) = match self.effort {
            Effort::Quick => (2, 60),
            Effort::Default => (6, 120),
            Effort::Full => (20, 500),
        };
        (rounds, Duration::from_millis(time_ms))
    }

    fn round(&mut self, mode: Mode, round: u32) -> Result<Vec<Sample>, String> {
        if self.server.as_ref().is_none_or(|server| server.mode.0 != mode.0) {
            self.server = None;
            self.server = Some(Served::start(mode, self.cpus)?);
        }
        let (order, time) = (self.random.order(NEIGHBOURS.len()), self.rounds().1);
        let Some(server) = &mut self.server else { return Ok(Vec::new()) };
        let mut samples = Vec::new();
        for neighbour in order.into_iter().map(|at| &NEIGHBOURS[at]) {
            samples.extend(server.pair(neighbour, round, time, &mut self.paces)?);
        }
        Ok(samples)
    }
}

impl Experiment for Neighbours {
    type Growth = NeighbourGrowth;
    type Step = Step;

    fn steps(&self, growing: &GrowingNeighbours) -> Vec<(Step, f64)> {
        let (rounds, time) = self.rounds();
        let all = MODES.into_iter().flat_map(|mode| (0..rounds).map(move |round| (mode, round)));
        let left = all.filter(|((mode, _), round)| !growing.has(&((*mode).to_owned(), *round)));
        let share = (SETTLING + time).as_secs_f64() * names().count() as f64;
        let mut steps: Vec<(Step, f64)> = left.map(|(mode, round)| (Step::Round(mode, round), share)).collect();
        if !growing.has_table(SAFETY) {
            steps.push((Step::Safety, share));
        }
        if !growing.has_table(NEWCOMERS) {
            steps.push((Step::Newcomers, 8.0 * share));
        }
        steps
    }

    fn measure(
        &mut self,
        step: &Step,
        growing: &mut GrowingNeighbours,
        _observer: &dyn Observer,
    ) -> Result<(), LabError> {
        match *step {
            Step::Round(mode, round) => growing.append(self.round(mode, round).map_err(LabError::Asked)?)?,
            Step::Safety => {
                self.server = None;
                let prices = on(self.cpus.far, || safety::measure(self.effort)).map_err(LabError::Asked)?;
                growing.keep(CsvFile::of(SAFETY, &prices)?)?;
            }
            Step::Newcomers => {
                let of = |neighbour| newcomers::measure(neighbour, self.effort, self.cpus);
                let all: Result<Vec<Vec<Newcomer>>, String> = newcomers::neighbours().map(of).collect();
                growing.keep(CsvFile::of(NEWCOMERS, &all.map_err(LabError::Asked)?.concat())?)?;
            }
        }
        Ok(())
    }
}

/// Every neighbour once in every mode, for a moment: that the honest client is served rightly, and the server goes on; how many
/// that were.
///
/// # Errors
///
/// What went wrong.
pub fn verify(cpus: CpuPair) -> Result<usize, String> {
    for mode in MODES {
        let mut server = Served::start(mode, cpus)?;
        for neighbour in &NEIGHBOURS {
            server.pair(neighbour, 0, Duration::from_millis(1), &mut HashMap::new())?;
        }
    }
    safety::verify()?;
    Ok(names().count() * MODES.len())
}

/// A server, beside which the neighbours are.
struct Served {
    cpus: CpuPair,
    mode: Mode,
    address: Address,
    server: Role,
}

impl Served {
    fn start(mode: Mode, cpus: CpuPair) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Address::Abstract(format!("memcpy-select-bench-{}-{number}", std::process::id()));
        let server = Role::start("server", mode.0, &address, cpus.near)?;
        Ok(Self { cpus, mode, address, server })
    }

    /// What an honest client sees beside that neighbour, and, if it is a hostile one, beside a stranger that makes the same calls
    /// elsewhere: in every other round the stranger comes first, with the pace of the round before.
    fn pair(
        &mut self,
        neighbour: &'static Neighbour,
        round: u32,
        time: Duration,
        paces: &mut HashMap<(&'static str, &'static str), Pace>,
    ) -> Result<Vec<Sample>, String> {
        let name = (self.mode.0, neighbour.name);
        let is_hostile = neighbour.nature == Nature::Hostile;
        let before = paces.get(&name).copied().filter(|_| is_hostile && round % 2 == 1);
        let stranger = before.map(|pace| self.round(neighbour, round, time, Some(pace))).transpose()?;
        let (own, pace) = self.round(neighbour, round, time, None)?;
        paces.insert(name, pace);
        let stranger = match stranger {
            Some(stranger) => Some(stranger),
            None if is_hostile => Some(self.round(neighbour, round, time, Some(pace))?),
            None => None,
        };
        Ok([own].into_iter().chain(stranger.map(|(stranger, _)| stranger)).collect())
    }

    /// What an honest client, new to the server, sees beside that neighbour, and how often that one did what it does; with a pace,
    /// beside the stranger that makes its calls. Both share the far CPU.
    fn round(
        &mut self,
        neighbour: &'static Neighbour,
        round: u32,
        time: Duration,
        pace: Option<Pace>,
    ) -> Result<(Sample, Pace), String> {
        let (mode, cpu) = (self.mode, self.cpus.far);
        let name = if pace.is_some() { elsewhere(neighbour.name) } else { neighbour.name.to_owned() };
        let of = |error: String| format!("{} beside {name}: {error}", mode.0);
        let mut reader = Reader::connect(&self.address, mode.1).map_err(of)?;
        let beside = Role::start_at(neighbour.name, mode.0, &self.address, cpu, pace).map_err(of)?;
        let client = || -> Result<(Vec<u64>, Pace), String> {
            let (start, mut times_ns) = (Instant::now(), Vec::new());
            while start.elapsed() < SETTLING + time || times_ns.is_empty() {
                let passed = reader.read()?;
                if start.elapsed() >= SETTLING {
                    times_ns.push(passed.as_nanos() as u64);
                }
            }
            let pace = beside.pace();
            drop(beside);
            reader.read().map(|_| (times_ns, pace))
        };
        let (times_ns, pace) = on(cpu, client).map_err(of)?;
        if !self.server.is_alive() {
            return Err(of("the server has ended".to_owned()));
        }
        let steps_per_s = pace.steps_per_s.round() as u64;
        let (mode, round_trips) = (mode.0.to_owned(), counts(times_ns));
        Ok((Sample { mode, neighbour: name, round, round_trips, steps_per_s }, pace))
    }
}
