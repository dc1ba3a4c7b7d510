//! Signals, limits, leases, a log that nobody reads, a server that lies: each is an error, or no trouble at all.

use super::*;
use memcpy_select::transport::{Answer, Event, Operation, Table, TableOptions};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::process::ChildStderr;
use std::sync::atomic::{AtomicBool, Ordering};
use suite::sys::{End, in_child};

/// A program that has a lease on a file, and does not give it back when asked; ended when dropped.
pub struct Leased(Child);

impl Leased {
    pub fn file(path: &Path) -> Option<Self> {
        const PROGRAM: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('leased', flush=True)
sys.stdin.read()
";
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = command.spawn().map(|mut process| {
            let mut line = String::new();
            let _ = BufReader::new(process.stdout.take().unwrap()).read_line(&mut line);
            (Self(process), line)
        });
        match process {
            Ok((leased, line)) if line == "leased\n" => Some(leased),
            _ => {
                println!("skipped: python3 is missing, or gets no lease here");
                None
            }
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_file_that_another_program_has_a_lease_on_keeps_nobody_waiting() {
    let exported = Folder::new("files");
    fs::write(exported.join("other"), "other").unwrap();
    let Some(leased) = Leased::file(&exported.join("leased")) else { return };
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    is_refused(client.open("leased"), ErrorCode::BUSY);
    is_refused(client.create("leased"), ErrorCode::EXISTS);
    client.open("other").unwrap();
    let file = client.create_or_replace("leased").unwrap();
    client.write(file, b"new").unwrap();
    client.write_meta(file, b"publish replace").unwrap();
    client.open("leased").unwrap();
    drop(leased);
    let Some(leased) = Leased::file(&exported.join("third")) else { return };
    is_refused(client.open("third"), ErrorCode::BUSY);
    drop(leased);
    eventually("later it opens", || client.open("third").is_ok());
}

#[test]
fn without_proc_nothing_is_served() {
    if !can_run("unshare", &["-Umr", "mount", "-t", "tmpfs", "none", "/proc"]) {
        return;
    }
    let exported = Folder::new("files");
    let mut command = Command::new("unshare");
    command.args(["-Umr", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_streamtable-server")).arg(&exported.0).args(["--at", &some_address()]);
    let said = failure(&run_in_time(command));
    assert!(said.contains("/proc/self/fd does not lead to open files: nothing is served; mount /proc"), "{said}");
}

#[test]
fn a_write_beyond_the_limit_of_file_sizes_fails_and_the_server_lives() {
    if !can_run("prlimit", &["--fsize=4194304", "true"]) {
        return;
    }
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let mut command = Command::new("prlimit");
    command.args(["--fsize=4194304", env!("CARGO_BIN_EXE_streamtable-server")]);
    let server = Server::run(command, &exported.0, some_address(), &[]);
    for (name, len_bytes) in [("fits", 4 << 20), ("too long", (4 << 20) + 1)] {
        fs::write(here.join(name), contents(len_bytes)).unwrap();
    }
    assert_ok(&server.run_tool(&here, &["put", "fits", "file"]));
    let said = failure(&server.run_tool(&here, &["put", "--replace", "too long", "file"]));
    assert!(said.contains("file: nothing was put: more bytes than the table, or the object, can take"), "{said}");
    let output = server.run_tool(&here, &["cat", "file"]);
    assert!(output.stdout == contents(4 << 20), "it still serves, and has the old file");
    assert_eq!(names_in(&exported.0), BTreeSet::from(["file".to_owned()]));
    // Also far beyond it.
    let mut client = server.client();
    let file = client.open("file").unwrap();
    for at in [4 << 20, 1 << 40, i64::MAX as u64] {
        client.seek(file, SeekFrom::Start(at)).unwrap();
        is_refused(client.write(file, b"x"), ErrorCode::TOO_LARGE);
    }
}

#[test]
fn a_position_that_no_file_has_is_refused() {
    let exported = Folder::new("files");
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let file = client.create("file").unwrap();
    for at in [i64::MAX as u64, i64::MAX as u64 - 1] {
        client.seek(file, SeekFrom::Start(at)).unwrap();
        is_refused(client.write(file, b"xy"), ErrorCode::TOO_LARGE);
        assert_eq!(client.read(file, &mut [0; 10]).unwrap(), 0);
    }
    assert_eq!(client.seek(file, SeekFrom::End(0)).unwrap(), 0, "nothing was written");
}

#[test]
fn the_library_writes_nothing_beyond_the_limit_of_file_sizes() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    fs::write(exported.join("file"), contents(20_000)).unwrap();
    let server = Server::start(&exported.0, &[]);
    let end = in_child(|| {
        let mut client = server.client();
        let file = client.open("file").unwrap();
        let view = client.read_in_place(file, 20_000).unwrap();
        let make =
            |name: &str| File::options().append(name == "appended").write(true).create(true).open(here.join(name));
        let (plain, appended) = (make("plain").unwrap(), make("appended").unwrap());
        (&appended).write_all(&[1; 10_000]).unwrap();
        // Wherever it stands, what is written comes at its end.
        std::io::Seek::rewind(&mut &appended).unwrap();
        setrlimit(Resource::Fsize, Rlimit { current: Some(29_999), maximum: None }).unwrap();
        let is_too_large = |error: std::io::Error| error.raw_os_error() == Some(rustix::io::Errno::FBIG.raw_os_error());
        // A signal would end this process.
        assert!(view.write_to_file(&appended).is_err_and(is_too_large));
        view.write_to_file(&plain).unwrap();
        assert!(view.write_to_file(&plain).is_err_and(is_too_large));
        0
    });
    assert_eq!(end, End::Exit(0));
    let len_bytes = ["plain", "appended"].map(|name| fs::metadata(here.join(name)).unwrap().len());
    assert_eq!(len_bytes, [20_000, 10_000]);
}

#[test]
fn every_program_outlives_the_limit_of_file_sizes() {
    if !can_run("prlimit", &["--fsize=0", "true"]) {
        return;
    }
    let here = Folder::new("files");
    let run = |program, arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=0", program]).args(arguments).stdout(File::create(here.join("output")).unwrap());
        command.stderr(Stdio::piped()).output().unwrap()
    };
    let said = failure(&run(env!("CARGO_BIN_EXE_memcpy-select"), &["--help"]));
    assert!(said.contains("standard output: "), "{said}");
    // These two need shared memory, which the limit forbids too: they say so.
    let server = run(env!("CARGO_BIN_EXE_streamtable-server"), &["/tmp", "--at", "/nowhere/at/all"]);
    assert!(failure(&server).contains("error: "));
    let exported = Folder::new("files");
    let server = Server::start(&exported.0, &[]);
    fs::write(exported.join("file"), contents(100)).unwrap();
    let client = run(env!("CARGO_BIN_EXE_streamtable-client"), &["--at", &server.address, "cat", "file"]);
    assert!(failure(&client).contains("error: "));
}

/// What `sh` needs to run the server with a standard error of its choice.
fn server_with(redirection: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}"), env!("CARGO_BIN_EXE_streamtable-server")]);
    command
}

fn ends_at(mut server: Server, signal: Signal) {
    kill_process(server.pid(), signal).unwrap();
    eventually("it ends", || server.process.try_wait().unwrap().is_some());
    assert!(server.process.wait().unwrap().success());
}

#[test]
fn a_log_that_cannot_be_written_is_no_trouble() {
    let exported = Folder::new("files");
    fs::write(exported.join("file"), "file").unwrap();
    for redirection in ["2>&-", "2>/dev/full"] {
        let server = Server::run_unheard(server_with(redirection), &exported.0);
        for _ in 0..20 {
            server.client().open("file").unwrap();
        }
        ends_at(server, Signal::TERM);
    }
}

/// A server whose log nobody reads, and the other end of the log, in which there is little room.
fn server_unread(exported: &Folder) -> (Server, ChildStderr) {
    let mut command = server_with("");
    command.stderr(Stdio::piped());
    let mut server = Server::run_unheard(command, &exported.0);
    let pipe = server.process.stderr.take().unwrap();
    rustix::pipe::fcntl_setpipe_size(&pipe, 4096).unwrap();
    (server, pipe)
}

#[test]
fn a_log_that_nobody_reads_is_no_trouble() {
    let exported = Folder::new("files");
    let name = "x".repeat(255);
    fs::write(exported.join(&name), "file").unwrap();
    // More clients come and go than there is room to say so.
    let (server, _pipe) = server_unread(&exported);
    for _ in 0..80 {
        let mut client = server.client();
        let file = client.open(&name).unwrap();
        assert_eq!(client.read(file, &mut [0; 10]).unwrap(), 4);
    }
    ends_at(server, Signal::TERM);

    // As soon as somebody reads, it says what is missing.
    let (server, pipe) = server_unread(&exported);
    let mut client = server.client();
    for _ in 0..1000 {
        let file = client.create_or_replace(&name).unwrap();
        client.close(file).unwrap();
    }
    client.open(&name).unwrap();
    let is_said = Arc::new(AtomicBool::new(false));
    let is_said_there = Arc::clone(&is_said);
    let reader = thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            is_said_there.fetch_or(line.contains("lines were dropped here"), Ordering::Relaxed);
            last = line;
        }
        last
    });
    eventually("lines were dropped", || is_said.load(Ordering::Relaxed));
    ends_at(server, Signal::INT);
    let last = reader.join().unwrap();
    assert!(last.starts_with("ended by SIGINT"), "{last}");
    assert_eq!(names_in(&exported.0).len(), 1);
}

