//! Entries arrive once each, in order, whole, for every capacity, stride and lap bit, over the wrap of the indices; and what a
//! peer writes as its index is refused unless an honest one could have written it.

use crate::memories::Watched;
use crate::rng::Rng;
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::ring::{Consumer, MAX_CAPACITY, Producer, RingLayout, RingPlace};
use memcpy_select::transport::{Copier, LAP_BIT, Mapped, Memory, Violation};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

const HEAD_AT: usize = 0;
const PLACE: RingPlace = RingPlace { head_at: HEAD_AT, entries_at: 128 };
/// The lap bits of messages and of releases.
const LAP_BITS: [u32; 2] = [LAP_BIT, 1 << 31];

fn layout(capacity: u32, stride_bytes: u32, lap_bit: u32) -> RingLayout {
    RingLayout::new(PLACE, capacity, stride_bytes, lap_bit).unwrap()
}

/// Both sides of a ring whose indices start at `index`.
fn ring(layout: RingLayout, index: u32) -> (Mapped, Producer<Mapped, 3>, Consumer<Mapped, 3>) {
    let memory = Mapped::private(layout.end_at()).unwrap();
    memory.store32(HEAD_AT, index, Store::Relaxed);
    let producer = Producer::starting_at(memory.clone(), layout, index);
    let consumer = Consumer::starting_at(memory.clone(), layout, index);
    (memory, producer, consumer)
}

/// The bytes of an entry: none to as many as there is room for.
fn bytes_of(number: u32, layout: RingLayout) -> Vec<u8> {
    vec![number as u8; number as usize % (layout.room_bytes() as usize + 1)]
}

#[test]
fn entries_arrive_in_order_over_the_wrap_of_the_indices() {
    let mut rng = Rng::new(7);
    for lap_bit in LAP_BITS {
        for (capacity, stride_bytes) in [(1, 12), (2, 16), (8, 12), (128, 64), (16, 32), (4, 512), (2, 128)] {
            let start = 0_u32.wrapping_sub(4 * capacity);
            let layout = layout(capacity, stride_bytes, lap_bit);
            let (_memory, mut producer, mut consumer) = ring(layout, start);
            let mut expected = VecDeque::new();
            let mut in_ring = 0;
            let mut sent = 0_u32;
            while sent < 20 * capacity + 20 {
                for _ in 0..rng.below(capacity as usize + 2) {
                    let entry = [sent.wrapping_mul(0x0101_0101), sent, !sent];
                    let is_pushed = producer.push_with(entry, &bytes_of(sent, layout), Copier::AUTO).unwrap();
                    assert_eq!(is_pushed, in_ring < capacity, "{capacity} {in_ring}");
                    if is_pushed {
                        expected.push_back([entry[0] & !lap_bit, entry[1], entry[2]]);
                        in_ring += 1;
                        sent += 1;
                    }
                }
                producer.publish();
                assert!(!producer.publish(), "twice");
                assert_eq!(consumer.peek().is_some(), !expected.is_empty());
                for _ in 0..rng.below(capacity as usize + 2) {
                    let got = consumer.pop();
                    assert_eq!(got, expected.pop_front());
                    if let Some([_, number, _]) = got {
                        let bytes = bytes_of(number, layout);
                        let mut found = vec![0; bytes.len()];
                        consumer.take_bytes(bytes.len() as u32, &mut found, Copier::AUTO).unwrap();
                        assert_eq!(found, bytes);
                    }
                }
                consumer.release();
                in_ring = expected.len() as u32;
                assert_eq!(producer.unread(), Ok(in_ring));
            }
        }
    }
}

#[test]
fn a_batch_is_seen_only_when_it_is_published() {
    let (_memory, mut producer, mut consumer) = ring(layout(8, 12, LAP_BIT), 0);
    for word in 0..5 {
        assert!(producer.push([word; 3]).unwrap());
    }
    assert_eq!((consumer.pop(), consumer.peek().is_some()), (None, false));
    assert!(producer.publish());
    for word in 0..5 {
        assert_eq!(consumer.pop(), Some([word; 3]));
    }
}

#[test]
fn places_are_given_back_only_by_release() {
    let (_memory, mut producer, mut consumer) = ring(layout(2, 12, LAP_BIT), 0);
    assert_eq!([(); 3].map(|()| producer.push([0; 3]).unwrap()), [true, true, false]);
    producer.publish();
    consumer.pop().expect("published");
    assert_eq!(producer.has_room(1), Ok(false));
    consumer.release();
    assert_eq!((producer.has_room(1), producer.has_room(2)), (Ok(true), Ok(false)));
}

