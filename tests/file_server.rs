//! Promise: files go to a server and come back unchanged, nothing outside its directory is reached, and whoever is killed
//! leaves nothing behind.

#![cfg(target_os = "linux")]

mod suite;

use memcpy_select::transport::{Address, Client, ClientError, ClientOptions, ErrorCode, SessionError};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, SeekFrom, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use suite::rng::Rng;

const LONG: Duration = Duration::from_secs(30);

/// A folder of this test's own, removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("memcpy-select-files-{}-{}", std::process::id(), number()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A running server of a folder; killed when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path, options: &[&str]) -> Self {
        Self::start_at(directory, format!("@memcpy-select-test-{}-{}", std::process::id(), number()), options)
    }

    fn start_at(directory: &Path, address: String, options: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_file_server")), directory, address, options)
    }

    /// Starts it with a command that may have another one before it.
    fn run(mut command: Command, directory: &Path, address: String, options: &[&str]) -> Self {
        command.arg(directory).args(["--at", &address, "--blocks", "1"]).args(options);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with("serving"), "{first}");
        // What it says later is of no interest, but has to go somewhere.
        thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn client(&self) -> Client {
        let options = ClientOptions { limit: LONG, ..ClientOptions::default() };
        Client::connect(&Address::parse(&self.address).unwrap(), options).unwrap()
    }

    fn tool(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_file_client"));
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

    /// Waits until the server holds no more than it did with no client.
    fn settles_at(&self, idle: (usize, usize, usize)) {
        let start = Instant::now();
        loop {
            let held = (self.descriptors(), self.threads(), self.mappings());
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

#[test]
fn files_of_every_length_come_back_as_they_went() {
    let (exported, here) = (Folder::new(), Folder::new());
    let server = Server::start(&exported.0, &[]);
    for len_bytes in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 300_000, 5_000_003] {
        let sent = contents(len_bytes);
        fs::write(here.join("a file"), &sent).unwrap();
        assert_ok(&server.run_tool(&here, &["put", "a file"]));
        assert!(fs::read(exported.join("a file")).unwrap() == sent, "{len_bytes} bytes put");
        assert_ok(&server.run_tool(&here, &["get", "a file", "back"]));
        assert!(fs::read(here.join("back")).unwrap() == sent, "{len_bytes} bytes got");
        let output = server.run_tool(&here, &["cat", "a file"]);
        assert_ok(&output);
        assert!(output.stdout == sent, "{len_bytes} bytes printed");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("a file: {len_bytes} bytes")));
        assert_ok(&server.run_tool(&here, &["rm", "a file"]));
        assert!(names_in(&exported.0).is_empty());
        fs::remove_file(here.join("back")).unwrap();
    }
}

