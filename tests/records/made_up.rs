//! Records of each question as its runs write them, step by step, without measuring. `kills` uses them as well.

use memcpy_select::cpu::Cpu;
use memcpy_select::lab::calls::{BENCH as PROFILE, Figure, ProfileGrowth, Row};
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::sweep::Pass;
use memcpy_select::lab::copies::sweep::{Failure, Sample};
use memcpy_select::lab::copies::{CopyGrowth, samples};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::neighbours::{self, NeighbourGrowth};
use memcpy_select::lab::paths::ways::Mode;
use memcpy_select::lab::paths::{self, Cost, Moved, PathGrowth, Pattern, Placement, Refusal, What};
use memcpy_select::lab::programs::{self, ProgramGrowth};
use memcpy_select::lab::record::{CsvFile, Environment, Growing, Growth, Kept, Record, RecordError};
#[cfg(target_arch = "x86_64")]
use memcpy_select::lab::sections::{self, Key, Part, SectionGrowth};
use std::path::{Path, PathBuf};

/// What a run of a question gives.
pub struct Made<G: Growth> {
    pub bench: &'static str,
    pub grid: String,
    pub environment: Environment,
    /// What each step gives.
    pub steps: Vec<Vec<G::Entry>>,
    /// Further files, without which a complete record is none.
    pub tables: &'static [&'static str],
}

impl<G: Growth> Made<G> {
    fn new(bench: &'static str, steps: Vec<Vec<G::Entry>>, tables: &'static [&'static str]) -> Self {
        let environment = Environment::gather(&Cpu::detect(), Effort::Default, None);
        Self { bench, grid: "effort default\n".to_owned(), environment, steps, tables }
    }

    /// What is appended to, compressed at the end.
    pub fn file(&self) -> String {
        format!("{}.csv", G::FILE)
    }

    /// The files of a complete record.
    pub fn files(&self) -> Vec<String> {
        let mut files = vec!["env.toml".to_owned(), format!("{}.csv.gz", G::FILE)];
        files.extend(self.tables.iter().map(|table| format!("{table}.csv.gz")));
        files.sort();
        files
    }

    pub fn create(&self, results: &Path) -> Growing<G> {
        Growing::create(results, self.bench, self.environment.clone(), &self.grid).unwrap()
    }

    pub fn resume(&self, folder: &Path) -> Result<Growing<G>, RecordError> {
        Growing::resume(folder, self.bench, &self.environment, &self.grid)
    }

    /// A record of the first steps, not complete.
    pub fn begun(&self, results: &Path, count: usize) -> PathBuf {
        let mut growing = self.create(results);
        self.steps.iter().take(count).for_each(|entries| growing.append(entries.clone()).unwrap());
        growing.folder().to_owned()
    }

    /// A complete record.
    pub fn whole(&self, results: &Path) -> PathBuf {
        self.end(self.create(results)).unwrap().0
    }

    /// Which steps are there.
    pub fn has(&self, growing: &Growing<G>) -> Vec<bool> {
        let growth = G::new(self.bench, &self.environment);
        self.steps.iter().map(|entries| growing.has(&growth.step(&entries[0]))).collect()
    }

    /// Writes what is missing, and ends the record.
    pub fn end(&self, mut growing: Growing<G>) -> Result<(PathBuf, Kept<G::Entry>), RecordError> {
        let has = self.has(&growing);
        for (entries, _) in self.steps.iter().zip(has).filter(|(_, has)| !has) {
            growing.append(entries.clone())?;
        }
        for table in self.tables.iter().filter(|table| !growing.has_table(table)).collect::<Vec<_>>() {
            growing.keep(CsvFile::of::<()>(table, &[])?)?;
        }
        growing.finish()
    }

    /// What the rows of a record tell.
    pub fn entries(folder: &Path) -> Result<Vec<G::Entry>, RecordError> {
        Ok(Kept::of::<G>(Record::read(folder)?)?.entries)
    }
}

/// A small grid of copies, gone through in three passes.
pub fn scope() -> Scope {
    Scope { sizes: vec![64, 256], offsets: vec![(0, 0), (0, 1)], ..Scope::of(Effort::Default) }
}

pub fn passes(scope: &Scope) -> Vec<Pass> {
    scope.effort.steps(&scope.grid().unwrap()).map(|(cell, number)| Pass { cell, number }).collect()
}

fn pass(Pass { cell, number }: &Pass) -> Vec<samples::Entry> {
    let rounds = Effort::Default.rounds();
    let sample = |round, name: &'static str| {
        let total_ns = 1_000_000 + u64::from(round);
        Ok(Sample { cell: *cell, contender: name.into(), round, iterations: 10, total_ns })
    };
    let names = ["core_clock", "libc", "gpr", "libc_again"];
    (number * rounds..(number + 1) * rounds).flat_map(|round| names.map(|name| sample(round, name))).collect()
}

pub fn copies() -> Made<CopyGrowth> {
    let scope = scope();
    let made = Made::new("sweep", passes(&scope).iter().map(pass).collect(), &[]);
    Made { grid: scope.to_string(), ..made }
}

/// The same where one contender has no timing, which is said before the first pass.
pub fn copies_without_one() -> Made<CopyGrowth> {
    let mut made = copies();
    let failures = Failure::in_all([Cell::hot(64, 0, 0), Cell::hot(256, 0, 0)], "a peer", "copies \"wrongly\", or so");
    made.steps.insert(0, failures.into_iter().map(Err).collect());
    made
}

