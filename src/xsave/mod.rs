//! What saving and restoring vector state costs.
//!
//! Code that copies in a kernel, or in a thread whose registers belong to other code, may use vector registers only
//! between saving and restoring them: in a *section*. This module has the [instructions](Save) that do so, a
//! [section](SavedState) made of them, and the pure model that says from which length on that pays.

mod curve;
mod instruction;
mod model;
mod section;

pub use curve::{Curve, CurveError};
pub use instruction::{Restore, Save};
pub use model::{Contest, StateCost, StatePolicy, VectorKernel, Verdict, verdict};
pub use section::{SavedState, Section, SectionError, StateArea};
