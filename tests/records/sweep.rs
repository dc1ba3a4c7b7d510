//! The promise: whatever ends a sweep, and whenever, its record reads back, and a later process goes on with it to what
//! an uninterrupted run would have given.

use crate::program::{Scratch, kept, put, record_in};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::contender::Contender;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::scope::Scope;
use memcpy_select::measure::sweep::{Sample, Sweep};
use memcpy_select::record::{Environment, Growing, Progress, Record, RecordError};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BENCH: &str = "sweep";

fn environment() -> Environment {
    Environment::gather(&Cpu::detect(), Effort::Default, None)
}

/// A small grid, gone through in three passes.
pub fn scope() -> Scope {
    Scope { sizes: vec![64, 256], offsets: vec![(0, 0), (0, 1)], ..Scope::of(Effort::Default) }
}

pub fn steps(scope: &Scope) -> Vec<(Cell, u32)> {
    scope.effort.steps(&scope.grid().unwrap()).collect()
}

/// What a pass over a cell gives, without measuring.
fn made_up(cell: Cell, pass: u32) -> Vec<Sample> {
    let rounds = Effort::Default.rounds();
    let names = ["core_clock", "libc", "gpr", "libc_again"];
    let sample = |round, name: &'static str| Sample {
        cell,
        contender: name.into(),
        round,
        iterations: 10,
        total_ns: 1_000_000 + u64::from(round),
    };
    (pass * rounds..(pass + 1) * rounds).flat_map(|round| names.map(|name| sample(round, name))).collect()
}

type Keys = BTreeSet<(Cell, String, u32)>;

fn keys(samples: &[Sample]) -> Keys {
    samples.iter().map(|sample| (sample.cell, sample.contender.to_string(), sample.round)).collect()
}

fn all_keys(scope: &Scope) -> Keys {
    keys(&steps(scope).into_iter().flat_map(|(cell, pass)| made_up(cell, pass)).collect::<Vec<_>>())
}

/// Writes what is missing, and ends the record.
fn write_missing(mut growing: Growing, scope: &Scope) -> (PathBuf, Record) {
    for (cell, pass) in steps(scope) {
        if !growing.has(cell, pass) {
            growing.append(made_up(cell, pass)).unwrap();
        }
    }
    growing.finish().unwrap()
}

/// A record of the first `count` steps, not complete.
fn begun(scratch: &Scratch, count: usize) -> PathBuf {
    let scope = scope();
    let mut growing = Growing::create(&scratch.0, BENCH, environment(), &scope.to_string()).unwrap();
    for (cell, pass) in steps(&scope).into_iter().take(count) {
        growing.append(made_up(cell, pass)).unwrap();
    }
    growing.folder().to_owned()
}

fn resume(folder: &Path) -> Growing {
    Growing::resume(folder, BENCH, &environment(), &scope().to_string()).unwrap()
}

#[test]
fn a_record_is_readable_after_every_cell_and_complete_at_the_end() {
    let scratch = Scratch::new("grows");
    let scope = scope();
    let mut growing = Growing::create(&scratch.0, BENCH, environment(), &scope.to_string()).unwrap();
    let folder = growing.folder().to_owned();
    assert!(Record::read(&folder).unwrap().samples.is_empty());
    for (cell, pass) in steps(&scope) {
        growing.append(made_up(cell, pass)).unwrap();
        assert!(Record::read(&folder).unwrap().samples == growing.record().samples);
        let progress = Progress { grid: Some(scope.to_string()), bench: Some(BENCH.to_owned()), ..Progress::default() };
        assert_eq!(Progress::read(&folder).unwrap(), progress);
    }
    let (folder, record) = growing.finish().unwrap();
    let read = Record::read(&folder).unwrap();
    assert_eq!((read.bench.as_str(), &read.samples), (BENCH, &record.samples));
    assert_eq!(read.environment, record.environment);
    assert!(read.environment.noise_floor > 1.0);
    assert!(Progress::read(&folder).unwrap().complete);
    let files: BTreeSet<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["env.toml".into(), "samples.csv.gz".into()].into());
}