/// What one side of ten messages there and back took.
fn moved(total_ns: u64) -> Moved {
    Moved {
        total_ns,
        cpu_ns: total_ns / 2,
        system_calls: Some(40),
        faults: 10,
        wrong: 0,
        round_trips: vec![(total_ns / 10, 9), (total_ns, 1)],
        clock: (2000, 1000),
        beside: (0, 0),
    }
}

/// Ten messages there and back, each taking that long.
pub fn sent(path: &str, payload_bytes: usize, copies: u32, message_ns: u64, pattern: Pattern) -> paths::Sample {
    let what = What::Moved {
        pattern,
        messages: 10,
        near: Box::new(moved(message_ns * 10)),
        far: Box::new(Moved { round_trips: Vec::new(), clock: (0, 0), total_ns: 0, ..moved(message_ns * 10) }),
    };
    let cell = paths::Cell::simple(payload_bytes, Mode::Polling, Placement::TwoCores);
    paths::Sample { cell, path: path.into(), kernel: None, round: 0, copies, what }
}

pub fn set_up(path: &str, payload_bytes: usize, ns: u64) -> paths::Sample {
    let what = What::SetUp(Cost { ns, faults: 7 });
    paths::Sample { what, ..sent(path, payload_bytes, 0, 1, Pattern::OneWay) }
}

pub fn path(payload_bytes: usize) -> Vec<paths::Entry> {
    let [pipe, stream] = ["pipe", "unix_stream"].map(|name| sent(name, payload_bytes, 2, 500, Pattern::PingPong));
    let reason = "a reason,\nwith \"lines\" and an umlaut: ä".to_owned();
    let refusal = Refusal { cell: pipe.cell, path: "gone".into(), kernel: None, reason };
    vec![Ok(set_up("pipe", payload_bytes, 1234)), Ok(pipe), Ok(stream), Err(refusal)]
}

pub fn paths() -> Made<PathGrowth> {
    Made::new(paths::BENCH, [8, 64, 4096].map(path).into(), &["ipc-copies"])
}

pub fn neighbours() -> Made<NeighbourGrowth> {
    let round = |(mode, round): (&str, u32)| {
        ["idle", "busy", "rings", "rings_elsewhere"].map(|neighbour| neighbours::Sample {
            mode: mode.to_owned(),
            neighbour: neighbour.to_owned(),
            round,
            round_trips: vec![(1000 + u64::from(round), 9), (70_000, 1)],
            steps_per_s: 5000,
        })
    };
    let rounds = [("blocking", 0), ("blocking", 1), ("polling", 0), ("polling", 1)];
    Made::new(neighbours::BENCH, rounds.map(|one| round(one).into()).into(), &["safety", "newcomers"])
}

/// What one process did: copies of 64 and of 4,096 bytes, of which ten each were timed with each routine.
fn process(process: u32) -> Vec<Row> {
    let row = |figure, what: &str, len: u64, count: u64, ticks: u64| {
        let (what, squares) = (what.to_owned(), (ticks * ticks / count) as f64);
        Row { process, figure, what, from: len, up_to: len, count, bytes: count * len, ticks, squares }
    };
    let of_length = |(len, ticks): (u64, u64)| {
        [
            row(Figure::Calls, "copy", len, 1000, 0),
            row(Figure::TimedCopies, "libc", len, 10, 10 * ticks),
            row(Figure::TimedCopies, "plan", len, 10, 9 * ticks),
        ]
    };
    [(64, 100), (4096, 500)].into_iter().flat_map(of_length).collect()
}

pub fn calls() -> Made<ProfileGrowth> {
    let tables = &["profile-plan", "profile-processes", "profile-run", "profile-sites"];
    let made = Made::new(PROFILE, (0..4).map(process).collect(), tables);
    Made { grid: "command a program\nevery 512\nunder libc\n".to_owned(), ..made }
}

pub fn programs() -> Made<ProgramGrowth> {
    let round = |(program, round): (&str, u32)| {
        let sample = |(at, arm): (usize, programs::Arm)| programs::Sample {
            program: program.to_owned(),
            arm: arm.name().to_owned(),
            round,
            wall_ns: 1_000_000 + 1000 * at as u64 + u64::from(round),
            cpu_ns: 900_000,
            error: String::new(),
        };
        programs::Arm::ALL.into_iter().enumerate().map(sample).collect::<Vec<_>>()
    };
    let mut rounds: Vec<_> = [("sort", 0), ("sqlite", 0), ("sort", 1), ("sqlite", 1)].map(round).into();
    // One that has no time.
    let error = "signal: 11 (SIGSEGV), \"quoted\", or so".to_owned();
    rounds.push(vec![programs::Sample {
        program: "git".to_owned(),
        wall_ns: 0,
        cpu_ns: 0,
        error,
        ..rounds[0][2].clone()
    }]);
    Made::new(programs::BENCH, rounds, &["programs-installed"])
}

#[cfg(target_arch = "x86_64")]
pub fn sections() -> Made<SectionGrowth> {
    let round = |(part, round): (Part, u32)| {
        let loops = [(Part::Clock, "core_clock"), (part, Key::SETUP), (part, "xsave"), (part, "xsaveopt")];
        let ticks = |at: usize| 1000 * (1 + at as u64) + u64::from(round);
        let sample = |(at, (part, subject))| sections::Sample {
            key: Key::of(part, subject),
            round,
            turns: 100,
            ticks: ticks(at),
        };
        loops.into_iter().enumerate().map(sample).collect()
    };
    let rounds = [(Part::Cost, 1), (Part::Cost, 2), (Part::Curve, 3), (Part::Composite, 4)];
    let tables = &["xsave-prediction", "xsave-in-use"];
    Made::new(sections::BENCH, rounds.map(round).into(), tables)
}
