//! The other processes: the server, and its neighbours. Each is this program again, in a role, until it is killed.

use super::acts;
use super::place::{Pace, Place, Tally};
use super::{LONG, Program};
use crate::lab::instruments::affinity::pin_to;
use crate::transport::connect::JoinOptions;
use crate::transport::{Address, Client, ClientOptions, Event, Handle, Table, TableOptions, Waiting};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "MEMCPY_SELECT_NEIGHBOUR";
/// Bytes of a request.
pub const PAYLOAD_BYTES: usize = 64;

/// How all processes wait, with the name in records.
pub const MODES: [(&str, Waiting); 3] =
    [("blocking", Waiting::Sleep), ("adaptive", Waiting::Adaptive), ("polling", Waiting::Poll)];

/// What a neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It harms no one.
    Honest,
    /// No client at all.
    Stranger,
    /// One who means harm.
    Hostile,
}

/// A neighbour: its name in records, what it is, and what it does.
pub struct Neighbour {
    pub name: &'static str,
    pub nature: Nature,
    pub about: &'static str,
    run: fn(&mut Place),
}

pub const IDLE: &str = "idle";
pub const BUSY: &str = "busy";
pub const STRANGER: &str = "stranger";

/// All of them.
pub static NEIGHBOURS: [Neighbour; 17] = [
    Neighbour::new(IDLE, Nature::Honest, "an honest client that does nothing", acts::idle),
    Neighbour::new(BUSY, Nature::Honest, "an honest client that asks as often as it can", acts::busy),
    Neighbour::new(STRANGER, Nature::Stranger, "no client: a process that uses all time it gets", acts::stranger),
    Neighbour::hostile(
        "scribbles",
        "writes random bytes over the memory that it shares with the server",
        acts::scribbles,
    ),
    Neighbour::hostile(
        "floods_descriptors",
        "passes file descriptors to the server without end",
        acts::floods_descriptors,
    ),
    Neighbour::hostile("floods_requests", "sends requests without end", acts::floods_requests),
    Neighbour::hostile("hangs_up", "connects and hangs up without end", acts::hangs_up),
    Neighbour::hostile("floods_greetings", "opens connections and says nothing", acts::floods_greetings),
    Neighbour::hostile("greets_half", "says half of a greeting, and keeps the connections open", acts::greets_half),
    Neighbour::hostile("greets", "asks for sessions without end, and takes none", acts::greets),
    Neighbour::hostile("takes_places", "as greets, and keeps the connections open", acts::takes_places),
    Neighbour::hostile("rings", "signals the server without end and asks for nothing", acts::rings),
    Neighbour::hostile("rings_and_asks", "as rings, and asks for something with one in sixteen", acts::rings_and_asks),
    Neighbour::hostile(
        "wakes",
        "takes and posts the wakes of the semaphores that it shares with the server",
        acts::wakes,
    ),
    Neighbour::hostile("stops", "fills its ring, writes its last request in part, and stands still", acts::stops),
    Neighbour::hostile("leaves", "connects and leaves at once, again and again", acts::leaves),
    Neighbour::hostile("dies", "asks for something and is killed before the answer, again and again", acts::dies),
];

/// What the name of a hostile neighbour ends with where a process makes its calls elsewhere.
const ELSEWHERE: &str = "_elsewhere";

/// The name in records of a process that makes the calls of that neighbour elsewhere.
pub fn elsewhere(name: &str) -> String {
    format!("{name}{ELSEWHERE}")
}

/// The neighbour whose calls the process of that name makes elsewhere, if it is one. Older records have one such, by another name.
pub fn original(name: &str) -> Option<&str> {
    if name == "stranger_connects" { Some("greets") } else { name.strip_suffix(ELSEWHERE) }
}

/// The names in records, of all neighbours and of those that make the same calls elsewhere.
pub fn names() -> impl Iterator<Item = String> {
    let of = |one: &Neighbour| {
        let other = (one.nature == Nature::Hostile).then(|| elsewhere(one.name));
        std::iter::once(one.name.to_owned()).chain(other)
    };
    NEIGHBOURS.iter().flat_map(of)
}

impl Neighbour {
    const fn new(name: &'static str, nature: Nature, about: &'static str, run: fn(&mut Place)) -> Self {
        Self { name, nature, about, run }
    }

    const fn hostile(name: &'static str, about: &'static str, run: fn(&mut Place)) -> Self {
        Self::new(name, Nature::Hostile, about, run)
    }

    /// Does what it does at a server, in this process, until that is killed.
    pub fn act(&self, address: Address, waiting: Waiting) {
        (self.run)(&mut Place::new(address, waiting, None));
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        NEIGHBOURS.iter().find(|one| one.name == name)
    }
}

