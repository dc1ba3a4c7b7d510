//! This test binary again, as the other side: under another program such as `unshare`, with limits, or both.

#![allow(dead_code, reason = "each test binary uses its own part")]

#[cfg(target_arch = "x86_64")]
pub mod filter;

use crate::suite::sys;
use memcpy_select::transport::connect::{JoinOptions, OwnRegion};
use memcpy_select::transport::{
    Access, Address, Answer, Client, ClientError, ClientOptions, ConnectError, Event, Handle, Object, Operation,
    PAGE_BYTES, PageRange, Payload, Region, RegionOptions, Table, TableOptions,
};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, SeekFrom, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const ROLE: &str = "MEMCPY_SELECT_TEST_ROLE";
/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(20);

/// An address that nobody else has.
pub fn address(what: &str) -> Address {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("memcpy-select-{what}-{}-{number}", std::process::id()))
}

/// A process in a role, which is told line by line what it does; killed when dropped.
pub struct Other {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    /// Starts `before` (`unshare --user`, say, or nothing) with this binary in a role.
    pub fn start(before: &[&str], role: &str) -> Self {
        Self::run(Self::command(before, role))
    }

    pub fn command(before: &[&str], role: &str) -> Command {
        let own = std::env::current_exe().unwrap();
        let mut command = match before {
            [] => Command::new(&own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&own);
                command
            }
        };
        command.args(["--exact", "roles::be_the_other_side", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    pub fn run(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The rest of the next line with that word.
    pub fn says(&mut self, word: &str) -> String {
        self.next_word(&[word]).1
    }

    /// The next line with one of these words: the word, and the rest of the line.
    pub fn next_word<'a>(&mut self, words: &[&'a str]) -> (&'a str, String) {
        while let Some(line) = self.next_line() {
            for word in words {
                // The test harness may have begun the line.
                if let Some((_, said)) = line.split_once(&format!("<{word}>")) {
                    return (word, said.trim().to_owned());
                }
            }
        }
        panic!("it ended without any of {words:?}");
    }

    /// The next line, which has to come in time; `None` if it has ended. A line is written at once.
    fn next_line(&mut self) -> Option<String> {
        if self.output.buffer().is_empty() {
            let mut one = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
            let ready = rustix::event::poll(&mut one, Some(&LONG.try_into().unwrap())).unwrap();
            assert!(ready > 0, "it says nothing");
        }
        let mut line = String::new();
        let len = self.output.read_line(&mut line).unwrap();
        (len > 0).then_some(line)
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it go on from where it waits for that.
    pub fn go_on(&mut self) {
        drop(self.process.stdin.take());
    }

    /// How it ended.
    pub fn end(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a program runs here, with these arguments; says so if it does not.
pub fn can_run(program: &[&str]) -> bool {
    let [name, arguments @ ..] = program else { return true };
    let output = Command::new(name).args(arguments).arg("true").stderr(Stdio::null()).output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: {} is missing or not allowed here", program.join(" "));
    }
    can
}

fn say(word: &str, text: impl std::fmt::Display) {
    println!("<{word}> {text}");
    std::io::stdout().flush().unwrap();
}

/// In a run without a role nothing. Else one of these, which end when they are killed or their input does:
///
/// - `serve ADDRESS WORDS`: a table;
/// - `join ADDRESS WORDS`: a client;
/// - `many ADDRESS WORDS`: clients, as many as can be; then half of them, and so many again;
/// - `orphan ADDRESS WORDS`: a client that dies when it has joined, while a copy that it forked holds its socket;
/// - `object - WORDS`: a region, to be handed out to be read.
///
/// The words are `files=`, `size=` and `space=` with a limit, `prefault`, `untouched` for a client that sends all its blocks and has
/// written none, and `refuse=CALL:ERRNO` (see [`filter`]).
#[test]
fn be_the_other_side() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    #[cfg(target_arch = "x86_64")]
    filter::install(words.iter().filter_map(|word| word.strip_prefix("refuse=")));
    let prefault = words.contains(&"prefault");
    let limits = || limit(words[2..].iter().filter(|word| word.contains('=') && !word.starts_with("refuse=")));
    if words[0] == "object" {
        limits();
        return match object() {
            Ok(()) => say("object", ""),
            Err(error) => say("failed", error),
        };
    }
    let address = words[1].parse::<Address>().unwrap();
    match words[0] {
        "serve" => {
            let options = TableOptions::default().regions(RegionOptions::default().prefault(prefault));
            match Table::create(&address, options) {
                Ok(mut table) => {
                    say("serves", std::process::id());
                    limits();
                    serve_all(&mut table);
                }
                Err(error) => say("failed", error),
            }
        }
        "join" => {
            limits();
            match ask_with(&address, prefault) {
                Ok(mut client) => {
                    say("joined", "");
                    if words.contains(&"untouched") {
                        let lease = client.lease(client.max_write_bytes()).unwrap();
                        client.write_in_place(Handle(1), lease).unwrap();
                        say("sent", "");
                    }
                    wait_for_end();
                }
                Err(error) => say("failed", error),
            }
        }
        "many" => {
            limits();
            let mut clients = join_many(&address);
            let count = clients.len();
            clients.truncate(count / 2);
            clients.extend(join_many(&address));
            for client in &mut clients {
                seek(client).unwrap();
            }
            say("joined", format_args!("{count} {}", clients.len()));
            wait_for_end();
        }
        "orphan" => {
            let client = sys::Child::start(|| {
                let Ok(_client) = ask(&address) else { return 1 };
                sys::Child::start(|| {
                    // Not by the library's buffer, which another thread of this process could have locked.
                    let _ = rustix::io::read(rustix::stdio::stdin(), &mut [0; 1]);
                    0
                });
                0
            });
            let end = client.end();
            assert_eq!(end, sys::End::Exit(0));
            say("joined", "");
            wait_for_end();
        }
        other => panic!("{other}"),
    }
}

fn wait_for_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn object() -> Result<(), Box<dyn std::error::Error>> {
    let region = Region::create(4096, RegionOptions::default())?;
    Object::of(&region, PageRange::of_bytes(0, 4096, Access::Read).unwrap())?;
    Ok(())
}

/// As many clients as can be; says why there are no more.
fn join_many(address: &Address) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        match ask(address) {
            Ok(client) => clients.push(client),
            Err(error) => {
                say("failed", error);
                return clients;
            }
        }
    }
}

