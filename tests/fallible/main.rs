//! Copies that may fault end at the byte that cannot be accessed, and say exactly how far they came. Each file says
//! what it promises.

#![cfg(all(target_arch = "x86_64", target_os = "linux", memcpy_select_asm))]

mod calls;
mod linked;
mod matrix;
mod mutants;
mod place;
mod process;
#[path = "../signals/mod.rs"]
mod signals;
#[path = "../suite/mod.rs"]
mod suite;