/// A process in a role, which ends with this object.
pub struct Role {
    child: Child,
    tally: Tally,
}

impl Role {
    /// Starts one, on that logical CPU, and waits until it is at work.
    pub fn start(role: &str, waiting: &str, address: &Address, cpu: Option<usize>) -> Result<Self, String> {
        Self::start_at(role, waiting, address, cpu, None)
    }

    /// As [`start`](Self::start); with a pace it makes its calls elsewhere.
    pub fn start_at(
        role: &str,
        waiting: &str,
        address: &Address,
        cpu: Option<usize>,
        pace: Option<Pace>,
    ) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{role}: {error}");
        let cpu = cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let pace = pace.map_or_else(|| "any".to_owned(), |pace| pace.to_string());
        let (mut tally, descriptor) = Tally::new()?;
        let mut child = Command::new(std::env::current_exe().map_err(text)?)
            .env(ROLE, format!("{} {role} {waiting} {cpu} {pace} {address}", std::process::id()))
            .stdin(Stdio::from(descriptor))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut line = String::new();
        let said = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        tally.begin(child.id());
        let started = Self { child, tally };
        match said {
            Some(Ok(_)) if line == "ready\n" => Ok(started),
            other => Err(format!("{role} did not start: {other:?} {line:?}")),
        }
    }

    /// How often it did since it started what it does again and again.
    pub fn pace(&self) -> Pace {
        self.tally.pace(self.child.id())
    }

    /// Whether it is still at work.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what the environment asks of this process, if it asks for anything. A program that measures neighbours calls this before
/// anything else.
pub fn serve_if_asked() -> Option<ExitCode> {
    let asked = std::env::var(ROLE).ok()?;
    let words: Vec<&str> = asked.splitn(6, ' ').collect();
    let [parent, role, waiting, cpu, pace, address] = words[..] else { panic!("{asked}") };
    // It ends with the process that started it, which may have ended before it asked for the signal.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("a signal of this system");
    if rustix::process::getppid().is_none_or(|now| now.as_raw_pid().to_string() != parent) {
        return Some(ExitCode::SUCCESS);
    }
    if let Ok(cpu) = cpu.parse() {
        let _ = pin_to(cpu);
    }
    let address = address.parse::<Address>().expect("an address that was printed");
    let waiting = MODES.iter().find(|(name, _)| *name == waiting).expect("a mode").1;
    if role == "server" {
        serve(&address, waiting);
    }
    let mut place = Place::new(address, waiting, pace.parse().ok());
    match role {
        "dies_once" => acts::die_once(&mut place),
        name => (Neighbour::named(name).expect("a neighbour").run)(&mut place),
    }
    Some(ExitCode::SUCCESS)
}

/// Tells the process that started this one that it is at work.
pub(super) fn ready() {
    let _ = std::io::stdout().write_all(b"ready\n").and_then(|()| std::io::stdout().flush());
}

fn serve(address: &Address, waiting: Waiting) -> ! {
    let mut table = Table::create(address, TableOptions::default().waiting(waiting)).unwrap();
    let mut program = Program::default();
    ready();
    loop {
        match table.next(Duration::from_secs(1)).unwrap() {
            Some(Event::Job(job)) => {
                program.answer(&mut table, job);
            }
            Some(Event::Left { client, .. }) => program.forget(client),
            Some(_) | None => {}
        }
    }
}

/// An honest client, with something to read.
pub struct Reader {
    client: Client,
    file: Handle,
    expected: [u8; PAYLOAD_BYTES],
}

impl Reader {
    pub fn connect(address: &Address, waiting: Waiting) -> Result<Self, String> {
        // Behind a flood of connections a client may have to wait for its turn.
        let join = JoinOptions::default().limit(LONG);
        let options = ClientOptions::default().waiting(waiting).limit(LONG).join(join);
        let mut client = Client::connect(address, options).map_err(|error| error.to_string())?;
        let expected = std::array::from_fn(|at| (at * 7 + 1) as u8);
        let file = client.open("file").map_err(|error| error.to_string())?;
        client.write(file, &expected).map_err(|error| error.to_string())?;
        Ok(Self { client, file, expected })
    }

    /// Reads and compares; how long the request took.
    pub fn read(&mut self) -> Result<Duration, String> {
        let mut bytes = [0; PAYLOAD_BYTES];
        let start = Instant::now();
        let length = self.client.read(self.file, &mut bytes).map_err(|error| error.to_string())?;
        let passed = start.elapsed();
        if length != PAYLOAD_BYTES || bytes != self.expected {
            return Err("the honest client read other bytes than it wrote".to_owned());
        }
        Ok(passed)
    }
}
