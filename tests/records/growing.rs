//! The promise: whatever ends a run, and whenever, its record reads back, and a later process goes on with it to what an
//! uninterrupted run would have given.

use crate::cases::Effort as Cases;
use crate::made_up::{self, Made, passes};
use crate::program::{Scratch, copy, kept, names, put, set};
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::contender::Contender;
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::sweep::Pass;
use memcpy_select::lab::copies::sweep::Sweep;
use memcpy_select::lab::copies::{CopyGrowth, CopyRecord, GrowingCopies};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::question;
use memcpy_select::lab::record::{Environment, Growing, Growth, Kept, KernelSource, Progress, Record, RecordError};
use std::collections::BTreeSet;
use std::fs;

/// What every question's record does while it grows, and wherever it is cut.
fn grows_and_is_gone_on_with<G: Growth<Entry: PartialEq>>(name: &str, made: &Made<G>) {
    let scratch = Scratch::new(name);
    let mut growing = made.create(&scratch.0);
    let folder = growing.folder().to_owned();
    let is_there = |rows| {
        assert_eq!(Made::<G>::entries(&folder).unwrap().len(), rows);
        let findings = question::read(&folder).unwrap();
        assert_eq!((findings.bench(), findings.is_complete()), (made.bench, false));
        assert!(findings.is_empty() || rows > 0);
        let (grid, bench) = (Some(made.grid.clone()), Some(made.bench.to_owned()));
        assert_eq!(Progress::read(&folder).unwrap(), Progress { grid, bench, ..Progress::default() });
    };
    let mut rows = 0;
    is_there(rows);
    for entries in &made.steps {
        growing.append(entries.clone()).unwrap();
        rows += entries.len();
        is_there(rows);
    }
    let (_, ended) = made.end(growing).unwrap();
    let read = Kept::of::<G>(Record::read(&folder).unwrap()).unwrap();
    assert_eq!((read.environment, read.entries.len()), (ended.environment, rows));
    let findings = question::read(&folder).unwrap();
    assert!(Progress::read(&folder).unwrap().complete && findings.is_complete() && !findings.is_empty());
    assert_eq!(names(&folder), made.files());
    let expected = kept(&folder, &made.file());

    let begun = made.begun(&scratch.0, 3);
    let path = begun.join(made.file());
    let whole = fs::read(&path).unwrap();
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let reach = |steps: usize| made.steps.iter().take(steps).map(Vec::len).sum::<usize>();
    assert_eq!(lines(&whole), 1 + reach(3), "a row is a line");
    // Rows are of several lengths: one or another is hit at each place.
    let step = if Cases::chosen() < Cases::Full { 37 } else { 7 };
    for cut in (0..=whole.len()).step_by(step).chain([whole.len()]) {
        fs::write(&path, &whole[..cut]).unwrap();
        let rows = lines(&whole[..cut]).saturating_sub(1);
        let found = Made::<G>::entries(&begun).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert!(found == read.entries[..rows], "cut at {cut}");
        let growing = made.resume(&begun).unwrap();
        let has = made.has(&growing);
        let steps = has.iter().filter(|has| **has).count();
        assert!(has[..steps].iter().all(|has| *has) && growing.kept().entries.len() == reach(steps), "{has:?}");
        assert!(reach(steps) <= rows && rows <= reach(steps + 1), "cut at {cut}: at most the last step is lost");
        drop(growing);
        assert_eq!(fs::read(&path).unwrap(), &whole[..cut], "nothing is cut off before there is something to write");
        // Resuming writes all the rest: at some places only.
        if cut % (step * 29) == 0 || whole[..cut].ends_with(b"\n") && rows % 4 == 0 {
            let resumed = scratch.0.join("resumed");
            copy(&begun, &resumed);
            made.end(made.resume(&resumed).unwrap()).unwrap();
            assert!(kept(&resumed, &made.file()) == expected, "cut at {cut}");
            assert_eq!(names(&resumed), made.files());
            fs::remove_dir_all(&resumed).unwrap();
        }
    }
    // A line with too few fields is torn, wherever it ends.
    fs::write(&path, [&whole[..], b"torn,line\n"].concat()).unwrap();
    assert!(Made::<G>::entries(&begun).unwrap() == read.entries[..reach(3)]);
    fs::remove_file(&path).unwrap();
    assert!(Made::<G>::entries(&begun).unwrap().is_empty());
    made.end(made.resume(&begun).unwrap()).unwrap();
    assert!(kept(&begun, &made.file()) == expected);
    // In a complete record, no run wrote a line that lacks fields, be it the last one.
    let last = expected[..expected.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    for torn in [&expected[..last + 5], &[&expected[..], b"torn,line\n"].concat()[..]] {
        put(&begun, &made.file(), torn);
        let error = question::read(&begun).map(|_| ()).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_record_of_copies_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("copies", &made_up::copies_without_one());
}

#[test]
fn a_record_of_paths_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("paths", &made_up::paths());
}

#[test]
fn a_record_of_neighbours_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("neighbours", &made_up::neighbours());
}

