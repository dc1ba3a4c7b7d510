//! Between processes and many threads, also killed ones; and nothing is left open.

use super::*;

/// What two processes share: a region with semaphores, mapped by each for itself.
fn shared(region: &Region, spins: bool) -> [Semaphore; 3] {
    let promise = Promise { len_bytes: region.len_bytes(), sealing: Sealing::Size };
    let descriptor = region.descriptor().try_clone_to_owned().unwrap();
    let region = Region::open(descriptor, promise, Access::ReadWrite).unwrap();
    region.prefault().unwrap();
    let memory = region.into_memory();
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
    // A region for each, so that neither child can write the other's marks.
    let notifiers = [(); 2].map(|()| {
        let own = Region::create(PAGE_BYTES, RegionOptions::default()).unwrap();
        Arc::new(Notifier::new(own.memory().clone(), 0).unwrap())
    });
    let children: Vec<Child> = (0..2)
        .map(|index| {
            let notifier = Arc::clone(&notifiers[index]);
            let region = &region;
            Child::start(move || {
                let mut all = shared(region, true).map(Some);
                let (own, back) = (all[index].take().unwrap().with_notifier(notifier), all[2].take().unwrap());
                let posted = (0..EACH).all(|round| own.post().is_ok() && (round % 16 != 0 || back.wait(LONG)));
                u8::from(!posted)
            })
        })
        .collect();
    let [first, second, back] = shared(&region, true);
    let both: Vec<Arc<Semaphore>> = [first, second]
        .into_iter()
        .zip(notifiers.clone())
        .map(|(one, notifier)| Arc::new(one.with_notifier(notifier)))
        .collect();
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
    let notifier = notifier();
    for descriptor in notifier.ends() {
        let flags = rustix::io::fcntl_getfd(descriptor.as_fd()).unwrap();
        assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
    }
}
