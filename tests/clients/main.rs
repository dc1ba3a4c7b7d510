//! Promise: clients in Rust, in C (`native/stream`, with gcc and with clang) and in Python do the same with a table and get
//! the same, also at the same time; a server that dies, stops or breaks the protocol is a typed error; nothing is left open.
//!
//! The library is installed here by its script, once for each compiler. What this machine lacks is said to be skipped.

#![cfg(all(target_os = "linux", memcpy_select_repository))]

mod built;
#[path = "../suite/cases.rs"]
#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
mod cases;
mod ends;
#[path = "../transport/files.rs"]
#[allow(dead_code, reason = "each binary uses its own part")]
mod files;
#[path = "../suite/folder.rs"]
mod folder;
mod header;
mod operations;
#[path = "../transport/programs.rs"]
#[allow(dead_code, reason = "each binary uses its own part")]
mod programs;
#[path = "../suite/rng.rs"]
#[allow(dead_code, reason = "each binary uses its own part")]
mod rng;
mod same;
mod tables;

use folder::{Folder, number};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// No call of a client, and no answer to a test, takes longer.
const LONG: Duration = Duration::from_secs(60);

/// Nobody else's.
fn some_address() -> String {
    format!("@memcpy-select-clients-{}-{}", std::process::id(), number())
}

/// A running file server; killed when dropped.
struct Server {
    process: Child,
    address: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let address = some_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamtable-server"));
        command.arg(directory).args(["--at", &address, "--blocks", "1"]).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let server = Self { process, address, said: Arc::clone(&said) };
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with("serving"), "{first}");
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line)));
        server
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
