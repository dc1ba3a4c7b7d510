//! Tables of every kind: allocators, strides, capacities, lengths of blocks.

use super::cases::Effort;
use super::number;
use super::operations::{Native, Obeys, programs};
use super::programs::{Over, serve};
use super::some_address;
use memcpy_select::transport::{
    Address, Allocator, Answer, Answered, Blocks, Copier, ErrorCode, Event, Geometry, Job, Memory, Object, Operation,
    PageRange, Pushed, Region, RegionOptions, Table, TableError, TableOptions, Waiting,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A table of files in memory, served by a thread.
pub struct Served {
    pub address: String,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn start(geometry: Geometry) -> Self {
        let waiting = if number().is_multiple_of(2) { Waiting::Sleep } else { Waiting::Adaptive };
        Self::run(TableOptions::default().geometry(geometry).waiting(waiting), |table, is_over| {
            serve(table, is_over);
        })
    }

    fn run(options: TableOptions, work: impl FnOnce(Table, &AtomicBool) + Send + 'static) -> Self {
        let address = some_address();
        let table = Table::create(&address.parse::<Address>().unwrap(), options).unwrap();
        let is_over: Arc<AtomicBool> = Arc::default();
        let is_over_there = Arc::clone(&is_over);
        let thread = thread::spawn(move || work(table, &is_over_there));
        Self { address, is_over, thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(Over(&self.is_over));
        let result = self.thread.take().unwrap().join();
        assert!(thread::panicking() || result.is_ok(), "the table's thread panicked");
    }
}

pub fn geometry(allocator: Allocator, capacity: u32, strides: (u16, u16), block_bytes: u32) -> Geometry {
    let blocks = Blocks { block_bytes, count: 1024 };
    Geometry { response_stride_bytes: strides.1, allocator, ..Geometry::symmetric(capacity, strides.0, blocks) }
}

/// Files of lengths around those at which a chain gets a further block, list block and transfer.
fn list(block: usize) -> Vec<String> {
    let entries = block / 4;
    let lengths = [
        0,
        1,
        block - 1,
        block,
        block + 1,
        2 * block,
        (entries - 1) * block,
        entries * block,
        entries * block + 1,
        2 * entries * block + 7,
    ];
    let mut lines = Vec::new();
    let mut add = |line: String| lines.push(line);
    add("create a file".to_owned());
    for (seed, len) in lengths.into_iter().enumerate().filter(|(_, len)| *len <= 1_000_000) {
        for (write, read) in [("write", "view"), ("put", "read")] {
            add("seek a start 0".to_owned());
            add(format!("{write} a {len} {seed}"));
            add(format!("seek a current -{len}"));
            add(format!("{read} a {len}"));
            add("seek a start 7".to_owned());
            add(format!("{read} a {len}"));
        }
    }
    // Round the rings, many times.
    add("rounds a 600".to_owned());
    for line in ["seek a end 0", "read a 10", "close a", "read a 10", "create a file", "destroy file", "open a file"] {
        add(line.to_owned());
    }
    lines
}

/// What the crate's own client gets from such a table is what the others have to.
fn is_same(geometry: Geometry, waiting: u32, only: &str) {
    let lines = list(geometry.client_blocks.block_bytes as usize);
    let table = Served::start(geometry);
    let mut native = Native::connect(&table.address);
    let wanted: Vec<String> = lines.iter().map(|line| native.ask(line)).collect();
    drop(table);
    for program in programs().iter().filter(|program| program.name.contains(only)) {
        let table = Served::start(geometry);
        let mut client = program.start(&table.address, waiting);
        for (line, wanted) in lines.iter().zip(&wanted) {
            assert_eq!(&client.ask(line), wanted, "{}: {line}, {geometry:?}", program.name);
        }
        client.end();
    }
}

#[test]
fn tables_of_every_kind_serve_a_client_in_c() {
    let (mut waiting, mut number) = (0, 0);
    for allocator in [Allocator::Owned, Allocator::Shared] {
        for (capacity, strides, block_bytes) in
            [(2, (16, 12), 64), (8, (64, 64), 256), (8, (128, 512), 64), (128, (32, 16), 4096), (4, (512, 32), 1024)]
        {
            waiting = (waiting + 1) % 4;
            // By default in every other combination.
            number += 1;
            if Effort::chosen() < Effort::Full && number % 2 == 0 {
                continue;
            }
            is_same(geometry(allocator, capacity, strides, block_bytes), waiting, "gcc, sanitized");
        }
    }
}

/// What a session has no room for, and a stream that its table has not, are refused; the session goes on.
#[test]
fn messages_that_a_session_has_not_are_refused() {
    let table = Served::start(geometry(Allocator::Owned, 8, (16, 12), 256));
    for program in programs().iter().filter(|program| program.name != "python3") {
        let mut client = program.start(&table.address, 0);
        assert_eq!(client.ask("create a file"), "ok");
        assert_eq!(client.ask("post a 1 1"), "error 4103");
        assert_eq!(client.ask("stream a 100 4"), "0 1 1");
        assert_eq!(client.ask("destroy file"), "ok");
        client.end();
    }
}

/// Posted writes are taken in order; a stream brings what was posted, as often as its bytes say, in entries and in blocks.
#[test]
fn messages_go_both_ways() {
    let work = |mut table: Table, is_over: &AtomicBool| {
        let mut posted: Vec<u8> = Vec::new();
        let mut open: Vec<(Job, usize)> = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            match table.next(Duration::from_millis(1)).unwrap() {
                Some(Event::Job(job)) => match job.operation() {
                    Operation::Open => _ = table.answer(job, Answer::Handle(1)),
                    Operation::Write { .. } => {
                        assert!(!job.wants_answer());
                        posted.extend(table.payload(&job).to_vec());
                        table.answer(job, Answer::Done);
                    }
                    Operation::Read { .. } => {
                        table.answer(job, Answer::Bytes(&posted));
                    }
                    Operation::Stream { .. } => open.push((job, 0)),
                    _ => _ = table.answer(job, Answer::Error(ErrorCode::UNSUPPORTED)),
                },
                Some(Event::Left { .. }) => posted.clear(),
                _ => {}
            }
            for (job, mut sent) in std::mem::take(&mut open) {
                while sent < 300 && matches!(table.push(&job, Answer::Bytes(&posted[..sent % 100])), Pushed::Sent) {
                    sent += 1;
                }
                if sent < 300 {
                    open.push((job, sent));
                } else {
                    table.answer(job, Answer::Done);
                }
            }
        }
    };
    for (waiting, strides) in (0..).zip([(64, 64), (32, 512), (512, 16), (128, 12)]) {
        let geometry = geometry(Allocator::Owned, 8, strides, 64);
        let table = Served::run(TableOptions::default().geometry(geometry), work);
        for program in programs().iter().filter(|program| program.name != "python3") {
            let mut client = program.start(&table.address, waiting);
            assert_eq!(client.ask("open a any"), "ok");
            for seed in 0..100 {
                assert_eq!(client.ask(&format!("post a 16 {seed}")), "ok");
            }
            let all: Vec<u8> = (0..100).flat_map(|seed| super::operations::pattern(16, seed)).collect();
            assert_eq!(client.ask("read a 1600"), super::operations::summed(&all));
            let sent: Vec<u8> = (0..300).flat_map(|sent| all[..sent % 100].to_vec()).collect();
            let sum = super::operations::summed(&sent);
            let sum = sum.split_once(' ').unwrap().1;
            for credits in [1, 2, 7] {
                let said = client.ask(&format!("stream a 100 {credits}"));
                // A message of no bytes is one.
                assert_eq!(said, format!("300 {sum} 4106"), "{}: {strides:?}", program.name);
            }
            client.end();
        }
    }
}

/// What a client gives up is closed when it comes, and memory of objects too: it neither stays at the table nor keeps what is wanted
/// from coming.
#[test]
fn what_is_given_up_is_closed_when_it_comes() {
    // Answers what is to come too late when it is asked to seek, and says how many handles were discarded.
    let work = |mut table: Table, is_over: &AtomicBool| {
        let region = Region::create(4096, RegionOptions::default()).unwrap();
        region.seal_writing().unwrap();
        let object = || Object::of(&region, PageRange::WHOLE).unwrap();
        let (mut late, mut discarded): (Vec<Job>, u64) = (Vec::new(), 0);
        while !is_over.load(Ordering::Relaxed) {
            match table.next(Duration::from_millis(1)).unwrap() {
                Some(Event::Closed { handle, is_discarded, .. }) => {
                    assert!(is_discarded && handle == 7);
                    discarded += 1;
                }
                Some(Event::Job(job)) => match job.operation() {
                    Operation::Open if table.payload(&job).to_vec() == b"now" => {
                        _ = table.answer(job, Answer::HandleAndObject(1, object()));
                    }
                    Operation::Share { handle: 1, .. } => _ = table.answer(job, Answer::Object(object())),
                    Operation::Seek { .. } => {
                        for job in late.drain(..) {
                            let answer = match job.operation() {
                                Operation::Create => Answer::Handle(7),
                                Operation::Open => Answer::HandleAndObject(7, object()),
                                _ => Answer::Object(object()),
                            };
                            assert_eq!(table.answer(job, answer), Answered::Sent, "the client takes none in");
                        }
                        table.answer(job, Answer::Position(discarded));
                    }
                    _ => late.push(job),
                },
                _ => {}
            }
        }
    };
    let options = || TableOptions::default().geometry(geometry(Allocator::Owned, 128, (64, 64), 4096));
    let follows = |client: &mut dyn Obeys, verbs: &[&str]| {
        assert_eq!(client.ask("open a now"), "ok");
        for round in 1..=3 {
            client.ask("limit 1");
            for number in 0..100 {
                assert_eq!(client.ask(verbs[number % verbs.len()]), "error 4100", "{}: {round}", client.name());
            }
            client.ask("limit 60000");
            client.ask("seek a start 0");
            // Some clients send what they were told to first, and then what closes.
            client.ask("seek a start 0");
            let handles = 100 * verbs.iter().filter(|verb| !verb.starts_with("share")).count() / verbs.len();
            assert_eq!(client.ask("seek a start 0"), (round * handles).to_string(), "{}", client.name());
        }
    };
    let verbs = ["open b late", "create b late", "share b 0 0 0", "replace b late"];
    let table = Served::run(options(), work);
    follows(&mut Native::connect(&table.address), &verbs);
    for (waiting, program) in (0..).zip(programs()) {
        let table = Served::run(options(), work);
        let verbs = verbs.iter().filter(|verb| program.name != "python3" || !verb.starts_with("share"));
        let verbs: Vec<&str> = verbs.copied().take(2 + 2 * usize::from(program.name != "python3")).collect();
        let mut client = program.start(&table.address, waiting);
        let held = client.ask("held");
        follows(&mut client, &verbs);
        if verbs.len() == 4 {
            assert!(client.ask("share a 0 0 0").starts_with("4096 "), "{}", program.name);
        }
        client.ask("seek a start 0");
        assert_eq!(client.ask("held"), held, "{}", program.name);
        client.end();
    }
}

#[test]
fn a_table_serves_every_client() {
    is_same(geometry(Allocator::Owned, 8, (16, 12), 1024), 0, "");
}

#[test]
fn the_memory_of_an_object_is_mapped_as_asked_for() {
    let region = || {
        let region = Region::create(4 * 4096, RegionOptions::default()).unwrap();
        for page in 0..4 {
            region.memory().write(page * 4096, &[page as u8; 4096], Copier::AUTO);
        }
        region
    };
    // Objects 1 and 2: the first one is sealed against writing.
    let share = move |mut table: Table, is_over: &AtomicBool| {
        let regions = [region(), region()];
        regions[0].seal_writing().unwrap();
        while !is_over.load(Ordering::Relaxed) {
            let Some(Event::Job(job)) = table.next(Duration::from_millis(20)).unwrap() else { continue };
            let answer = match job.operation() {
                Operation::Open => Answer::Handle(if table.payload(&job).to_vec() == b"sealed" { 1 } else { 2 }),
                Operation::Share { handle, part } => match Object::of(&regions[handle as usize - 1], part) {
                    Ok(object) => Answer::Object(object),
                    Err(TableError::ReadOnly) => Answer::Error(ErrorCode::DENIED),
                    Err(TableError::Unaligned { .. }) => Answer::Error(ErrorCode::UNALIGNED),
                    Err(other) => panic!("{other}"),
                },
                _ => Answer::Error(ErrorCode::UNSUPPORTED),
            };
            table.answer(job, answer);
        }
    };
    let lines = [
        "open a sealed",
        "open b writable",
        "share a 0 0 0",
        "share a 4096 8192 0",
        "share a 0 0 1",
        "share b 4096 0 0",
        "share b 8192 4096 1",
        "share b 0 0 0",
        "share b 0 20480 0",
        "share b 16384 0 0",
        "share b 1 4096 0",
        "share b 0 4095 0",
        "share a 4096 4096 0",
    ];
    let mut wanted = None;
    for waiting in 0..3 {
        let table = Served::run(TableOptions::default(), share);
        let mut native = Native::connect(&table.address);
        let said: Vec<String> = lines.iter().map(|line| native.ask(line)).collect();
        let wanted = wanted.get_or_insert(said);
        for program in programs().iter().filter(|program| program.name != "python3") {
            let table = Served::run(TableOptions::default(), share);
            let mut client = program.start(&table.address, waiting);
            for (line, wanted) in lines.iter().zip(&*wanted) {
                assert_eq!(&client.ask(line), wanted, "{}: {line}", program.name);
            }
            client.end();
        }
    }
}