/// Connects and asks for something.
pub fn ask(address: &Address) -> Result<Client, ConnectError> {
    ask_with(address, false)
}

fn ask_with(address: &Address, prefault: bool) -> Result<Client, ConnectError> {
    let own = OwnRegion::New(RegionOptions::default().prefault(prefault));
    let join = JoinOptions::default().limit(LONG).own_region(own).prefault(prefault);
    let mut client = Client::connect(address, ClientOptions::default().join(join).limit(LONG))?;
    seek(&mut client).unwrap();
    Ok(client)
}

/// Asks for something.
pub fn seek(client: &mut Client) -> Result<(), ClientError> {
    client.seek(Handle(1), SeekFrom::Start(7)).map(|position| assert_eq!(position, 7))
}

fn limit<'a>(words: impl Iterator<Item = &'a &'a str>) {
    for word in words {
        let (what, number) = word.split_once('=').unwrap();
        let resource = match what {
            "files" => Resource::Nofile,
            "size" => Resource::Fsize,
            "space" => Resource::As,
            other => panic!("{other}"),
        };
        let more: u64 = number.parse().unwrap();
        let current = match resource {
            Resource::Nofile => more + used_descriptors(),
            Resource::As => more + mapped_bytes(),
            _ => more,
        };
        setrlimit(resource, Rlimit { current: Some(current), ..getrlimit(resource) }).unwrap();
    }
}

/// How many descriptors there are, once there are none left between them.
fn used_descriptors() -> u64 {
    use std::os::fd::AsRawFd;
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let last: i32 = numbers.map(|name| name.into_string().unwrap().parse().unwrap()).max().unwrap();
    loop {
        let file = std::fs::File::open("/").unwrap();
        if file.as_raw_fd() >= last {
            return file.as_raw_fd() as u64;
        }
        std::mem::forget(file);
    }
}

fn mapped_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// How many bytes there are, all of which are looked at.
fn read_all(payload: Payload<'_>) -> usize {
    (0..payload.len()).step_by(PAGE_BYTES).map(|at| payload.read_at(at, &mut [0; PAGE_BYTES])).sum()
}

/// Serves until it is killed, and says what happens.
pub fn serve_all(table: &mut Table) {
    loop {
        let event = match table.next(Duration::from_secs(1)) {
            Ok(event) => event,
            Err(error) => return say("failed", error),
        };
        match event {
            Some(Event::Job(job)) => {
                let answer = match job.operation() {
                    Operation::Seek { to: SeekFrom::Start(to), .. } => Answer::Position(to),
                    Operation::Write { .. } => Answer::Amount(read_all(table.payload(&job)) as u32),
                    _ => Answer::Error(memcpy_select::transport::ErrorCode::UNSUPPORTED),
                };
                table.answer(job, answer);
            }
            Some(Event::Left { why, .. }) => say("left", why),
            Some(Event::Refused { why, .. }) => say("refused", format_args!("{why:?}: {why}")),
            _ => {}
        }
    }
}
