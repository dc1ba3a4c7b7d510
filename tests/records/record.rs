//! The promise: what a run has measured is read back as it was written, and what no run can have written is refused
//! with the file and the line.

use crate::program::{Scratch, document, kept, put, refused, set};
use crate::tree::records;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::summary::Summary;
use memcpy_select::lab::copies::sweep::{Failure, Sample};
use memcpy_select::lab::copies::{CopyRecord, Survey};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::question::page;
use memcpy_select::lab::record::{CsvFile, Environment, RecordError, newest};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

fn record() -> CopyRecord {
    let sample = |contender: &'static str, round, total_ns| Sample {
        cell: Cell::hot(4096, 1, 2),
        contender: Cow::Borrowed(contender),
        round,
        iterations: 1000,
        total_ns,
    };
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, Some(1));
    let samples = vec![sample("gpr", 0, 70_000), sample("libc", 0, 60_000), sample("gpr", 1, 71_000)];
    CopyRecord::new("select", environment, samples)
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let scratch = Scratch::new("round-trip");
    let written = record();
    let folder = written.save(&scratch.0).unwrap();
    let expected = scratch.0.join(&written.environment.machine).join(format!("{}.1", written.environment.date));
    assert_eq!(folder, expected);
    let read = CopyRecord::read(&folder).unwrap();
    assert_eq!(read.environment, written.environment);
    assert_eq!(read.samples, written.samples);
    assert_eq!(read.bench, written.bench);
}

#[test]
fn a_second_record_of_the_day_leaves_the_first_alone() {
    let scratch = Scratch::new("second");
    let first = record().save(&scratch.0).unwrap();
    let before = kept(&first, "samples.csv");
    let mut other = record();
    other.samples.truncate(1);
    let second = other.save(&scratch.0).unwrap();
    assert!(second.to_string_lossy().ends_with(".2"));
    assert_eq!(kept(&first, "samples.csv"), before);
}

/// The header line of the samples that this build writes.
const HEADER: &str =
    "bench,kernel,source_hash,len_bytes,dst_offset,src_offset,residency,round,iterations,total_ns,error";
/// The same of format 1.
const OLD_HEADER: &str = "bench,kernel,len_bytes,dst_offset,src_offset,residency,round,iterations,total_ns";

/// A record whose samples are these lines, and which says that it has as many rows.
fn with_samples(scratch: &Scratch, lines: &[&str]) -> PathBuf {
    let folder = record().save(&scratch.0).unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    put(&folder, "samples.csv", text.as_bytes());
    set(&folder, "rows", Some(&(lines.len() - 1).to_string()));
    folder
}

