//! The interleaved rounds: every path at every cell, in shuffled order, in two processes that stay for the whole cell.

#![forbid(unsafe_code)]

use crate::lab::instruments::affinity::CpuPair;
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::random::SplitMix64;
use crate::lab::paths::cell::{Cell, Contender, Placement};
use crate::lab::paths::control::{Cost, Moved, Pattern, Traffic};
use crate::lab::paths::failure::Failure;
use crate::lab::paths::pair::{Pair, Program, right};
use crate::lab::paths::ways::Tiers;
use std::fmt;

/// What a path's second name ends with.
pub const AGAIN: &str = "_again";

/// Rounds that even the slowest cell gets.
const MIN_ROUNDS: u32 = 3;
/// What one run of one path should take, in nanoseconds.
const QUICK_RUN_NS: u64 = 1_500_000;
const DEFAULT_RUN_NS: u64 = 3_000_000;
const FULL_RUN_NS: u64 = 8_000_000;
/// The most messages of one run: round trips are kept one by one.
const MAX_MESSAGES: u64 = 100_000;
/// What part of a run's messages are moved before it, untimed.
const SETTLING_SHARE: u64 = 16;
/// Payloads from here on take so long that what precedes the timing is kept to the least: they find no cache warm.
const LONG_BYTES: usize = 4 << 20;
/// The most bytes that a window may hold.
pub(crate) const WINDOW_BYTES: usize = 64 << 20;

/// One figure's raw material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where.
    pub cell: Cell,
    /// Which path, by its name in records.
    pub path: String,
    /// The kernel, where one was chosen.
    pub kernel: Option<String>,
    /// In which round.
    pub round: u32,
    /// Copies that each payload makes, as the path declares.
    pub copies: u32,
    /// What was taken.
    pub what: What,
}

/// What a sample tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// What making the ends took on both sides.
    SetUp(Cost),
    /// Messages that were moved, and what the near and the far side saw.
    Moved {
        /// Who sent.
        pattern: Pattern,
        /// How many messages; there and back counts once.
        messages: u64,
        /// The near side.
        near: Box<Moved>,
        /// The far side.
        far: Box<Moved>,
    },
    /// System calls that both sides made, traced, for a path that does not count them.
    Traced {
        /// For how many messages; there and back counts as two.
        messages: u64,
        /// How many.
        system_calls: u64,
    },
}

/// A path that could not be measured at a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where.
    pub cell: Cell,
    /// Which path, by its name in records.
    pub path: String,
    /// The kernel, where one was chosen.
    pub kernel: Option<String>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.cell, self.reason)
    }
}

/// Measures paths cell by cell.
#[derive(Debug)]
pub struct Sweep {
    program: Program,
    /// Logical CPUs of the near and the far side.
    cpus: CpuPair,
    effort: Effort,
    random: SplitMix64,
    /// The limits of the tiered path that holds for the cells to come.
    pub tiers: Tiers,
}

/// A contender with its ends made.
struct Ready<'c, 'a> {
    contender: &'c Contender<'a>,
    slot: usize,
    /// Messages of a run, by pattern.
    messages: [u64; 2],
}

impl Sweep {
    /// A sweep by processes of this program. `cpus` are the near and the far side's; both run on the near one's where they share a core.
    pub const fn new(program: Program, cpus: CpuPair, effort: Effort) -> Self {
        Self { program, cpus, effort, random: SplitMix64(0x0069_7063), tiers: Tiers::GIVEN }
    }

