//! The promise: every path that this system has moves every payload rightly between two processes; one that it has not is
//! listed with the reason; a side that dies or hangs is reported within the bound; and nothing is left behind.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
#[path = "suite/cases.rs"]
mod cases;
#[allow(dead_code, reason = "the cases of copies use it")]
#[path = "suite/rng.rs"]
mod rng;

use cases::Effort as Cases;
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::paths::ways::{
    Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Producer, Stage, Tiers, Token, Way, paths,
};
use memcpy_select::lab::paths::{
    CacheScope, Cell, Contender, Copies, CopyScope, Failure, Pair, Pattern, Placement, Program, SIDE_VARIABLE, Side,
    Sweep, measure_cache, measure_copies, serve_if_asked, walked,
};
use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sides run where the system puts them.
const ANYWHERE: CpuPair = CpuPair { near: None, far: None };
const SIZES: [usize; 12] = [0, 8, 1, 63, 65, 64, 4097, 255, 4096, 4095, 1 << 20, 250 << 10];

/// One test at a time: they count what the process has, and each has two processes of its own.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This test program as the sides run it: one test alone, which serves if the environment says so.
fn program() -> Program {
    let arguments = ["--exact", "serves_as_a_side", "--nocapture"].map(Into::into);
    Program { file: std::env::current_exe().unwrap(), arguments: arguments.into() }
}

/// The paths of the crate, and those that these tests bring.
fn all() -> Vec<&'static dyn Path> {
    paths().iter().copied().chain([&NotHere as &dyn Path, &Wrong, &Hangs, &Dies]).collect()
}

#[test]
fn serves_as_a_side() {
    if std::env::var_os(SIDE_VARIABLE).is_some() {
        let status = serve_if_asked(&all());
        assert!(status.is_some());
    }
}

fn contender(name: &str) -> Contender<'static> {
    let found = all().into_iter().find(|path| path.name() == name);
    Contender::plain(found.unwrap_or_else(|| panic!("no path {name}")))
}

/// What this process holds: descriptors, children, shared memory and queues of this crate.
fn held() -> (usize, BTreeSet<String>) {
    let names = |folder: &str, like: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(like)).map(|name| format!("{folder}/{name}")).collect()
    };
    let mut found = names("/dev/shm", "memcpy");
    found.extend(names("/dev/mqueue", "memcpy"));
    let me = std::process::id();
    let children = fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
    found.extend(children.split_whitespace().map(|child| format!("child {child}")));
    (fs::read_dir("/proc/self/fd").unwrap().count(), found)
}

/// By default every other size.
fn moves_everything(like: Cell, sizes: &[usize]) {
    let each = if Cases::chosen() < Cases::Full { 2 } else { 1 };
    let before = held();
    let mut sweep = Sweep::new(program(), ANYWHERE, Effort::Quick);
    let mut moved = 0;
    for &payload_bytes in sizes.iter().step_by(each) {
        for path in paths() {
            let cell = Cell { payload_bytes, ..like };
            let contender = Contender::plain(*path);
            let wanted = contender.refuses(&cell).is_none();
            let (samples, refusals) = sweep.verify(cell, &[contender]);
            match (samples, refusals.first()) {
                (1, None) => moved += 1,
                (0, Some(refusal)) if !wanted => assert!(!refusal.reason.is_empty()),
                (0, Some(refusal)) if refusal.reason.contains("not available here") => println!("skipped: {refusal}"),
                (_, refusal) => panic!("{} at {cell}: {refusal:?}", path.name()),
            }
        }
    }
    assert!(moved * each > sizes.len(), "{moved}");
    println!("{moved} paths and sizes moved every byte");
    drop(sweep);
    assert_eq!(held(), before);
}

#[test]
fn every_path_moves_every_size_blocking() {
    let _turn = alone();
    moves_everything(Cell::simple(0, Mode::Blocking, Placement::TwoCores), &SIZES);
}

#[test]
fn every_path_moves_every_size_polling_with_several_under_way() {
    let _turn = alone();
    let like = Cell { depth: 4, ..Cell::simple(0, Mode::Polling, Placement::OneCore) };
    moves_everything(like, &[1, 8, 65, 64, 100_000, 4097]);
}