#[test]
fn signals_end_the_server_in_order() {
    let exported = Folder::new("files");
    let place = Folder::new("files");
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let socket = place.join("socket");
        let server = Server::start_at(&exported.0, socket.to_str().unwrap().to_owned(), &[]);
        let mut client = server.client();
        client.create("begun").unwrap();
        let said = Arc::clone(&server.said);
        ends_at(server, signal);
        assert!(!socket.exists(), "{:?}", names_in(&place.0));
        eventually(name, || {
            said.lock()
                .unwrap()
                .last()
                .is_some_and(|line| line.starts_with(&format!("ended by {name}, with 1 clients")))
        });
        assert!(names_in(&exported.0).is_empty());
        let ended =
            (0..1000).find_map(|_| client.open("file").err().filter(|error| matches!(error, ClientError::Session(_))));
        assert!(ended.is_some(), "its clients are told");
    }
}

/// The child of a process, which has one.
fn child_of(parent: u32) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        (line.trim().parse() == Ok(parent)).then(|| Pid::from_raw(number)).flatten()
    })
}

#[test]
fn the_first_process_of_a_container_ends_at_signals() {
    let arguments = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !can_run("unshare", &[&arguments[..], &["true"]].concat()) {
        return;
    }
    let exported = Folder::new("files");
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = Command::new("unshare");
        command.args(arguments).arg(env!("CARGO_BIN_EXE_streamtable-server"));
        let mut server = Server::run(command, &exported.0, some_address(), &[]);
        kill_process(child_of(server.process.id()).expect("it runs"), signal).unwrap();
        eventually("it ends", || server.process.try_wait().unwrap().is_some());
        assert!(server.process.wait().unwrap().success());
        server.says("ended by SIG");
    }
}