#[test]
fn rows_that_cannot_be_measurements_are_refused_with_their_line() {
    let good = "select,libc,,64,0,0,hot,0,9,90000,";
    let damages = [
        ("select,libc,,64,0,0,hot,1,0,90000,", "no iterations"),
        ("select,libc,,64,0,0,hot,1,0,0,", "no error says why"),
        ("select,libc,,64,0,0,hot,1,9,0,it broke", "an error beside a timing"),
        ("select,libc,,64,0,0,hot,1,9,1,", "1 ns are too few for a clock with steps of"),
        ("select,libc,,64,0,0,hot,0,9,90000,", "a second row for libc"),
        ("select,libc,,64,0,0,hot,0,0,0,it broke", "a second row for libc"),
        ("forum,libc,,64,0,0,hot,1,9,90000,", "bench forum in a record of select"),
        ("select,libc,,64,0,0,lukewarm,1,9,90000,", "no residency"),
        ("select,libc,,64,0,0,hot,1,9,-5,", "total_ns: invalid digit"),
        ("select,libc,,-64,0,0,hot,1,9,90000,", "len_bytes: invalid digit"),
        ("select,libc,,64,0,0,hot,1,9.5,90000,", "iterations: invalid digit"),
        ("select,libc,,64,0,0,hot,1,9,99999999999999999999,", "number too large"),
        ("select,libc,,64,0,0,hot,1,9,3600000000001,", "no timing takes 3600000000001 ns"),
        ("select,libc,,1048576,0,0,hot,1,1000,1000,", "1048576 GB/s is no speed of a copy"),
        ("select,core_clock,,64,0,0,hot,1,20000,1000,", "20 GHz is no clock"),
        ("select,libc,,64,4096,0,hot,1,9,90000,", "no copy is of 64 bytes to +4096 from +0 of a page"),
        ("select,libc,,1073741825,0,0,hot,1,9,90000,", "no copy is of 1073741825 bytes"),
        ("select,libc,0badf00d,64,0,0,hot,1,9,90000,", "two builds in one record"),
        ("select,libc,,64,0,0,hot,1,9", "9 fields in a row of 11 columns"),
        ("select,libc,64,0,0,hot,1,9,90000", "9 fields in a row of 11 columns"),
        ("select,libc,,64,0,0,hot,1,9,90000,,", "12 fields in a row of 11 columns"),
    ];
    for (damage, cause) in damages {
        let scratch = Scratch::new("damaged");
        let folder = with_samples(&scratch, &[HEADER, good, damage]);
        let error = CopyRecord::read(&folder).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { line: 3, .. }), "{damage}: {error}");
        let message = error.to_string();
        assert!(message.contains("samples.csv:3:") && message.contains(cause), "{damage}: {message}");
        assert!(message.contains("refused as a whole") && message.contains("restore the file"), "{message}");
    }
}

#[test]
fn every_verb_that_reads_records_refuses_damaged_ones_with_file_line_cause_and_fix() {
    let scratch = Scratch::new("verbs");
    let row = "select,libc,,64,0,0,hot,0,9,90000,";
    let damaged = with_samples(&scratch, &[HEADER, row, "select,libc,,64,0,0,hot,1,9,-5,"]);
    let newer = record().save(&scratch.0).unwrap();
    set(&newer, "format", Some("3\nsurprise = true"));
    let empty = scratch.0.join("empty");
    fs::create_dir(&empty).unwrap();
    let file = scratch.0.join("file");
    fs::write(&file, "not a folder").unwrap();
    let cases = [
        (&damaged, "samples.csv:3: ", "restore the file from where it was committed"),
        (
            &newer,
            "env.toml: format 3, this build reads formats 1 to 2",
            "use the version of memcpy-select that wrote it",
        ),
        (&empty, "neither env.toml nor samples.csv", "remove this one if it is empty"),
        (&file, "file: this is a file, not a folder", "name a folder that holds one"),
        (&scratch.0.join("missing"), "env.toml: No such file", "name a folder that holds one"),
    ];
    for (folder, cause, fix) in cases {
        let (name, page) = (folder.to_str().unwrap(), folder.with_extension("html"));
        for verb in [
            &["report", name, "--out", page.to_str().unwrap()][..],
            &["explain", "64", "--record", name],
            &["compare", name, name],
        ] {
            let message = refused(verb, &[cause, fix, name]);
            assert!(message.starts_with("error: ") && !page.exists(), "{verb:?}: {message}");
        }
    }
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let scratch = Scratch::new("cut");
    let folder = record().save(&scratch.0).unwrap();
    let whole = kept(&folder, "samples.csv");
    for cut in 0..whole.len() {
        put(&folder, "samples.csv", &whole[..cut]);
        let error = CopyRecord::read(&folder).expect_err("a part is not the whole");
        assert!(matches!(error, RecordError::Damaged { .. }), "cut at {cut}: {error}");
    }
    put(&folder, "samples.csv", &whole);
    assert_eq!(CopyRecord::read(&folder).unwrap().samples.len(), 3);
}