#[test]
fn every_path_moves_over_several_connections_at_odd_offsets() {
    let _turn = alone();
    let cell = Cell::simple(0, Mode::Adaptive, Placement::TwoCores);
    let like = Cell { connections: 3, depth: 2, src_offset: 1, dst_offset: 65, ..cell };
    moves_everything(like, &[1, 8, 64, 4096, 70_000]);
    moves_everything(Cell { dst_offset: 1, touch: false, ..like }, &[1, 4096, 70_000]);
}

#[test]
fn a_path_that_is_not_here_is_listed_with_the_reason_and_the_others_are_measured() {
    let _turn = alone();
    let mut sweep = Sweep::new(program(), ANYWHERE, Effort::Quick);
    let cell = Cell::simple(64, Mode::Blocking, Placement::TwoCores);
    let contenders = ["not_here", "pipe", "wrong", "byte_ring"].map(contender);
    let (samples, refusals) = sweep.measure(cell, &contenders);
    let names: BTreeSet<&str> = samples.iter().map(|sample| sample.path.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["pipe", "byte_ring"]));
    let reason = |name: &str| refusals.iter().find(|refusal| refusal.path == name).unwrap().reason.clone();
    assert_eq!(reason("not_here"), "not available here: this path needs what nobody has");
    assert!(reason("wrong").contains("payloads arrived that were not what was sent"), "{}", reason("wrong"));
    assert_eq!(refusals.len(), 2, "{refusals:?}");
}

#[test]
fn a_side_that_hangs_is_killed_within_the_bound() {
    let _turn = alone();
    let before = held();
    let mut pair = Pair::start(&program(), None, None).unwrap();
    pair.set_bound(Duration::from_millis(400));
    let path = contender("hangs");
    let config = Cell::simple(8, Mode::Blocking, Placement::TwoCores).config(&path, Tiers::GIVEN);
    let far = pair.process_id(Side::Far);
    let start = Instant::now();
    let failure = pair.connect(0, path.path, &config).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    let Failure::Silent { side: Side::Far, process_id, .. } = failure else { panic!("{failure}") };
    assert_eq!(process_id, far);
    assert!(!pair.is_alive());
    assert!(!std::path::Path::new(&format!("/proc/{far}")).exists(), "the child was reaped");
    drop(pair);
    assert_eq!(held(), before);
}

#[test]
fn copies_and_walks_beside_them_are_measured_without_the_table() {
    let _turn = alone();
    let kernels = vec!["portable".to_owned()];
    let scope = CopyScope { sizes: vec![4096], kernels: kernels.clone(), has_shared: true };
    let (samples, refusals) = measure_copies(&program(), ANYWHERE, Effort::Quick, &scope);
    assert!(refusals.is_empty(), "{refusals:?}");
    let copies = Copies::of(&samples);
    for (way, is_shared) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, way != Way::Apart)]) {
        let stage = Stage::of(way, is_shared);
        for (kernel, touch) in [(None, true), (None, false), (Some("portable"), true)] {
            assert!(copies.trip_ns(&stage, kernel, 4096, touch).is_some_and(|ns| ns > 0.0), "{stage:?}, {kernel:?}");
        }
    }
    let walks = if Cases::chosen() < Cases::Full { vec![1 << 12] } else { vec![1 << 12, 1 << 14] };
    let sets = walks.len();
    let scope = CacheScope { sizes: vec![4096], walks, kernels };
    let (samples, refusals) = measure_cache(&program(), ANYWHERE, Effort::Quick, &scope);
    assert!(refusals.is_empty(), "{refusals:?}");
    let figures = walked(&samples);
    // Through each set: after nothing and in place, and copied out by two kernels, touched and not.
    assert_eq!(figures.len(), sets * (1 + 1 + 2 * 2));
    for one in figures {
        assert!(one.walk_ns > 0.0 && one.slowdown.is_some_and(|of| of > 0.0), "{one:?}");
        assert!(one.way != Way::Apart || one.slowdown == Some(1.0), "{one:?}");
    }
}