#[test]
fn a_record_that_does_not_say_so_is_complete() {
    let scratch = Scratch::new("old");
    let samples = made_up(Cell::hot(64, 0, 0), 0);
    let folder = Record::new(BENCH, environment(), samples).save(&scratch.0).unwrap();
    let path = folder.join("env.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("complete = true\n", "", 1)).unwrap();
    let progress = Progress { complete: true, bench: Some(BENCH.to_owned()), rows: Some(36), grid: None };
    assert_eq!(Progress::read(&folder).unwrap(), progress);
}

/// Wherever it is cut, the record is readable, nothing of a torn row is in it, and it comes to the same end.
#[test]
fn wherever_the_samples_are_cut_the_record_is_resumed_to_the_same_keys() {
    let scratch = Scratch::new("cut");
    let folder = begun(&scratch, 2);
    let path = folder.join("samples.csv");
    let whole = fs::read(&path).unwrap();
    let all = Record::read(&folder).unwrap().samples;
    // Rows are of several lengths: one or another is hit at each place.
    for cut in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..cut]).unwrap();
        let read = Record::read(&folder).unwrap_or_else(|error| panic!("cut at {cut}: {error}")).samples;
        let rows = whole[..cut].iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
        assert_eq!(read, all[..rows], "cut at {cut}");
        // Resuming writes all the rest: at some places only.
        if cut % (7 * 29) == 0 || whole[..cut].ends_with(b"\n") {
            let resumed = scratch.0.join("resumed");
            fs::create_dir(&resumed).unwrap();
            for name in ["env.toml", "samples.csv"] {
                fs::copy(folder.join(name), resumed.join(name)).unwrap();
            }
            let (ended, record) = write_missing(resume(&resumed), &scope());
            assert_eq!(keys(&record.samples), all_keys(&scope()), "cut at {cut}");
            assert!(Record::read(&ended).unwrap().samples == record.samples, "cut at {cut}");
            fs::remove_dir_all(&resumed).unwrap();
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(Record::read(&folder).unwrap().samples.is_empty());
    assert_eq!(keys(&write_missing(resume(&folder), &scope()).1.samples), all_keys(&scope()));
}

#[test]
fn what_is_there_is_not_measured_again() {
    let scratch = Scratch::new("kept");
    let steps = steps(&scope());
    let folder = begun(&scratch, 5);
    let growing = resume(&folder);
    for (at, (cell, pass)) in steps.into_iter().enumerate() {
        assert_eq!(growing.has(cell, pass), at < 5, "step {at}");
    }
    let kept = growing.record().samples.clone();
    assert!(Record::read(&folder).unwrap().samples.starts_with(&kept));
    assert!(write_missing(growing, &scope()).1.samples.starts_with(&kept));
}

#[test]
fn a_pass_with_a_row_missing_is_measured_again() {
    let scratch = Scratch::new("hole");
    let folder = begun(&scratch, 4);
    let path = folder.join("samples.csv");
    let text = fs::read_to_string(&path).unwrap();
    let in_second = 1 + made_up(Cell::hot(64, 0, 0), 0).len() + 6;
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, [&lines[..in_second], &lines[in_second + 1..], &[""]].concat().join("\n")).unwrap();
    let growing = resume(&folder);
    let kept: Vec<bool> = steps(&scope()).into_iter().map(|(cell, pass)| growing.has(cell, pass)).take(4).collect();
    assert_eq!(kept, [true, false, false, false]);
    assert_eq!(keys(&write_missing(growing, &scope()).1.samples), all_keys(&scope()));
}

