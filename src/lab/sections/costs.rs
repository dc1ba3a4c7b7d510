//! What each instruction costs: in each state, modified or not, with its area in the cache or not; and what a kernel's
//! first copy costs more while the owner's upper halves are in use.

use crate::cpu::{Components, XState};
use crate::kernel::Kernel;
use crate::lab::instruments::buffers::Buffers;
use crate::lab::sections::block::Block;
use crate::lab::sections::curves::VECTOR_KERNELS;
use crate::lab::sections::runner::Arm;
use crate::lab::sections::sample::{Area, Condition, Key, Part};
use crate::lab::sections::state::{LIVE_STATES, State};
use crate::xsave::{Restore, Save};

/// Turns of a loop: each saves into another area where the areas are cold.
const TURNS: u64 = 32;

/// Components that are saved apart from all of them: what a section that lends less would save.
const NARROW_MASKS: [Components; 2] = [Components::SSE, Components::SSE.union(Components::AVX)];

/// The length of the one copy that shows what a first copy costs more.
pub const FIRST_COPY_BYTES: usize = 64;

/// What restores, by the format it restores from.
pub const fn restore_subject(save: Save) -> &'static str {
    match save {
        Save::Xsave | Save::Xsaveopt => "xrstor",
        Save::Xsavec => "xrstor-compacted",
        Save::Fxsave => "fxrstor",
    }
}

/// The instruction that sections save by: the best that there is.
pub fn section_save(xstate: &XState) -> Option<Save> {
    [Save::Xsavec, Save::Xsaveopt, Save::Xsave].into_iter().find(|save| save.is_available(xstate))
}

/// The subject of a section's samples.
pub fn section_subject(save: Save, kernel: &str) -> String {
    format!("{}+{kernel}", pair_subject(save))
}

/// A pair of instructions, as a section executes it.
pub fn pair_subject(save: Save) -> String {
    format!("{}+{}", save.name(), save.restore().name())
}

/// One copy, then a restore: no section, since nothing is saved.
pub fn first_copy_subject(save: Save, kernel: &str) -> String {
    format!("{kernel}+{}", restore_subject(save))
}

/// Kernels whose first copy is looked at: those that a section may use, and one that spills by hand.
pub fn first_copy_kernels() -> impl Iterator<Item = &'static Kernel> {
    VECTOR_KERNELS.into_iter().chain(["sse2_spill4"]).filter_map(Kernel::named).filter(|kernel| kernel.is_available())
}

/// The loops for the instructions that this CPU has. Without XSAVE there is nothing to set a state with: there are none.
///
/// [`State`] makes the images, areas and masks of their blocks for this CPU; what a restore reads was filled with what the
/// matching save wrote; only instructions and kernels that are available are taken.
pub(super) fn arms<'a>(xstate: &XState, buffers: &'a Buffers) -> Vec<Arm<'a>> {
    let mut arms = Vec::new();
    for live in LIVE_STATES {
        let conditions: &[Condition] =
            if live.is_empty() { &[Condition::Initial] } else { &[Condition::Dirtied, Condition::Unmodified] };
        for condition in conditions {
            let plans = plans(*condition, xstate);
            arms.extend(plans.iter().filter_map(|plan| plan.arm(live, *condition, xstate, buffers)));
        }
    }
    arms
}

/// What one arm does, whatever the state.
struct Plan {
    subject: String,
    save: Option<Save>,
    restore: Option<Restore>,
    /// What wrote the area that is restored from.
    source: Save,
    area: Area,
    mask: Option<Components>,
    kernel: Option<&'static Kernel>,
}

fn plans(condition: Condition, xstate: &XState) -> Vec<Plan> {
    let plan = |subject: &str, save, restore, source| Plan {
        subject: subject.to_owned(),
        save,
        restore,
        source,
        area: Area::Hot,
        mask: None,
        kernel: None,
    };
    let mut plans = vec![plan(Key::SETUP, None, None, Save::Xsave)];
    for save in Save::ALL.into_iter().filter(|save| save.is_available(xstate)) {
        if condition == Condition::Unmodified {
            // FXSAVE does not ask what was modified.
            if save != Save::Fxsave {
                plans.push(plan(save.name(), Some(save), None, save));
            }
            continue;
        }
        for area in [Area::Hot, Area::Cold] {
            plans.push(Plan { area, ..plan(save.name(), Some(save), None, save) });
            if save != Save::Xsaveopt {
                plans.push(Plan { area, ..plan(restore_subject(save), None, Some(save.restore()), save) });
            }
        }
        plans.push(plan(&pair_subject(save), Some(save), Some(save.restore()), save));
    }
    let Some(save) = section_save(xstate).filter(|_| condition != Condition::Unmodified) else {
        return plans;
    };
    for mask in NARROW_MASKS {
        plans.push(Plan { mask: Some(mask), ..plan(&pair_subject(save), Some(save), Some(save.restore()), save) });
    }
    for kernel in first_copy_kernels() {
        let subject = first_copy_subject(save, kernel.name());
        plans.push(Plan { kernel: Some(kernel), ..plan(&subject, None, Some(save.restore()), save) });
    }
    plans
}

impl Plan {
    /// The arm for a state; nothing where the CPU has not all of its components.
    fn arm<'a>(
        &self,
        live: Components,
        condition: Condition,
        xstate: &XState,
        buffers: &'a Buffers,
    ) -> Option<Arm<'a>> {
        let areas = if self.area == Area::Cold { TURNS as usize } else { 1 };
        let mut state = State::new(live, xstate, areas)?;
        let mask = self.mask.map_or(state.mask, |mask| mask.intersection(state.mask));
        let key = Key { live, condition, mask, area: self.area, ..Key::of(Part::Cost, self.subject.clone()) };
        let key = match self.kernel {
            Some(_) => Key { len_bytes: FIRST_COPY_BYTES, copies: 1, ..key },
            None if self.save.is_none() && self.restore.is_none() => key.setup(),
            None => key,
        };
        let fill = Block { mask: mask.bits(), ..state.cold_block(Condition::Dirtied) };
        // SAFETY: the image, the areas and the mask are made for this CPU; the save is available, and wherever there is a
        // state there is plain XSAVE.
        unsafe { fill.run(Some(self.source), None) };
        let (is_hot, kernel) = (self.area == Area::Hot, self.kernel);
        let block = move || {
            let block = if is_hot { state.block(condition, TURNS) } else { state.cold_block(condition) };
            Block {
                mask: mask.bits(),
                copies: kernel.is_some().into(),
                kernel: kernel.map(Kernel::entry),
                dst: buffers.dst(0),
                src: buffers.src(2048).cast_const(),
                len_bytes: FIRST_COPY_BYTES,
                ..block
            }
        };
        Some(Arm { key, save: self.save, restore: self.restore, block: Box::new(block) })
    }
}
