//! Round trips of an honest client beside each neighbour: rounds of all of them, in shuffled order.

use crate::roles::{BUSY, IDLE, MODES, NEIGHBOURS, Nature, Neighbour, Reader, Role, pin};
use crate::support::harness;
use crate::{newcomers, safety};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::calls::SplitMix64;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{counts, cpus, percentile, together};
use memcpy_select::measure::statistics::paired_ratio;
use memcpy_select::record::{Environment, Record, Table, round_trips_text};
use memcpy_select::report;
use memcpy_select::transport::{Address, Waiting};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Between a neighbour's start and the first round trip that counts.
const SETTLING: Duration = Duration::from_millis(15);

/// What was seen in one round beside one neighbour.
struct Sample {
    mode: &'static str,
    neighbour: &'static str,
    round: u32,
    round_trips: Vec<(u64, u32)>,
}

#[derive(Serialize)]
struct Row<'a> {
    mode: &'a str,
    neighbour: &'a str,
    round: u32,
    round_trips: String,
}

/// Every neighbour once in every mode, for a moment: that the honest client is served rightly, and the server goes on.
pub fn test() -> ExitCode {
    let done = MODES.iter().try_for_each(|mode| {
        let server = Beside::start(*mode, cpus())?;
        NEIGHBOURS.iter().try_for_each(|neighbour| {
            let sample = server.round(neighbour, 0, Duration::from_millis(1))?;
            if sample.round_trips.is_empty() { Err("no round trip".to_owned()) } else { Ok(()) }
        })
    });
    match done.and_then(|()| safety::verify()) {
        Ok(()) => {
            crate::support::print(format_args!("verified: {} neighbours in {} modes\n", NEIGHBOURS.len(), MODES.len()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

pub fn measure(effort: Effort) -> ExitCode {
    // Before this process binds itself: afterwards it sees one.
    let (server_cpu, client_cpu) = cpus();
    if let Some(cpu) = client_cpu {
        pin(cpu);
    }
    let cpu = Cpu::detect();
    let environment = Environment::gather(&cpu, effort, client_cpu);
    crate::support::print(format_args!("{}\n", report::machine(&environment, &conditions(&cpu, client_cpu))));
    let name = |cpu: Option<usize>| cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
    let (server, client) = (name(server_cpu), name(client_cpu));
    crate::support::print(format_args!(
        "server on logical CPU {server}; the client, and beside it its neighbour, on {client}\n\n"
    ));
    let samples = match all_rounds(effort, (server_cpu, client_cpu)) {
        Ok(samples) => samples,
        Err(error) => {
            report::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    print_tables(&samples);
    let prices = match safety::measure(effort) {
        Ok(prices) => prices,
        Err(error) => {
            report::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    safety::print(&prices);
    let newcomers = match newcomers::measure(effort, (server_cpu, client_cpu)) {
        Ok(newcomers) => newcomers,
        Err(error) => {
            report::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    newcomers::print(&newcomers);
    let rows: Vec<Row<'_>> = samples
        .iter()
        .map(|sample| Row {
            mode: sample.mode,
            neighbour: sample.neighbour,
            round: sample.round,
            round_trips: round_trips_text(&sample.round_trips),
        })
        .collect();
    let tables = [Table::of("neighbour", &rows), Table::of("safety", &prices), Table::of("newcomers", &newcomers)];
    let mut record = Record::new("neighbour", environment, Vec::new());
    match tables.into_iter().collect() {
        Ok(tables) => record.tables = tables,
        Err(error) => {
            report::say(format_args!("no record: {error}"));
            return ExitCode::FAILURE;
        }
    }
    harness::save(record, &[]);
    ExitCode::SUCCESS
}

fn all_rounds(effort: Effort, cpus: Cpus) -> Result<Vec<Sample>, String> {
    let (rounds, time_ms) = match effort {
        Effort::Quick => (2, 60),
        Effort::Default => (6, 120),
        Effort::Full => (20, 500),
    };
    let mut samples = Vec::new();
    let mut random = SplitMix64(0x5eed);
    let progress = harness::progress(MODES.len() * rounds as usize);
    for mode in MODES {
        let server = Beside::start(mode, cpus)?;
        for round in 0..rounds {
            let mut order: Vec<&Neighbour> = NEIGHBOURS.iter().collect();
            for at in (1..order.len()).rev() {
                order.swap(at, (random.draw() % (at as u64 + 1)) as usize);
            }
            for neighbour in order {
                samples.push(server.round(neighbour, round, Duration::from_millis(time_ms))?);
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(samples)
}

/// The server's logical CPU, and the client's.
type Cpus = (Option<usize>, Option<usize>);

/// A server, of which the neighbours are.
struct Beside {
    cpus: Cpus,
    mode: (&'static str, Waiting),
    address: Address,
    server: std::cell::RefCell<Role>,
}

impl Beside {
    fn start(mode: (&'static str, Waiting), cpus: Cpus) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Address::Abstract(format!("memcpy-select-bench-{}-{number}", std::process::id()));
        let server = Role::start("server", mode.0, &address, cpus.0)?;
        Ok(Self { cpus, mode, address, server: server.into() })
    }

    /// What an honest client, new to the server, sees beside that neighbour.
    fn round(&self, neighbour: &Neighbour, round: u32, time: Duration) -> Result<Sample, String> {
        let of = |error: String| format!("{} beside {}: {error}", self.mode.0, neighbour.name);
        let mut reader = Reader::connect(&self.address, self.mode.1).map_err(of)?;
        let beside = Role::start(neighbour.name, self.mode.0, &self.address, self.cpus.1).map_err(of)?;
        let mut times_ns = Vec::new();
        let start = Instant::now();
        while start.elapsed() < SETTLING + time {
            let passed = reader.read().map_err(of)?;
            if start.elapsed() >= SETTLING {
                times_ns.push(passed.as_nanos() as u64);
            }
        }
        drop(beside);
        reader.read().map_err(of)?;
        if !self.server.borrow_mut().is_alive() {
            return Err(of("the server has ended".to_owned()));
        }
        Ok(Sample { mode: self.mode.0, neighbour: neighbour.name, round, round_trips: counts(times_ns) })
    }
}

fn print_tables(samples: &[Sample]) {
    for (mode, _) in MODES {
        let of = |name: &str| -> Vec<&Sample> {
            samples.iter().filter(|sample| sample.mode == mode && sample.neighbour == name).collect()
        };
        let at = |counts: &[(u64, u32)], share| percentile(counts, share).unwrap_or(0) as f64;
        // Rounds of all are in the same order.
        let of_rounds = |name: &str| -> Vec<f64> { of(name).iter().map(|one| at(&one.round_trips, 0.99)).collect() };
        let (idle, busy) = (of_rounds(IDLE), of_rounds(BUSY));
        crate::support::print(format_args!(
            "{mode:<20}{:>9}{:>10}{:>10}{:>10}{:>13}{:>13}\n",
            "requests", "p50 us", "p99 us", "p99.9 us", "p99 / idle", "p99 / busy"
        ));
        let mut worst = ("", 0.0);
        for neighbour in NEIGHBOURS {
            let name = neighbour.name;
            let all = together(of(name).iter().map(|one| &one.round_trips[..]));
            let requests: u64 = all.iter().map(|(_, count)| u64::from(*count)).sum();
            let rounds = of_rounds(name);
            let over = |others: &[f64]| paired_ratio(&rounds, others).unwrap_or(f64::NAN);
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(&all, share) / 1000.0);
            let (over_idle, over_busy) = (over(&idle), over(&busy));
            crate::support::print(format_args!(
                "  {name:<18}{requests:>9}{p50:>10.1}{p99:>10.1}{p999:>10.1}{over_idle:>13.2}{over_busy:>13.2}\n",
            ));
            if neighbour.nature == Nature::Hostile && over_busy > worst.1 {
                worst = (name, over_busy);
            }
        }
        crate::support::print(format_args!(
            "  worst hostile neighbour over the honest busy one: {} ({:.2})\n\n",
            worst.0, worst.1
        ));
    }
}
