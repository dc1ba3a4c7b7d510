//! Promise: what was answered before a session's end is not lost: in any order of events the survivor has the answer, or
//! finds it when it has seen the hang-up. The model that shows it finds each way to break it.

use crate::judge;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use loom::thread;
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Blocks, Geometry};
use memcpy_select::transport::memory::{Load, Memory, Store};
use memcpy_select::transport::session::{ClientSide, Outcome, Reply, ServerSide};
use memcpy_select::transport::{Copier, Flags, Kind, Request, Value};
use std::sync::Arc;

/// What is broken in the memory that the model runs over, or in who uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bug {
    /// Nothing.
    #[default]
    None,
    /// The server publishes without release.
    NoRelease,
    /// The client looks without acquire.
    NoAcquire,
    /// The survivor does not look once more after it has seen the hang-up.
    NoLastLook,
    /// The hang-up comes before the last answer.
    HangsUpFirst,
}

/// Words at these offsets, all of loom: those that the code under test touches.
#[derive(Clone)]
struct Model {
    words: Arc<Vec<(usize, AtomicU32)>>,
    bug: Bug,
}

impl Model {
    fn new(bug: Bug, offsets: impl IntoIterator<Item = usize>) -> Self {
        Self { words: Arc::new(offsets.into_iter().map(|at| (at, AtomicU32::new(0))).collect()), bug }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        &self.words.iter().find(|(place, _)| *place == at).expect("a word of the model").1
    }
}

impl Memory for Model {
    fn len_bytes(&self) -> usize {
        1 << 20
    }

    fn load32(&self, at: usize, order: Load) -> u32 {
        self.word(at).load(match order {
            Load::Acquire if self.bug != Bug::NoAcquire => Ordering::Acquire,
            _ => Ordering::Relaxed,
        })
    }

    fn store32(&self, at: usize, value: u32, order: Store) {
        let order = match order {
            Store::Release if self.bug != Bug::NoRelease => Ordering::Release,
            _ => Ordering::Relaxed,
        };
        self.word(at).store(value, order);
    }

    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        self.word(at).compare_exchange(current, new, order, Ordering::Relaxed)
    }

    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.word(at).fetch_add(value, order)
    }

    fn load64(&self, _: usize, _: Load) -> u64 {
        unreachable!("no word of 8 bytes takes part")
    }

    fn cas64(&self, _: usize, _: u64, _: u64, _: Ordering) -> Result<u64, u64> {
        unreachable!("no word of 8 bytes takes part")
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, _: usize, _: &mut [u8], _: Copier) {
        unreachable!("no bytes take part")
    }

    fn write(&self, _: usize, _: &[u8], _: Copier) {
        unreachable!("no bytes take part")
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

#[test]
fn the_model_holds_and_finds_every_seeded_bug() {
    let bugs = [Bug::NoLastLook, Bug::HangsUpFirst, Bug::NoRelease, Bug::NoAcquire];
    judge("a session's end", last_answer_arrives, 3, &bugs);
}

/// A server answers, and its process ends at once: the client has its answer, or finds it when it has seen the hang-up.
fn last_answer_arrives(bug: Bug) {
    let blocks = Blocks { block_bytes: 64, count: 1 };
    let geometry = Geometry::symmetric(2, 16, blocks);
    // The words of the queue, and one entry of each ring.
    let (requests_at, responses_at) = (5 * 128, 6 * 128);
    let entries = (0..32).step_by(4).flat_map(|word| [requests_at + word, responses_at + word]);
    let model = Model::new(bug, (0..5).map(|word| word * 128).chain(entries));
    let memory = || model.clone();
    let mut client = ClientSide::new(&geometry, memory(), memory(), memory()).unwrap();
    let mut server = ServerSide::new(&geometry, memory(), memory(), memory()).unwrap();
    let has_hung_up = Arc::new(AtomicBool::new(false));
    let ticket = client.submit(Request::new(Kind::SeekStart, Flags::NONE, 1, Value(7)), Chain::EMPTY).unwrap();
    client.flush().unwrap();
    let serving = thread::spawn({
        let has_hung_up = Arc::clone(&has_hung_up);
        move || {
            let job = server.take_request().unwrap().unwrap().job.unwrap();
            if bug == Bug::HangsUpFirst {
                has_hung_up.store(true, Ordering::Release);
            }
            server.answer(job, Reply::Value(Value(7 << 33))).unwrap();
            server.flush();
            // The system closes the socket of a process that has ended: after all that it did.
            has_hung_up.store(true, Ordering::Release);
        }
    });
    let found = loop {
        if let Some(found) = client.poll().unwrap() {
            break Some(found);
        }
        if has_hung_up.load(Ordering::Acquire) {
            // As `Client` does.
            break if bug == Bug::NoLastLook { None } else { client.poll().unwrap() };
        }
        thread::yield_now();
    };
    assert_eq!(found, Some(ticket), "an answer was lost");
    assert_eq!(client.take(ticket), Some(Outcome::Position(7 << 33)));
    serving.join().unwrap();
}
