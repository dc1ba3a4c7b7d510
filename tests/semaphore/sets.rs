//! Several semaphores at once: a few as arguments, thousands in a set with a notifier.

use super::*;

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
    assert!(matches!(set.add(Arc::new(one())), Err(SemaphoreError::NoNotifier)));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    all[1].post().unwrap();
    assert_eq!(set.remove(keys[1]).unwrap().count(), 1, "what is removed keeps its count");
    assert!(matches!(set.remove(keys[1]), Err(SemaphoreError::NotAMember)));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None, "its notifier is not notified any more");
    let again = set.add(Arc::clone(&all[1])).unwrap();
    assert_ne!(again, keys[1]);
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(again), "what it had before it was added counts");
    for key in [keys[0], again, keys[2]] {
        set.remove(key).unwrap();
    }
    assert!(set.is_empty() && matches!(set.wait_set_any(LONG), Err(SemaphoreError::Nothing)));
    let notifier = Arc::downgrade(all[0].notifier().unwrap());
    drop(all);
    assert_eq!(notifier.strong_count(), 0, "the set has let it go with the last of its members");
}

#[test]
fn a_post_without_the_notifier_says_so_and_is_seen_all_the_same() {
    let memory = Mapped::private(SEMAPHORE_BYTES).unwrap();
    let watched = Arc::new(Semaphore::new(memory.clone(), 0).unwrap().with_notifier(notifier()));
    let (mut set, keys) = set_of(&[watched]);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    let deaf = Semaphore::new(memory, 0).unwrap();
    assert!(matches!(deaf.post(), Err(SemaphoreError::NoNotifier)));
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[0]));
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    set.remove(keys[0]).unwrap();
    deaf.post().unwrap();
}

#[test]
fn a_notifier_is_a_socket_and_nothing_else() {
    let (memory, at) = memory(1);
    let notifier = Notifier::new(memory.clone(), at).unwrap();
    let again = |sender, receiver| Notifier::from_ends(memory.clone(), at, sender, receiver);
    let [sender, receiver] = notifier.ends().map(|end| end.try_clone_to_owned().unwrap());
    let semaphore = Arc::new(one().with_notifier(Arc::new(again(sender, receiver).unwrap())));
    let (mut set, keys) = set_of(&[semaphore]);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    set.remove(keys[0]).unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let end = || notifier.ends()[0].try_clone_to_owned().unwrap();
    for (sender, receiver) in [(event, end()), (end(), reader), (writer, end())] {
        assert!(matches!(again(sender, receiver), Err(SemaphoreError::NotANotifier)));
    }
}

#[test]
fn a_notifier_is_only_where_its_words_can_be_written() {
    let memory = Mapped::private(PAGE_BYTES).unwrap();
    let last = PAGE_BYTES - Notifier::bytes_for(PAGE_BYTES);
    for at in [0, 8, last] {
        Notifier::new(memory.clone(), at).unwrap();
    }
    for at in [4, last - 4, last + 8, PAGE_BYTES, usize::MAX - 7] {
        let error = Notifier::new(memory.clone(), at).unwrap_err();
        assert!(matches!(error, SemaphoreError::Place { is_writable: true, .. }), "{at}: {error}");
    }
    let error = Notifier::new(memory.read_only(), 0).unwrap_err();
    assert!(matches!(error, SemaphoreError::Place { is_writable: false, .. }), "{error}");
}

/// What has been sent into a notifier's socket.
fn sent(member: &Semaphore) -> usize {
    let [_, receiver] = member.notifier().unwrap().ends();
    let mut bytes = [0; 4096];
    rustix::net::recv(receiver, &mut bytes, RecvFlags::DONTWAIT).map_or(0, |(count, _)| count)
}

#[test]
fn a_set_that_is_awake_is_told_without_a_system_call() {
    let all = members(1000);
    let (mut set, keys) = set_of(&all);
    for round in 0..5000 {
        let index = round * 389 % all.len();
        all[index].post().unwrap();
        assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[index]));
    }
    assert_eq!(sent(&all[0]), 0);
    // It is about to sleep: one message, however many are posted.
    assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), None);
    for member in &all {
        member.post().unwrap();
    }
    assert_eq!(sent(&all[0]), 1);
}

#[test]
fn a_post_is_marked_once_and_one_of_a_member_that_is_posted_again_and_again_is_not() {
    let own = memory(100);
    let all = members_in(&own, 100);
    let (mut set, keys) = set_of(&all);
    assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), None);
    // The count of marks, beside the flag of a set that sleeps.
    let marks = || own.0.load32(own.1, Load::Relaxed) / 2;
    for round in 0..300 {
        let index = round * 7 % all.len();
        all[index].post().unwrap();
        all[index].post().unwrap();
        assert_eq!(marks(), round as u32 + 1);
        // It is polled for what is left; then another one is posted, which has its mark.
        assert!((0..2).all(|_| set.wait_set_any(Duration::ZERO).unwrap() == Some(keys[index])));
    }
    let before = marks();
    for _ in 0..300 {
        all[7].post().unwrap();
        assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[7]));
    }
    assert!(marks() <= before + 2, "{} marks", marks() - before);
}