#[test]
fn a_record_of_calls_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("calls", &made_up::calls());
}

#[test]
fn a_record_of_programs_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("programs", &made_up::programs());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_record_of_sections_grows_and_is_gone_on_with() {
    grows_and_is_gone_on_with("sections", &made_up::sections());
}

#[test]
fn a_record_that_does_not_say_so_is_complete() {
    let scratch = Scratch::new("old");
    let made = made_up::copies();
    let folder = made.begun(&scratch.0, 1);
    let folder = CopyRecord::read(&folder).unwrap().save(&scratch.0).unwrap();
    set(&folder, "complete", None);
    let (bench, grid) = (Some(made.bench.to_owned()), Some(made.grid));
    assert_eq!(Progress::read(&folder).unwrap(), Progress { complete: true, bench, rows: Some(36), grid });
}

#[test]
fn what_is_there_is_not_measured_again() {
    let scratch = Scratch::new("kept");
    let made = made_up::copies();
    let growing = made.resume(&made.begun(&scratch.0, 5)).unwrap();
    let has: Vec<bool> = (0..made.steps.len()).map(|at| at < 5).collect();
    assert_eq!(made.has(&growing), has);
    let before = growing.kept().entries.clone();
    let (folder, ended) = made.end(growing).unwrap();
    assert!(ended.entries.starts_with(&before) && ended.environment.noise_floor > 1.0);
    assert!(Made::<CopyGrowth>::entries(&folder).unwrap() == ended.entries);
}

#[test]
fn a_pass_with_a_row_missing_is_measured_again() {
    let scratch = Scratch::new("hole");
    let made = made_up::copies();
    let folder = made.begun(&scratch.0, 4);
    let text = fs::read_to_string(folder.join("samples.csv")).unwrap();
    let in_second = 1 + made.steps[0].len() + 6;
    let lines: Vec<&str> = text.lines().collect();
    let holed = [&lines[..in_second], &lines[in_second + 1..], &[""]].concat().join("\n");
    put(&folder, "samples.csv", holed.as_bytes());
    let growing = made.resume(&folder).unwrap();
    assert_eq!(made.has(&growing)[..4], [true, false, false, false]);
    let (_, ended) = made.end(growing).unwrap();
    assert!(ended.entries == made.steps.concat());
}

/// What another process has changed, and what is said of it.
type Change<'a> = (&'a dyn Fn(&mut Environment), &'a str);

#[test]
fn what_cannot_be_resumed_is_refused_with_the_reason_and_left_alone() {
    let scratch = Scratch::new("refused");
    let made = made_up::copies();
    let folder = made.begun(&scratch.0, 3);
    let before = fs::read(folder.join("samples.csv")).unwrap();
    let refused = |bench: &str, now: &Environment, grid: &str, cause: &str| {
        let error = Growing::<CopyGrowth>::resume(&folder, bench, now, grid).unwrap_err();
        assert!(matches!(error, RecordError::NotResumable { .. }), "{error}");
        assert!(error.to_string().contains(cause), "{error} does not say {cause}");
    };
    let (now, grid) = (&made.environment, &*made.grid);
    refused("select", now, grid, "bench sweep, not select");
    refused(made.bench, now, &Scope::of(Effort::Quick).to_string(), "grid \"effort default; sizes 64,256");
    let new = KernelSource { name: "new".to_owned(), ..now.kernels[0].clone() };
    let changes: [Change<'_>; 5] = [
        (&|other| other.machine.push('x'), "its machine is"),
        (&|other| other.cpu.signature.push('x'), "its CPU is"),
        (&|other| other.plan.push('x'), "its plan of memcpy_auto is"),
        (&|other| other.kernels[0].source_hash = Some("0".to_owned()), "the source of kernel "),
        (&|other| other.kernels.push(new.clone()), "the source of kernel new"),
    ];
    for (change, cause) in changes {
        let mut other = now.clone();
        change(&mut other);
        refused(made.bench, &other, grid, cause);
    }
    assert_eq!(fs::read(folder.join("samples.csv")).unwrap(), before);
    made.end(made.resume(&folder).unwrap()).unwrap();
    refused(made.bench, now, grid, "it is complete");
}

