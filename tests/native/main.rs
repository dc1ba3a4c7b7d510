//! Promise: what programs use that are not written in Rust works as those programs use it.
//!
//! The packages in `native/` are built here as a reader would build them, and used by programs that are compiled, run and asked
//! what they saw.

#![cfg(all(target_arch = "x86_64", target_os = "linux", memcpy_select_asm, memcpy_select_repository))]

mod built;
mod c;
mod interpose;
mod place;
mod preload;
mod profile;
mod programs;
mod recorder;
mod run;