#[test]
fn records_of_format_1_are_read_and_formats_are_not_mixed() {
    let old_row = "select,libc,64,0,0,hot,0,9,90000";
    let row = "select,libc,,64,0,0,hot,0,9,90000,";
    let old = |scratch: &Scratch, lines: &[&str]| {
        let folder = with_samples(scratch, lines);
        set(&folder, "format", Some("1"));
        ["bench", "rows"].iter().for_each(|key| set(&folder, key, None));
        folder
    };
    let scratch = Scratch::new("formats");
    let read = CopyRecord::read(&old(&scratch, &[OLD_HEADER, old_row])).unwrap();
    assert_eq!((read.bench.as_str(), read.samples.len(), read.failures.len()), ("select", 1, 0));

    let line_of = |folder: PathBuf, cause: &str| match CopyRecord::read(&folder).unwrap_err() {
        RecordError::Damaged { line, cause: found, .. } if found.contains(cause) => line,
        other => panic!("{other} does not say {cause}"),
    };
    assert_eq!(line_of(with_samples(&scratch, &[OLD_HEADER, old_row]), "these are the columns of format 1"), 1);
    assert_eq!(line_of(old(&scratch, &[HEADER, row]), "these are the columns of format 2"), 1);
    assert_eq!(line_of(with_samples(&scratch, &["kernel,bench", row]), "the columns are"), 1);
    assert_eq!(line_of(with_samples(&scratch, &[HEADER, row, old_row]), "9 fields"), 3);
    assert_eq!(line_of(old(&scratch, &[OLD_HEADER, old_row, row]), "11 fields"), 3);
}

#[test]
fn a_contender_without_a_timing_is_kept_with_the_reason_and_apart_from_samples() {
    let scratch = Scratch::new("failures");
    let mut written = record();
    let cause = "a peer copies 300 bytes wrongly, \"or so\": left out";
    written.failures = Failure::in_all([Cell::hot(4096, 1, 2), Cell::hot(64, 0, 0)], "a peer", cause);
    let folder = written.save(&scratch.0).unwrap();
    let read = CopyRecord::read(&folder).unwrap();
    assert_eq!(read.failures, written.failures);
    assert_eq!(read.samples, written.samples);
    let summary = Summary::of(&read.samples);
    assert!(summary.cells.len() == 1 && summary.cells[0].copy_ns("a peer").is_none());
    let html = page(&[("mine".to_owned(), Box::new(read))]);
    assert!(html.contains("a peer copies 300 bytes wrongly, &quot;or so&quot;"), "the page says so");
    let document = document(&["report", "--json", folder.to_str().unwrap()]);
    assert_eq!(document["records"][0]["left_out"][1]["error"], cause);
}

