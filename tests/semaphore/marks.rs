//! Marks: what was marked is taken once, group by group in turn, whatever else stands in their words.

use super::*;

const AT: usize = 64;

fn marks(members: usize) -> (Mapped, Marks<Mapped>) {
    let memory = Mapped::private(AT + Marks::<Mapped>::bytes_for(members)).unwrap();
    (memory.clone(), Marks::new(memory, AT, members))
}

/// All that is marked, in the order in which it is taken.
fn taken(marks: &Marks<Mapped>, turn: &mut Turn) -> Vec<usize> {
    let groups = std::iter::from_fn(|| marks.take(turn));
    groups
        .flat_map(|(first, bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| first + bit))
        .collect()
}

#[test]
fn what_is_marked_is_taken_once() {
    for members in [1, 2, 63, 64, 65, 4095, 4096, 4097, 10_000] {
        let (_, marks) = marks(members);
        let mut turn = Turn::default();
        assert_eq!(marks.take(&mut turn), None);
        for step in [1, 7, 64, 4096] {
            let wanted: Vec<usize> = (0..members).step_by(step).collect();
            // Twice is once.
            wanted.iter().chain(&wanted).for_each(|member| marks.mark(*member));
            let mut found = taken(&marks, &mut turn);
            found.sort_unstable();
            assert_eq!(found, wanted, "{members} members in steps of {step}");
            assert_eq!(marks.take(&mut turn), None);
        }
    }
}

#[test]
fn more_members_than_marks_share_them() {
    let (_, marks) = marks(100);
    for member in [100, 164, usize::MAX] {
        marks.mark(member);
    }
    let mut found = taken(&marks, &mut Turn::default());
    found.sort_unstable();
    assert_eq!(found, [0, 15, 64]);
}

#[test]
fn a_group_that_is_marked_again_waits_for_its_next_turn() {
    let (_, marks) = marks(10_000);
    let mut turn = Turn::default();
    let groups = 10_000_usize.div_ceil(64);
    (0..10_000).for_each(|member| marks.mark(member));
    let mut seen = vec![0; groups];
    for _ in 0..10 * groups {
        let (first, _) = marks.take(&mut turn).unwrap();
        seen[first / 64] += 1;
        marks.mark(first);
    }
    assert!(seen.iter().all(|count| (9..=11).contains(count)), "{seen:?}");
}

#[test]
fn whatever_another_process_writes_a_look_ends_and_names_members_alone() {
    for members in [1, 65, 5000] {
        let (memory, marks) = marks(members);
        for word in [u64::MAX, 1 << 63 | 1, 1] {
            fill(&memory, AT, word);
            let mut turn = Turn::default();
            let groups: Vec<_> = std::iter::from_fn(|| marks.take(&mut turn)).collect();
            assert!(groups.len() <= members.div_ceil(64), "no group twice");
            assert!(groups.iter().all(|(first, _)| *first < members));
        }
    }
    // Words that are not there: nothing is marked, and nothing found.
    let nowhere = Marks::new(Mapped::private(PAGE_BYTES).unwrap(), 2 * PAGE_BYTES, 1000);
    nowhere.mark(3);
    assert_eq!(nowhere.take(&mut Turn::default()), None);
}
