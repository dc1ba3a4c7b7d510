//! Marks: what was marked is taken once and in its order, what is missing is told, and whatever else stands in their words a look ends.

use super::*;

const AT: usize = 64;
/// Where the marks begin behind their count.
const FIRST_AT: usize = AT + 128;
/// One mark, in the word of the count.
const ONE: u32 = 2;

fn marks(members: usize) -> (Mapped, Marks<Mapped>) {
    let memory = Mapped::private(AT + Marks::<Mapped>::bytes_for(members)).unwrap();
    (memory.clone(), Marks::new(memory, AT, members))
}

/// Marks a member of a set that is awake.
fn mark(marks: &Marks<Mapped>, member: usize) {
    assert!(!marks.mark(member));
}

/// All that is marked, in the order in which it is taken.
fn taken(marks: &Marks<Mapped>, turn: &mut Turn) -> Vec<usize> {
    let next = || match marks.take(turn) {
        Taken::Member(member) => Some(member),
        Taken::Nothing => None,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn what_is_marked_is_taken_once_and_in_its_order() {
    for members in [1, 2, 63, 64, 65, 4095, 4096, 4097, 10_000] {
        let (_, marks) = marks(members);
        let mut turn = Turn::default();
        for step in [1, 7, 64, 4096, 1, 1] {
            assert_eq!(marks.take(&mut turn), Taken::Nothing);
            let wanted: Vec<usize> = (0..members).rev().step_by(step).collect();
            wanted.iter().for_each(|member| mark(&marks, *member));
            assert_eq!(taken(&marks, &mut turn), wanted, "{members} members in steps of {step}");
        }
        mark(&marks, 0);
        assert!(taken(&marks, &mut marks.turn()).is_empty(), "what was before");
    }
}

#[test]
fn more_members_than_marks_share_them() {
    let (_, marks) = marks(100);
    for member in [100, 164, usize::MAX] {
        mark(&marks, member);
    }
    assert_eq!(taken(&marks, &mut Turn::default()), [100, 36, 127]);
}

#[test]
fn the_count_goes_on_where_it_wraps() {
    let (memory, marks) = marks(4);
    memory.store32(AT, (3 * ONE).wrapping_neg(), Store::Release);
    let mut turn = marks.turn();
    for round in 0..3 {
        (0..4).for_each(|member| mark(&marks, member));
        assert_eq!(taken(&marks, &mut turn), [0, 1, 2, 3], "{round}");
        assert!(marks.arm(&turn) && marks.disarm());
    }
}

#[test]
fn the_waiter_is_told_of_one_mark_for_each_sleep() {
    let (_, marks) = marks(64);
    let mut turn = Turn::default();
    assert!(!marks.disarm());
    for _ in 0..3 {
        assert!(marks.arm(&turn) && marks.arm(&turn));
        assert!(marks.mark(7) && !marks.mark(8));
        assert!(!marks.arm(&turn), "there is a mark");
        assert_eq!(taken(&marks, &mut turn), [7, 8]);
        assert!(marks.arm(&turn) && marks.disarm() && !marks.disarm());
        mark(&marks, 9);
        assert_eq!(taken(&marks, &mut turn), [9]);
    }
}

#[test]
fn a_mark_that_does_not_come_is_given_up_after_a_while() {
    let (memory, marks) = marks(64);
    let mut turn = Turn::default();
    for round in 0..3 {
        // A process is stopped between the count and its mark; others go on.
        memory.add32(AT, ONE, Ordering::Release);
        mark(&marks, 3);
        for _ in 1..64 {
            assert_eq!(marks.take(&mut turn), Taken::Soon);
            assert!(!marks.arm(&turn));
        }
        assert_eq!(marks.take(&mut turn), Taken::Missing, "{round}");
        assert_eq!(marks.take(&mut turn), Taken::Nothing);
    }
    // One that comes in time is taken in its turn.
    memory.add32(AT, ONE, Ordering::Release);
    mark(&marks, 3);
    assert_eq!(marks.take(&mut turn), Taken::Soon);
    memory.store32(FIRST_AT + 4 * 6, 64 | 5, Store::Release);
    assert_eq!(taken(&marks, &mut turn), [5, 3]);
}

#[test]
fn more_marks_than_there_is_room_for_are_told_of_at_once() {
    for (members, places) in [(1, 1), (5, 8), (64, 64)] {
        let (_, marks) = marks(members);
        let mut turn = Turn::default();
        for _ in 0..3 {
            (0..places).for_each(|_| mark(&marks, 0));
            assert_eq!(taken(&marks, &mut turn), vec![0; places]);
            (0..=places).for_each(|_| mark(&marks, 0));
            assert_eq!(marks.take(&mut turn), Taken::Missing, "{members}");
            assert_eq!(marks.take(&mut turn), Taken::Nothing);
        }
    }
}

#[test]
fn whatever_another_process_writes_looks_end() {
    for members in [1, 65, 5000] {
        let (memory, marks) = marks(members);
        for word in [u64::MAX, 1 << 63 | 1, 1, 0x2000_0000_2000] {
            let mut turn = marks.turn();
            fill(&memory, AT, word);
            let looks = (0..1_000_000).find(|_| marks.take(&mut turn) == Taken::Nothing);
            assert!(looks.is_some_and(|looks| looks <= 2 * members.next_power_of_two() + 64), "{looks:?} for {word:x}");
            let _ = marks.mark(members - 1);
            assert_eq!(taken(&marks, &mut turn), [members - 1], "what comes after is taken");
        }
    }
    // Words that are not there: nothing is marked, and looks find no more than members.
    let nowhere = Marks::new(Mapped::private(PAGE_BYTES).unwrap(), 2 * PAGE_BYTES, 1000);
    mark(&nowhere, 3);
    assert_eq!(nowhere.take(&mut Turn::default()), Taken::Nothing);
}
