//! What to use when: plans, where they come from, and the calls that follow them.
//!
//! A [`Plan`] maps a length and an alignment [`Class`] to a kernel through a few bands. The calls follow the plan that
//! is in force: one that was [`install`]ed, or else the [`formula`]s' plan for this CPU, computed at the first call.

mod class;
mod dispatch;
pub mod formula;
mod inline;
mod plan;
mod slot;
mod text;
mod text_error;

pub use class::{Aliasing, Alignment, Class};
pub use dispatch::{
    install, memcpy_auto, memcpy_auto_nosimd, memcpy_auto_unchecked, memcpy_auto_uninit, plan_in_force, uninstall,
};
pub use inline::{INLINE_MAX_BYTES, Small};
pub use plan::{Band, MAX_BANDS, Plan, PlanError};
pub use text::{CpuName, MAX_TEXT_BYTES, PlanText, load};
pub use text_error::{Excerpt, LoadError, TextError, TextErrorKind};

/// What the caller may use, and so which plan a call follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Vector registers are free, as in any user program: [`memcpy_auto`].
    User,
    /// Vector registers must not be touched, as in most of a kernel: [`memcpy_auto_nosimd`].
    NoSimd,
}
