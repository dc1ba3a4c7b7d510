//! Promise: a post reaches whoever waits, by itself, with others or in a set, and no wait is longer than its limit.

#![cfg(target_os = "linux")]

mod suite;

use memcpy_select::transport::memory::{Access, Load, Mapped, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::semaphore::{
    Bell, Doorbell, MAX_ANY, MAX_COUNT, Member, Park, Posted, SEMAPHORE_BYTES, Semaphore, SemaphoreError, SemaphoreSet,
    Via, WaitAny, Word, wait_any,
};
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use suite::sys::{Child, End};

/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(60);
/// For what is not to come.
const SHORT: Duration = Duration::from_millis(5);

fn semaphores(count: usize) -> Vec<Semaphore> {
    let memory = Mapped::private(count * SEMAPHORE_BYTES).unwrap();
    (0..count).map(|index| Semaphore::new(memory.clone(), index * SEMAPHORE_BYTES).unwrap()).collect()
}

fn one() -> Semaphore {
    semaphores(1).remove(0)
}

fn bell() -> Arc<Bell> {
    Arc::new(Bell::new().unwrap())
}

/// All on one bell.
fn members(count: usize) -> Vec<Arc<Semaphore>> {
    let bell = bell();
    semaphores(count).into_iter().map(|one| Arc::new(one.with_bell(Arc::clone(&bell)))).collect()
}

fn set_of(members: &[Arc<Semaphore>]) -> (SemaphoreSet, Vec<Member>) {
    let mut set = SemaphoreSet::create().unwrap();
    let keys = members.iter().map(|member| set.add(Arc::clone(member)).unwrap()).collect();
    (set, keys)
}

#[test]
fn each_post_is_taken_once() {
    let semaphore = one();
    assert!(!semaphore.try_wait() && !semaphore.wait(Duration::ZERO) && !semaphore.wait(SHORT));
    for _ in 0..3 {
        semaphore.post().unwrap();
    }
    assert_eq!(semaphore.count(), 3);
    assert!(semaphore.try_wait() && semaphore.wait(Duration::ZERO) && semaphore.wait(LONG));
    assert!(!semaphore.try_wait() && semaphore.count() == 0);
}

#[test]
fn a_wait_lasts_as_long_as_its_limit() {
    for semaphore in [one(), one().without_spinning()] {
        let start = Instant::now();
        assert!(!semaphore.wait(Duration::from_millis(50)));
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}

#[test]
fn the_count_does_not_wrap() {
    let memory = Mapped::private(PAGE_BYTES).unwrap();
    let semaphore = Semaphore::new(memory.clone(), 0).unwrap();
    memory.store32(0, (MAX_COUNT - 1) << 2, Store::Release);
    semaphore.post().unwrap();
    for _ in 0..3 {
        assert!(matches!(semaphore.post(), Err(SemaphoreError::Overflow)));
    }
    assert_eq!(semaphore.count(), MAX_COUNT);
    // Whatever another process writes there.
    for word in [u32::MAX, u32::MAX - 3, 1 << 31, 3] {
        memory.store32(0, word, Store::Release);
        let _ = semaphore.post();
        let _ = semaphore.wait(Duration::ZERO);
        assert!(!semaphore.wait(SHORT) || word > 4);
    }
}

#[test]
fn there_are_semaphores_only_where_words_can_be_written() {
    let memory = Mapped::private(PAGE_BYTES).unwrap();
    for at in [1, 2, PAGE_BYTES - 2, PAGE_BYTES, usize::MAX, usize::MAX - 3] {
        let error = Semaphore::new(memory.clone(), at).unwrap_err();
        assert!(matches!(error, SemaphoreError::Place { is_writable: true, .. }), "{at}: {error}");
    }
    assert!(matches!(
        Semaphore::new(memory.read_only(), 0),
        Err(SemaphoreError::Place { at: 0, len_bytes: PAGE_BYTES, is_writable: false })
    ));
}

/// Memory that counts the calls that would be system calls.
struct Counted {
    memory: Mapped,
    parks: AtomicU32,
    unparks: AtomicU32,
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> $result {
            self.memory.$name($($argument),*)
        })*
    };
}

