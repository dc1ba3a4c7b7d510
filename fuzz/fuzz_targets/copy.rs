//! One copy, any kernel and any call, in a section or not, any length, placement and contents, against the oracle and
//! between guard pages.
//!
//! The input's first bytes choose; the rest is what is copied, repeated to the length. Nothing is compared with what
//! the routine itself produced.

#![no_main]

#[path = "../../tests/suite/mod.rs"]
mod suite;

use libfuzzer_sys::fuzz_target;
use memcpy_select::Kernel;
use memcpy_select::select::{Band, Plan, Policy, Small, install, uninstall};
use std::cell::RefCell;
use std::sync::LazyLock;
use suite::cases::Side;
use suite::guarded::Guarded;
use suite::oracle;
use suite::routine::{Call, Routine, kernels_here};

const LARGEST: usize = 3 * 4096 * 4;

struct Memory {
    src: Guarded,
    dst: Guarded,
    expected: Vec<u8>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory {
        src: Guarded::new(LARGEST),
        dst: Guarded::new(LARGEST),
        expected: Vec::new(),
    });
    static ROUTINES: Vec<Box<dyn Routine>> = {
        let kernels = kernels_here().0.into_iter().map(|kernel| Box::new(kernel) as Box<dyn Routine>);
        kernels.chain(Call::ALL.map(|call| Box::new(call) as Box<dyn Routine>)).collect()
    };
}

/// A plan whose short lengths are one masked store, which no plan takes by itself.
static MASKED: LazyLock<Plan> = LazyLock::new(|| {
    let portable = Kernel::named("portable").expect("a row of every table");
    Plan::new(&[Band::new(usize::MAX, portable)]).expect("one band").with_small(Small::Masked)
});

/// What the first bytes of an input choose.
struct Choice {
    routine: usize,
    len: usize,
    dst: (Side, usize),
    src: (Side, usize),
    paint: u8,
    is_masked: bool,
}

impl Choice {
    fn of(bytes: &[u8; 9]) -> Self {
        let [routine, flags, paint, len_low, len_high, dst_low, dst_high, src_low, src_high] = *bytes;
        let side = |bit: u8| if flags >> bit & 1 == 0 { Side::Low } else { Side::High };
        // Short lengths have most of the paths.
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        let len = if flags & 4 == 0 { len % 1101 } else { len % (LARGEST / 2) };
        let offset = |low, high| usize::from(u16::from_le_bytes([low, high])) % (LARGEST / 2);
        Self {
            routine: routine.into(),
            len,
            dst: (side(0), offset(dst_low, dst_high)),
            src: (side(1), offset(src_low, src_high)),
            paint,
            is_masked: flags & 8 != 0,
        }
    }
}

fn copy(choice: &Choice, contents: &[u8], routine: &dyn Routine, memory: &mut Memory) {
    let region_bytes = memory.dst.len();
    let dst_at = choice.dst.0.start(region_bytes, choice.dst.1, choice.len);
    let src_at = choice.src.0.start(region_bytes, choice.src.1, choice.len);
    memory.dst.as_mut_slice().fill(choice.paint);
    memory.src.as_mut_slice().fill(!choice.paint);
    for (index, byte) in memory.src.as_mut_slice()[src_at..src_at + choice.len].iter_mut().enumerate() {
        // Not the same block twice, however short the contents are.
        *byte = contents[index % contents.len()] ^ (index / contents.len()) as u8;
    }
    let source = memory.src.as_slice().to_vec();
    memory.expected.clear();
    memory.expected.extend_from_slice(memory.dst.as_slice());
    oracle::copy(&mut memory.expected, dst_at, &source[src_at..src_at + choice.len]);

    let dst = memory.dst.as_mut_slice()[dst_at..dst_at + choice.len].as_mut_ptr();
    let src = memory.src.as_slice()[src_at..src_at + choice.len].as_ptr();
    // SAFETY: both ranges were just checked against their regions, which are two.
    unsafe { routine.copy(dst, src, choice.len) };

    let name = routine.name();
    assert!(memory.dst.as_slice() == memory.expected, "{name}: {} bytes differ from the oracle's", choice.len);
    assert!(memory.src.as_slice() == source, "{name}: {} bytes: the source changed", choice.len);
}

fuzz_target!(|input: &[u8]| {
    let Some((first, contents)) = input.split_first_chunk::<9>() else { return };
    if contents.is_empty() {
        return;
    }
    let choice = Choice::of(first);
    if choice.is_masked {
        // Where the CPU lacks what it needs the plan is refused, and the one in force stays.
        let _ = install(Policy::User, &MASKED);
    } else {
        uninstall(Policy::User);
    }
    ROUTINES.with(|routines| {
        let routine = &*routines[choice.routine % routines.len()];
        MEMORY.with_borrow_mut(|memory| copy(&choice, contents, routine, memory));
    });
});