#[test]
fn a_slow_reader_gets_the_bytes_that_were_there() {
    let (exported, here) = (Folder::new(), Folder::new());
    let server = Server::start(&exported.0, &[]);
    let sent = contents(6_000_000);
    fs::write(exported.join("file"), &sent).unwrap();
    let mut reader = server.tool(&here, &["cat", "file"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = reader.stdout.take().unwrap();
    let mut received = Vec::new();
    let mut part = vec![0; 1 << 20];
    loop {
        // Meanwhile the blocks behind what waits in the pipe are used again.
        thread::sleep(Duration::from_millis(3));
        match pipe.read(&mut part).unwrap() {
            0 => break,
            count => received.extend_from_slice(&part[..count]),
        }
    }
    assert!(reader.wait().unwrap().success() && received == sent);
}

#[test]
fn what_exists_is_not_overwritten_unasked() {
    let (exported, here) = (Folder::new(), Folder::new());
    let server = Server::start(&exported.0, &[]);
    fs::write(here.join("file"), "new").unwrap();
    fs::write(exported.join("file"), "old").unwrap();
    assert!(failure(&server.run_tool(&here, &["put", "file"])).contains("file"));
    assert!(failure(&server.run_tool(&here, &["get", "file"])).contains("does not exist"));
    assert_eq!(
        (fs::read(here.join("file")).unwrap(), fs::read(exported.join("file")).unwrap()),
        (b"new".into(), b"old".into())
    );
    assert_ok(&server.run_tool(&here, &["put", "--replace", "file"]));
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"new");
    for missing in [["get", "nothing"], ["rm", "nothing"], ["cat", "nothing"], ["put", "nothing"]] {
        assert!(failure(&server.run_tool(&here, &missing)).contains("nothing"));
    }
    assert_eq!(names_in(&here.0), BTreeSet::from(["file".to_owned()]), "no half file is left");
}

#[test]
fn nothing_outside_the_directory_is_reached() {
    let (outside, exported) = (Folder::new(), Folder::new());
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::create_dir(outside.join("empty")).unwrap();
    fs::create_dir(exported.join("folder")).unwrap();
    fs::write(exported.join("folder/file"), "file").unwrap();
    symlink(outside.join("secret"), exported.join("to secret")).unwrap();
    symlink(&outside.0, exported.join("to outside")).unwrap();
    symlink("/", exported.join("to root")).unwrap();
    symlink("folder/file", exported.join("to file")).unwrap();
    symlink("/proc/self/cwd", exported.join("to cwd")).unwrap();
    symlink("to itself", exported.join("to itself")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let up = format!("../{}/secret", outside.0.file_name().unwrap().to_str().unwrap());
    let absolute = outside.join("secret").to_str().unwrap().to_owned();
    let escapes = [
        up.as_str(),
        absolute.as_str(),
        "/etc/passwd",
        "..",
        "../..",
        "folder/../../x",
        "to secret",
        "to outside/secret",
        "to outside/new",
        "to root/etc/passwd",
        "to cwd/x",
        "to itself",
        "./../x",
        "/",
    ];
    let refused = |result: Result<_, ClientError>, name: &str| match result {
        Err(ClientError::Refused(code)) => code,
        other => panic!("{name}: {other:?}"),
    };
    for name in escapes {
        refused(client.open(name).map(drop), name);
        refused(client.create(name).map(drop), name);
        // A link lies inside, and may be removed; what it leads to stays.
        if !name.starts_with("to ") || name.contains('/') {
            refused(client.destroy(name), name);
        }
    }
    client.destroy("to secret").unwrap();
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(names_in(&outside.0), BTreeSet::from(["empty".to_owned(), "secret".to_owned()]));
    // What stays inside is served, however it is written.
    for name in ["folder/file", "to file", "folder/../folder/file", "./folder//file"] {
        let handle = client.open(name).unwrap();
        client.close(handle).unwrap();
    }
}

#[test]
fn what_is_no_file_is_refused_without_being_touched() {
    let exported = Folder::new();
    fs::create_dir(exported.join("folder")).unwrap();
    fs::write(exported.join("file"), "file").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, exported.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(exported.join("socket")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let long = "x".repeat(5000);
    for name in ["", "folder", ".", "pipe", "socket", "file/x", "a\0b", "file\0", &long, &long[..256], "none/new"] {
        assert!(matches!(client.open(name), Err(ClientError::Refused(_))), "{name:.20}");
        assert!(matches!(client.create(name), Err(ClientError::Refused(_))), "{name:.20}");
        if !["pipe", "socket"].contains(&name) {
            assert!(matches!(client.destroy(name), Err(ClientError::Refused(_))), "{name:.20}");
        }
    }
    assert!(matches!(client.destroy("folder/.."), Err(ClientError::Refused(_))));
    assert!(matches!(client.open("none"), Err(ClientError::Refused(ErrorCode::NOT_FOUND))));
    assert!(matches!(client.create("file"), Err(ClientError::Refused(ErrorCode::EXISTS))));
    assert_eq!(names_in(&exported.0).len(), 4);
}

#[test]
fn positions_are_each_handles_own_and_writes_go_where_they_are() {
    let exported = Folder::new();
    let server = Server::start(&exported.0, &[]);
    let (mut one, mut other) = (server.client(), server.client());
    let file = one.create("file").unwrap();
    assert_eq!(one.write(file, b"0123456789").unwrap(), 10);
    let again = other.open("file").unwrap();
    let mut bytes = [0; 4];
    assert_eq!(other.read(again, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"0123");
    assert_eq!(one.seek(file, SeekFrom::Start(3)).unwrap(), 3);
    assert_eq!(one.write(file, b"XYZ").unwrap(), 3);
    assert_eq!(other.read(again, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"YZ67", "what was written meanwhile");
    assert_eq!(one.seek(file, SeekFrom::Current(-1)).unwrap(), 5);
    assert_eq!(one.seek(file, SeekFrom::End(-2)).unwrap(), 8);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 2);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 0, "the end");
    assert_eq!(one.seek(file, SeekFrom::End(90)).unwrap(), 100);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 0, "beyond it");
    assert_eq!(one.write(file, b"!").unwrap(), 1);
    assert_eq!(fs::read(exported.join("file")).unwrap().len(), 101);
    for to in [SeekFrom::Current(-102), SeekFrom::End(-102), SeekFrom::Start(u64::MAX), SeekFrom::Start(1 << 63)] {
        assert!(matches!(one.seek(file, to), Err(ClientError::Refused(ErrorCode::BAD_POSITION))), "{to:?}");
    }
    assert_eq!(one.seek(file, SeekFrom::Current(0)).unwrap(), 101, "where it was");

    // A file that is made shorter, and one that is removed, while they are open.
    one.seek(file, SeekFrom::Start(0)).unwrap();
    File::options().write(true).open(exported.join("file")).unwrap().set_len(2).unwrap();
    assert_eq!(one.read(file, &mut bytes).unwrap(), 2);
    other.destroy("file").unwrap();
    assert_eq!(one.seek(file, SeekFrom::End(0)).unwrap(), 2);
    // Handles are the client's own, and end once.
    assert!(matches!(one.read(again, &mut bytes), Ok(0) | Err(ClientError::Refused(ErrorCode::WRONG_HANDLE))));
    one.close(file).unwrap();
    assert!(matches!(one.read(file, &mut bytes), Err(ClientError::Refused(ErrorCode::WRONG_HANDLE))));
    assert!(matches!(one.share(file, 0, 0, false), Err(ClientError::Refused(ErrorCode::UNSUPPORTED))));
}

#[test]
fn a_client_can_open_so_many_files_and_no_more() {
    let exported = Folder::new();
    fs::write(exported.join("file"), "file").unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let handles: Vec<_> = (0..64).map(|_| client.open("file").unwrap()).collect();
    assert!(matches!(client.open("file"), Err(ClientError::Refused(ErrorCode::TABLE_FULL))));
    assert!(server.client().open("file").is_ok(), "another one can");
    client.close(handles[7]).unwrap();
    client.open("file").unwrap();
}

#[test]
fn read_only_means_so() {
    let exported = Folder::new();
    fs::write(exported.join("file"), "file").unwrap();
    let server = Server::start(&exported.0, &["--read-only"]);
    let mut client = server.client();
    let handle = client.open("file").unwrap();
    let denied = |result: Result<_, ClientError>| matches!(result, Err(ClientError::Refused(ErrorCode::DENIED)));
    assert!(denied(client.write(handle, b"x").map(drop)));
    assert!(denied(client.create("new").map(drop)) && denied(client.destroy("file")));
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"file");
    assert_eq!(names_in(&exported.0).len(), 1);
}

#[test]
fn clients_that_are_killed_leave_nothing_at_the_server() {
    let (exported, here) = (Folder::new(), Folder::new());
    let sent = contents(3_000_000);
    fs::write(exported.join("file"), &sent).unwrap();
    fs::write(here.join("file"), &sent).unwrap();
    let server = Server::start(&exported.0, &[]);
    // The first client may make the server keep something for ever, such as room for the next.
    assert_ok(&server.run_tool(&here, &["cat", "file"]));
    thread::sleep(Duration::from_millis(20));
    let idle = (server.descriptors(), server.threads(), server.mappings());
    let mut rng = Rng::new(7);
    for round in 0..40 {
        let verb: &[&str] =
            if round % 2 == 0 { &["put", "--replace", "file", "other"] } else { &["get", "file", "back"] };
        let mut tool = server.tool(&here, verb).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(rng.next() % 12_000));
        tool.kill().unwrap();
        tool.wait().unwrap();
        let _ = fs::remove_file(here.join("back"));
    }
    server.settles_at(idle);
    let output = server.run_tool(&here, &["cat", "file"]);
    assert!(output.stdout == sent, "it still serves");
}