impl Memory for Counted {
    forward! {
        len_bytes() -> usize;
        load32(at: usize, order: Load) -> u32;
        store32(at: usize, value: u32, order: Store) -> ();
        swap32(at: usize, value: u32, order: Ordering) -> u32;
        cas32(at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32>;
        add32(at: usize, value: u32, order: Ordering) -> u32;
        load64(at: usize, order: Load) -> u64;
        cas64(at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64>;
        fence() -> ();
        read(at: usize, dst: &mut [u8], copier: memcpy_select::transport::Copier) -> ();
        write(at: usize, src: &[u8], copier: memcpy_select::transport::Copier) -> ();
    }
}

impl Park for Counted {
    fn park(&self, at: usize, expected: u32, limit: Duration) {
        self.parks.fetch_add(1, Ordering::Relaxed);
        self.memory.park(at, expected, limit);
    }

    fn unpark(&self, at: usize) {
        self.unparks.fetch_add(1, Ordering::Relaxed);
        self.memory.unpark(at);
    }
}

impl Counted {
    fn new() -> Arc<Self> {
        let memory = Mapped::private(PAGE_BYTES).unwrap();
        Arc::new(Self { memory, parks: AtomicU32::new(0), unparks: AtomicU32::new(0) })
    }

    fn calls(&self) -> (u32, u32) {
        (self.parks.load(Ordering::Relaxed), self.unparks.load(Ordering::Relaxed))
    }
}

#[test]
fn a_post_makes_a_system_call_only_for_a_sleeper_and_one_for_each_sleep() {
    let counted = Counted::new();
    let word = Word::new(Arc::clone(&counted), 0);
    for _ in 0..1000 {
        assert_eq!(word.post(), Posted::Done);
        assert!(word.try_take() && !word.try_take());
    }
    assert_eq!(counted.calls(), (0, 0));
    // A sleep that ended by its limit leaves a flag behind, which one post takes down.
    assert!(!word.take_or_sleep(Duration::from_micros(1)));
    for _ in 0..1000 {
        word.post();
    }
    assert_eq!(counted.calls(), (1, 1));
}

#[test]
fn a_doorbell_makes_a_system_call_only_for_a_sleeper_and_one_for_each_sleep() {
    let counted = Counted::new();
    let bell = Doorbell::new(Arc::clone(&counted), 0);
    for _ in 0..1000 {
        assert!(!bell.ring());
    }
    assert_eq!(bell.sleep_unless(LONG, || Some(7)), Some(7), "found at the last look");
    assert_eq!(counted.calls(), (0, 0));
    bell.arm(Via::Socket);
    assert!(bell.ring() && !bell.ring(), "its socket once");
    bell.arm(Via::Socket);
    bell.disarm();
    assert!(!bell.ring());
    assert_eq!(counted.calls(), (0, 0));
    bell.arm(Via::Word);
    for _ in 0..1000 {
        assert!(!bell.ring());
    }
    assert_eq!(counted.calls(), (0, 1));
    assert_eq!(bell.sleep_unless(Duration::from_micros(1), || None::<()>), None);
    // Whatever another process writes there.
    for word in [3, u32::MAX] {
        counted.memory.store32(0, word, Store::Release);
        assert!(!bell.ring());
    }
}

#[test]
fn a_doorbell_wakes_at_every_ring() {
    const ROUNDS: u32 = 20_000;
    let memory = Mapped::private(PAGE_BYTES).unwrap();
    let [ours, theirs] = [0, 128].map(|at| Doorbell::new(memory.clone(), at));
    let value = |at| memory.load32(at, Load::Acquire);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                while value(256) != round {
                    theirs.sleep_unless(LONG, || (value(256) == round).then_some(()));
                }
                memory.store32(384, round, Store::Release);
                assert!(!ours.ring());
            }
        });
        let start = Instant::now();
        for round in 1..=ROUNDS {
            memory.store32(256, round, Store::Release);
            assert!(!theirs.ring());
            while value(384) != round {
                ours.sleep_unless(LONG, || (value(384) == round).then_some(()));
                assert!(start.elapsed() < LONG, "a ring was lost in round {round}");
            }
        }
    });
}

#[test]
fn any_of_a_few_is_found() {
    for mut waiter in [WaitAny::default(), WaitAny::one_by_one()] {
        let all = semaphores(MAX_ANY);
        let refs: Vec<&Semaphore> = all.iter().collect();
        assert_eq!(waiter.wait(&refs, SHORT).unwrap(), None);
        for index in [0, 1, 64, MAX_ANY - 1] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(SHORT);
                    all[index].post().unwrap();
                });
                assert_eq!(waiter.wait(&refs, LONG).unwrap(), Some(index));
            });
        }
        assert_eq!(waiter.wait(&refs, Duration::ZERO).unwrap(), None);
    }
}

