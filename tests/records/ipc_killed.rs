//! The promise: a run of the verb `ipc` that is ended at any moment leaves what it has measured, to be read and marked as
//! not complete, and `--resume` brings it to the rows of a run that was left alone.

use crate::program::{Scratch, put, record_in, run};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{Cell, Cost, Placement, Refusal, Sample, What};
use memcpy_select::path::Mode;
use memcpy_select::record::{Environment, GrowingIpc, IpcRecord, Progress, RecordError};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine to start the program.
const PATIENCE: Duration = Duration::from_secs(60);

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a record has: a length, a path, and what was taken of it.
fn keys(record: &IpcRecord) -> BTreeSet<(usize, String, String)> {
    let what = |what: &What| match what {
        What::SetUp(_) => "set_up".to_owned(),
        What::Traced { .. } => "traced".to_owned(),
        What::Moved { pattern, .. } => pattern.name().to_owned(),
    };
    let samples = record.samples.iter().map(|one| (one.cell.payload_bytes, one.path.clone(), what(&one.what)));
    let refused = record.refusals.iter().map(|one| (one.cell.payload_bytes, one.path.clone(), "refused".to_owned()));
    samples.chain(refused).collect()
}

#[test]
fn a_run_that_is_killed_is_read_and_resumed() {
    let scratch = Scratch::new("ipc-killed");
    let sizes: Vec<String> = (8..24).map(|bytes: usize| bytes.to_string()).collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_memcpy-select"))
        .args(["ipc", "--effort", "quick", "--out", scratch.out(), "--sizes", &sizes.join(",")])
        .args(["--modes", "blocking", "--placements", "one_core", "--paths", "pipe,byte_ring,eventfd"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let written = || {
        let file = record_in(&scratch.0).map(|folder| folder.join("ipc.csv"));
        file.and_then(|file| fs::metadata(file).ok()).map_or(0, |file| file.len())
    };
    let start = Instant::now();
    // Some cells, and on into the next.
    let mut known = (0, 0);
    while known.1 < 3 {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE, "nothing to kill");
        if written() != known.0 {
            known = (written(), known.1 + 1);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let folder = record_in(&scratch.0).unwrap();
    let path = folder.to_str().unwrap();
    let partial = IpcRecord::read(&folder).unwrap();
    assert!(!partial.complete && !partial.summary().rows.is_empty());
    let measured: BTreeSet<usize> = partial.samples.iter().map(|one| one.cell.payload_bytes).collect();
    assert!(measured.len() < sizes.len(), "the run was over before it was killed");
    let explained = run(&["explain", "--ipc", "10", "--record", path]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("not complete"), "{explained:?}");

    // Other options than its own: refused, and the record stays as it was.
    let before = fs::read(folder.join("ipc.csv")).unwrap();
    let other = run(&["ipc", "--resume", path, "--effort", "quick", "--sizes", "8"]);
    assert!(other.status.code() == Some(2) && stderr(&other).contains("cannot be resumed"), "{other:?}");
    assert_eq!(fs::read(folder.join("ipc.csv")).unwrap(), before);

    let resumed = run(&["ipc", "--resume", path]);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    let whole = IpcRecord::read(&folder).unwrap();
    assert!(whole.complete && Progress::read(&folder).unwrap().complete);
    assert!(keys(&partial).is_subset(&keys(&whole)));
    let once: BTreeSet<_> = keys(&whole).into_iter().map(|(_, path, what)| (path, what)).collect();
    for (path, what) in once.into_iter().filter(|(path, _)| path != "eventfd") {
        for bytes in 8..24 {
            let rows = |what: &str| {
                let of = |one: &&Sample| one.cell.payload_bytes == bytes && one.path == path;
                let set_up = |one: &&Sample| matches!(one.what, What::SetUp(_));
                whole.samples.iter().filter(of).filter(|one| set_up(one) == (what == "set_up")).count()
            };
            assert!(keys(&whole).contains(&(bytes, path.clone(), what.clone())), "{path} at {bytes}: no {what}");
            assert_eq!(rows("set_up"), 1, "{path} at {bytes} was measured twice");
        }
    }
    let again = run(&["ipc", "--resume", path]);
    assert!(stderr(&again).contains("it is complete"), "{}", stderr(&again));
}

fn cell(payload_bytes: usize) -> Cell {
    Cell::simple(payload_bytes, Mode::Polling, Placement::TwoCores)
}

fn sample(payload_bytes: usize, path: &str) -> Sample {
    let what = What::SetUp(Cost { ns: 1234, faults: 7 });
    Sample { cell: cell(payload_bytes), path: path.into(), kernel: None, round: 0, copies: 1, what }
}

#[test]
fn a_file_that_is_torn_anywhere_is_read_to_its_last_line_and_resumed_from_its_last_whole_cell() {
    let scratch = Scratch::new("ipc-torn");
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let mut growing = GrowingIpc::create(&scratch.0, environment.clone(), "effort quick\n").unwrap();
    for bytes in [8, 64, 4096] {
        let reason = "a reason,\nwith \"lines\" and an umlaut: ä".to_owned();
        let refusal = Refusal { cell: cell(bytes), path: "gone".into(), kernel: None, reason };
        growing.append(vec![sample(bytes, "pipe"), sample(bytes, "ring")], vec![refusal]).unwrap();
    }
    let folder = growing.folder().to_owned();
    drop(growing);
    let path = folder.join("ipc.csv");
    let text = fs::read(&path).unwrap();
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&text), 1 + 3 * 3, "a line a row");
    for end in 0..=text.len() {
        fs::write(&path, &text[..end]).unwrap();
        let read = IpcRecord::read(&folder).unwrap_or_else(|error| panic!("torn at {end}: {error}"));
        let rows = lines(&text[..end]).saturating_sub(1);
        assert_eq!(read.samples.len() + read.refusals.len(), rows, "torn at {end}");
        let growing = GrowingIpc::resume(&folder, &environment, "effort quick\n").unwrap();
        let whole = rows.saturating_sub(1) / 3;
        let kept: Vec<bool> = [8, 64, 4096].iter().map(|bytes| growing.has(&cell(*bytes))).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), whole, "torn at {end}");
        assert_eq!(fs::read(&path).unwrap(), &text[..end], "nothing is cut off before there is something to write");
    }
    // What was torn is written again, once.
    fs::write(&path, &text[..text.len() - 3]).unwrap();
    let mut growing = GrowingIpc::resume(&folder, &environment, "effort quick\n").unwrap();
    growing.append(vec![sample(4096, "pipe")], Vec::new()).unwrap();
    let (_, record) = growing.finish().unwrap();
    let read = IpcRecord::read(&folder).unwrap();
    assert!(read.complete && read.samples.len() == 5 && read.refusals.len() == 2);
    assert_eq!(read.samples, record.samples);
    put(&folder, "ipc.csv", &text[..text.len() - 3]);
    assert!(matches!(IpcRecord::read(&folder), Err(RecordError::Damaged { .. })), "a complete one is not torn");
}