#[test]
fn a_torn_line_is_cut_off_only_where_the_record_is_not_complete() {
    for torn in ["sweep,gpr,,64,0,20", "sweep,gpr,,64\n"] {
        let scratch = Scratch::new("torn");
        let folder = begun(&scratch, 3);
        let count = Record::read(&folder).unwrap().samples.len();
        let tear = || put(&folder, "samples.csv", &[kept(&folder, "samples.csv"), torn.into()].concat());
        tear();
        assert_eq!(Record::read(&folder).unwrap().samples.len(), count);
        write_missing(resume(&folder), &scope());
        tear();
        let error = Record::read(&folder).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
    }
}

#[test]
fn what_cannot_be_resumed_is_refused_with_the_reason_and_left_alone() {
    let scratch = Scratch::new("refused");
    let folder = begun(&scratch, 3);
    let before = fs::read(folder.join("samples.csv")).unwrap();
    let (now, grid) = (environment(), scope().to_string());
    let refused = |bench: &str, now: &Environment, grid: &str, cause: &str| {
        let error = Growing::resume(&folder, bench, now, grid).unwrap_err();
        assert!(matches!(error, RecordError::NotResumable { .. }), "{error}");
        assert!(error.to_string().contains(cause), "{error} does not say {cause}");
    };
    refused("select", &now, &grid, "bench sweep, not select");
    refused(BENCH, &now, &Scope::of(Effort::Quick).to_string(), "grid \"effort default; sizes 64,256");

    let mut other = now.clone();
    other.machine.push('x');
    refused(BENCH, &other, &grid, "its machine is");
    let mut other = now.clone();
    other.cpu.signature.push('x');
    refused(BENCH, &other, &grid, "its CPU is");
    let mut other = now.clone();
    other.plan.push('x');
    refused(BENCH, &other, &grid, "its plan of memcpy_auto is");
    let mut other = now.clone();
    other.kernels[0].source_hash = Some("0".to_owned());
    refused(BENCH, &other, &grid, &format!("the source of kernel {}", now.kernels[0].name));
    let mut other = now.clone();
    let added = memcpy_select::record::KernelSource { name: "new".to_owned(), ..now.kernels[0].clone() };
    other.kernels.push(added);
    refused(BENCH, &other, &grid, "the source of kernel new");
    assert_eq!(fs::read(folder.join("samples.csv")).unwrap(), before);

    write_missing(resume(&folder), &scope());
    refused(BENCH, &now, &grid, "it is complete");
}