#[test]
fn of_several_that_are_ready_each_has_its_turn() {
    let all = semaphores(3);
    for semaphore in &all {
        (0..100).for_each(|_| semaphore.post().unwrap());
    }
    let refs: Vec<&Semaphore> = all.iter().collect();
    let mut waiter = WaitAny::default();
    let turns: Vec<_> = (0..6).map(|_| waiter.wait(&refs, LONG).unwrap().unwrap()).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn more_than_the_system_watches_and_none_at_all_are_errors() {
    let all = semaphores(MAX_ANY + 1);
    let refs: Vec<&Semaphore> = all.iter().collect();
    all[0].post().unwrap();
    let error = wait_any(&refs, LONG).unwrap_err();
    assert!(matches!(error, SemaphoreError::TooMany { count: 129 }));
    assert!(error.to_string().contains("put them in a set"));
    assert!(matches!(wait_any(&[], LONG), Err(SemaphoreError::Nothing)));
    assert_eq!(wait_any(&refs[..MAX_ANY], LONG).unwrap(), Some(0), "still there");
}

#[test]
fn a_set_finds_whoever_was_posted() {
    let all = members(40);
    let (mut set, keys) = set_of(&all);
    assert_eq!((set.len(), set.is_empty()), (40, false));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    for index in [0, 7, 39, 7] {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                all[index].post().unwrap();
            });
            assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[index]));
        });
    }
    for index in [3, 4, 5, 3] {
        all[index].post().unwrap();
    }
    let mut found: Vec<_> = (0..4).map(|_| set.wait_set_any(LONG).unwrap().unwrap().slot()).collect();
    found.sort_unstable();
    assert_eq!(found, [3, 3, 4, 5].map(|index: usize| keys[index].slot()));
    assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), None);
}

#[test]
fn members_come_and_go() {
    let all = members(3);
    let (mut set, keys) = set_of(&all);
    assert!(matches!(set.add(Arc::clone(&all[0])), Err(SemaphoreError::AlreadyIn)));
    assert!(matches!(set.add(Arc::new(one())), Err(SemaphoreError::NoBell)));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    all[1].post().unwrap();
    assert_eq!(set.remove(keys[1]).unwrap().count(), 1, "what is removed keeps its count");
    assert!(matches!(set.remove(keys[1]), Err(SemaphoreError::NotAMember)));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None, "its bell is not heard any more");
    let again = set.add(Arc::clone(&all[1])).unwrap();
    assert_ne!(again, keys[1]);
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(again), "what it had before it was added counts");
    for key in [keys[0], again, keys[2]] {
        set.remove(key).unwrap();
    }
    assert!(set.is_empty() && matches!(set.wait_set_any(LONG), Err(SemaphoreError::Nothing)));
}

#[test]
fn a_post_without_the_bell_says_so_and_is_seen_all_the_same() {
    let memory = Mapped::private(SEMAPHORE_BYTES).unwrap();
    let watched = Arc::new(Semaphore::new(memory.clone(), 0).unwrap().with_bell(bell()));
    let (mut set, keys) = set_of(&[watched]);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    let deaf = Semaphore::new(memory, 0).unwrap();
    assert!(matches!(deaf.post(), Err(SemaphoreError::NoBell)));
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[0]));
}

#[test]
fn a_bell_is_a_socket_and_nothing_else() {
    let bell = Bell::new().unwrap();
    let [rope, sound] = bell.ends().map(|end| end.try_clone_to_owned().unwrap());
    let semaphore = Arc::new(one().with_bell(Arc::new(Bell::from_ends(rope, sound).unwrap())));
    let (mut set, keys) = set_of(&[semaphore]);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    set.remove(keys[0]).unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let end = || bell.ends()[0].try_clone_to_owned().unwrap();
    for (rope, sound) in [(event, end()), (end(), reader), (writer, end())] {
        assert!(matches!(Bell::from_ends(rope, sound), Err(SemaphoreError::NotABell)));
    }
}

