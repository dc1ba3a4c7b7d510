//! Promise: what programs use that are not written in Rust works as those programs use it.
//!
//! The packages in `native/` are built here as a reader would build them, and used by programs that are compiled, run and asked
//! what they saw.

#![cfg(all(target_arch = "x86_64", target_os = "linux", memcpy_select_asm, memcpy_select_repository))]

mod built;
mod c;
#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
#[path = "../suite/cases.rs"]
mod cases;
mod interpose;
mod place;
mod preload;
mod profile;
mod programs;
mod recorder;
#[allow(dead_code, reason = "the cases of copies use it")]
#[path = "../suite/rng.rs"]
mod rng;
mod run;