/// Makes members ready for longer than any test.
fn be_always_ready(memory: &Mapped, indices: impl Iterator<Item = usize>) {
    for index in indices {
        memory.store32(index * SEMAPHORE_BYTES, 4 << 20, Store::Release);
    }
}

/// So many waits until that member is found.
fn waits_until(set: &mut SemaphoreSet, key: Member, between: impl Fn()) -> usize {
    let is_found = |_: &usize| {
        between();
        set.wait_set_any(LONG).unwrap() == Some(key)
    };
    (1..1_000_000).find(is_found).unwrap()
}

/// What any process that shares a notifier may do: more false marks than are gone through in a turn.
fn mark_many((memory, notifier_at): &(Mapped, usize)) {
    let marks = Marks::new(memory.clone(), *notifier_at, memory.len_bytes() / SEMAPHORE_BYTES);
    (0..130).for_each(|member| _ = marks.mark(31 * member));
}

/// The same: anything in the words of a notifier, from its count or from its marks on.
fn fill_marks((memory, notifier_at): &(Mapped, usize), is_count_filled: bool, word: u64) {
    const COUNT_BYTES: usize = 128;
    fill(memory, notifier_at + if is_count_filled { 0 } else { COUNT_BYTES }, word);
}

#[test]
fn whoever_is_ready_is_found_after_a_bounded_number_of_waits() {
    const COUNT: usize = 400;
    let (own, other) = (memory(COUNT), memory(4096));
    let (all, false_ones) = (members_in(&own, COUNT), members_in(&other, 4096));
    let victims = [0, 1, 63, 64, 200, COUNT - 1];
    be_always_ready(&own.0, (0..COUNT).filter(|index| !victims.contains(index)));
    let (mut set, keys) = set_of(&all);
    for member in &false_ones {
        set.add(Arc::clone(member)).unwrap();
    }
    assert!((0..2 * COUNT).all(|_| set.wait_set_any(Duration::ZERO).unwrap().is_some()));
    for round in 0..5 {
        for victim in victims {
            all[victim].post().unwrap();
            // Before each wait the other notifier has marks, of which none is true, or anything.
            let waits = waits_until(&mut set, keys[victim], || match round {
                0 => fill_marks(&other, true, u64::MAX),
                1 => fill_marks(&other, false, 0),
                _ => mark_many(&other),
            });
            assert!(waits <= COUNT + 128, "member {victim} was found after {waits} waits");
        }
    }
}

#[test]
fn marks_without_end_leave_members_that_are_polled_their_turn() {
    let (own, other) = (memory(2), memory(1));
    let (all, hostile) = (members_in(&own, 2), members_in(&other, 1));
    let (mut set, keys) = set_of(&all);
    let hostile_key = set.add(Arc::clone(&hostile[0])).unwrap();
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    // Both notifiers are polled, and what is left of each first post.
    hostile[0].post().unwrap();
    be_always_ready(&other.0, 0..1);
    (0..8).for_each(|_| all[1].post().unwrap());
    waits_until(&mut set, hostile_key, || ());
    waits_until(&mut set, keys[1], || ());
    let marks = Marks::new(other.0.clone(), other.1, other.0.len_bytes() / SEMAPHORE_BYTES);
    while all[1].count() > 0 {
        let waits = waits_until(&mut set, keys[1], || _ = marks.mark(0));
        assert!(waits <= 8, "found after {waits} waits");
    }
}

#[test]
fn a_mark_that_was_taken_away_is_made_up_for_in_a_busy_set() {
    const COUNT: usize = 100;
    let own = memory(COUNT);
    let all = members_in(&own, COUNT);
    be_always_ready(&own.0, 0..COUNT / 2);
    let (mut set, keys) = set_of(&all);
    for victim in COUNT / 2..COUNT {
        // Without its count nothing says that a mark is missing; with it, all are looked at soon.
        for (is_count_kept, bound) in [(false, (COUNT / 2 + 2) * 64 + COUNT), (true, 2 * 64 + COUNT)] {
            // All of those that have nothing are armed.
            assert!((0..2 * COUNT).all(|_| set.wait_set_any(Duration::ZERO).unwrap().is_some()));
            let count = own.0.load32(own.1, Load::Relaxed);
            all[victim].post().unwrap();
            fill_marks(&own, false, 0);
            if !is_count_kept {
                own.0.store32(own.1, count, Store::Release);
            }
            let waits = waits_until(&mut set, keys[victim], || ());
            assert!(waits <= bound, "member {victim} was found after {waits} waits");
        }
    }
}

