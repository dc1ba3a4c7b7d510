//! Copy kernels, measured on this CPU, selected by size and alignment, and called.
//!
//! Which copy routine is fastest depends on the CPU, the size, the alignment and where the data lives. This crate
//! holds hand-written kernels for x86-64 ([`kernels`]), a plan that says which one to use when ([`select`]), and calls
//! that follow the plan:
//!
//! ```
//! let src = [7_u8; 4096];
//! let mut dst = [0_u8; 4096];
//! memcpy_select::memcpy_auto(&mut dst, &src);
//! assert_eq!(dst, src);
//! ```
//!
//! `cargo bench` measures every kernel on the reader's own machine and prints what wins where.
//!
//! # Modules
//!
//! Each module depends only on those before it:
//!
//! | module | answers | feature |
//! |---|---|---|
//! | [`cpu`] | what is this CPU? | |
//! | [`kernel`] | what can copy? | |
//! | [`xsave`] | what does vector state cost? | |
//! | [`select`] | which kernel, when? | |
//! | [`fallible`] | and if a page is not there? | |
//! | `interpose` | how does a whole program copy by it? | `interpose` |
//! | `mem` | which `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp` does a program without a C library call? | `mem` |
//! | `recording` | what did a program copy? The file that the recorder in `native/recorder/` leaves | `recording` |
//! | `transport` | StreamTable: how do bytes get to another process? | `transport` |
//! | `lab` | what the program `memcpy-select` and the benches are made of: everything that measures, keeps and shows | `cli` |
//!
//! [`guide`] has the longer answers. Without default features the crate is `no_std` and needs no allocator. On anything that
//! is not x86-64 it compiles, and every call is the platform's copy.
//!
//! # Stability
//!
//! Versions of the crate follow semantic versioning, but for the module `lab` of the feature `cli`, which is hidden from the
//! documentation: it changes with the program. Which kernel a plan names for a length may change with any version.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod cpu;
pub mod fallible;
pub mod guide;
#[cfg(memcpy_select_interposed)]
#[cfg_attr(docsrs, doc(cfg(feature = "interpose")))]
pub mod interpose;
pub mod kernel;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod lab;
#[cfg(feature = "mem")]
#[cfg_attr(docsrs, doc(cfg(feature = "mem")))]
pub mod mem;
#[cfg(feature = "recording")]
#[doc(hidden)]
pub mod recording;
pub mod select;
#[cfg(feature = "transport")]
pub mod transport;
pub mod xsave;

pub use kernel::{Kernel, kernels};
#[cfg(feature = "std")]
pub use select::tune;
pub use select::{
    copy_from_shared, copy_from_shared_nosimd, copy_to_shared, copy_to_shared_nosimd, memcpy_auto, memcpy_auto_nosimd,
    memcpy_auto_unchecked, memcpy_auto_uninit, memmove_auto, memmove_auto_nosimd, memmove_auto_unchecked, memset_auto,
    memset_auto_nosimd, memset_auto_unchecked,
};

/// What README shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