    /// Moves and compares every byte at a cell, and times nothing: how many paths did so rightly, and why others did not.
    pub fn verify(&mut self, cell: Cell, contenders: &[Contender<'_>]) -> (usize, Vec<Refusal>) {
        let (samples, refusals) = self.each(cell, contenders, false);
        (samples.len(), refusals)
    }

    /// Measures a cell: samples of the paths that moved every byte rightly, and why others have none.
    pub fn measure(&mut self, cell: Cell, contenders: &[Contender<'_>]) -> (Vec<Sample>, Vec<Refusal>) {
        self.each(cell, contenders, true)
    }

    fn each(&mut self, cell: Cell, contenders: &[Contender<'_>], is_timed: bool) -> (Vec<Sample>, Vec<Refusal>) {
        let (mut samples, mut refusals) = (Vec::new(), Vec::new());
        let refuse = |contender: &Contender<'_>, reason: String| Refusal {
            cell,
            path: contender.name(),
            kernel: contender.kernel.clone(),
            reason,
        };
        let mut left: Vec<usize> = (0..contenders.len()).collect();
        left.retain(|at| match self.refuses(&contenders[*at], &cell) {
            Some(reason) => {
                refusals.push(refuse(&contenders[*at], reason));
                false
            }
            None => true,
        });
        // Each attempt that fails leaves one contender out, so this ends.
        while !left.is_empty() {
            match self.attempt(cell, contenders, &left, is_timed) {
                Ok(taken) => {
                    samples = taken;
                    break;
                }
                Err((None, failure)) => {
                    refusals.extend(left.iter().map(|at| refuse(&contenders[*at], failure.to_string())));
                    break;
                }
                Err((Some(culprit), failure)) => {
                    left.retain(|at| *at != culprit);
                    refusals.push(refuse(&contenders[culprit], failure.to_string()));
                }
            }
        }
        (samples, refusals)
    }

    fn refuses(&self, contender: &Contender<'_>, cell: &Cell) -> Option<String> {
        if cell.placement == Placement::TwoCores && self.cpus.is_single() {
            return Some("this process may use one logical CPU only".to_owned());
        }
        if cell.payload_bytes.saturating_mul(cell.depth * cell.connections) > WINDOW_BYTES {
            return Some(format!("its window would hold more than {WINDOW_BYTES} bytes"));
        }
        contender.refuses(cell)
    }

    /// Measures all of these at a cell, or says which of them failed.
    fn attempt(
        &mut self,
        cell: Cell,
        contenders: &[Contender<'_>],
        left: &[usize],
        is_timed: bool,
    ) -> Result<Vec<Sample>, (Option<usize>, Failure)> {
        let far_cpu = if cell.placement == Placement::OneCore { self.cpus.near } else { self.cpus.far };
        let mut pair = Pair::start(&self.program, self.cpus.near, far_cpu).map_err(|failure| (None, failure))?;
        let mut samples = Vec::new();
        let mut ready = Vec::new();
        for &at in left {
            let contender = &contenders[at];
            let prepared = prepare(&mut pair, at, contender, &cell, self.tiers);
            let cost = prepared.map_err(|failure| (Some(at), failure))?;
            let copies = contender.path.copies(cell.payload_bytes, &cell.config(contender, self.tiers));
            samples.push(Sample {
                cell,
                path: contender.name(),
                kernel: contender.kernel.clone(),
                round: 0,
                copies,
                what: What::SetUp(cost),
            });
            if is_timed {
                let traced = trace(&mut pair, at, contender, &cell).map_err(|failure| (Some(at), failure))?;
                samples.extend(traced.map(|what| Sample { what, ..samples[samples.len() - 1].clone() }));
                let fitted = fit(&mut pair, at, contender, &cell, run_ns(self.effort));
                let messages = fitted.map_err(|failure| (Some(at), failure))?;
                ready.push((Ready { contender, slot: at, messages }, copies));
            }
        }
        let patterns = patterns(&cell);
        let rounds = self.rounds(&ready, patterns);
        for round in 0..rounds {
            for at in self.random.order(ready.len() * patterns.len()) {
                let (one, copies) = &ready[at / patterns.len()];
                let which = patterns[at % patterns.len()];
                let messages = one.messages[which as usize];
                let settling = settling(&cell, messages);
                let traffic = Traffic::of(one.contender, &cell, which, messages, settling);
                let run = pair.run(one.slot, &traffic).and_then(right);
                let ([near, far], messages) = run.map_err(|failure| (Some(one.slot), failure))?;
                samples.push(Sample {
                    cell,
                    path: one.contender.name(),
                    kernel: one.contender.kernel.clone(),
                    round,
                    copies: *copies,
                    what: What::Moved { pattern: which, messages, near: Box::new(near), far: Box::new(far) },
                });
            }
        }
        Ok(samples)
    }

    /// How many rounds a cell gets: fewer where one message takes longer than a run should.
    fn rounds(&self, ready: &[(Ready<'_, '_>, u32)], patterns: &[Pattern]) -> u32 {
        let wanted = match self.effort {
            Effort::Quick => 5,
            Effort::Default => 7,
            Effort::Full => 15,
        };
        let longest = ready.iter().any(|(one, _)| patterns.iter().any(|which| one.messages[*which as usize] == 1));
        if longest { MIN_ROUNDS.max(wanted / 2) } else { wanted }
    }
}

const fn run_ns(effort: Effort) -> u64 {
    match effort {
        Effort::Quick => QUICK_RUN_NS,
        Effort::Default => DEFAULT_RUN_NS,
        Effort::Full => FULL_RUN_NS,
    }
}

/// Messages before those that are timed: none where each takes as long as a run should.
fn settling(cell: &Cell, messages: u64) -> u64 {
    let is_long = cell.payload_bytes >= LONG_BYTES && messages == 1;
    if is_long { 0 } else { (messages / SETTLING_SHARE).clamp(1, 64) }
}

/// Payloads go there and back only one at a time: two sides that both fill a window could wait for each other.
const fn patterns(cell: &Cell) -> &'static [Pattern] {
    if cell.depth == 1 { &Pattern::ALL } else { &[Pattern::OneWay] }
}

/// Makes the ends and verifies them.
fn prepare(
    pair: &mut Pair,
    slot: usize,
    contender: &Contender<'_>,
    cell: &Cell,
    tiers: Tiers,
) -> Result<Cost, Failure> {
    let config = cell.config(contender, tiers);
    let mut cost = Cost::default();
    for _ in 0..cell.connections {
        let one = pair.connect(slot, contender.path, &config)?;
        cost = Cost { ns: cost.ns + one.ns, faults: cost.faults + one.faults };
    }
    for which in Pattern::ALL {
        // Every place of a window is used, and short payloads' twice.
        let turns = if cell.payload_bytes >= LONG_BYTES { 1 } else { 2 };
        let messages = (turns * cell.connections * cell.depth + 1) as u64;
        let verifying = Traffic { touch: true, ..Traffic::of(contender, cell, which, messages, 0) };
        right(pair.run(slot, &verifying)?)?;
    }
    Ok(cost)
}

/// Messages of a traced run; a second one has three times as many, so that what surrounds both cancels out. Sides that are
/// traced are slow, and what they call depends little on the length: long payloads get fewer.
const fn traced_messages(payload_bytes: usize) -> u64 {
    match payload_bytes {
        0..=0xffff => 16,
        0x1_0000..LONG_BYTES => 4,
        _ => 1,
    }
}

/// The system calls of a path that does not count them itself.
fn trace(pair: &mut Pair, slot: usize, contender: &Contender<'_>, cell: &Cell) -> Result<Option<What>, Failure> {
    let pattern = patterns(cell)[0];
    let (once, moved) = pair.run(slot, &Traffic::of(contender, cell, pattern, 1, 0))?;
    if once.iter().all(|side| side.system_calls.is_some()) {
        return Ok(None);
    }
    let least = traced_messages(cell.payload_bytes).next_multiple_of(moved);
    let few = pair.trace(slot, &Traffic::of(contender, cell, pattern, least, 0))?;
    let many = pair.trace(slot, &Traffic::of(contender, cell, pattern, 3 * least, 0))?;
    let messages = if pattern == Pattern::PingPong { 4 * least } else { 2 * least };
    let traced = few.zip(many).map(|(few, many)| many.saturating_sub(few));
    Ok(traced.map(|system_calls| What::Traced { messages, system_calls }))
}

/// How many messages make a run, by pattern.
fn fit(pair: &mut Pair, slot: usize, contender: &Contender<'_>, cell: &Cell, run_ns: u64) -> Result<[u64; 2], Failure> {
    let mut fitting = [1; 2];
    for which in patterns(cell) {
        let mut messages = 1;
        fitting[*which as usize] = loop {
            let ([near, _], moved) =
                pair.run(slot, &Traffic::of(contender, cell, *which, messages, settling(cell, messages)))?;
            let passed_ns = near.total_ns.max(1);
            if passed_ns >= run_ns / 3 || messages >= MAX_MESSAGES {
                let wanted = u128::from(moved) * u128::from(run_ns) / u128::from(passed_ns);
                break u64::try_from(wanted).unwrap_or(MAX_MESSAGES).clamp(1, MAX_MESSAGES);
            }
            messages *= if passed_ns < run_ns / 30 { 8 } else { 3 };
        };
    }
    Ok(fitting)
}
