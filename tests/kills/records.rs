//! Promise: a run may die at any system call while its record is completed. The record is complete then, or resumed to what
//! it would have been, and nothing else is left in its folder but, at the worst, its largest file in both forms.

use super::neighbours::alone;
use super::trace::{Pace, Stop, Traced, marker};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{self, Cost, Placement, What};
use memcpy_select::measure::sweep::Sample;
use memcpy_select::path::Mode;
use memcpy_select::record::{Environment, Growing, GrowingIpc, IpcRecord, Progress, Record, RecordError};
use std::fs;
use std::path::{Path, PathBuf};

const GRID: &str = "effort quick\n";
const BENCH: &str = "sweep";

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Kills `complete` behind each of its system calls. `begin` makes the record, and `is_whole` says whether it can be read with
/// all its rows.
fn kill_at_each_call(
    expected: &[&str],
    begin: impl Fn() -> PathBuf,
    complete: impl Fn(&Path) -> Result<(), RecordError>,
    is_whole: impl Fn(&Path) -> bool,
) {
    let (mut calls, mut kills) = (0, [0, 0]);
    loop {
        let folder = begin();
        assert!(!Progress::read(&folder).unwrap().complete && is_whole(&folder));
        let mut child = Traced::start(|| {
            marker();
            complete(&folder).unwrap();
        });
        assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
        let is_inside = (0..calls).all(|_| child.go(Pace::ToSystemCall) == Stop::SystemCall);
        child.kill();
        assert!(is_whole(&folder), "killed at call {calls}: {:?}", files(&folder));
        let is_complete = Progress::read(&folder).unwrap().complete;
        kills[usize::from(is_complete)] += 1;
        if is_complete {
            let refused = complete(&folder);
            assert!(matches!(refused, Err(RecordError::NotResumable { .. })), "killed at call {calls}: {refused:?}");
        } else {
            complete(&folder).unwrap();
            assert_eq!(files(&folder), expected, "killed at call {calls}");
        }
        assert!(is_whole(&folder) && Progress::read(&folder).unwrap().complete, "killed at call {calls}");
        let left: Vec<String> = files(&folder).into_iter().filter(|name| !expected.contains(&&**name)).collect();
        assert!(left.is_empty() || is_complete && left.len() == 1 && expected.contains(&&*(left[0].clone() + ".gz")));
        fs::remove_dir_all(folder.parent().unwrap().parent().unwrap()).unwrap();
        if !is_inside {
            assert!(left.is_empty());
            break;
        }
        // A call has two stops, its start and its end, and nothing happens from one's end to the next one's start.
        calls += 2;
    }
    println!("{} kills before the record was complete, {} afterwards", kills[0], kills[1]);
    assert!(kills[0] > 10 && kills[1] > 1);
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

#[test]
fn a_sweep_may_die_at_any_call_while_its_record_is_completed() {
    let _alone = alone();
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let rounds = Effort::Quick.rounds();
    let sample = |round| Sample {
        cell: Cell::hot(64, 0, 0),
        contender: "libc".into(),
        round,
        iterations: 10,
        total_ns: 1_000_000,
    };
    let samples: Vec<Sample> = (0..rounds).map(sample).collect();
    let begin = || {
        let mut growing = Growing::create(&scratch("record-killed"), BENCH, environment.clone(), GRID).unwrap();
        growing.append(samples.clone()).unwrap();
        growing.folder().to_owned()
    };
    let complete = |folder: &Path| Growing::resume(folder, BENCH, &environment, GRID)?.finish().map(drop);
    kill_at_each_call(&["env.toml", "samples.csv.gz"], begin, complete, |folder| {
        Record::read(folder).unwrap_or_else(|error| panic!("{error}")).samples == samples
    });
}

#[test]
fn a_run_over_paths_may_die_at_any_call_while_its_record_is_completed() {
    let _alone = alone();
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let sample = |bytes| ipc::Sample {
        cell: ipc::Cell::simple(bytes, Mode::Polling, Placement::TwoCores),
        path: "pipe".into(),
        kernel: None,
        round: 0,
        copies: 2,
        what: What::SetUp(Cost { ns: 1234, faults: 7 }),
    };
    let samples = [sample(64), sample(4096)].to_vec();
    let begin = || {
        let mut growing = GrowingIpc::create(&scratch("paths-killed"), environment.clone(), GRID).unwrap();
        growing.append(samples.clone(), Vec::new()).unwrap();
        growing.folder().to_owned()
    };
    let complete = |folder: &Path| {
        let mut growing = GrowingIpc::resume(folder, &environment, GRID)?;
        // The last cell of a file may lack rows, and is measured again.
        for sample in &samples {
            if !growing.has(&sample.cell) {
                growing.append(vec![sample.clone()], Vec::new())?;
            }
        }
        growing.keep_copies(samples.clone(), &[])?;
        growing.finish().map(drop)
    };
    let expected = ["env.toml", "ipc-copies.csv.gz", "ipc.csv.gz"];
    kill_at_each_call(&expected, begin, complete, |folder| {
        let read = IpcRecord::read(folder).unwrap_or_else(|error| panic!("{error}"));
        samples.starts_with(&read.samples) && (read.samples == samples || !read.complete)
    });
}
