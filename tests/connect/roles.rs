//! This test binary again, as the other side: under another program such as `unshare`, with limits, or both.

use super::*;
use memcpy_select::transport::{Answer, Client, ClientOptions, Event, Operation, Table, TableOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, SeekFrom, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const ROLE: &str = "MEMCPY_SELECT_TEST_ROLE";

/// An address that nobody else has.
pub fn address(what: &str) -> Address {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("memcpy-select-{what}-{}-{number}", std::process::id()))
}

/// A process in a role, which is told line by line what it does; killed when dropped.
pub struct Other {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
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
        command.env(ROLE, role).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    pub fn run(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The rest of the next line with that word.
    pub fn says(&mut self, word: &str) -> String {
        self.next_word(&[word]).1
    }

    /// The next line with one of these words: the word, and the rest of the line.
    pub fn next_word<'a>(&mut self, words: &[&'a str]) -> (&'a str, String) {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            for word in words {
                // The test harness may have begun the line.
                if let Some((_, said)) = line.split_once(&format!("<{word}>")) {
                    return (word, said.trim().to_owned());
                }
            }
        }
        panic!("it ended without any of {words:?}");
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
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

/// In a run without a role nothing. Else: `serve ADDRESS LIMITS`, `join ADDRESS LIMITS`, where limits are `files=`, `size=`
/// and `space=` with a number.
#[test]
fn be_the_other_side() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let address = words[1].parse::<Address>().unwrap();
    match words[0] {
        "serve" => {
            let mut table = Table::create(&address, TableOptions::default()).unwrap();
            say("serves", std::process::id());
            limit(&words[2..]);
            serve_all(&mut table);
        }
        "join" => {
            limit(&words[2..]);
            match ask(&address) {
                Ok(_client) => {
                    say("joined", "");
                    // Until it is killed.
                    let _ = std::io::stdin().read_line(&mut String::new());
                }
                Err(error) => say("failed", error),
            }
        }
        other => panic!("{other}"),
    }
}

/// Connects and asks for something.
pub fn ask(address: &Address) -> Result<Client, ConnectError> {
    let mut client = Client::connect(address, ClientOptions::default().limit(LONG))?;
    let position = client.seek(memcpy_select::transport::Handle::of(1), SeekFrom::Start(7)).unwrap();
    assert_eq!(position, 7);
    Ok(client)
}

fn limit(words: &[&str]) {
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
        let file = std::fs::File::open("/dev/null").unwrap();
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

/// Serves until it is killed, and says what happens.
pub fn serve_all(table: &mut Table) {
    loop {
        match table.next(Duration::from_secs(1)).unwrap() {
            Some(Event::Job(job)) => {
                let answer = match job.operation() {
                    Operation::Seek { to: SeekFrom::Start(to), .. } => Answer::Position(to),
                    _ => Answer::Error(memcpy_select::transport::ErrorCode::UNSUPPORTED),
                };
                table.answer(job, answer);
            }
            Some(Event::Left { why, .. }) => say("left", why),
            Some(Event::Refused { why, .. }) => say("refused", format_args!("{why:?}")),
            _ => {}
        }
    }
}
