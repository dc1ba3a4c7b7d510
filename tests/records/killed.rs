//! The promise: a run of every question that is ended at any moment, by Ctrl-C or by a kill, leaves a record that reads back
//! and says that it is not complete; no other process goes on with it while its own lives, nor with another grid; and
//! `--resume` brings it to the rows of a run that was left alone.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, document, gz, has_keys, kept, put, record_in, refused, reopen, said};
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::Question;
use memcpy_select::lab::neighbours::{MODES, names};
use memcpy_select::lab::record::{Progress, Record};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine to start the program.
const PATIENCE: Duration = Duration::from_secs(60);

/// A verb that measures.
struct Verb {
    question: &'static str,
    /// The smallest run that several kills hit.
    run: &'static [&'static str],
    /// Another grid.
    other: &'static [&'static str],
    /// The file that grows, and its columns that tell what was measured; rounds where there are as many in each run.
    file: &'static str,
    columns: &'static [&'static str],
    /// What ends it, one after the other.
    ends: &'static [Signal],
    /// Further files that it finds when it is gone on with, since measuring them takes long.
    there: &'static [(&'static str, &'static str)],
    /// The rows of a run that was left alone, where they are known without one.
    known: Option<fn() -> Vec<String>>,
}

impl Verb {
    /// What the rows of a record tell of, in order.
    fn rows(&self, folder: &Path) -> Vec<String> {
        let record = Record::read(folder).unwrap_or_else(|error| panic!("{error}"));
        let Some(table) = record.table(self.file.strip_suffix(".csv").unwrap()) else { return Vec::new() };
        let cells = table.cells().unwrap();
        let Some((heads, rows)) = cells.split_first() else { return Vec::new() };
        let told = |columns: &[&str]| -> Vec<String> {
            let at = |column: &&str| heads.iter().position(|head| head == column).unwrap();
            let wanted: Vec<usize> = columns.iter().map(at).collect();
            let row = |row: &Vec<String>| wanted.iter().map(|at| &*row[*at]).collect::<Vec<&str>>().join(",");
            let mut told: Vec<String> = rows.iter().map(row).collect();
            told.sort_unstable();
            told
        };
        let mut all = told(self.columns);
        // As many rounds as there was time for, each once.
        if !self.columns.contains(&"round") {
            let mut rounds = told(&[self.columns, &["round"]].concat());
            rounds.dedup();
            assert_eq!(rounds.len(), rows.len(), "a row is there twice");
            all.dedup();
        }
        all
    }
}

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

/// A run of the program that prints nothing to the standard output, once it has a record for itself. Ctrl-C ends it, also where
/// these tests run in the background of a shell, which has its children ignore that.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    let not_ignored = || {
        // SAFETY: 0 is `SIG_DFL`, which needs nothing. POSIX lets a child call this before it starts a program.
        unsafe { signal(Signal::INT.as_raw(), 0) };
        Ok(())
    };
    // SAFETY: the closure calls nothing else, and allocates nothing.
    unsafe { command.pre_exec(not_ignored) };
    let mut child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.starts_with("record: ")) {
        said.push(lines.next().unwrap_or_else(|| panic!("the run ended: {said:?}")));
    }
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn is_ended_and_resumed(verb: &Verb) {
    let Some(question) = Question::named(verb.question) else {
        return println!("skipped: there are no {} here", verb.question);
    };
    let [whole, scratch] = ["whole", "ended"].map(|name| Scratch::new(&format!("{}-{name}", verb.question)));
    let left_alone = || {
        let found = document(&[verb.run, &["--json", "--out", whole.out()]].concat());
        verb.rows(Path::new(found["record"].as_str().unwrap()))
    };
    let expected = verb.known.map_or_else(left_alone, |known| known());

    // The first run has its record, though it does not move.
    let mut child = start(&[verb.run, &["--out", scratch.out()]].concat());
    send(&child, Signal::STOP);
    let folder = record_in(&scratch.0).unwrap();
    let name = folder.to_str().unwrap();
    let (file, resume) = (folder.join(verb.file), [verb.run[0], "--json", "--resume", name]);
    let stays = |arguments: &[&str], words: &[&str]| {
        let before = fs::read(&file).unwrap();
        refused(arguments, words);
        assert_eq!(fs::read(&file).unwrap(), before, "{arguments:?}");
    };
    stays(&resume, &["another process is writing to this record", "wait until that process has ended"]);
    send(&child, Signal::CONT);

    // Moments without a pattern, the same in each run: during the start, between and inside of steps.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for (at, with) in verb.ends.iter().enumerate() {
        let (begun, since) = (fs::metadata(&file).unwrap().len(), Instant::now());
        // Every other time once it writes, else wherever it is.
        while at % 2 == 0 && fs::metadata(&file).is_ok_and(|file| file.len() == begun) {
            assert!(since.elapsed() < PATIENCE, "nothing is written");
            std::thread::sleep(Duration::from_millis(1));
        }
        random = random.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        std::thread::sleep(Duration::from_micros(random % 60_000));
        send(&child, *with);
        assert!(!child.wait().unwrap().success(), "the run was over before it was ended {at} times");
        let rows = verb.rows(&folder);
        assert!(!rows.is_empty() && rows.iter().all(|row| expected.binary_search(row).is_ok()));
        assert!(!Progress::read(&folder).unwrap().complete);
        // The line breaks where the folder's name ends.
        assert!(said(&["explain", "64", "--record", name]).replace("\n      ", " ").contains("not complete"));
        if at == 0 {
            verb.there.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
            stays(&[&resume[..], verb.other].concat(), &["cannot be resumed", "it is of the grid"]);
        }
        if at + 1 < verb.ends.len() {
            child = start(&resume);
        }
    }
    // To the end; and once more from the last step on.
    for is_first in [true, false] {
        let found = document(&resume);
        has_keys(&found, &["name", "bench", "noise_floor", "machine", "cpu"]);
        assert_eq!((found["record"].as_str(), &found["complete"]), (Some(name), &true.into()));
        assert_eq!(found["question"], question.name);
        let rows = verb.rows(&folder);
        let more: Vec<&String> = rows.iter().filter(|row| expected.binary_search(row).is_err()).take(9).collect();
        assert!(rows == expected, "{} rows, not {} as of a run left alone: {more:?}", rows.len(), expected.len());
        assert!(Progress::read(&folder).unwrap().complete && !file.exists() && gz(&folder, verb.file).exists());
        assert!(verb.there.iter().all(|(name, text)| fs::read_to_string(folder.join(name)).unwrap() == *text));
        if is_first {
            refused(&resume, &["it is complete"]);
            reopen(&folder);
            put(&folder, verb.file, &kept(&folder, verb.file));
        }
    }
    assert!(said(&["compare", name, name]).ends_with("\nno difference beyond ties\n"));
    println!("{}: {} rows", verb.question, expected.len());
}