#[test]
fn a_record_that_is_written_to_is_not_resumed_beside() {
    let scratch = Scratch::new("two");
    let made = made_up::copies();
    let folder = made.begun(&scratch.0, 3);
    let first = made.resume(&folder).unwrap();
    let before = kept(&folder, "samples.csv");
    let refused = || match made.resume(&folder) {
        Err(error @ RecordError::InUse { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let message = refused();
    assert!(message.contains("another process is writing") && message.contains("--resume"), "{message}");
    drop(first);
    let second = made.resume(&folder).unwrap();
    refused();
    assert_eq!(kept(&folder, "samples.csv"), before);
    made.end(second).unwrap();
}

/// Where the file system has no locks, or a program that knows of none writes.
#[test]
fn a_file_that_another_process_changes_ends_the_run_and_keeps_the_record() {
    let scratch = Scratch::new("changed");
    let made = made_up::copies();
    let folder = made.begun(&scratch.0, 3);
    let growing = made.resume(&folder).unwrap();
    // Of the length that is there already, and not the same.
    let mut other = kept(&folder, "samples.csv");
    let last = other.len() - 3;
    other[last] ^= 1;
    put(&folder, "samples.csv", &other);
    let error = made.end(growing).unwrap_err();
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
    let Made { bench, environment, .. } = made_up::copies();
    let error = GrowingCopies::create(&file, bench, environment, "").unwrap_err();
    assert!(matches!(error, RecordError::Unwritable { .. }), "{error}");
    assert_eq!(names(&scratch.0), ["results"]);
}

#[test]
fn a_measured_sweep_has_the_same_cells_and_contenders_with_and_without_a_stop() {
    let scope = Scope { sizes: vec![64, 96], ..Scope::of(Effort::Quick) };
    let (grid, environment) = (scope.to_string(), Environment::gather(&Cpu::detect(), Effort::Quick, None));
    let contenders = || -> Vec<Contender> {
        let all = Contender::all_available().into_iter();
        all.filter(|contender| ["portable", "libc", "memcpy_auto"].contains(&contender.name())).collect()
    };
    let run = |mut growing: GrowingCopies, stop_after: usize| -> GrowingCopies {
        let mut sweep = Sweep::new(contenders(), 96, scope.effort).unwrap();
        for pass in passes(&scope).into_iter().take(stop_after) {
            if !growing.has(&Some(pass)) {
                let Pass { cell, number } = pass;
                growing.append(sweep.measure(cell, number).into_iter().map(Ok).collect()).unwrap();
            }
        }
        growing
    };
    let scratch = Scratch::new("measured");
    let create = || GrowingCopies::create(&scratch.0, "sweep", environment.clone(), &grid).unwrap();
    let (_, whole) = run(create(), usize::MAX).finish().unwrap();
    let stopped = run(create(), 1).folder().to_owned();
    let resumed = GrowingCopies::resume(&stopped, "sweep", &environment, &grid).unwrap();
    let (_, resumed) = run(resumed, usize::MAX).finish().unwrap();
    let [whole, resumed] = [whole, resumed].map(CopyRecord::from);
    let cells = |record: &CopyRecord| -> BTreeSet<(Cell, String)> {
        record.samples.iter().map(|sample| (sample.cell, sample.contender.to_string())).collect()
    };
    assert_eq!(cells(&whole), cells(&resumed));
    assert!(whole.samples.iter().chain(&resumed.samples).all(|sample| sample.round < Effort::Quick.rounds()));
}