#[test]
fn a_record_that_is_written_to_is_not_resumed_beside() {
    let scratch = Scratch::new("two");
    let folder = begun(&scratch, 3);
    let first = resume(&folder);
    let before = kept(&folder, "samples.csv");
    let refused = || match Growing::resume(&folder, BENCH, &environment(), &scope().to_string()) {
        Err(error @ RecordError::InUse { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let message = refused();
    assert!(message.contains("another process is writing") && message.contains("--resume"), "{message}");
    drop(first);
    let second = resume(&folder);
    refused();
    assert_eq!(kept(&folder, "samples.csv"), before);
    write_missing(second, &scope());
}

/// Where the file system has no locks, or a program that knows of none writes.
#[test]
fn a_file_that_another_process_changes_ends_the_run_and_keeps_the_record() {
    let scratch = Scratch::new("changed");
    let folder = begun(&scratch, 3);
    let mut growing = resume(&folder);
    // Of the length that is there already, and not the same.
    let mut other = kept(&folder, "samples.csv");
    let last = other.len() - 3;
    other[last] ^= 1;
    put(&folder, "samples.csv", &other);
    let (cell, pass) = steps(&scope()).into_iter().find(|(cell, pass)| !growing.has(*cell, *pass)).unwrap();
    let error = growing.append(made_up(cell, pass)).unwrap_err();
    assert!(matches!(error, RecordError::Partial { .. }));
    let message = error.to_string();
    assert!(message.contains("another process") && message.contains("--resume"), "{message}");
    assert_eq!(kept(&folder, "samples.csv"), other);
}

#[test]
fn a_place_that_cannot_be_written_is_said_at_once_and_nothing_is_left() {
    let scratch = Scratch::new("unwritable");
    let file = scratch.0.join("results");
    fs::write(&file, "a file where the folder should be").unwrap();
    let error = Growing::create(&file, BENCH, environment(), "").unwrap_err();
    assert!(matches!(error, RecordError::Unwritable { .. }), "{error}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
}

#[test]
fn a_measured_sweep_has_the_same_cells_and_contenders_with_and_without_a_stop() {
    let scope = Scope { sizes: vec![64, 96], ..Scope::of(Effort::Quick) };
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let grid = scope.grid().unwrap();
    let contenders = || -> Vec<Contender> {
        let all = Contender::all_available().into_iter();
        all.filter(|contender| ["portable", "libc", "memcpy_auto"].contains(&contender.name())).collect()
    };
    let run = |mut growing: Growing, stop_after: usize| -> Growing {
        let mut sweep = Sweep::new(contenders(), 96, scope.effort).unwrap();
        for (cell, pass) in scope.effort.steps(&grid).take(stop_after) {
            if !growing.has(cell, pass) {
                growing.append(sweep.measure(cell, pass)).unwrap();
            }
        }
        growing
    };
    let scratch = Scratch::new("measured");
    let create = || Growing::create(&scratch.0, BENCH, environment.clone(), &scope.to_string()).unwrap();
    let (_, whole) = run(create(), usize::MAX).finish().unwrap();
    let stopped = run(create(), 1).folder().to_owned();
    let resumed = Growing::resume(&stopped, BENCH, &environment, &scope.to_string()).unwrap();
    let (_, resumed) = run(resumed, usize::MAX).finish().unwrap();
    let cells = |record: &Record| -> BTreeSet<(Cell, String)> {
        record.samples.iter().map(|sample| (sample.cell, sample.contender.to_string())).collect()
    };
    assert_eq!(cells(&whole), cells(&resumed));
    assert!(whole.samples.iter().chain(&resumed.samples).all(|sample| sample.round < Effort::Quick.rounds()));
}

/// Set for a child of the test below: where it writes.
const CHILD: &str = "MEMCPY_SELECT_TEST_SWEEP_CHILD";

/// The grid of the child: more than it comes to write.
fn long_scope() -> Scope {
    Scope { sizes: (1..=200).collect(), ..scope() }
}

#[test]
fn a_killed_process_leaves_a_record_that_is_resumed_to_the_same_keys() {
    if let Some(results) = std::env::var_os(CHILD) {
        let scope = long_scope();
        let growing = Growing::create(Path::new(&results), BENCH, environment(), &scope.to_string()).unwrap();
        write_missing(growing, &scope);
        return;
    }
    let scope = long_scope();
    let expected = all_keys(&scope);
    for (at, wait_us) in [0, 300, 1_000, 3_000, 9_000, 20_000].into_iter().enumerate() {
        let scratch = Scratch::new(&format!("killed-{at}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sweep::a_killed_process_leaves_a_record_that_is_resumed_to_the_same_keys"])
            .env(CHILD, &scratch.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let folder = loop {
            if let Some(folder) = record_in(&scratch.0) {
                break folder;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the child writes nothing");
            std::thread::sleep(Duration::from_micros(100));
        };
        std::thread::sleep(Duration::from_micros(wait_us));
        child.kill().unwrap();
        child.wait().unwrap();

        let read = Record::read(&folder).unwrap_or_else(|error| panic!("killed after {wait_us} us: {error}"));
        assert!(keys(&read.samples).is_subset(&expected));
        if Progress::read(&folder).unwrap().complete {
            assert_eq!(keys(&read.samples), expected);
            continue;
        }
        let growing = Growing::resume(&folder, BENCH, &environment(), &scope.to_string()).unwrap();
        let (folder, record) = write_missing(growing, &scope);
        assert_eq!(keys(&record.samples), expected);
        assert!(Record::read(&folder).unwrap().samples == record.samples);
    }
}
