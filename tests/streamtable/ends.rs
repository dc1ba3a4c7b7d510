//! Whoever is killed leaves nothing; no buffer lies between; files that change meanwhile are what they are.

use super::*;

#[test]
fn clients_that_are_killed_leave_nothing_at_the_server() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let sent = contents(3_000_000);
    fs::write(exported.join("file"), &sent).unwrap();
    fs::write(here.join("file"), &sent).unwrap();
    let server = Server::start(&exported.0, &[]);
    // The first client may make the server keep something for ever, such as room for the next.
    assert_ok(&server.run_tool(&here, &["cat", "file"]));
    let idle = server.idle();
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
    let exported = Folder::new("files");
    let socket = exported.join("socket").to_str().unwrap().to_owned();
    fs::create_dir(exported.join("files")).unwrap();
    fs::write(exported.join("files/file"), contents(100_000)).unwrap();
    for address in [format!("@memcpy-select-killed-{}", std::process::id()), socket.clone()] {
        for _ in 0..2 {
            // The second time where the first one was killed.
            let server = Server::start_at(&exported.join("files"), address.clone(), &[]);
            let mut client = server.client();
            let handle = client.open("file").unwrap();
            kill_process(server.pid(), Signal::KILL).unwrap();
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
    if !can_run("strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    let (exported, here, logs) = (Folder::new("files"), Folder::new("files"), Folder::new("files"));
    fs::write(here.join("file"), contents(3_000_000)).unwrap();
    let server_log = logs.join("server");
    // The tracer is the child (-D), so that what is started, and killed in the end, is the server itself.
    let mut command = Command::new("strace");
    command.args(["-D", "-q", "-e", TRACED, "-o"]).arg(&server_log).arg(env!("CARGO_BIN_EXE_streamtable-server"));
    let address = format!("@memcpy-select-traced-{}", std::process::id());
    let server = Server::run(command, &exported.0, address, &[]);
    for verb in [["put", "file", "there"], ["get", "there", "back"]] {
        let client_log = logs.join(verb[0]);
        let mut command = Command::new("strace");
        command.args(["-q", "-e", TRACED, "-o"]).arg(&client_log).arg(env!("CARGO_BIN_EXE_streamtable-client"));
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
    let exported = Folder::new("files");
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
