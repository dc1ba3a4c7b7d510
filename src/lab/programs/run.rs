//! Rounds over the workloads: what each needs is made before its first one, and each round runs it with every arm in shuffled order.

#![forbid(unsafe_code)]

use super::arms::Arm;
use super::record::{COPYING, Copying, GrowingPrograms, INSTALLED, Installed, ProgramGrowth};
use super::sample::Sample;
use super::scope::Scope;
use super::stage::{Spent, Stage};
use super::text;
use super::workloads::{PATH, Server, Workload};
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::instruments::executable::{find_in, obstacle};
use crate::lab::instruments::random::SplitMix64;
use crate::lab::record::{CsvFile, RecordError};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `$SCRIPT` with the recorder in it.
const RECORD: &str = "exec \"$SELECT\" profile --json --library \"$RECORDER\" --plan \"$PLAN\" --out \"$PWD/.records\" -- \
                      /bin/sh -c \"$SCRIPT\" > .recorded.json";
/// Where that puts what it found.
const RECORDED: &str = ".recorded.json";

/// What a run measures, one step after the other.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// What is installed.
    Installed,
    /// A workload with every arm.
    Round(&'static Workload, u32),
    /// A workload with the recorder in it.
    Copying(&'static Workload),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => f.write_str("what is installed"),
            Self::Round(workload, round) => write!(f, "{}, round {}", workload.name, round + 1),
            Self::Copying(workload) => write!(f, "what {} copies", workload.name),
        }
    }
}

/// The programs that are there.
#[derive(Debug)]
pub struct Programs {
    scope: Scope,
    stage: Stage,
    /// What all scripts see.
    common: Vec<(OsString, OsString)>,
    /// What the programs that are measured see, by arm.
    arms: [Vec<(OsString, OsString)>; 4],
    /// What starts the verb that records what a program copies; nothing without its library.
    recording: Option<Vec<(OsString, OsString)>>,
    random: SplitMix64,
    /// Workloads whose input is made.
    made: Vec<&'static str>,
    /// Workloads that are not there, or failed.
    left_out: Vec<&'static str>,
}

impl Programs {
    /// A run with that library before the programs; with a recorder, what they copy is seen once, too.
    ///
    /// # Errors
    ///
    /// [`LabError::Asked`] if there is no folder or no port to be had.
    pub fn new(scope: Scope, library: &Path, recorder: Option<&Path>) -> Result<Self, LabError> {
        let failed = |error: io::Error| {
            LabError::Asked(format!("{error}: there is no folder for what programs read and write: set TMPDIR to one"))
        };
        let stage = Stage::open().map_err(failed)?;
        let [library_here, plan, text] = ["drop-in.so", "copy.plan", "text"].map(|name| stage.folder().join(name));
        // Here everybody can read it: a server may run as another user, who need not see where it was built.
        fs::copy(library, &library_here).map_err(failed)?;
        fs::write(&plan, &scope.plan).map_err(failed)?;
        text::write(&text).map_err(failed)?;
        // It is closed again: for a moment somebody else could take it, and then that server says so.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).map_err(failed)?.port();
        let common = vec![("TEXT".into(), text.into()), ("PORT".into(), port.to_string().into())];
        let arms = Arm::ALL.map(|arm| arm.variables(&scope.tunables, &library_here, &plan));
        let recording = recorder.zip(std::env::current_exe().ok()).map(|(recorder, program)| {
            let recorder_here = stage.folder().join("recorder.so");
            fs::copy(recorder, &recorder_here).map_err(failed)?;
            let variables = [("SELECT", program), ("RECORDER", recorder_here), ("PLAN", plan)];
            Ok::<_, LabError>(variables.map(|(name, value)| (name.into(), value.into())).to_vec())
        });
        let recording = recording.transpose()?;
        let (random, made, left_out) = (SplitMix64(0x5eed), Vec::new(), Vec::new());
        Ok(Self { scope, stage, common, arms, recording, random, made, left_out })
    }

