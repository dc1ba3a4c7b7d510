//! Promise: random copies, any length, any placement, any contents, give what the oracle gives.
//!
//! The every-length run pins placements modulo a cache line; here whole pages vary, so that sources and destinations
//! alias modulo 4096 in every way. The seed is a constant: a failure comes back.

use crate::suite::cases::Effort;
use crate::suite::guarded::Guarded;
use crate::suite::oracle;
use crate::suite::rng::Rng;
use crate::suite::routine::{self, Call, Routine};
use crate::suite::runner::in_parallel;
use memcpy_select::kernel::ReadyKernel;

const SEED: u64 = 0x5eed_0001;
const REGION_BYTES: usize = 5 << 16;
const PAGES: usize = 4 * 4096;

/// A length drawn so that every magnitude is as likely: half of the real calls are short.
fn length(rng: &mut Rng) -> usize {
    let magnitude = rng.below(19);
    rng.below((1 << magnitude) + 1)
}

/// An offset within a few pages; every third one close to the `other` modulo 4096.
fn offset(rng: &mut Rng, other: usize) -> usize {
    match rng.below(3) {
        0 => (other % 4096 + rng.below(4) * 4096 + rng.below(256)) % PAGES,
        1 => rng.below(4) * 4096 + rng.below(4096 / 64) * 64,
        _ => rng.below(PAGES),
    }
}

struct Memory {
    src: Guarded,
    dst: Guarded,
    expected: Vec<u8>,
}

impl Memory {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (mut src, mut dst) = (Guarded::new(REGION_BYTES), Guarded::new(REGION_BYTES));
        rng.fill(src.as_mut_slice());
        rng.fill(dst.as_mut_slice());
        let expected = dst.as_slice().to_vec();
        Self { src, dst, expected }
    }

    /// One random copy by the routine and by the oracle. Copies pile up in both, which must stay equal.
    fn step(&mut self, routine: &dyn Routine, rng: &mut Rng) {
        let len = length(rng);
        let src_at = offset(rng, 0);
        let dst_at = offset(rng, src_at);
        let src = &self.src.as_slice()[src_at..src_at + len];
        let dst = self.dst.as_mut_slice()[dst_at..dst_at + len].as_mut_ptr();
        oracle::copy(&mut self.expected, dst_at, src);
        // SAFETY: both ranges were just checked against their regions, which are two.
        unsafe { routine.copy(dst, src.as_ptr(), len) };
        let window = dst_at.saturating_sub(4096)..(dst_at + len + 4096).min(REGION_BYTES);
        let (found, expected) = (&self.dst.as_slice()[window.clone()], &self.expected[window.clone()]);
        if found != expected {
            let at = oracle::first_difference(found, expected).unwrap_or(0) + window.start;
            panic!(
                "{}: {len} bytes from place {src_at} to {dst_at}: byte {at} differs from the oracle's (seed {SEED:#x})",
                routine.name()
            );
        }
    }
}

#[test]
fn random_copies_equal_the_oracles() {
    let steps = match Effort::chosen() {
        Effort::Sampled => 1_000,
        Effort::Usual => 1_500,
        Effort::Full | Effort::Exhaustive => 12_000,
    };
    crate::suite::fault::report();
    let (ready, lacking): (Vec<ReadyKernel>, _) = routine::kernels_here();
    let kernels = ready.iter().map(|kernel| kernel as &dyn Routine);
    let routines: Vec<&dyn Routine> = kernels.chain(Call::ALL.iter().map(|call| call as &dyn Routine)).collect();
    in_parallel(
        &routines,
        || (),
        |(), routine| {
            let (mut memory, mut rng) = (Memory::new(SEED), Rng::new(SEED));
            let source = memory.src.as_slice().to_vec();
            for _ in 0..steps {
                memory.step(*routine, &mut rng);
            }
            assert!(memory.dst.as_slice() == memory.expected, "{} wrote far from its destination", routine.name());
            assert!(memory.src.as_slice() == source, "{} wrote to its source", routine.name());
        },
    );
    println!("{steps} random copies by each of {} routines", routines.len());
    routine::print_skipped(&lacking);
}
