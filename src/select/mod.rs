//! What to use when: plans, where they come from, and the calls that follow them.
//!
//! A [`Plan`] maps a length and an alignment [`Class`] to a kernel through a few bands. The calls follow the plan that
//! is in force: one that was [`install`]ed ([`load`]ed from a file, measured by `calibrate`, kept from start to start by
//! `tune`, or made in the program), or else the [plan for this CPU](plan_for) from its profile or the [`formula`]s, decided
//! at the first call.

mod band;
mod by_plan;
#[cfg(feature = "std")]
mod calibrate;
#[cfg(feature = "std")]
pub mod choose;
mod class;
mod cpu_name;
mod dispatch;
#[cfg_attr(not(memcpy_select_asm), allow(dead_code, reason = "without kernels there is nothing to choose"))]
pub(crate) mod fallible;
#[cfg(feature = "std")]
mod file;
mod fills;
pub mod formula;
mod in_force;
mod inline;
#[cfg(memcpy_select_interposed)]
pub(crate) mod interposed;
mod knowledge;
mod moves;
#[cfg(memcpy_select_out_of_line)]
mod out_of_line;
mod plan;
mod profile;
mod profiles;
mod recorded;
#[cfg(feature = "std")]
mod saved;
mod sectioned;
mod shared;
mod slot;
mod stored;
#[cfg(memcpy_select_symbols)]
pub(crate) mod symbols;
mod text;
mod text_error;
#[cfg(feature = "std")]
mod tune;
#[cfg(feature = "std")]
pub(crate) mod ways;
#[cfg(feature = "std")]
pub(crate) mod whole_file;

pub use band::Band;
#[cfg(feature = "std")]
pub use calibrate::{
    CALIBRATE_MAX_BYTES, CALIBRATE_MAX_TIME, Calibration, RangeVerdict, calibrate, calibrate_weighted, calibrate_within,
};
pub use class::{Aliasing, Alignment, Class};
pub use cpu_name::CpuName;
#[cfg(feature = "cli")]
pub(crate) use dispatch::memcpy_auto_as;
pub use dispatch::{
    install, memcpy_auto, memcpy_auto_nosimd, memcpy_auto_unchecked, memcpy_auto_uninit, plan_in_force, uninstall,
};
#[doc(hidden)]
pub use dispatch::{memcpy_auto_inlined, memcpy_auto_nosimd_inlined};
#[cfg(feature = "std")]
pub use file::{LoadFileCause, LoadFileError, install_file, install_owned, load_file};
pub use fills::{memset_auto, memset_auto_nosimd, memset_auto_unchecked};
pub use inline::{INLINE_MAX_BYTES, Small};
pub use moves::{memmove_auto, memmove_auto_nosimd, memmove_auto_unchecked};
pub use plan::{MAX_BANDS, Origin, Plan, PlanError};
pub use profile::{plan_for, profiled_records};
#[cfg(feature = "std")]
pub use saved::{Plans, SavePlanError, SavedPlan, save_file};
pub use sectioned::{InSection, memcpy_auto_in_section};
#[cfg(feature = "transport")]
pub(crate) use shared::copy_part;
pub use shared::{copy_from_shared, copy_from_shared_nosimd, copy_to_shared, copy_to_shared_nosimd};
#[doc(hidden)]
pub use stored::{BUILD, Stored, StoredError};
pub use text::{PlanText, load};
pub use text_error::{Excerpt, LoadError, MAX_TEXT_BYTES, TextError, TextErrorKind};
#[cfg(feature = "std")]
pub use tune::{Tuned, tune, tune_at};

/// What the caller may use, and so which plan a call follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Vector registers are free, as in any user program: [`memcpy_auto`].
    User,
    /// Vector registers must not be touched, as in most of a kernel: [`memcpy_auto_nosimd`].
    NoSimd,
    /// Vector registers belong to other code, and the copy may borrow them: [`InSection`]. What borrowing costs
    /// is in the plan, through [the model](crate::xsave).
    Section,
}