    /// Makes what a workload reads.
    fn make(&mut self, workload: &'static Workload) -> io::Result<PathBuf> {
        let folder = self.stage.folder().join(workload.name);
        if self.made.contains(&workload.name) {
            return Ok(folder);
        }
        fs::create_dir_all(&folder)?;
        for (name, text) in workload.files {
            fs::write(folder.join(name), text)?;
        }
        self.stage.run(&folder, workload.setup, &self.common)?;
        self.made.push(workload.name);
        Ok(folder)
    }

    /// One run with one arm, and what must be the same with the others.
    fn sample(&mut self, workload: &Workload, folder: &Path, arm: Arm) -> io::Result<(Spent, Vec<u8>)> {
        let measured = [&self.common[..], &self.arms[arm as usize]].concat();
        let script = workload.server.as_ref().map_or(workload.command, |server| server.start);
        self.once(workload, folder, script, &measured)
    }

    /// What a program copies, by a process that has the recorder in it.
    fn copying(&mut self, workload: &'static Workload, variables: &[(OsString, OsString)]) -> io::Result<Copying> {
        let folder = self.make(workload)?;
        let script = workload.server.as_ref().map_or(workload.command, |server| server.start);
        let measured = [&self.common[..], variables, &[("SCRIPT".into(), script.into())]].concat();
        self.once(workload, &folder, RECORD, &measured)?;
        let found: Value = serde_json::from_slice(&fs::read(folder.join(RECORDED))?)?;
        let share = |name: &str| found[name]["value"].as_f64();
        let predicted_ratio = share("plan_saves_of_cpu").map(|saved| 1.0 - saved);
        Ok(Copying { program: workload.name.to_owned(), share: share("share_of_cpu_by_libc"), predicted_ratio })
    }

    /// One run of a workload, in which a script takes the place of the program that is measured, and what it made.
    fn once(
        &mut self,
        workload: &Workload,
        folder: &Path,
        script: &str,
        measured: &[(OsString, OsString)],
    ) -> io::Result<(Spent, Vec<u8>)> {
        let (common, stage) = (&self.common, &mut self.stage);
        stage.run(folder, workload.reset, common)?;
        let Some(Server { ready, .. }) = workload.server else {
            let spent = stage.run(folder, script, measured)?;
            let checked = stage.run(folder, workload.verify, common)?;
            return Ok((spent, checked.printed));
        };
        let ready = format!("at=0; until {ready}; do at=$((at + 1)); [ $at -lt 500 ] || exit 1; sleep 0.02; done");
        let ((asked, checked), cpu) = stage.serve(folder, script, measured, |beside| {
            beside.run(&ready, common)?;
            Ok((beside.run(workload.command, common)?, beside.run(workload.verify, common)?))
        })?;
        Ok((Spent { cpu, ..asked }, checked.printed))
    }

    fn round(&mut self, workload: &'static Workload, round: u32) -> Vec<Sample> {
        let row = |arm: Arm, spent: Result<&Spent, String>| {
            let ns = |time: std::time::Duration| time.as_nanos() as u64;
            let (wall_ns, cpu_ns) = spent.as_ref().map_or((0, 0), |spent| (ns(spent.wall), ns(spent.cpu)));
            let error = spent.err().map_or_else(String::new, |error| error.replace('\n', " "));
            Sample { program: workload.name.to_owned(), arm: arm.name().to_owned(), round, wall_ns, cpu_ns, error }
        };
        let folder = match self.make(workload) {
            Ok(folder) => folder,
            Err(error) => {
                let packages = workload.packages.join(" ");
                return vec![row(Arm::Libc, Err(format!("its input was not made: {error}; it needs {packages}")))];
            }
        };
        let mut found = Vec::new();
        for at in self.random.order(Arm::ALL.len()) {
            let arm = Arm::ALL[at];
            let spent = self.sample(workload, &folder, arm).map_err(|error| error.to_string());
            found.push((arm, spent));
        }
        let expected = found.iter().find(|(arm, _)| *arm == Arm::Libc);
        let expected = expected.and_then(|(_, spent)| Some(spent.as_ref().ok()?.1.clone()));
        let rows = found.iter().map(|(arm, spent)| match spent {
            Ok((_, made)) if expected.as_ref().is_some_and(|expected| expected != made) => {
                row(*arm, Err("it made something else than with the installed libc".to_owned()))
            }
            Ok((spent, _)) => row(*arm, Ok(spent)),
            Err(error) => row(*arm, Err(error.clone())),
        });
        rows.collect()
    }
}