#[test]
fn a_server_that_is_killed_ends_its_sessions_and_leaves_nothing() {
    let shm = || names_in(Path::new("/dev/shm"));
    let before = shm();
    let exported = Folder::new();
    let socket = exported.join("socket").to_str().unwrap().to_owned();
    fs::create_dir(exported.join("files")).unwrap();
    fs::write(exported.join("files/file"), contents(100_000)).unwrap();
    for address in [format!("@memcpy-select-killed-{}", std::process::id()), socket.clone()] {
        for _ in 0..2 {
            // The second time where the first one was killed.
            let server = Server::start_at(&exported.join("files"), address.clone(), &[]);
            let mut client = server.client();
            let handle = client.open("file").unwrap();
            let number = Pid::from_raw(i32::try_from(server.process.id()).unwrap()).unwrap();
            kill_process(number, Signal::KILL).unwrap();
            let error = (0..1000).find_map(|_| client.read(handle, &mut [0; 4096]).err()).unwrap();
            assert!(matches!(error, ClientError::Session(SessionError::PeerGone)), "{error}");
        }
    }
    assert_eq!(names_in(&exported.join("files")), BTreeSet::from(["file".to_owned()]));
    assert_eq!(names_in(&exported.0), BTreeSet::from(["files".to_owned(), "socket".to_owned()]));
    assert!(shm().is_subset(&before), "{:?} in /dev/shm", shm());
}

