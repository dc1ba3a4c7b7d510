//! What does a round trip cost where each side sleeps until the other wakes it, and how far from the floor are semaphores and tables?
//!
//! The floor is a futex and nothing else. All ways are timed in turns, in short batches; of each batch the median counts, and of
//! these the median and how it is compared with a Unix socket's of the same turn.

mod support;

use memcpy_select::lab::LabError;
use memcpy_select::lab::instruments::affinity::{CpuPair, on};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::statistics::{Estimate, bootstrap_median, median};
use memcpy_select::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Producer, Tiers, Token, paths,
    paths_among_others,
};
use memcpy_select::lab::paths::{Cell, Contender, Pair, Pattern, Placement, Program, serve_if_asked};
use memcpy_select::lab::show::{FigureTable, print};
use memcpy_select::transport::Copier;
use memcpy_select::transport::memory::{Access, Load, Mapped, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::semaphore::Semaphore;
use rustix::event::Timespec;
use rustix::thread::futex;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const NAME: &str = "sleep";
const QUESTION: &str = "What does a round trip cost where each side sleeps until the other wakes it?";
/// What a message carries: as much as an eventfd.
const BYTES: usize = 8;
const BATCHES: usize = 20;
/// No wait is longer, where there is a limit at all.
const LIMIT: Duration = Duration::from_secs(10);
/// What the others are compared with.
const COMPARED: &str = "unix_stream";
/// Ways that the library has, beside those here.
const OTHERS: [&str; 4] = ["table_request", COMPARED, "pipe", "eventfd"];

/// How the two sides of a pair of words wait.
#[derive(Clone, Copy, Debug)]
enum Sleep {
    /// In a futex, for as long as that is.
    Futex(futex::Flags, Option<Duration>),
    Semaphore,
}

#[derive(Debug)]
struct Words {
    name: &'static str,
    about: &'static str,
    sleep: Sleep,
}

const SHARED: futex::Flags = futex::Flags::empty();
/// Between threads: not a way between processes.
const THREADS: Words =
    Words { name: "futex_threads", about: "private futexes", sleep: Sleep::Futex(futex::Flags::PRIVATE, None) };
static WORDS: [Words; 3] = [
    Words { name: "futex", about: "the floor: a word each way", sleep: Sleep::Futex(SHARED, None) },
    Words {
        name: "futex_4ms",
        about: "the floor with a limit",
        sleep: Sleep::Futex(SHARED, Some(Duration::from_millis(4))),
    },
    Words { name: "semaphore", about: "a semaphore each way", sleep: Sleep::Semaphore },
];

/// One side: a word and a payload each way.
struct Side {
    memory: Mapped,
    sleep: Sleep,
    semaphores: [Semaphore; 2],
    /// Which of the two is this side's to send in.
    outgoing: usize,
    sent: u32,
    received: u32,
    payload: Buffer,
}

const fn word_at(direction: usize) -> usize {
    128 * direction
}

const fn payload_at(direction: usize) -> usize {
    128 * (2 + direction)
}

impl Side {
    fn new(memory: Mapped, sleep: Sleep, outgoing: usize) -> Result<Self, PathError> {
        let semaphore = |direction| {
            let semaphore = Semaphore::new(memory.clone(), word_at(direction));
            semaphore.map(Semaphore::without_spinning).map_err(|error| PathError::protocol(error.to_string()))
        };
        let semaphores = [semaphore(0)?, semaphore(1)?];
        Ok(Self { memory, sleep, semaphores, outgoing, sent: 0, received: 0, payload: Buffer::new(BYTES, 0) })
    }

    fn wake(&mut self) -> Result<(), PathError> {
        self.sent = self.sent.wrapping_add(1);
        let at = word_at(self.outgoing);
        match self.sleep {
            Sleep::Semaphore => {
                self.semaphores[self.outgoing].post().map_err(|error| PathError::protocol(error.to_string()))
            }
            Sleep::Futex(flags, _) => {
                self.memory.store32(at, self.sent, Store::Release);
                let word = self.memory.word32(at).ok_or_else(|| PathError::protocol("no word"))?;
                futex::wake(word, flags, 1).map(drop).map_err(PathError::system("futex"))
            }
        }
    }

    fn wait(&mut self) -> Result<(), PathError> {
        let (direction, before) = (1 - self.outgoing, self.received);
        self.received = before.wrapping_add(1);
        let at = word_at(direction);
        match self.sleep {
            Sleep::Semaphore => {
                let posted = self.semaphores[direction].wait(LIMIT);
                if posted { Ok(()) } else { Err(PathError::Timeout { after: LIMIT }) }
            }
            Sleep::Futex(flags, limit) => {
                let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
                let word = self.memory.word32(at).ok_or_else(|| PathError::protocol("no word"))?;
                let start = Instant::now();
                while self.memory.load32(at, Load::Acquire) == before {
                    // Woken, too late, or for no reason: the word says.
                    let _ = futex::wait(word, flags, before, limit.as_ref());
                    if start.elapsed() > LIMIT {
                        return Err(PathError::Timeout { after: LIMIT });
                    }
                }
                Ok(())
            }
        }
    }
}

impl End for Side {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let payload = self.payload.head(len_bytes);
        producer.fill(payload);
        self.memory.write(payload_at(self.outgoing), payload, Copier::AUTO);
        self.wake()
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.wait()?;
        let payload = self.payload.head(len_bytes);
        self.memory.read(payload_at(1 - self.outgoing), payload, Copier::AUTO);
        consumer.check(payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for Words {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: BYTES, max_bytes: BYTES, max_depth: 1 }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn modes(&self) -> &[Mode] {
        &[Mode::Blocking]
    }

    fn open(&self, _config: &Config) -> Result<Opening, PathError> {
        let region = Region::create(PAGE_BYTES, RegionOptions::default());
        let region = region.map_err(|error| PathError::protocol(error.to_string()))?;
        let (memory, descriptor) = region.into_parts();
        Ok(Opening::ready(Token::of([descriptor]), Side::new(memory, self.sleep, 0)?))
    }

    fn join(&self, _config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [descriptor] = token.take()?;
        let promise = Promise { len_bytes: PAGE_BYTES, sealing: Sealing::Size };
        let region = Region::open(descriptor, promise, Access::ReadWrite);
        let region = region.map_err(|error| PathError::protocol(error.to_string()))?;
        Ok(Box::new(Side::new(region.into_memory(), self.sleep, 1)?))
    }
}

/// Those that are compared between two processes.
fn ways() -> Vec<&'static dyn Path> {
    let own = WORDS.iter().map(|words| words as &dyn Path);
    let others = paths().iter().copied().filter(|path| OTHERS.contains(&path.name()));
    own.chain(others).chain(paths_among_others().iter().copied()).collect()
}

fn main() -> ExitCode {
    // This bench runs as the two sides, too.
    if let Some(status) = serve_if_asked(&ways()) {
        return status;
    }
    support::main(
        NAME,
        QUESTION,
        || measure_all(1, 50),
        |effort| {
            let trips = match effort {
                Effort::Quick => 200,
                Effort::Default => 600,
                Effort::Full => 3000,
            };
            measure_all(BATCHES, trips)
        },
    )
}

/// Each side on a logical CPU of its own, both on one, and where the system puts them.
fn measure_all(batches: usize, trips: u64) -> Result<(), LabError> {
    let two = CpuPair::last_two();
    let one = CpuPair { far: two.near, ..two };
    let mut places = vec![("one core", Placement::OneCore, one)];
    if !two.is_single() {
        places.insert(0, ("two cores", Placement::TwoCores, two));
        places.push(("wherever the system puts them", Placement::TwoCores, CpuPair::default()));
    }
    for (title, placement, cpus) in places {
        let text = measure((placement, cpus), batches, trips).map_err(LabError::Asked)?;
        print(format_args!("\n{title}: {batches} batches of {trips} round trips\n{text}"))?;
    }
    Ok(())
}

fn measure((placement, cpus): (Placement, CpuPair), batches: usize, trips: u64) -> Result<String, String> {
    let program = Program::current().map_err(|error| error.to_string())?;
    let text = |failure: memcpy_select::lab::paths::Failure| failure.to_string();
    let mut pair = Pair::start(&program, cpus.near, cpus.far).map_err(text)?;
    let cell = Cell::simple(BYTES, Mode::Blocking, placement);
    let contenders: Vec<Contender<'_>> = ways().into_iter().map(Contender::plain).collect();
    for (slot, contender) in contenders.iter().enumerate() {
        pair.connect(slot, contender.path, &cell.config(contender, Tiers::GIVEN)).map_err(text)?;
    }
    let mut medians_us = vec![Vec::with_capacity(batches); contenders.len() + 1];
    for batch in 0..batches {
        for turn in 0..medians_us.len() {
            // Another one is first in each batch, and every second batch goes the other way round.
            let turn = if batch % 2 == 0 { turn } else { medians_us.len() - 1 - turn };
            let at = (turn + batch / 2) % medians_us.len();
            let median_us = match contenders.get(at) {
                Some(contender) => {
                    let ([near, _], _) = pair.moved(at, contender, &cell, Pattern::PingPong, trips).map_err(text)?;
                    median_us(&near.round_trips)
                }
                None => threads(cpus, trips).map_err(|error| error.to_string())?,
            };
            medians_us[at].push(median_us);
        }
    }
    let names = contenders.iter().map(|contender| contender.path.name()).chain([THREADS.name]);
    Ok(table(&names.zip(medians_us).collect::<Vec<_>>()))
}

/// The median of round trips, in microseconds, from how many took how many nanoseconds, shortest first.
fn median_us(round_trips: &[(u64, u32)]) -> f64 {
    let all: u64 = round_trips.iter().map(|(_, count)| u64::from(*count)).sum();
    let mut so_far = 0;
    let middle = round_trips.iter().find(|(_, count)| {
        so_far += u64::from(*count);
        2 * so_far >= all
    });
    middle.map_or(0.0, |(ns, _)| *ns as f64 / 1e3)
}

/// The floor between two threads of this process, whose futexes are private.
fn threads(cpus: CpuPair, trips: u64) -> Result<f64, PathError> {
    const SEED: u64 = 1;
    let memory = Mapped::private(PAGE_BYTES).ok_or_else(|| PathError::protocol("no memory"))?;
    let sides = [Side::new(memory.clone(), THREADS.sleep, 0)?, Side::new(memory, THREADS.sleep, 1)?];
    let [mut near, mut far] = sides;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            on(cpus.far, move || {
                let (mut producer, mut consumer) = (Producer::new(true, SEED), Consumer::new(true, SEED));
                (0..trips).try_for_each(|_| {
                    far.receive(BYTES, &mut consumer)?;
                    far.send(BYTES, &mut producer)
                })
            })
        });
        let times_us = on(cpus.near, move || {
            let (mut producer, mut consumer) = (Producer::new(true, SEED), Consumer::new(true, SEED));
            let trip = |_| {
                let start = Instant::now();
                near.send(BYTES, &mut producer)?;
                near.receive(BYTES, &mut consumer)?;
                Ok(start.elapsed().as_nanos() as f64 / 1e3)
            };
            (0..trips).map(trip).collect::<Result<Vec<f64>, PathError>>()
        });
        other.join().map_err(|_| PathError::PeerGone)??;
        Ok(median(&times_us?).unwrap_or(0.0))
    })
}

/// Each way's median of its batches, and of their ratios to the socket's in the same batch, with intervals.
fn table(rows: &[(&str, Vec<f64>)]) -> String {
    let mut table = FigureTable::new(&["way", "us there and back", "95%", "over a socket", "95%"]);
    let compared = rows.iter().find(|(name, _)| *name == COMPARED).map_or(&[][..], |(_, medians)| medians);
    for (name, medians) in rows {
        let ratios: Vec<f64> = medians.iter().zip(compared).map(|(own, other)| own / other).collect();
        let cells = [medians, &ratios].into_iter().filter_map(|values| bootstrap_median(values, 1000));
        let cells = cells.flat_map(|Estimate { median, interval: (low, high), .. }| {
            [format!("{median:.2}"), format!("{low:.2} to {high:.2}")]
        });
        table.row(name, cells);
    }
    table.text(5)
}