/// Serves one client one object of so many bytes, or so it says, and answers each read with at most so many of them.
fn lie(table: &mut Table, claimed_bytes: u64, bytes: &[u8], at_once: usize) {
    let (start, mut at) = (Instant::now(), 0);
    while start.elapsed() < 2 * LONG {
        let job = match table.next(LONG).unwrap() {
            Some(Event::Job(job)) => job,
            Some(Event::Left { .. }) => return,
            _ => continue,
        };
        let answer = match job.operation() {
            Operation::Open => Answer::Handle(1),
            Operation::Seek { to: SeekFrom::End(_), .. } => Answer::Position(claimed_bytes),
            Operation::Seek { .. } => {
                at = 0;
                Answer::Position(0)
            }
            Operation::Read { amount, .. } => {
                let end = bytes.len().min(at + at_once.min(amount as usize));
                let part = &bytes[at..end];
                at = end;
                Answer::Bytes(part)
            }
            _ => Answer::Error(ErrorCode::UNSUPPORTED),
        };
        table.answer(job, answer);
    }
}

/// What the client says to such a server.
fn told_lies(folder: &Folder, claimed_bytes: u64, bytes: &[u8], at_once: usize, verb: &[&str]) -> Output {
    let address = some_address();
    let mut table = Table::create(&address.parse::<Address>().unwrap(), TableOptions::default()).unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_streamtable-client"));
    tool.current_dir(&folder.0).args(["--at", &address]).args(verb);
    thread::scope(|scope| {
        scope.spawn(|| lie(&mut table, claimed_bytes, bytes, at_once));
        run_in_time(tool)
    })
}

#[test]
fn a_server_that_sends_nothing_is_not_asked_for_ever() {
    let here = Folder::new("files");
    for claimed_bytes in [1 << 63, 1, 1 << 30, ErrorCode::FIRST - 1] {
        for verb in ["get", "cat"] {
            let output = told_lies(&here, claimed_bytes, b"", 100, &[verb, "file"]);
            let said = failure(&output);
            let expected = format!("the server sent nothing where {claimed_bytes} bytes are left");
            assert!(said.contains(&expected), "{said}");
        }
    }
    let output = told_lies(&here, 1 << 63, b"some", 100, &["cat", "file"]);
    assert!(failure(&output).contains(&format!("where {} bytes are left", (1_u64 << 63) - 4)));
    assert!(names_in(&here.0).is_empty(), "nothing is kept");
}

#[test]
fn short_answers_are_gone_on_from() {
    let here = Folder::new("files");
    let bytes = contents(700_000);
    for at_once in [1 << 20, 65_537, 999] {
        let output = told_lies(&here, bytes.len() as u64, &bytes, at_once, &["get", "file"]);
        assert_ok(&output);
        assert!(fs::read(here.join("file")).unwrap() == bytes, "{at_once} at once");
        fs::remove_file(here.join("file")).unwrap();
    }
}
