//! Promise: files go to a server and come back unchanged, nothing outside its directory is reached, and whoever is killed
//! leaves nothing behind.

#![cfg(target_os = "linux")]

mod ends;
mod files;
mod puts;
#[path = "../suite/mod.rs"]
mod suite;
mod trouble;

use memcpy_select::transport::{Address, Client, ClientError, ClientOptions, ErrorCode, SessionError};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, SeekFrom, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use suite::folder::{Folder, number};
use suite::rng::Rng;

const LONG: Duration = Duration::from_secs(30);

/// A running server of a folder; killed when dropped.
struct Server {
    process: Child,
    address: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(directory: &Path, options: &[&str]) -> Self {
        Self::start_at(directory, some_address(), options)
    }

    fn start_at(directory: &Path, address: String, options: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_streamtable-server")), directory, address, options)
    }

    /// Starts it with a command that may have another one before it.
    fn run(mut command: Command, directory: &Path, address: String, options: &[&str]) -> Self {
        command.arg(directory).args(["--at", &address, "--blocks", "1"]).args(options);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let server = Self { process, address, said: Arc::clone(&said) };
        let first = lines.by_ref().map_while(Result::ok).find(|line| !line.starts_with("strace: ")).unwrap();
        assert!(first.starts_with("serving"), "{first}");
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line)));
        server
    }

    /// Starts one that this test does not listen to, and waits until it serves.
    fn run_unheard(mut command: Command, directory: &Path) -> Self {
        let address = some_address();
        command.arg(directory).args(["--at", &address, "--blocks", "1"]);
        let server = Self { process: command.spawn().unwrap(), address, said: Arc::default() };
        let start = Instant::now();
        while Client::connect(&server.address.parse::<Address>().unwrap(), ClientOptions::default()).is_err() {
            assert!(start.elapsed() < LONG, "it does not serve");
            thread::sleep(Duration::from_millis(1));
        }
        server
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap()
    }

    /// Waits until it has said that.
    fn says(&self, what: &str) {
        eventually(what, || {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.iter().any(|line| line.contains(what))
        });
    }

    fn client(&self) -> Client {
        let options = ClientOptions::default().limit(LONG);
        Client::connect(&self.address.parse::<Address>().unwrap(), options).unwrap()
    }

    fn tool(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamtable-client"));
        command.current_dir(&folder.0).args(["--at", &self.address]).args(arguments);
        command
    }

    fn run_tool(&self, folder: &Folder, arguments: &[&str]) -> Output {
        self.tool(folder, arguments).output().unwrap()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().count()
    }

    fn mappings(&self) -> usize {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.process.id())).unwrap();
        maps.lines().filter(|line| line.contains("memfd:")).count()
    }

    /// Its descriptors, its threads, and the regions that it maps.
    fn held(&self) -> (usize, usize, usize) {
        (self.descriptors(), self.threads(), self.mappings())
    }

    /// What it holds with no client, once what it had for the last one is given up: no region, and the same twice.
    fn idle(&self) -> (usize, usize, usize) {
        let (start, mut before) = (Instant::now(), self.held());
        loop {
            thread::sleep(Duration::from_millis(20));
            let held = self.held();
            if held == before && held.2 == 0 {
                return held;
            }
            assert!(start.elapsed() < LONG, "{held:?} without a client");
            before = held;
        }
    }

    /// Waits until the server holds no more than it did with no client.
    fn settles_at(&self, idle: (usize, usize, usize)) {
        let start = Instant::now();
        loop {
            let held = self.held();
            if held == idle {
                return;
            }
            assert!(start.elapsed() < LONG, "{idle:?} when idle before, {held:?} now");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Nobody else's.
fn some_address() -> String {
    format!("@memcpy-select-test-{}-{}", std::process::id(), number())
}

/// Waits until something is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a command that must not wait for anybody.
fn run_in_time(mut command: Command) -> Output {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if start.elapsed() > LONG {
            process.kill().unwrap();
            panic!("{command:?} did not end: {:?}", process.wait_with_output().unwrap());
        }
        thread::sleep(Duration::from_millis(1));
    }
    process.wait_with_output().unwrap()
}

/// Whether a program of the system can be run; says that it is skipped otherwise.
fn can_run(program: &str, arguments: &[&str]) -> bool {
    let is_there = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: {program} {} is missing or not allowed here", arguments.join(" "));
    }
    is_there
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, ClientError>, code: ErrorCode) {
    assert!(matches!(&result, Err(ClientError::Refused(refused)) if *refused == code), "{code:?}: {result:?}");
}

fn contents(len_bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(len_bytes as u64 + 1);
    (0..len_bytes).map(|_| rng.next() as u8).collect()
}

fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the client says when it fails.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names_in(path: &Path) -> BTreeSet<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
