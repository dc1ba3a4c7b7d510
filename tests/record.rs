//! The promise: what a run has measured is read back as it was written, and what no run can have written is refused
//! with the file and the line.

use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::sweep::Sample;
use memcpy_select::record::{Environment, Record, RecordError};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of its own for each test, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("record-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record() -> Record {
    let sample = |contender: &'static str, round, total_ns| Sample {
        cell: Cell::hot(4096, 1, 2),
        contender: Cow::Borrowed(contender),
        round,
        iterations: 1000,
        total_ns,
    };
    Record {
        bench: "select".to_owned(),
        environment: Environment::gather(&Cpu::detect(), Effort::Quick, Some(1)),
        samples: vec![sample("gpr", 0, 70_000), sample("libc", 0, 60_000), sample("gpr", 1, 71_000)],
    }
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let scratch = Scratch::new("round-trip");
    let written = record();
    let folder = written.save(&scratch.0).unwrap();
    let expected = scratch.0.join(&written.environment.machine).join(format!("{}.1", written.environment.date));
    assert_eq!(folder, expected);
    let read = Record::read(&folder).unwrap();
    assert_eq!(read.environment, written.environment);
    assert_eq!(read.samples, written.samples);
    assert_eq!(read.bench, written.bench);
}

#[test]
fn a_second_record_of_the_day_leaves_the_first_alone() {
    let scratch = Scratch::new("second");
    let first = record().save(&scratch.0).unwrap();
    let before = fs::read(first.join("samples.csv")).unwrap();
    let mut other = record();
    other.samples.truncate(1);
    let second = other.save(&scratch.0).unwrap();
    assert!(second.to_string_lossy().ends_with(".2"));
    assert_eq!(fs::read(first.join("samples.csv")).unwrap(), before);
}

#[test]
fn rows_that_cannot_be_measurements_are_refused_with_their_line() {
    let good = "select,gpr,64,0,0,hot,0,9,90000";
    let damages = [
        ("select,gpr,64,0,0,hot,0,0,90000", "no iterations"),
        ("select,gpr,64,0,0,hot,0,9,1", "too few"),
        ("select,gpr,64,0,0,hot,0,9,90000", "a second row"),
        ("forum,gpr,64,0,0,hot,1,9,90000", "bench forum in a record of select"),
        ("select,gpr,64,0,0,lukewarm,0,9,90000", "no residency"),
        ("select,gpr,64,0,0,hot,0,9,-5", "invalid"),
        ("select,gpr,64,0,0,hot,0,9", "fields"),
    ];
    for (damage, cause) in damages {
        let scratch = Scratch::new("damaged");
        let folder = record().save(&scratch.0).unwrap();
        let samples = folder.join("samples.csv");
        let text = fs::read_to_string(&samples).unwrap();
        let header = text.lines().next().unwrap();
        fs::write(&samples, format!("{header}\n{good}\n{damage}\n")).unwrap();
        let error = Record::read(&folder).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { line: 3, .. }), "{damage}: {error}");
        let message = error.to_string();
        assert!(message.contains("samples.csv:3:") && message.contains(cause), "{damage}: {message}");
    }
}

#[test]
fn a_damaged_or_foreign_environment_is_refused() {
    let scratch = Scratch::new("environment");
    let folder = record().save(&scratch.0).unwrap();
    let path = folder.join("env.toml");
    let text = fs::read_to_string(&path).unwrap();

    fs::write(&path, text.replacen("format = 1", "format = 2", 1)).unwrap();
    assert_eq!(Record::read(&folder).unwrap_err(), RecordError::OtherFormat { path: path.clone(), found: 2 });

    fs::write(&path, format!("surprise = true\n{text}")).unwrap();
    assert!(matches!(Record::read(&folder), Err(RecordError::Damaged { .. })));

    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(Record::read(&folder), Err(RecordError::Damaged { .. })));

    fs::remove_file(&path).unwrap();
    assert!(matches!(Record::read(&folder), Err(RecordError::Unreadable { .. })));
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_with_its_path() {
    let scratch = Scratch::new("unwritable");
    let file = scratch.0.join("results");
    fs::write(&file, "a file where the folder should be").unwrap();
    let error = record().save(&file).unwrap_err();
    assert!(matches!(error, RecordError::Unwritable { .. }));
    assert!(error.to_string().contains("the record of this run is not kept"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file where the folder should be");
}

#[test]
fn every_record_in_the_tree_is_readable_and_in_its_place() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    };
    for machine in folders(&results) {
        for folder in folders(&machine) {
            let record = Record::read(&folder).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(machine.file_name().unwrap().to_string_lossy(), record.environment.machine);
            assert!(folder.file_name().unwrap().to_string_lossy().starts_with(&record.environment.date));
            assert!(!record.samples.is_empty());
        }
    }
}