#[test]
fn the_next_entry_is_asked_for_ahead_where_as_many_came_together_the_last_time() {
    let layout = layout(8, 64, LAP_BIT);
    let memory = Watched::new(Mapped::private(layout.end_at()).unwrap(), Rc::new(RefCell::new(|| {})));
    let mut producer = Producer::<_, 3>::new(memory.clone(), layout);
    let mut consumer = Consumer::<_, 3>::new(memory.clone(), layout);
    let place = |entry: usize| PLACE.entries_at + entry % 8 * 64;
    // How many come together, and after which of them the next one is asked for.
    let mut sent = 0;
    for (batch, ahead) in [(2, &[1][..]), (2, &[0]), (1, &[0]), (1, &[]), (3, &[1, 2]), (3, &[0, 1]), (2, &[0, 1])] {
        for entry in 0..batch {
            assert_eq!(producer.push([entry, 0, 0]), Ok(true));
        }
        producer.publish();
        let mut found = Vec::new();
        for entry in 0..batch as usize {
            consumer.pop().expect("published");
            let asked_for = memory.take_asked_for();
            assert!(asked_for.iter().all(|at| *at == place(sent + entry + 1)), "{asked_for:?}");
            found.extend(asked_for.iter().map(|_| entry));
        }
        assert_eq!(found, ahead, "a batch of {batch}");
        consumer.release();
        sent += batch as usize;
    }
}

#[test]
fn a_head_that_cannot_be_is_refused() {
    for start in [0_u32, u32::MAX - 2] {
        for ahead in [0, 1, 3, 4, 5, 1 << 31, u32::MAX] {
            let (memory, mut producer, _consumer) = ring(layout(4, 12, LAP_BIT), start);
            for _ in 0..4 {
                producer.push([0; 3]).unwrap();
            }
            let claimed = start.wrapping_add(ahead);
            memory.store32(HEAD_AT, claimed, Store::Release);
            let got = producer.unread();
            if ahead <= 4 {
                assert_eq!(got, Ok(4 - ahead));
            } else {
                let tail = start.wrapping_add(4);
                assert_eq!(got, Err(Violation::Head { claimed, previous: start, tail }));
            }
        }
    }
}

#[test]
fn a_head_that_goes_back_is_refused() {
    let (memory, mut producer, mut consumer) = ring(layout(4, 12, LAP_BIT), 0);
    for _ in 0..4 {
        producer.push([0; 3]).unwrap();
    }
    producer.publish();
    for _ in 0..3 {
        consumer.pop().expect("published");
    }
    consumer.release();
    assert_eq!(producer.unread(), Ok(1));
    memory.store32(HEAD_AT, 2, Store::Release);
    assert_eq!(producer.unread(), Err(Violation::Head { claimed: 2, previous: 3, tail: 4 }));
    // And a push that has to look ends the same way.
    for _ in 0..3 {
        assert_eq!(producer.push([0; 3]), Ok(true));
    }
    assert!(matches!(producer.push([0; 3]), Err(Violation::Head { .. })));
}

#[test]
fn the_lap_bit_is_the_rings_own() {
    for lap_bit in LAP_BITS {
        let (memory, mut producer, mut consumer) = ring(layout(2, 12, lap_bit), 0);
        for lap in 0..4 {
            for (place, first) in [0, u32::MAX].into_iter().enumerate() {
                producer.push([first, lap, 2]).unwrap();
                producer.publish();
                let written = memory.load32(128 + 12 * place, Load::Relaxed);
                assert_eq!(written, if lap % 2 == 0 { first | lap_bit } else { first & !lap_bit });
                assert_eq!((consumer.pop(), consumer.pop()), (Some([first & !lap_bit, lap, 2]), None));
            }
            consumer.release();
        }
    }
}

/// What stands in the memory is an entry if its lap is the one that is waited for, whichever side wrote it; then it is copied out once.
#[test]
fn an_entry_is_one_by_its_lap_alone() {
    for lap_bit in LAP_BITS {
        let (memory, _producer, mut consumer) = ring(layout(2, 12, lap_bit), 0);
        for (lap, garbage) in [lap_bit | 1, 6, lap_bit | 5].into_iter().enumerate() {
            for place in [128, 140] {
                memory.store32(place, garbage ^ lap_bit, Store::Release);
                assert_eq!((consumer.peek().is_some(), consumer.pop()), (false, None), "of another lap: {lap}");
                memory.store32(place, garbage, Store::Release);
                assert_eq!((consumer.peek().is_some(), consumer.pop()), (true, Some([garbage & !lap_bit, 0, 0])));
            }
            assert_eq!(consumer.pop(), None, "before the next lap");
        }
    }
}

