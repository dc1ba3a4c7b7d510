//! One word: posts are counted, waits end, and only a sleeper costs a system call.

use super::*;

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
#[derive(Clone)]
struct Counted {
    memory: Mapped,
    parks: Arc<AtomicU32>,
    unparks: Arc<AtomicU32>,
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
        cas32(at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32>;
        add32(at: usize, value: u32, order: Ordering) -> u32;
        load64(at: usize, order: Load) -> u64;
        cas64(at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64>;
        fence() -> ();
        read(at: usize, dst: &mut [u8], copier: memcpy_select::transport::Copier) -> ();
        write(at: usize, src: &[u8], copier: memcpy_select::transport::Copier) -> ();
    }

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
    fn new() -> Self {
        Self { memory: Mapped::private(PAGE_BYTES).unwrap(), parks: Arc::default(), unparks: Arc::default() }
    }

    fn calls(&self) -> (u32, u32) {
        (self.parks.load(Ordering::Relaxed), self.unparks.load(Ordering::Relaxed))
    }
}

#[test]
fn a_post_makes_a_system_call_only_for_a_sleeper_and_one_for_each_sleep() {
    let counted = Counted::new();
    let word = Word::new(counted.clone(), 0);
    for _ in 0..1000 {
        assert!(!word.post().unwrap(), "there is no set");
        assert!(word.try_take() && !word.try_take());
    }
    assert_eq!(counted.calls(), (0, 0));
    // A sleep that ended by its limit leaves a flag behind, which one post takes down.
    assert!(!word.take_or_sleep(Duration::from_micros(1)));
    for _ in 0..1000 {
        word.post().unwrap();
    }
    assert_eq!(counted.calls(), (1, 1));
}

#[test]
fn a_doorbell_makes_a_system_call_only_for_a_sleeper_and_one_for_each_sleep() {
    let counted = Counted::new();
    let bell = Doorbell::new(counted.clone(), 0);
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