#[test]
fn a_hostile_member_harms_only_itself() {
    let all = members(4);
    let memory_of_first = Mapped::private(SEMAPHORE_BYTES).unwrap();
    let hostile = Arc::new(Semaphore::new(memory_of_first.clone(), 0).unwrap().with_bell(bell()));
    let (mut set, keys) = set_of(&all);
    let hostile_key = set.add(Arc::clone(&hostile)).unwrap();
    let [rope, sound] = hostile.bell().unwrap().ends();
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // Always ready: the others have their turn all the same.
    for round in 0..100 {
        memory_of_first.store32(0, !3, Store::Release);
        while rustix::net::send(rope, &[0; 4096], flags).is_ok() {}
        all[round % 4].post().unwrap();
        let found = (0..200).find(|_| set.wait_set_any(LONG).unwrap() == Some(keys[round % 4]));
        assert!(found.is_some(), "starved in round {round}");
    }
    // Its bell rings, but it never has anything.
    memory_of_first.store32(0, 0, Store::Release);
    while rustix::net::send(rope, &[0; 4096], flags).is_ok() {}
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    // It takes its own rings away: its own posts are late, no more.
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    hostile.post().unwrap();
    while rustix::net::recv(sound, &mut [0; 4096], RecvFlags::DONTWAIT).is_ok() {}
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(hostile_key));
    // It hangs its bell up.
    rustix::net::shutdown(rope, rustix::net::Shutdown::Both).unwrap();
    hostile.post().unwrap();
    all[2].post().unwrap();
    let found: Vec<_> = (0..2).map(|_| set.wait_set_any(LONG).unwrap().unwrap()).collect();
    assert!(found.contains(&keys[2]) && found.contains(&hostile_key));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
}

#[test]
fn thousands_of_members_are_as_good_as_a_few() {
    let count = 5000;
    let all = members(count);
    let (mut set, keys) = set_of(&all);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            for member in all.iter().rev() {
                member.post().unwrap();
            }
        });
        barrier.wait();
        let mut found: Vec<_> = (0..count).map(|_| set.wait_set_any(LONG).unwrap().unwrap().slot()).collect();
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..count), "each once");
    });
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    for key in keys {
        set.remove(key).unwrap();
    }
}

#[test]
fn a_bell_that_rings_more_often_than_it_is_heard_loses_nobody() {
    // More than a socket holds, while nobody listens.
    let all = members(2000);
    let (mut set, _) = set_of(&all);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    for member in &all {
        member.post().unwrap();
    }
    let mut found: Vec<_> = (0..2000).map(|_| set.wait_set_any(LONG).unwrap().unwrap().slot()).collect();
    found.sort_unstable();
    assert!(found.into_iter().eq(0..2000), "each once");
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
}

#[test]
fn bells_come_and_go_with_their_last_member() {
    let mut set = SemaphoreSet::create().unwrap();
    let all: Vec<_> = semaphores(50).into_iter().map(|one| Arc::new(one.with_bell(bell()))).collect();
    for round in 0..3 {
        let keys: Vec<_> = all.iter().map(|member| set.add(Arc::clone(member)).unwrap()).collect();
        assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
        for (member, key) in all.iter().zip(&keys) {
            member.post().unwrap();
            assert_eq!(set.wait_set_any(LONG).unwrap(), Some(*key), "round {round}");
        }
        for key in keys {
            set.remove(key).unwrap();
        }
        assert!(set.is_empty());
    }
}

/// What two processes share: a region with semaphores, mapped by each for itself.
fn shared(region: &Region, spins: bool) -> [Semaphore; 3] {
    let promise = Promise { len_bytes: region.len_bytes(), sealing: Sealing::Size };
    let descriptor = region.descriptor().try_clone_to_owned().unwrap();
    let memory = Region::open(descriptor, promise, Access::ReadWrite, true).unwrap().into_memory();
    std::array::from_fn(|index| {
        let semaphore = Semaphore::new(memory.clone(), index * SEMAPHORE_BYTES).unwrap();
        if spins { semaphore } else { semaphore.without_spinning() }
    })
}

#[test]
fn two_processes_wake_each_other_every_time() {
    for (rounds, spins) in [(30_000, true), (10_000, false)] {
        let region = Region::create(PAGE_BYTES, RegionOptions::default()).unwrap();
        let child = Child::start(|| {
            let [ping, pong, _] = shared(&region, spins);
            let answered = (0..rounds).all(|_| ping.wait(LONG) && pong.post().is_ok());
            u8::from(!answered)
        });
        let [ping, pong, _] = shared(&region, spins);
        for round in 0..rounds {
            ping.post().unwrap();
            assert!(pong.wait(LONG), "the post did not arrive in round {round}");
        }
        assert_eq!(child.end(), End::Exit(0));
    }
}

