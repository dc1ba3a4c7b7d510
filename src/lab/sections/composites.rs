//! Whole sections: save, some copies, restore. What the model is judged by, so that it is measured after the prediction
//! was written down.

use crate::cpu::{Components, XState};
use crate::kernel::Kernel;
use crate::lab::instruments::buffers::Buffers;
use crate::lab::sections::block::Block;
use crate::lab::sections::costs::{section_save, section_subject};
use crate::lab::sections::curves;
use crate::lab::sections::curves::{PLAIN_KERNELS, VECTOR_KERNELS, held_back_lengths};
use crate::lab::sections::runner::Arm;
use crate::lab::sections::sample::{Condition, Key, Part};
use crate::lab::sections::state::{LIVE_STATES, State};

/// How many copies share a section. None of these numbers is used in fitting.
pub const COPIES: [u32; 6] = [1, 2, 4, 8, 16, 64];

/// No section copies more than this.
const SECTION_BYTES: usize = 4 << 20;
/// How many bytes one sample copies, unless one section is longer.
const SAMPLE_BYTES: usize = 256 << 10;
const MAX_TURNS: usize = 32;

/// Every section that is judged: kernel, state, length, number of copies.
pub fn cases(xstate: &XState) -> Vec<(&'static Kernel, Components, usize, u32)> {
    let mut cases = Vec::new();
    let kernels = VECTOR_KERNELS.into_iter().filter_map(Kernel::named).filter(|kernel| kernel.is_available());
    for kernel in kernels {
        for live in LIVE_STATES.into_iter().filter(|live| State::new(*live, xstate, 1).is_some()) {
            for len_bytes in held_back_lengths() {
                for copies in COPIES.into_iter().filter(|copies| *copies as usize * len_bytes <= SECTION_BYTES) {
                    cases.push((kernel, live, len_bytes, copies));
                }
            }
        }
    }
    cases
}

/// The loops of the sections, and beside them copies of the same lengths by kernels that need none.
///
/// [`State`] makes the images, areas and masks of their blocks for this CPU; instructions and kernels are available; a restore
/// reads what the save before it wrote.
pub(super) fn arms<'a>(xstate: &XState, buffers: &'a Buffers) -> Vec<Arm<'a>> {
    let Some(save) = section_save(xstate) else { return Vec::new() };
    let lengths = held_back_lengths();
    let plain = PLAIN_KERNELS.into_iter().filter_map(Kernel::named);
    let spilled = curves::measured_kernels().filter(|kernel| kernel.restores());
    let mut arms = curves::arms(Part::HeldBack, plain.chain(spilled), &lengths, buffers);
    for live in LIVE_STATES {
        let condition = if live.is_empty() { Condition::Initial } else { Condition::Dirtied };
        let Some(mut state) = State::new(live, xstate, 1) else {
            continue;
        };
        let key = Key { live, condition, ..Key::of(Part::Composite, Key::SETUP) };
        let block = Box::new(move || state.block(condition, MAX_TURNS as u64));
        arms.push(Arm { key, save: None, restore: None, block });
    }
    for (kernel, live, len_bytes, copies) in cases(xstate) {
        let condition = if live.is_empty() { Condition::Initial } else { Condition::Dirtied };
        let Some(mut state) = State::new(live, xstate, 1) else {
            continue;
        };
        let subject = section_subject(save, kernel.name());
        let key = Key { live, condition, mask: state.mask, len_bytes, copies, ..Key::of(Part::Composite, subject) };
        let turns = (SAMPLE_BYTES / (len_bytes * copies as usize)).clamp(1, MAX_TURNS) as u64;
        let block = move || Block {
            copies: u64::from(copies),
            kernel: Some(kernel.entry()),
            dst: buffers.dst(0),
            src: buffers.src(2048).cast_const(),
            len_bytes,
            ..state.block(condition, turns)
        };
        arms.push(Arm { key, save: Some(save), restore: Some(save.restore()), block: Box::new(block) });
    }
    arms
}
