//! Longer answers, a page each: which kernel and why, what not copying saves, copies in a kernel, how it is measured.

#[doc = include_str!("kernels.md")]
pub mod kernels {}

#[cfg(feature = "transport")]
#[doc = include_str!("paths.md")]
pub mod paths {}

#[cfg(feature = "transport")]
#[doc = include_str!("files.md")]
pub mod files {}

#[doc = include_str!("no_std.md")]
pub mod no_std {}

#[doc = include_str!("measuring.md")]
pub mod measuring {}