const TRACED: &str = "trace=read,readv,pread64,preadv,write,writev,pwrite64,sendfile";

/// How many bytes went through a call, in calls of more than a page.
fn moved(log: &str, call: &str) -> u64 {
    let calls = log.lines().filter(|line| line.trim_start().starts_with(&format!("{call}(")));
    let results = calls.filter_map(|line| line.rsplit_once("= ")?.1.trim().parse::<u64>().ok());
    results.filter(|bytes| *bytes > 4096).sum()
}

#[test]
fn no_buffer_lies_between_file_and_block() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing or not allowed here");
        return;
    }
    let (exported, here, logs) = (Folder::new(), Folder::new(), Folder::new());
    fs::write(here.join("file"), contents(3_000_000)).unwrap();
    let server_log = logs.join("server");
    // The tracer is the child (-D), so that what is started, and killed in the end, is the server itself.
    let mut command = Command::new("strace");
    command.args(["-D", "-q", "-e", TRACED, "-o"]).arg(&server_log).arg(env!("CARGO_BIN_EXE_file_server"));
    let address = format!("@memcpy-select-traced-{}", std::process::id());
    let server = Server::run(command, &exported.0, address, &[]);
    for verb in [["put", "file", "there"], ["get", "there", "back"]] {
        let client_log = logs.join(verb[0]);
        let mut command = Command::new("strace");
        command.args(["-q", "-e", TRACED, "-o"]).arg(&client_log).arg(env!("CARGO_BIN_EXE_file_client"));
        command.args(["--at", &server.address]).args(verb).current_dir(&here.0);
        assert_ok(&command.output().unwrap());
    }
    drop(server);
    let start = Instant::now();
    let server_log = loop {
        let log = fs::read_to_string(&server_log).unwrap();
        if log.contains("+++ killed by SIGKILL") {
            break log;
        }
        assert!(start.elapsed() < LONG, "{log}");
        thread::sleep(Duration::from_millis(1));
    };
    let [put, get] = ["put", "get"].map(|name| fs::read_to_string(logs.join(name)).unwrap());
    let all = 3_000_000;
    for (log, read, written) in [(&server_log, all, all), (&put, all, 0), (&get, 0, all)] {
        assert_eq!((moved(log, "preadv"), moved(log, "sendfile")), (read, written), "{log}");
        for call in ["read", "readv", "pread64", "write", "writev", "pwrite64"] {
            assert_eq!(moved(log, call), 0, "{call}: {log}");
        }
    }
}

#[test]
fn a_file_with_holes_and_one_that_is_written_meanwhile_are_what_they_are() {
    let exported = Folder::new();
    let file = File::options().write(true).create_new(true).open(exported.join("holes")).unwrap();
    file.set_len(900_000).unwrap();
    file.write_all_at(b"middle", 500_000).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let handle = client.open("holes").unwrap();
    let mut bytes = vec![1; 900_000];
    let mut read = 0;
    while read < bytes.len() {
        read += client.read(handle, &mut bytes[read..]).unwrap();
    }
    assert!(bytes[..500_000].iter().all(|byte| *byte == 0) && &bytes[500_000..500_006] == b"middle");
    // What is appended while a client stands at the end is there for its next read.
    file.write_all_at(b"more", 900_000).unwrap();
    let mut more = [0; 10];
    assert_eq!(client.read(handle, &mut more).unwrap(), 4);
    assert_eq!(&more[..4], b"more");
    drop(file);
    let _ = std::io::stdout().flush();
}