#[test]
fn no_more_bytes_are_written_or_read_than_an_entry_has_room_for() {
    for (stride_bytes, room_bytes) in [(12, 0), (16, 0), (20, 4), (64, 48), (512, 496)] {
        let layout = layout(2, stride_bytes, LAP_BIT);
        assert_eq!(layout.room_bytes(), room_bytes);
        let (memory, mut producer, mut consumer) = ring(layout, 0);
        for _ in 0..2 {
            producer.push_with([0; 3], &[7; 600], Copier::AUTO).unwrap();
        }
        producer.publish();
        let mut dst = [0; 600];
        for _ in 0..2 {
            consumer.pop().expect("published");
            assert_eq!(consumer.take_bytes(room_bytes, &mut dst, Copier::AUTO), Ok(()));
            assert!(dst[..room_bytes as usize].iter().all(|byte| *byte == 7));
            let length = room_bytes + 1;
            assert_eq!(
                consumer.take_bytes(length, &mut dst, Copier::AUTO),
                Err(Violation::Room { length, room_bytes })
            );
            let short = consumer.take_bytes(room_bytes, &mut dst[..room_bytes as usize / 2], Copier::AUTO);
            assert_eq!(short.is_ok(), room_bytes == 0);
        }
        assert_eq!(memory.load32(128, Load::Relaxed), LAP_BIT, "the words of the first entry");
    }
}

#[test]
fn rings_that_cannot_work_are_refused() {
    let new = |capacity, stride| RingLayout::new(PLACE, capacity, stride, LAP_BIT).map(|_| ());
    for capacity in [0, 3, 6, 100, MAX_CAPACITY * 2, u32::MAX] {
        let error = new(capacity, 16).unwrap_err();
        assert!(error.found == u64::from(capacity) && error.what.starts_with("entries of a ring"), "{error}");
    }
    for stride_bytes in [0, 1, 13, 130, 516, 1024] {
        let error = new(8, stride_bytes).unwrap_err();
        assert!(error.found == u64::from(stride_bytes) && error.what.starts_with("bytes from entry"), "{error}");
    }
    for lap_bit in [0, 3, u32::MAX] {
        let error = RingLayout::new(PLACE, 8, 16, lap_bit).unwrap_err();
        assert!(error.found == u64::from(lap_bit) && error.what.contains("one bit"), "{error}");
    }
    assert_eq!(new(MAX_CAPACITY, 512), Ok(()));
    assert!(new(3, 16).unwrap_err().to_string().contains("power of two"));
}

/// Nothing outside the memory can be touched, whatever a layout says.
#[test]
fn accesses_outside_touch_nothing() {
    let memory = Mapped::private(64).unwrap();
    for at in [61, 64, 1 << 40, usize::MAX - 3, usize::MAX] {
        memory.store32(at, 1, Store::Release);
        assert_eq!(memory.load32(at, Load::Acquire), 0);
        assert_eq!(memory.load64(at, Load::Acquire), 0);
    }
    for at in [2, 56, 60, 64, usize::MAX - 3] {
        memory.store_words(at, [1; 3]);
        assert_eq!(memory.load_words::<3>(at, |_| true), None);
    }
    memory.store32(2, 1, Store::Release);
    assert_eq!(memory.load64(0, Load::Acquire), 0, "a word that is not aligned");
    let read_only = memory.read_only();
    read_only.store32(0, 1, Store::Release);
    read_only.store_words(0, [1; 4]);
    assert_eq!(read_only.add32(0, 1, std::sync::atomic::Ordering::AcqRel), 0);
    assert_eq!(memory.load32(0, Load::Relaxed), 0, "written through a read-only view");
    assert!(Mapped::private(0).is_none());
}

/// Bytes are copied out whole at every length around those at which that is done in pieces, by a side that may write them and one that may
/// not.
#[test]
fn bytes_are_copied_out_whole_at_every_length() {
    const PIECE: usize = 16 << 10;
    let mut bytes = vec![0; 9 * PIECE];
    Rng::new(7).fill(&mut bytes);
    let memory = Mapped::private(bytes.len()).unwrap();
    memory.write(0, &bytes, Copier::AUTO);
    for pieces in [0, 1, 2, 3, 7, 8] {
        for len_bytes in (pieces * PIECE).saturating_sub(1)..pieces * PIECE + 3 {
            for memory in [&memory, &memory.read_only()] {
                for (at, copier) in
                    [(0, Copier::AUTO), (5, Copier::AUTO.for_total(3 * PIECE)), (7, Copier::AUTO.for_total(1 << 30))]
                {
                    let mut copied = vec![0x55; len_bytes + 1];
                    memory.read(at, &mut copied[..len_bytes], copier);
                    assert!(
                        copied[..len_bytes] == bytes[at..at + len_bytes] && copied[len_bytes] == 0x55,
                        "{len_bytes}"
                    );
                }
            }
        }
    }
    let mut copied = vec![0x55; 3 * PIECE];
    for at in [7 * PIECE, usize::MAX - PIECE, usize::MAX] {
        copied.fill(0x55);
        memory.read_only().read(at, &mut copied, Copier::AUTO);
        assert!(copied.iter().all(|byte| *byte == 0), "{at}");
    }
}