#[test]
fn many_who_post_and_many_who_wait_lose_nothing() {
    const EACH: u32 = 20_000;
    let region = Region::create(PAGE_BYTES, RegionOptions::default()).unwrap();
    let children: Vec<Child> = (0..2)
        .map(|_| {
            Child::start(|| {
                let [work, done, _] = shared(&region, true);
                let all = (0..EACH).all(|_| work.wait(LONG) && done.post().is_ok());
                u8::from(!all)
            })
        })
        .collect();
    let [work, done, other] = shared(&region, true);
    thread::scope(|scope| {
        scope.spawn(|| (0..2 * EACH).for_each(|_| work.post().unwrap()));
        let refs = [&other, &done];
        let mut waiter = WaitAny::default();
        for answer in 0..2 * EACH {
            assert_eq!(waiter.wait(&refs, LONG).unwrap(), Some(1), "after {answer} answers");
        }
    });
    for child in children {
        assert_eq!(child.end(), End::Exit(0));
    }
    assert_eq!((work.count(), done.count()), (0, 0));
}

#[test]
fn a_set_hears_two_processes_every_time() {
    const EACH: u32 = 10_000;
    let region = Region::create(PAGE_BYTES, RegionOptions::default()).unwrap();
    let bells = [bell(), bell()];
    let children: Vec<Child> = (0..2)
        .map(|index| {
            let bell = Arc::clone(&bells[index]);
            let region = &region;
            Child::start(move || {
                let mut all = shared(region, true).map(Some);
                let (own, back) = (all[index].take().unwrap().with_bell(bell), all[2].take().unwrap());
                let posted = (0..EACH).all(|round| own.post().is_ok() && (round % 16 != 0 || back.wait(LONG)));
                u8::from(!posted)
            })
        })
        .collect();
    let [first, second, back] = shared(&region, true);
    let both: Vec<Arc<Semaphore>> =
        [first, second].into_iter().zip(bells.clone()).map(|(one, bell)| Arc::new(one.with_bell(bell))).collect();
    let (mut set, _) = set_of(&both);
    let mut counts = [0; 2];
    for taken in 0..2 * EACH {
        let key = set.wait_set_any(LONG).unwrap().unwrap_or_else(|| panic!("no post arrived after {taken}"));
        let count: &mut u32 = &mut counts[key.slot()];
        if count.is_multiple_of(16) {
            back.post().unwrap();
        }
        *count += 1;
    }
    assert_eq!(counts, [EACH; 2]);
    for child in children {
        assert_eq!(child.end(), End::Exit(0));
    }
}

#[test]
fn a_process_killed_in_its_sleep_keeps_nobody_from_being_woken() {
    let region = Region::create(PAGE_BYTES, RegionOptions::default()).unwrap();
    let child = Child::start(|| {
        let [word, ..] = shared(&region, false);
        u8::from(word.wait(LONG))
    });
    let [word, ..] = shared(&region, false);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.number())).unwrap_or_default();
    let is_asleep = || region.memory().load32(0, Load::Acquire) == 1 && state().contains(") S ");
    let start = Instant::now();
    while !is_asleep() {
        assert!(start.elapsed() < LONG);
        thread::yield_now();
    }
    let number = rustix::process::Pid::from_raw(child.number()).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::KILL).unwrap();
    assert_eq!(child.end(), End::Signal(9));
    // The flag that it raised is still up, and stands for whoever comes next too.
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            word.post().unwrap();
        });
        assert!(word.wait(LONG));
    });
}

#[test]
fn no_descriptor_is_left() {
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // Alone in its process, so that no other test opens any meanwhile.
    let end = suite::sys::in_child(|| {
        let before = count();
        for _ in 0..10 {
            let all = members(10);
            let (mut set, keys) = set_of(&all);
            set.remove(keys[3]).unwrap();
            assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), None);
        }
        u8::from(count() != before)
    });
    assert_eq!(end, End::Exit(0));
    let bell = Bell::new().unwrap();
    for descriptor in bell.ends() {
        let flags = rustix::io::fcntl_getfd(descriptor.as_fd()).unwrap();
        assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
    }
}