impl Experiment for Programs {
    type Growth = ProgramGrowth;
    type Step = Step;

    fn steps(&self, growing: &GrowingPrograms) -> Vec<(Step, f64)> {
        // Each time, since what is not there any more is not measured.
        let mut steps = vec![(Step::Installed, 0.1)];
        let all = (0..self.scope.rounds).flat_map(|round| self.scope.only.iter().map(move |one| (*one, round)));
        let left = all.filter(|(one, round)| !growing.has(&(one.name.to_owned(), *round)));
        steps.extend(left.map(|(one, round)| (Step::Round(one, round), 1.0)));
        let seen = copying(growing).unwrap_or_default();
        let unseen = self.scope.only.iter().filter(|one| !seen.iter().any(|known| known.program == one.name));
        steps.extend(unseen.filter(|_| self.recording.is_some()).map(|one| (Step::Copying(one), 0.4)));
        steps
    }

    fn measure(&mut self, step: &Step, growing: &mut GrowingPrograms, observer: &dyn Observer) -> Result<(), LabError> {
        match *step {
            Step::Installed => {
                let installed: Vec<Installed> = self.scope.only.iter().map(|one| installed(one)).collect();
                for (one, found) in self.scope.only.iter().zip(&installed).filter(|(_, one)| !one.missing.is_empty()) {
                    observer.say(&format!("{}: left out: {}", one.name, not_there(found)));
                    self.left_out.push(one.name);
                }
                growing.keep(CsvFile::of(INSTALLED, &installed)?)?;
            }
            Step::Round(workload, _) | Step::Copying(workload) if self.left_out.contains(&workload.name) => {}
            Step::Round(workload, round) => {
                let samples = self.round(workload, round);
                for failed in samples.iter().filter(|sample| !sample.error.is_empty()) {
                    observer.say(&format!("{} with {}: left out: {}", failed.program, failed.arm, failed.error));
                    self.left_out.push(workload.name);
                }
                growing.append(samples)?;
            }
            Step::Copying(workload) => {
                let variables = self.recording.clone().unwrap_or_default();
                match self.copying(workload, &variables) {
                    Ok(one) => {
                        let mut all = copying(growing)?;
                        all.push(one);
                        growing.keep(CsvFile::of(COPYING, &all)?)?;
                    }
                    Err(error) => observer.say(&format!("what {} copies was not seen: {error}", workload.name)),
                }
            }
        }
        Ok(())
    }
}

/// What was seen so far of what programs copy.
fn copying(growing: &GrowingPrograms) -> Result<Vec<Copying>, RecordError> {
    let tables = &growing.kept().tables;
    tables.iter().find(|table| table.name() == COPYING).map_or(Ok(Vec::new()), CsvFile::rows)
}

/// What is missing, and what installs it.
pub fn not_there(installed: &Installed) -> String {
    format!(
        "{} is not installed: `bash benches/programs/install`, or the packages {}",
        installed.missing, installed.packages
    )
}

/// What of a workload is there.
fn installed(workload: &Workload) -> Installed {
    let found = |name: &&str| find_in(OsStr::new(name), OsStr::new(PATH)).ok();
    let missing: Vec<&str> = workload.needs.iter().filter(|name| found(name).is_none()).copied().collect();
    let stands_against = workload.needs.first().and_then(found).and_then(|path| obstacle(&path).1);
    let version = |package: &&str| {
        let output = Command::new("dpkg-query").args(["-W", "-f=${Package} ${Version}", package]).output();
        let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        text.map_or_else(|| (*package).to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
    };
    Installed {
        program: workload.name.to_owned(),
        kind: workload.kind.to_owned(),
        packages: workload.packages.iter().map(version).collect::<Vec<_>>().join(", "),
        missing: missing.join(" "),
        obstacle: stands_against.map_or_else(String::new, |obstacle| obstacle.to_string().replace('\n', " ")),
    }
}