/// The System V queues that one of these processes was the last to use.
fn queues_of(processes: &[u32]) -> Vec<String> {
    let text = fs::read_to_string("/proc/sysvipc/msg").unwrap_or_default();
    // key msqid perms cbytes qnum lspid lrpid, and more.
    let of = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        processes.iter().any(|process| words[5..7].contains(&process.to_string().as_str()))
    };
    text.lines().skip(1).filter(of).map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn queues_that_have_no_descriptor_are_gone_when_a_side_is_killed() {
    let _turn = alone();
    let mut pair = Pair::start(&program(), None, None).unwrap();
    let path = contender("sysv_mq");
    let cell = Cell::simple(8, Mode::Blocking, Placement::TwoCores);
    match pair.connect(0, path.path, &cell.config(&path, Tiers::GIVEN)) {
        Err(Failure::Unavailable { reason }) => return println!("skipped: {reason}"),
        connected => connected.unwrap(),
    };
    pair.moved(0, &path, &cell, Pattern::PingPong, 3).unwrap();
    let processes = [pair.process_id(Side::Near), pair.process_id(Side::Far)];
    let queues = queues_of(&processes);
    assert_eq!(queues.len(), 2, "one each way");
    let near = rustix::process::Pid::from_raw(processes[0] as i32).unwrap();
    rustix::process::kill_process(near, rustix::process::Signal::KILL).unwrap();
    let start = Instant::now();
    while !queues_of(&processes).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "{queues:?} outlived their side");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(pair.moved(0, &path, &cell, Pattern::PingPong, 3).is_err());
}

#[test]
fn a_side_that_dies_is_reported_at_once() {
    let _turn = alone();
    let before = held();
    let mut sweep = Sweep::new(program(), ANYWHERE, Effort::Quick);
    let cell = Cell::simple(64, Mode::Blocking, Placement::TwoCores);
    let start = Instant::now();
    let (samples, refusals) = sweep.measure(cell, &[contender("dies"), contender("unix_stream")]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(samples.iter().all(|sample| sample.path == "unix_stream") && !samples.is_empty());
    assert!(refusals[0].reason.contains("the far side, process"), "{}", refusals[0].reason);
    assert_eq!(held(), before);
}

#[test]
fn a_child_killed_in_the_middle_is_reported_whatever_the_path() {
    let _turn = alone();
    let before = held();
    for (number, path) in paths().iter().enumerate() {
        let path = Contender::plain(*path);
        let bytes = path.path.limits().min_bytes.max(8);
        // By default one of the two, in turn.
        for (way, (mode, side)) in [(Mode::Blocking, Side::Far), (Mode::Polling, Side::Near)].into_iter().enumerate() {
            if Cases::chosen() < Cases::Full && way != number % 2 {
                continue;
            }
            let mut pair = Pair::start(&program(), None, None).unwrap();
            pair.set_bound(Duration::from_secs(2));
            let cell = Cell::simple(bytes, mode, Placement::OneCore);
            match pair.connect(0, path.path, &cell.config(&path, Tiers::GIVEN)) {
                Err(Failure::Unavailable { .. }) => continue,
                other => other.unwrap(),
            };
            let victim = rustix::process::Pid::from_raw(pair.process_id(side).cast_signed()).unwrap();
            let killer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(15));
                rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
            });
            let start = Instant::now();
            let failure = loop {
                assert!(start.elapsed() < Duration::from_secs(4), "{}: the dead move payloads", path.name());
                if let Err(failure) = pair.time(0, &path, &cell, Pattern::PingPong, 100) {
                    break failure;
                }
            };
            killer.join().unwrap();
            assert!(start.elapsed() < Duration::from_secs(4), "{}: {:?}", path.name(), start.elapsed());
            let is_reported = match &failure {
                Failure::Died { side: found, status, .. } => *found == side && status.contains("signal: 9"),
                // The other side noticed first.
                Failure::Refused { side: found, .. } => *found != side,
                _ => false,
            };
            assert!(is_reported, "{}, {mode}: {failure}", path.name());
            assert!(!pair.is_alive());
        }
    }
    assert_eq!(held(), before);
}