#[test]
fn a_run_over_copies_is_ended_and_resumed() {
    is_ended_and_resumed(&Verb {
        question: "copies",
        run: &["sweep", "--effort", "quick", "--sizes", "1..64KiB", "--offsets", OFFSETS, "--kernels", "portable"],
        other: &["--effort", "quick"],
        file: "samples.csv",
        columns: &["bench", "kernel", "len_bytes", "dst_offset", "src_offset", "residency", "round", "error"],
        // By default once in each way.
        ends: if Cases::chosen() < Cases::Full { &ENDS[..2] } else { &ENDS },
        there: &[],
        known: None,
    });
}

const ENDS: [Signal; 4] = [Signal::INT, Signal::KILL, Signal::TERM, Signal::KILL];
const OFFSETS: &str = "0:0,0:1,1:0,1:1,2:0,0:2,2:2,3:0,0:3,3:3";

#[test]
#[ignore = "measures sections several times, killed in between: long"]
fn a_run_over_sections_is_ended_and_resumed() {
    if Cpu::detect().xstate.enabled.is_empty() {
        return println!("skipped: this CPU or its operating system lacks XSAVE");
    }
    is_ended_and_resumed(&Verb {
        question: "sections",
        run: &["xsave", "--effort", "quick"],
        other: &["--effort", "default"],
        file: "xsave.csv",
        columns: &["part", "subject", "live", "condition", "mask", "area", "len_bytes", "copies", "round"],
        ends: &ENDS,
        there: &[],
        known: None,
    });
}

#[test]
#[ignore = "measures paths several times, killed in between: long"]
fn a_run_over_paths_is_ended_and_resumed() {
    is_ended_and_resumed(&Verb {
        question: "paths",
        run: &[
            "ipc",
            "--effort",
            "quick",
            "--sizes",
            "8..1KiB",
            "--modes",
            "blocking",
            "--placements",
            "one_core",
            "--paths",
            "unix_stream,byte_ring,eventfd",
        ],
        other: &["--effort", "quick", "--sizes", "8"],
        file: "ipc.csv",
        columns: &["path", "kernel", "payload_bytes", "mode", "placement", "touched", "depth", "pattern", "reason"],
        ends: &ENDS,
        there: &[],
        known: None,
    });
}

/// Two rounds of all neighbours, in each way to wait.
fn beside_all_neighbours() -> Vec<String> {
    let rounds = MODES.iter().flat_map(|(mode, _)| ["0", "1"].map(|round| (mode, round)));
    let row = |(mode, round)| names().map(move |name| format!("{mode},{name},{round}"));
    let mut rows: Vec<String> = rounds.flat_map(row).collect();
    rows.sort_unstable();
    rows
}

#[test]
#[ignore = "measures beside all neighbours twice, killed in between: long"]
fn a_run_over_neighbours_is_ended_and_resumed() {
    is_ended_and_resumed(&Verb {
        question: "neighbours",
        run: &["neighbour", "--effort", "quick"],
        other: &["--effort", "default"],
        file: "neighbour.csv",
        columns: &["mode", "neighbour", "round"],
        ends: &[Signal::INT, Signal::KILL],
        there: &[("newcomers.csv", "neighbour,number,connect_ns\nidle,0,1000\n")],
        known: Some(beside_all_neighbours),
    });
}
