//! The other processes: the server, and its neighbours. Each is this program again, in a role, until it is killed.

use super::enemy::{Enemy, flood, hello, meddle, silent};
use super::{LONG, Program};
use crate::lab::instruments::affinity::pin_to;
use crate::transport::connect::JoinOptions;
use crate::transport::memory::Store;
use crate::transport::{
    Address, Args, Client, ClientOptions, Event, Handle, JobId, Kind, Memory, Request, Table, TableOptions, Waiting,
};
use rustix::process::Signal;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
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
    run: fn(&Address, Waiting),
}

pub const IDLE: &str = "idle";
pub const BUSY: &str = "busy";
pub const STRANGER: &str = "stranger";

/// All of them.
pub static NEIGHBOURS: [Neighbour; 15] = [
    Neighbour::new(IDLE, Nature::Honest, "an honest client that does nothing", idle),
    Neighbour::new(BUSY, Nature::Honest, "an honest client that asks as often as it can", busy),
    Neighbour::new(STRANGER, Nature::Stranger, "no client: a process that uses all time it gets", stranger),
    Neighbour::new(
        "stranger_connects",
        Nature::Stranger,
        "no client: a process that opens connections to itself without end",
        connects_elsewhere,
    ),
    Neighbour::new(
        "scribbles",
        Nature::Hostile,
        "writes random bytes over the memory that it shares with the server",
        scribbles,
    ),
    Neighbour::new(
        "floods_descriptors",
        Nature::Hostile,
        "passes file descriptors to the server without end",
        floods_descriptors,
    ),
    Neighbour::new("floods_requests", Nature::Hostile, "sends requests without end", floods_requests),
    Neighbour::new("floods_greetings", Nature::Hostile, "opens connections and says nothing", floods_greetings),
    Neighbour::new("greets", Nature::Hostile, "asks for sessions without end, and takes none", greets),
    Neighbour::new("takes_places", Nature::Hostile, "as greets, and keeps the connections open", takes_places),
    Neighbour::new("rings", Nature::Hostile, "signals the server without end and asks for nothing", rings),
    Neighbour::new(
        "wakes",
        Nature::Hostile,
        "takes and posts the wakes of the semaphores that it shares with the server",
        wakes,
    ),
    Neighbour::new(
        "stops",
        Nature::Hostile,
        "fills its ring, writes its last request in part, and stands still",
        stops,
    ),
    Neighbour::new("leaves", Nature::Hostile, "connects and leaves at once, again and again", leaves),
    Neighbour::new(
        "dies",
        Nature::Hostile,
        "asks for something and is killed before the answer, again and again",
        dies,
    ),
];

impl Neighbour {
    const fn new(name: &'static str, nature: Nature, about: &'static str, run: fn(&Address, Waiting)) -> Self {
        Self { name, nature, about, run }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        NEIGHBOURS.iter().find(|one| one.name == name)
    }
}

/// A process in a role, which ends with this object.
pub struct Role(Child);