#[test]
fn rows_carry_the_source_of_their_kernel() {
    let scratch = Scratch::new("sources");
    let written = record();
    let folder = written.save(&scratch.0).unwrap();
    let text = String::from_utf8(kept(&folder, "samples.csv")).unwrap();
    assert_eq!(text.lines().next(), Some(HEADER));
    let hash =
        written.environment.kernels.iter().find(|kernel| kernel.name == "gpr").and_then(|gpr| gpr.source_hash.clone());
    let expected = format!("select,gpr,{},4096,1,2050,hot,0,1000,70000,", hash.unwrap_or_default());
    assert!(text.lines().any(|line| line == expected), "{expected} in\n{text}");
    assert!(text.contains("\nselect,libc,,4096,"));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Restore {
    instruction: String,
    cycles: u64,
}

#[test]
fn further_files_of_a_record_are_kept_beside_its_samples() {
    let scratch = Scratch::new("tables");
    let rows = [
        Restore { instruction: "xrstor".to_owned(), cycles: 90 },
        Restore { instruction: "x,y".to_owned(), cycles: 7 },
    ];
    let mut written = record();
    written.samples.clear();
    written.bench = "states".to_owned();
    written.tables = vec![CsvFile::of("restore", &rows).unwrap()];
    let folder = written.save(&scratch.0).unwrap();
    let read = CopyRecord::read(&folder).unwrap();
    assert_eq!((read.bench.as_str(), read.samples.len()), ("states", 0));
    let table = read.table("restore").expect("it is there");
    assert_eq!(table.rows::<Restore>().unwrap(), rows);
    assert_eq!(table.cells().unwrap()[2], ["x,y", "7"]);
    assert!(read.table("other").is_none());
    let html = page(&[("mine".to_owned(), Box::new(read))]);
    assert!(html.contains("restore.csv") && html.contains("<td>xrstor<td>90"), "the page shows it");

    put(&folder, "restore.csv", b"instruction,cycles\nxrstor,90\nxrstor,-1\n");
    let error = CopyRecord::read(&folder).unwrap().table("restore").unwrap().rows::<Restore>().unwrap_err();
    assert!(matches!(error, RecordError::Damaged { line: 3, .. }), "{error}");
    for name in ["samples", "", "../up", "a b"] {
        assert!(CsvFile::of(name, &rows).is_err(), "{name}");
    }
}

#[test]
fn a_folder_in_which_nothing_was_written_is_passed_over_and_its_name_used() {
    let scratch = Scratch::new("empty");
    let machine = scratch.0.join(record().environment.machine);
    let first = machine.join(format!("{}.1", record().environment.date));
    fs::create_dir_all(&first).unwrap();
    fs::create_dir(machine.join(".unfinished-1-0")).unwrap();
    let survey = Survey::of(&scratch.0).unwrap();
    assert!(survey.profiles().is_empty());
    assert_eq!(survey.passed_over(), [(first.clone(), "nothing was written in it".to_owned())]);
    let newest = || newest(&scratch.0, &record().environment.cpu.signature, "select").unwrap();
    assert_eq!(newest(), None);
    assert_eq!(record().save(&scratch.0).unwrap(), first);
    assert_eq!(newest(), Some(first.clone()));
    // A gap below the last number of the day is not filled: a later record has a higher number.
    let third = record().save(&scratch.0).and_then(|_| record().save(&scratch.0)).unwrap();
    fs::remove_dir_all(first).unwrap();
    assert!(record().save(&scratch.0).unwrap() > third);
}

#[test]
fn a_damaged_or_foreign_environment_is_refused() {
    let scratch = Scratch::new("environment");
    let folder = record().save(&scratch.0).unwrap();
    let path = folder.join("env.toml");
    let text = fs::read_to_string(&path).unwrap();

    for found in [0, 3] {
        fs::write(&path, text.replacen("format = 2", &format!("format = {found}"), 1)).unwrap();
        assert_eq!(CopyRecord::read(&folder).unwrap_err(), RecordError::OtherFormat { path: path.clone(), found });
    }
    fs::write(&path, format!("surprise = true\n{text}")).unwrap();
    assert!(matches!(CopyRecord::read(&folder), Err(RecordError::Damaged { .. })));

    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(CopyRecord::read(&folder), Err(RecordError::Damaged { .. })));

    let absurd =
        [("noise_floor", "nan"), ("noise_floor", "0.5"), ("precision_ns", "0"), ("core_cycles_per_ns", "-3.0")];
    for (key, value) in absurd {
        fs::write(&path, &text).unwrap();
        set(&folder, key, Some(value));
        let at = text.lines().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
        match CopyRecord::read(&folder).unwrap_err() {
            RecordError::Damaged { line, .. } => assert_eq!(line, at as u64 + 1, "{key} = {value}"),
            other => panic!("{key} = {value}: {other}"),
        }
    }

    fs::remove_file(&path).unwrap();
    assert!(matches!(CopyRecord::read(&folder), Err(RecordError::Unreadable { .. })));
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
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn every_record_in_the_tree_is_readable_and_in_its_place() {
    for (name, findings) in records() {
        let (machine, number) = name.split_once('/').unwrap();
        assert_eq!(machine, findings.environment().machine);
        assert!(number.starts_with(&findings.environment().date), "{name}");
        assert!(findings.is_complete() && !findings.is_empty(), "{name}");
    }
}
