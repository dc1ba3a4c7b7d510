//! Promise: `memcpy-select profile` says of a program what it copies, to the call where every call is counted; whatever the
//! recordings hold and however the program ends, it ends with the program's status, and nothing is left but its record.

mod made;
mod programs;

use crate::recorder::recorded::compile;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for records, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profile-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// `profile` with these options, and the program behind them. Folders for recordings are made in here.
    fn profile(&self, words: &[&str]) -> Command {
        let mut command = self.verb("profile");
        command.arg("--out").arg(self.0.join("out")).args(words);
        command
    }

    fn verb(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
        command.arg(verb).stdin(Stdio::null());
        for variable in ["MEMCPY_SELECT_PLAN", "MEMCPY_SELECT_RECORDER", "LD_PRELOAD"] {
            command.env_remove(variable);
        }
        command.env("XDG_CACHE_HOME", self.0.join("cache"));
        command
    }

    /// The only record.
    fn record(&self) -> PathBuf {
        let machines = fs::read_dir(self.0.join("out")).unwrap().map(|entry| entry.unwrap().path());
        let records = machines.flat_map(|machine| fs::read_dir(machine).unwrap().map(|entry| entry.unwrap().path()));
        let records: Vec<PathBuf> = records.collect();
        assert_eq!(records.len(), 1, "{records:?}");
        records[0].clone()
    }

    /// The record as a document.
    fn document(&self) -> Value {
        let output = self.verb("report").arg("--json").arg(self.record()).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["records"][0].take()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was said on the standard error, on one line.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).replace('\n', " ")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A library that records nothing.
fn no_recorder() -> &'static str {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let path = LIBRARY.get_or_init(|| compile("../profile/nothing.c", "nothing.so", &["-shared", "-fPIC"]));
    path.to_str().unwrap()
}

/// `program.c`, compiled.
fn program() -> &'static str {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("../profile/program.c", "profiled", &["-rdynamic"])).to_str().unwrap()
}