#[test]
fn what_cannot_be_started_is_said() {
    let program = Program { file: "/nowhere/at/all".into(), arguments: Vec::new() };
    let failure = Pair::start(&program, None, None).unwrap_err();
    assert!(failure.to_string().contains("/nowhere/at/all"), "{failure}");
    let (samples, refusals) = Sweep::new(program, ANYWHERE, Effort::Quick)
        .measure(Cell::simple(64, Mode::Blocking, Placement::TwoCores), &[contender("pipe")]);
    assert!(samples.is_empty());
    assert_eq!(refusals.len(), 1);
}

#[test]
fn the_system_calls_that_a_path_counts_are_those_that_it_makes() {
    let _turn = alone();
    if !std::process::Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no strace to count with");
        return;
    }
    for name in ["pipe", "unix_stream", "unix_seqpacket", "posix_mq", "eventfd", "cow_handover", "map_unmap"] {
        let (few, many) = (traced(name, 10), traced(name, 30));
        let counted = many.0 - few.0;
        assert!(counted >= 40, "{name}: {counted}");
        // Sides that sleep in a futex make more or fewer calls as they meet; all make a few for memory of their own.
        let slack = if ["cow_handover", "map_unmap"].contains(&name) { 80 } else { 4 };
        let traced = many.1 - few.1;
        assert!(counted.abs_diff(traced) <= slack, "{name}: {counted} counted, {traced} traced");
    }
}

/// Moves that many messages there and back by two traced processes: the system calls that the path has counted, and those
/// that both processes have made from their start to their end.
fn traced(name: &str, messages: u64) -> (u64, u64) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let own = program();
    let mut arguments: Vec<std::ffi::OsString> = vec!["-ff".into(), "-qq".into(), "-o".into()];
    arguments.push(folder.join("calls").into());
    arguments.push(own.file.into());
    arguments.extend(own.arguments);
    let contender = contender(name);
    let cell = Cell::simple(8, Mode::Blocking, Placement::OneCore);
    let mut pair = Pair::start(&Program { file: "strace".into(), arguments }, None, None).unwrap();
    pair.connect(0, contender.path, &cell.config(&contender, Tiers::GIVEN)).unwrap();
    let ([near, far], _) = pair.moved(0, &contender, &cell, Pattern::PingPong, messages).unwrap();
    drop(pair);
    let files = fs::read_dir(&folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let calls = files.map(|text| text.lines().count() as u64).sum();
    fs::remove_dir_all(&folder).unwrap();
    (near.system_calls.unwrap() + far.system_calls.unwrap(), calls)
}

/// Paths that go wrong in one way each.
struct NotHere;
struct Wrong;
struct Hangs;
struct Dies;

macro_rules! broken {
    ($path:ident, $name:literal, $open:expr, $join:expr) => {
        impl Path for $path {
            fn name(&self) -> &str {
                $name
            }

            fn about(&self) -> &str {
                "goes wrong"
            }

            fn limits(&self) -> Limits {
                Limits::from(1)
            }

            fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
                0
            }

            fn open(&self, config: &Config) -> Result<Opening, PathError> {
                $open(config)
            }

            fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
                $join(config, token)
            }
        }
    };
}

fn pipe() -> &'static dyn Path {
    contender("pipe").path
}

/// Delivers every payload with one bit turned.
struct Turned(Box<dyn End>);

impl End for Turned {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        self.0.send(len_bytes, producer)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.0.receive(len_bytes, &mut Consumer::new(false, 0))?;
        let mut payload = vec![0; len_bytes];
        payload[len_bytes - 1] ^= 1;
        consumer.check(&payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

broken!(
    NotHere,
    "not_here",
    |_: &Config| Err(PathError::Unavailable { reason: "this path needs what nobody has".to_owned() }),
    |_: &Config, _: Token| Err(PathError::PeerGone)
);
broken!(Wrong, "wrong", |config: &Config| pipe().open(config), |config: &Config, token: Token| {
    Ok(Box::new(Turned(pipe().join(config, token)?)) as Box<dyn End>)
});
broken!(Hangs, "hangs", |config: &Config| pipe().open(config), |config: &Config, token: Token| {
    std::thread::sleep(Duration::from_secs(30));
    pipe().join(config, token)
});
broken!(Dies, "dies", |config: &Config| pipe().open(config), |_: &Config, _: Token| std::process::exit(3));
