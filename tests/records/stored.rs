//! The promise: the files of a record are read alike, plain or compressed; what is left of a compressed file that was
//! damaged is never taken for a record; and of two processes that would write to one record, the second is refused.

use crate::program::{Scratch, compressed, gz, kept, put, record_in};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::sweep::Sample;
use memcpy_select::record::{Environment, IpcRecord, Progress, Record, RecordError, Table};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Loop {
    what: String,
    cycles: u64,
}

fn loops() -> Vec<Loop> {
    (0..40).map(|at| Loop { what: format!("loop {at}"), cycles: at * at }).collect()
}

/// A record of 30 samples and a further file.
fn record(scratch: &Scratch) -> PathBuf {
    let sample = |round| Sample {
        cell: Cell::hot(4096, 1, 2),
        contender: "libc".into(),
        round,
        iterations: 1000,
        total_ns: 60_000 + u64::from(round) * 7919 % 1000,
    };
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let mut record = Record::new("select", environment, (0..30).map(sample).collect());
    record.tables = vec![Table::of("loops", &loops()).unwrap()];
    record.save(&scratch.0).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn line_of(folder: &Path) -> u64 {
    match Record::read(folder) {
        Err(RecordError::Damaged { line, .. }) => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain_and_compressed_files_are_read_alike() {
    let scratch = Scratch::new("forms");
    let folder = record(&scratch);
    assert_eq!(files(&folder), ["env.toml", "loops.csv.gz", "samples.csv.gz"]);
    let whole = Record::read(&folder).unwrap();
    let is_the_same = |read: Record| {
        assert!(read.samples == whole.samples && read.environment == whole.environment);
        assert_eq!(read.tables.len(), 1);
        assert_eq!(read.table("loops").unwrap().rows::<Loop>().unwrap(), loops());
    };
    for name in ["samples.csv", "loops.csv"] {
        // Both: in a complete record, the compressed one counts.
        fs::write(folder.join(name), "anything").unwrap();
        is_the_same(Record::read(&folder).unwrap());
        let bytes = kept(&folder, name);
        put(&folder, name, &bytes);
        is_the_same(Record::read(&folder).unwrap());
    }
    // Both, in a record that is not complete: the plain one counts.
    let path = folder.join("env.toml");
    let text = fs::read_to_string(&path).unwrap().replacen("complete = true", "complete = false", 1);
    fs::write(&path, text.replacen("rows = 30\n", "", 1)).unwrap();
    for name in ["samples.csv", "loops.csv"] {
        fs::write(gz(&folder, name), "anything").unwrap();
    }
    is_the_same(Record::read(&folder).unwrap());
}

#[test]
fn a_compressed_file_that_is_cut_or_goes_on_is_refused_with_its_line() {
    let scratch = Scratch::new("gz-cut");
    let folder = record(&scratch);
    let whole = Record::read(&folder).unwrap();
    for name in ["samples.csv", "loops.csv"] {
        let path = gz(&folder, name);
        let stored = fs::read(&path).unwrap();
        let lines = kept(&folder, name).split(|byte| *byte == b'\n').count() as u64;
        for cut in 0..stored.len() {
            fs::write(&path, &stored[..cut]).unwrap();
            let line = line_of(&folder);
            assert!((1..=lines).contains(&line), "{name} cut at {cut}: line {line}");
        }
        // Garbage, and a second file, which tools that decompress would append.
        for more in [&b"x"[..], &[0; 512], &compressed(b"more\n")] {
            fs::write(&path, [&stored[..], more].concat()).unwrap();
            assert_eq!(line_of(&folder), lines, "{name}");
            let message = Record::read(&folder).unwrap_err().to_string();
            assert!(message.contains(&format!("{} bytes are behind the end", more.len())), "{message}");
            assert!(message.contains(&format!("{name}.gz:{lines}: ")), "{message}");
        }
        fs::write(&path, &stored).unwrap();
        assert!(Record::read(&folder).unwrap().samples == whole.samples);
    }
}

#[test]
fn a_compressed_file_with_a_changed_byte_is_refused_or_holds_the_same() {
    let scratch = Scratch::new("gz-changed");
    let folder = record(&scratch);
    let whole = Record::read(&folder).unwrap();
    let path = gz(&folder, "samples.csv");
    let stored = fs::read(&path).unwrap();
    // Not covered by the checksum: the head, with the time and the system, and the bits that fill the last byte.
    let is_idle = |at: usize| at < 10 || at == stored.len() - 9;
    let mut refused = 0;
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut changed = stored.clone();
            changed[at] ^= 1 << bit;
            fs::write(&path, changed).unwrap();
            match Record::read(&folder) {
                Ok(read) => assert!(is_idle(at) && read.samples == whole.samples, "byte {at}, bit {bit}"),
                Err(RecordError::Damaged { .. }) => refused += 1,
                Err(other) => panic!("byte {at}, bit {bit}: {other}"),
            }
        }
    }
    assert!(refused >= 8 * (stored.len() - 11), "{refused}");
    // What was compressed by another program, with a name in the head, is a record all the same.
    let head = [&[0x1f, 0x8b, 8, 8, 1, 2, 3, 4, 2, 3][..], b"samples.csv\0"].concat();
    fs::write(&path, [&head[..], &stored[10..]].concat()).unwrap();
    assert!(Record::read(&folder).unwrap().samples == whole.samples);
}

#[test]
fn a_small_file_that_holds_far_too_much_is_refused() {
    let scratch = Scratch::new("gz-bomb");
    let folder = record(&scratch);
    let bomb = compressed(&vec![b'0'; (256 << 20) + 1]);
    assert!(bomb.len() < 4 << 20);
    fs::write(gz(&folder, "samples.csv"), bomb).unwrap();
    let message = Record::read(&folder).unwrap_err().to_string();
    assert!(message.contains("samples.csv.gz:1: ") && message.contains("more than 256 MiB"), "{message}");
}

/// A run of the program that prints nothing to the standard output.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits until it says where its record is, which is when it has it for itself.
fn wait_for_record(child: &mut Child) {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        if line.starts_with("record: ") {
            return;
        }
        said.push(line);
    }
    panic!("the run ended: {said:?}");
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A verb that grows a record, with a grid that takes seconds; whether the record is whole.
fn only_one_process_goes_on(verb: &str, grid: &[&str], growing: &str, is_whole: fn(&Path) -> bool) {
    let scratch = Scratch::new(&format!("lock-{verb}"));
    let resume =
        |folder: &Path| -> Output { start(&[verb, "--resume", folder.to_str().unwrap()]).wait_with_output().unwrap() };
    let refused = |folder: &Path| {
        let before = fs::read(folder.join(growing)).unwrap();
        let output = resume(folder);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("another process is writing to this record"), "{said}");
        assert!(said.contains("wait until that process has ended"), "{said}");
        assert_eq!(fs::read(folder.join(growing)).unwrap(), before);
    };

    // The first run has it, though it does not move.
    let mut first = start(&[&[verb, "--out", scratch.out()], grid].concat());
    wait_for_record(&mut first);
    signal(&first, Signal::STOP);
    let folder = record_in(&scratch.0).unwrap();
    refused(&folder);
    first.kill().unwrap();
    first.wait().unwrap();

    // A killed one has it no longer. The next one has.
    let mut second = start(&[verb, "--resume", folder.to_str().unwrap()]);
    wait_for_record(&mut second);
    signal(&second, Signal::STOP);
    refused(&folder);
    signal(&second, Signal::CONT);
    assert!(second.wait().unwrap().success());
    assert!(Progress::read(&folder).unwrap().complete && is_whole(&folder));
    assert!(!folder.join(growing).exists() && gz(&folder, growing).exists());
    let over = resume(&folder);
    assert!(over.status.code() == Some(2) && String::from_utf8_lossy(&over.stderr).contains("it is complete"));
}

#[test]
fn two_processes_do_not_sweep_for_one_record() {
    let sizes: Vec<String> = (1..=200).map(|bytes: usize| bytes.to_string()).collect();
    let grid = ["--effort", "quick", "--sizes", &sizes.join(","), "--kernels", "portable"];
    only_one_process_goes_on("sweep", &grid, "samples.csv", |folder| {
        let cells = |samples: &[Sample]| samples.chunk_by(|a, b| a.cell == b.cell).count();
        cells(&Record::read(folder).unwrap().samples) == 200
    });
}

#[test]
fn two_processes_do_not_send_for_one_record() {
    let sizes: Vec<String> = (8..20).map(|bytes: usize| bytes.to_string()).collect();
    let sizes = sizes.join(",");
    let grid = ["--effort", "quick", "--sizes", &sizes, "--modes", "blocking", "--placements", "one_core"];
    let grid = [&grid[..], &["--paths", "pipe"]].concat();
    only_one_process_goes_on("ipc", &grid, "ipc.csv", |folder| {
        let record = IpcRecord::read(folder).unwrap();
        record.complete && record.summary().rows.len() == 12
    });
}
