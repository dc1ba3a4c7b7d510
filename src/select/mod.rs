//! What to use when: plans, where they come from, and the calls that follow them.
//!
//! A [`Plan`] maps a length and an alignment [`Class`] to a kernel through a few bands. The calls follow the plan that
//! is in force: one that was [`install`]ed, or else the [`formula`]s' plan for this CPU, computed at the first call.

mod dispatch;
pub mod formula;
mod inline;
mod plan;
mod slot;

pub use dispatch::{
    install, memcpy_auto, memcpy_auto_nosimd, memcpy_auto_unchecked, memcpy_auto_uninit, plan_in_force, uninstall,
};
pub use inline::INLINE_MAX_BYTES;
pub use plan::{Band, Class, MAX_BANDS, Plan, PlanError};

/// What the caller may use, and so which plan a call follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Vector registers are free, as in any user program: [`memcpy_auto`].
    User,
    /// Vector registers must not be touched, as in most of a kernel: [`memcpy_auto_nosimd`].
    NoSimd,
}
