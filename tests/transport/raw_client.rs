//! Promise: the protocol's page is enough to implement the other side in C.
//!
//! `raw_client/client.c` was written from that page and shares no code with the crate. It is compiled here and talks to
//! tables of every kind, and to the file server.

use crate::files::Files;
use memcpy_select::transport::{
    Address, Allocator, Answer, Blocks, ErrorCode, Event, Geometry, Job, Operation, Pushed, SessionError, Table,
    TableOptions, Waiting,
};
use std::io::{BufRead, BufReader, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// The compiled client, removed when dropped.
struct Program(PathBuf);

impl Program {
    /// None if there is no C compiler.
    fn compile(name: &str) -> Option<Self> {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        if Command::new(&compiler).arg("--version").output().is_err() {
            println!("skipped: there is no C compiler ({compiler})");
            return None;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/raw_client/client.c");
        let path = std::env::temp_dir().join(format!("memcpy-select-{name}-{}", std::process::id()));
        let output = Command::new(&compiler)
            .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&path)
            .arg(source)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self(path))
    }

    fn run(&self, address: &str) -> String {
        let output = Command::new(&self.0).arg(address).output().unwrap();
        assert!(output.status.success(), "{address}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn answer(table: &mut Table, files: &mut Files, job: Job) {
    let payload = table.payload(&job).to_vec();
    let bytes;
    let position = |result: Result<u64, ErrorCode>| result.map(Answer::Position);
    let answer = match job.operation() {
        Operation::Read { handle, amount, advance } => match files.read(handle, amount as usize, advance) {
            Ok(read) => {
                bytes = read;
                Ok(Answer::Bytes(&bytes))
            }
            Err(code) => Err(code),
        },
        Operation::Write { handle } => files.write(handle, &payload).map(Answer::Amount),
        Operation::Open => files.open(&payload).map(Answer::Handle),
        Operation::Create => files.create(&payload).map(Answer::Handle),
        Operation::Destroy => files.destroy(&payload).map(|()| Answer::Done),
        Operation::Seek { handle, to: SeekFrom::Start(to) } => position(files.seek_start(handle, to)),
        Operation::Seek { handle, to: SeekFrom::Current(to) } => position(files.seek_current(handle, to)),
        Operation::Seek { handle, to: SeekFrom::End(to) } => position(files.seek_end(handle, to)),
        _ => Err(ErrorCode::UNSUPPORTED),
    };
    table.answer(job, answer.unwrap_or_else(Answer::Error));
}

/// Messages of a stream.
const MESSAGES: u32 = 300;

/// Sends messages as long as there is a credit; whether all are sent.
fn push(table: &mut Table, job: &Job, sent: &mut u32) -> bool {
    let Operation::Stream { amount, .. } = job.operation() else { panic!("{job:?}") };
    while *sent < MESSAGES {
        let bytes: Vec<u8> = (0..*sent % (amount + 1)).map(|at| (at * 167 + *sent * 31 + (at >> 8)) as u8).collect();
        match table.push(job, Answer::Bytes(&bytes)) {
            Pushed::Sent => *sent += 1,
            Pushed::NoCredit(_) => return false,
            other => panic!("{other:?}"),
        }
    }
    true
}

/// Serves one client until it leaves.
fn serve(mut table: Table) -> SessionError {
    let mut files = Files::default();
    let mut stream = None;
    loop {
        match table.next(LONG).unwrap().expect("the client is there") {
            Event::Job(job) if matches!(job.operation(), Operation::Stream { .. }) => stream = Some((job, 0)),
            Event::Job(job) => answer(&mut table, &mut files, job),
            Event::Closed { handle, .. } => files.close(handle),
            Event::Left { why, .. } => return why,
            _ => {}
        }
        if let Some((job, mut sent)) = stream.take() {
            if push(&mut table, &job, &mut sent) {
                table.answer(job, Answer::Done);
            } else {
                stream = Some((job, sent));
            }
        }
    }
}

#[test]
fn a_client_of_raw_bytes_is_served_by_every_kind_of_table() {
    let Some(program) = Program::compile("raw-client") else { return };
    let mut number = 0;
    for allocator in [Allocator::Owned, Allocator::Shared] {
        for (capacity, strides, block_bytes, waiting) in [
            (2, (16, 12), 64, Waiting::Sleep),
            (8, (64, 64), 256, Waiting::Adaptive),
            (128, (32, 16), 4096, Waiting::Sleep),
            (4, (512, 320), 128, Waiting::Adaptive),
            (16, (16, 128), 64, Waiting::Sleep),
        ] {
            number += 1;
            let blocks = Blocks { block_bytes, count: 1024 };
            let geometry = Geometry {
                response_stride_bytes: strides.1,
                allocator,
                ..Geometry::symmetric(capacity, strides.0, blocks)
            };
            let name = format!("@memcpy-select-raw-{}-{number}", std::process::id());
            let options = TableOptions::default().geometry(geometry).waiting(waiting);
            let table = Table::create(&name.parse::<Address>().unwrap(), options).unwrap();
            let server = thread::spawn(move || serve(table));
            print!(
                "{allocator:?}, {capacity} entries of {strides:?} bytes, blocks of {block_bytes}: {}",
                program.run(&name)
            );
            assert_eq!(server.join().unwrap(), SessionError::PeerGone, "it left by itself");
        }
    }
}

#[test]
fn a_client_of_raw_bytes_is_served_by_the_file_server() {
    let Some(program) = Program::compile("raw-file-client") else { return };
    for entry_bytes in ["16", "128"] {
        is_served_by_the_file_server(&program, entry_bytes);
    }
}

fn is_served_by_the_file_server(program: &Program, entry_bytes: &str) {
    let folder = std::env::temp_dir().join(format!("memcpy-select-raw-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let name = format!("@memcpy-select-raw-files-{}", std::process::id());
    let mut server = Command::new(env!("CARGO_BIN_EXE_streamtable-server"))
        .arg(&folder)
        .args(["--at", &name, "--entry", entry_bytes])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("serving"));
    let said = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let result = std::panic::catch_unwind(|| print!("{}", program.run(&name)));
    server.kill().unwrap();
    server.wait().unwrap();
    let left = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir_all(&folder).unwrap();
    result.unwrap();
    assert_eq!(left, 0, "the file was removed");
    assert!(said.join().unwrap().iter().all(|line| !line.contains("disconnected")));
}
