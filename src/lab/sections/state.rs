//! The states that are measured: which components are in use, and images that bring them into use.

use crate::cpu::{Components, XState};
use crate::lab::sections::block::{Block, Dirty};
use crate::lab::sections::sample::Condition;

const SSE: Components = Components::SSE;
const AVX: Components = SSE.union(Components::AVX);
const LOW_512: Components = AVX.union(Components::OPMASK).union(Components::ZMM_HI256);
const ALL: Components = AVX.union(Components::AVX512);

/// The states: initial, XMM, YMM, ZMM 0 to 15 with the mask registers, XMM 16 to 31 beside XMM 0 to 15, everything.
pub const LIVE_STATES: [Components; 6] = [Components::NONE, SSE, AVX, LOW_512, SSE.union(Components::HI16_ZMM), ALL];

/// Those of them that the cost model is fitted on; the others are held back.
pub const TRAINED_STATES: [Components; 4] = [Components::NONE, SSE, LOW_512, ALL];

/// Everything that the sections of this crate save: the x87 unit, too, whose registers a kernel that lends vector
/// registers has to keep.
pub(crate) const EVERYTHING: Components = Components::X87.union(ALL);

/// Room for the standard format of everything up to AVX-512 on every CPU so far.
const AREA_BYTES: usize = 4096;

#[repr(C, align(4096))]
struct Page([u8; AREA_BYTES]);

/// A state, the image that sets it, and areas to save it in.
pub struct State {
    /// The components in use.
    pub live: Components,
    /// The components that the CPU has of those that are saved.
    pub mask: Components,
    image: Box<Page>,
    areas: Vec<Page>,
}

impl State {
    /// The state, if this CPU has its components; with that many areas.
    pub fn new(live: Components, xstate: &XState, areas: usize) -> Option<Self> {
        let mask = EVERYTHING.intersection(xstate.enabled);
        let fits = xstate.standard_area_bytes(mask) as usize <= AREA_BYTES;
        if !mask.contains(live) || !fits {
            return None;
        }
        let mut image = Box::new(Page([0; AREA_BYTES]));
        write_image(&mut image.0, live, xstate);
        let areas = (0..areas).map(|_| Page([0; AREA_BYTES])).collect();
        Some(Self { live, mask, image, areas })
    }

    /// A loop whose turns begin in this state, with the first area for saving and restoring.
    pub fn block(&mut self, condition: Condition, turns: u64) -> Block {
        let area: *mut u8 = self.areas.as_mut_ptr().cast();
        Block {
            setup_image: match condition {
                // XSAVEOPT compares with the area of the last XRSTOR.
                Condition::Unmodified => area,
                Condition::Initial | Condition::Dirtied => self.image.0.as_ptr(),
            },
            setup_mask: self.mask.bits(),
            mask: self.mask.bits(),
            dirty: if condition == Condition::Dirtied { Dirty::of(self.live) } else { Dirty::Nothing } as u64,
            save_area: area,
            restore_area: area,
            ..Block::empty(turns)
        }
    }

    /// The same with another area for each turn, all of them in no cache now.
    pub fn cold_block(&mut self, condition: Condition) -> Block {
        self.flush();
        let turns = self.areas.len() as u64;
        Block { save_stride_bytes: AREA_BYTES, restore_stride_bytes: AREA_BYTES, ..self.block(condition, turns) }
    }

    fn flush(&mut self) {
        for area in &self.areas {
            for line in area.0.chunks(64) {
                // SAFETY: CLFLUSH is part of SSE2, which x86-64 has; the line is ours, and keeps its contents.
                unsafe { core::arch::x86_64::_mm_clflush(line.as_ptr()) };
            }
        }
        // SAFETY: a fence has no precondition.
        unsafe { core::arch::x86_64::_mm_mfence() };
    }
}

/// Writes an image in the standard format that brings `live` into use, with other bytes in each register.
fn write_image(image: &mut [u8], live: Components, xstate: &XState) {
    // Intel SDM vol. 1, 10.5.1: control words as after FNINIT and at MXCSR's default, all x87 registers empty.
    image[0..2].copy_from_slice(&0x037f_u16.to_le_bytes());
    image[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    // XSTATE_BV, the first word of the header: Intel SDM vol. 1, 13.4.2.
    image[512..520].copy_from_slice(&live.bits().to_le_bytes());
    for index in live.indices() {
        let Some(component) = xstate.component(index) else {
            continue;
        };
        let (from, bytes) = (component.offset_bytes as usize, component.size_bytes as usize);
        let registers = &mut image[from..from + bytes];
        if Components::from_bits(1 << index) == Components::OPMASK {
            // Sixteen bits are all that AVX-512 F gives a mask register.
            for (number, mask) in registers.chunks_mut(8).enumerate() {
                mask[..2].copy_from_slice(&(0x5a5a_u16 + number as u16).to_le_bytes());
            }
        } else {
            registers.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8 | 1);
        }
    }
}
