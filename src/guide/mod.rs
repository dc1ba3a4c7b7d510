//! Longer answers, a page each: plans and where they stay, which kernel and why, what not copying saves, operating it in containers and under limits, copies in a kernel, how it is measured.

#[cfg(feature = "std")]
#[doc = include_str!("plans.md")]
pub mod plans {}

#[doc = include_str!("kernels.md")]
pub mod kernels {}

#[cfg(feature = "transport")]
#[doc = include_str!("paths.md")]
pub mod paths {}

#[cfg(feature = "transport")]
#[doc = include_str!("files.md")]
pub mod files {}

#[cfg(feature = "transport")]
#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("kernel.md")]
pub mod kernel {}

#[doc = include_str!("measuring.md")]
pub mod measuring {}