#[test]
fn a_process_that_is_stopped_while_it_marks_keeps_nobody_from_being_found() {
    let own = memory(100);
    let all = members_in(&own, 100);
    let (mut set, keys) = set_of(&all);
    for round in 0..5 {
        assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
        // One more mark is counted than is there.
        own.0.add32(own.1, 2, Ordering::Release);
        for index in [round, 50 + round] {
            all[index].post().unwrap();
        }
        let mut found: Vec<_> = (0..2).map(|_| set.wait_set_any(LONG).unwrap().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [keys[round], keys[50 + round]]);
    }
    // It sleeps as before, and is woken.
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    sent(&all[0]);
    all[3].post().unwrap();
    assert_eq!(sent(&all[0]), 1);
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(keys[3]));
}

#[test]
fn a_hostile_member_harms_only_itself() {
    let all = members(4);
    let own = memory(1);
    let (memory_of_first, count_at) = own.clone();
    let hostile = members_in(&own, 1).remove(0);
    let (mut set, keys) = set_of(&all);
    let hostile_key = set.add(Arc::clone(&hostile)).unwrap();
    let [sender, receiver] = hostile.notifier().unwrap().ends();
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // Always ready: the others have their turn all the same.
    for round in 0..100 {
        memory_of_first.store32(0, !3, Store::Release);
        if round % 2 == 0 {
            mark_many(&own)
        } else {
            fill_marks(&own, true, u64::MAX)
        }
        while rustix::net::send(sender, &[0; 4096], flags).is_ok() {}
        all[round % 4].post().unwrap();
        let found = (0..200).find(|_| set.wait_set_any(LONG).unwrap() == Some(keys[round % 4]));
        assert!(found.is_some(), "starved in round {round}");
    }
    // Its notifier rings, but it never has anything.
    memory_of_first.store32(0, 0, Store::Release);
    mark_many(&own);
    while rustix::net::send(sender, &[0; 4096], flags).is_ok() {}
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    // It takes its own marks and rings away: its own posts are late, no more.
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    hostile.post().unwrap();
    fill_marks(&own, true, 0);
    while rustix::net::recv(receiver, &mut [0; 4096], RecvFlags::DONTWAIT).is_ok() {}
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(hostile_key));
    // It writes anything into the count.
    for word in [0, 1, 2, 3, u32::MAX] {
        assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
        memory_of_first.store32(count_at, word, Store::Release);
        hostile.post().unwrap();
        assert_eq!(set.wait_set_any(LONG).unwrap(), Some(hostile_key));
    }
    // It hangs its notifier up.
    rustix::net::shutdown(sender, rustix::net::Shutdown::Both).unwrap();
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
fn semaphores_that_share_marks_are_each_found() {
    // A notifier in memory of its own has fewer marks than there are semaphores.
    let notifier = notifier();
    let all: Vec<_> =
        semaphores(2000).into_iter().map(|one| Arc::new(one.with_notifier(Arc::clone(&notifier)))).collect();
    let (mut set, keys) = set_of(&all);
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    for index in [3, 1000, 1999] {
        all[index].post().unwrap();
        assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), Some(keys[index]));
        assert_eq!(set.wait_set_any(Duration::ZERO).unwrap(), None);
    }
    for member in &all {
        member.post().unwrap();
    }
    let mut found: Vec<_> = (0..2000).map(|_| set.wait_set_any(LONG).unwrap().unwrap().slot()).collect();
    found.sort_unstable();
    assert!(found.into_iter().eq(0..2000), "each once");
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
}

#[test]
fn armed_notifiers_are_heard_beside_a_member_that_is_always_ready() {
    let places: Vec<_> = (0..20).map(|_| memory(1)).collect();
    let all: Vec<_> = places.iter().map(|place| members_in(place, 1).remove(0)).collect();
    let (mut set, keys) = set_of(&all);
    // All notifiers are armed; then one member is ready, and its notifier polled.
    assert_eq!(set.wait_set_any(SHORT).unwrap(), None);
    all[0].post().unwrap();
    be_always_ready(&places[0].0, 0..1);
    assert!((0..64).all(|_| set.wait_set_any(LONG).unwrap() == Some(keys[0])));
    for victim in 1..10 {
        all[victim].post().unwrap();
        let waits = waits_until(&mut set, keys[victim], || ());
        assert!(waits <= 256, "member {victim} was found after {waits} waits");
        set.remove(keys[20 - victim]).unwrap();
    }
}

#[test]
fn notifiers_come_and_go_with_their_last_member() {
    let mut set = SemaphoreSet::create().unwrap();
    let all: Vec<_> = semaphores(50).into_iter().map(|one| Arc::new(one.with_notifier(notifier()))).collect();
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
