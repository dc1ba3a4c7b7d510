//! Promise: between two sides that poll no message makes a system call, and where one side sleeps, a batch makes one to
//! wake it, however many messages it has.
//!
//! The two sides are threads of a process that runs under `strace`; what it made between two marks is counted.

#![cfg(target_os = "linux")]

use memcpy_select::transport::{
    Answer, Client, ClientOptions, Completion, Event, Operation, SessionError, Table, TableOptions, Waiting,
};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const BATCHES: u32 = 300;
const BATCH: u32 = 32;
/// Says to the test below which run it is.
const VARIABLE: &str = "MEMCPY_SELECT_TEST_TRACED";

/// One way to run.
#[derive(Clone, Copy)]
struct Run {
    name: &'static str,
    server: Waiting,
    client: Waiting,
}

const RUNS: [Run; 3] = [
    Run { name: "both poll", server: Waiting::Poll, client: Waiting::Poll },
    Run { name: "the server sleeps", server: Waiting::Sleep, client: Waiting::Poll },
    Run { name: "the client sleeps", server: Waiting::Poll, client: Waiting::Sleep },
];

fn serve(mut table: Table) {
    loop {
        match table.next(LONG).unwrap() {
            Some(Event::Job(job)) => {
                let Operation::Seek { handle, .. } = job.operation() else { panic!("{job:?}") };
                table.answer(job, Answer::Position(handle.into()));
            }
            Some(Event::Left { why: SessionError::PeerGone, .. }) => return,
            Some(Event::Joined(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn mark(text: &str) {
    rustix::io::write(rustix::stdio::stderr(), text.as_bytes()).unwrap();
}

/// Sends batches of requests and takes the answers.
fn ask(client: &mut Client, batches: u32) {
    let handle = memcpy_select::transport::Handle(7);
    for _ in 0..batches {
        for _ in 0..BATCH {
            client.submit_seek(handle, std::io::SeekFrom::Start(0)).unwrap();
        }
        for _ in 0..BATCH {
            assert!(matches!(client.wait().unwrap(), (_, Completion::Position(7))));
        }
    }
}

/// Runs only under `strace`, as the test below starts it.
#[test]
fn traced() {
    let Ok(name) = std::env::var(VARIABLE) else { return };
    let run = RUNS.into_iter().find(|run| run.name == name).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let options = TableOptions::default().waiting(run.server);
        let mut table = Table::without_address(options).unwrap();
        table.adopt(ours).unwrap();
        serve(table);
    });
    let options = ClientOptions::default().waiting(run.client).limit(LONG);
    let mut client = Client::over(theirs, options).unwrap();
    // What happens once only, such as a first look for a plan, is over then.
    ask(&mut client, 3);
    mark("BEGIN");
    let start = Instant::now();
    ask(&mut client, BATCHES);
    mark(&format!("END {} ms", start.elapsed().as_millis()));
    drop(client);
    server.join().unwrap();
}

/// The calls that a run made between its marks, and how many milliseconds it took.
struct Calls {
    client: Vec<String>,
    server: Vec<String>,
    millis: usize,
}

fn calls_of(run: Run) -> Calls {
    let log = std::env::temp_dir().join(format!("memcpy-select-calls-{}", std::process::id()));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "traced", "--nocapture", "--test-threads=1"]).env(VARIABLE, run.name);
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Each line starts with the number of its thread.
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let at = |mark: &str| lines.iter().position(|(_, call)| call.contains(mark)).unwrap();
    let (begin, end) = (at("\"BEGIN\""), at("\"END "));
    let client = lines[begin].0;
    let millis = lines[end].1.split(' ').find_map(|word| word.parse().ok()).unwrap();
    let between = lines[begin + 1..end].iter().filter(|(_, call)| !call.contains("resumed>"));
    let (ours, theirs): (Vec<_>, Vec<_>) = between.partition(|(thread, _)| *thread == client);
    let texts = |calls: Vec<&(&str, &str)>| calls.into_iter().map(|(_, call)| call.trim().to_owned()).collect();
    Calls { client: texts(ours), server: texts(theirs), millis }
}

/// How many of them wake the other side.
fn wakes(calls: &[String]) -> usize {
    calls.iter().filter(|call| call.starts_with("sendmsg(") || call.contains("FUTEX_WAKE,")).count()
}

fn others(calls: &[String], names: &[&str]) -> Vec<String> {
    calls.iter().filter(|call| !names.iter().any(|name| call.starts_with(name))).cloned().collect()
}

#[test]
fn no_message_makes_a_system_call_and_a_sleeper_is_woken_once_a_batch() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing or not allowed here");
        return;
    }
    for run in RUNS {
        let calls = calls_of(run);
        println!(
            "{}: {} messages in {BATCHES} batches: {} calls of the client's, {} of them wakes; {} of the server's, {} of \
             them wakes",
            run.name,
            BATCHES * BATCH,
            calls.client.len(),
            wakes(&calls.client),
            calls.server.len(),
            wakes(&calls.server)
        );
        let batches = BATCHES as usize;
        match (run.server, run.client) {
            (Waiting::Poll, Waiting::Poll) => {
                assert!(wakes(&calls.client) == 0 && wakes(&calls.server) == 0);
                // About once a millisecond by the clock, and not by the message: whether the other side still lives.
                let by_clock = 2 * calls.millis + 20;
                assert!(calls.client.len() <= by_clock && calls.server.len() <= by_clock, "{} ms", calls.millis);
                assert!(others(&calls.client, &["poll(", "ppoll("]).is_empty(), "{:?}", calls.client);
                assert!(others(&calls.server, &["epoll_wait(", "epoll_pwait"]).is_empty(), "{:?}", calls.server);
            }
            (Waiting::Sleep, _) => {
                assert!((1..=batches).contains(&wakes(&calls.client)), "{}", wakes(&calls.client));
                assert_eq!(wakes(&calls.server), 0, "the client is awake");
            }
            _ => {
                // The client sleeps when its batch is on its way: of what the server sends then, one part may be under way
                // already, and the rest is the other.
                assert!((1..=2 * batches).contains(&wakes(&calls.server)), "{}", wakes(&calls.server));
                assert_eq!(wakes(&calls.client), 0, "the server is awake");
            }
        }
    }
}