impl Role {
    /// Starts one, on that logical CPU, and waits until it is at work.
    pub fn start(role: &str, waiting: &str, address: &Address, cpu: Option<usize>) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{role}: {error}");
        let cpu = cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let mut child = Command::new(std::env::current_exe().map_err(text)?)
            .env(ROLE, format!("{} {role} {waiting} {cpu} {address}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut line = String::new();
        let said = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let started = Self(child);
        match said {
            Some(Ok(_)) if line == "ready\n" => Ok(started),
            other => Err(format!("{role} did not start: {other:?} {line:?}")),
        }
    }

    /// Whether it is still at work.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does what the environment asks of this process, if it asks for anything. A program that measures neighbours calls this before
/// anything else.
pub fn serve_if_asked() -> Option<ExitCode> {
    let asked = std::env::var(ROLE).ok()?;
    let [parent, role, waiting, cpu, address] = asked.splitn(5, ' ').collect::<Vec<_>>()[..] else { panic!("{asked}") };
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
    match role {
        "server" => serve(&address, waiting),
        "dies_once" => die_once(&address),
        name => (Neighbour::named(name).expect("a neighbour").run)(&address, waiting),
    }
    Some(ExitCode::SUCCESS)
}

fn ready() {
    let _ = std::io::stdout().write_all(b"ready\n").and_then(|()| std::io::stdout().flush());
}

fn serve(address: &Address, waiting: Waiting) {
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

fn idle(address: &Address, waiting: Waiting) {
    let _reader = Reader::connect(address, waiting).unwrap();
    ready();
    loop {
        std::thread::park();
    }
}

fn busy(address: &Address, waiting: Waiting) {
    let mut reader = Reader::connect(address, waiting).unwrap();
    ready();
    loop {
        reader.read().unwrap();
    }
}

fn stranger(_: &Address, _: Waiting) {
    ready();
    loop {
        std::hint::spin_loop();
    }
}

/// Connects again and again, and does something with each session until the server has ended it, or for so long.
fn again_and_again(address: &Address, time: Duration, mut each: impl FnMut(&mut Enemy)) {
    let mut is_ready = false;
    // Until the server has ended.
    while let Ok(mut enemy) = Enemy::join(address) {
        if !std::mem::replace(&mut is_ready, true) {
            ready();
        }
        let start = Instant::now();
        while start.elapsed() < time && !enemy.is_gone() {
            each(&mut enemy);
        }
    }
}

fn scribbles(address: &Address, _: Waiting) {
    again_and_again(address, Duration::from_millis(50), |enemy| {
        for _ in 0..100 {
            for memory in [&enemy.queue, &enemy.data] {
                let at = 4 * enemy.rng.below(memory.len_bytes().min(16 << 10) as u64 / 4) as usize;
                memory.store32(at, enemy.rng.draw() as u32, Store::Relaxed);
            }
        }
        for at in enemy.fields() {
            enemy.queue.store32(at, enemy.rng.draw() as u32, Store::Relaxed);
        }
        let kind = [Kind::Write, Kind::Read, Kind::Open][enemy.rng.below(3) as usize];
        let args = Args::from_raw(enemy.rng.draw());
        let request = enemy.request(kind, args);
        enemy.put(request);
        enemy.ring();
    });
}

fn floods_descriptors(address: &Address, _: Waiting) {
    again_and_again(address, Duration::MAX, |enemy| {
        flood(&enemy.channel, 64);
    });
}

fn floods_requests(address: &Address, _: Waiting) {
    again_and_again(address, Duration::MAX, |enemy| {
        for _ in 0..64 {
            // A close has no answer, so that nothing slows it down.
            let request = Request { id: JobId::ZERO, ..enemy.request(Kind::Close, Args::from_raw(0)) };
            enemy.put(request);
        }
        enemy.ring();
    });
}

/// Connections that say nothing.
fn floods_greetings(address: &Address, _: Waiting) {
    ready();
    loop {
        let held: Vec<_> = (0..100).map_while(|_| silent(address).ok()).collect();
        std::thread::sleep(Duration::from_millis(1));
        drop(held);
    }
}

/// Connections that ask for a session, and do not go on.
fn greets(address: &Address, _: Waiting) {
    ready();
    loop {
        drop(hello(address));
    }
}

/// As many as there can be, which stay.
fn takes_places(address: &Address, _: Waiting) {
    ready();
    let mut held = VecDeque::new();
    loop {
        held.extend(hello(address));
        if held.len() > 400 {
            held.pop_front();
        }
    }
}

/// As [`greets`], to a server that it is itself.
fn connects_elsewhere(_: &Address, _: Waiting) {
    let name = format!("memcpy-select-elsewhere-{}", std::process::id());
    let own = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&own).unwrap();
    let address = Address::Abstract(name);
    ready();
    loop {
        let _ = hello(&address);
        drop(listener.accept());
    }
}

fn rings(address: &Address, _: Waiting) {
    again_and_again(address, Duration::MAX, |enemy| enemy.ring());
}

fn wakes(address: &Address, _: Waiting) {
    again_and_again(address, Duration::MAX, |enemy| {
        let bells = [enemy.layout.server_doorbell_at, enemy.layout.client_doorbell_at];
        meddle(&enemy.queue, bells, Duration::from_secs(1), || {
            let _ = enemy.channel.wake();
            false
        });
    });
}

/// A ring full of requests, the last of which is there in part.
fn stops(address: &Address, _: Waiting) {
    let mut enemy = Enemy::connect(address);
    for _ in 1..enemy.geometry.capacity {
        let request = enemy.request(Kind::Read, Args::amount(10));
        enemy.put(request);
    }
    let half = enemy.layout.requests.end_at() - usize::from(enemy.geometry.request_stride_bytes) + 4;
    enemy.queue.store32(half, u32::MAX, Store::Relaxed);
    enemy.ring();
    ready();
    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
}

fn leaves(address: &Address, _: Waiting) {
    again_and_again(address, Duration::ZERO, |_| {});
}

fn dies(address: &Address, _: Waiting) {
    ready();
    loop {
        // It says nothing: it dies as soon as it has asked for something.
        drop(Role::start("dies_once", MODES[0].0, address, None));
    }
}

fn die_once(address: &Address) {
    let Ok(mut enemy) = Enemy::join(address) else { return };
    let request = enemy.request(Kind::Read, Args::amount(10));
    enemy.put(request);
    enemy.ring();
    rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
}
