//! Promises about the kernels' machine code as it lies in this program: shown by following it, by interpreting it, by running
//! it on symbols, and by interrupting it at every instruction; and that each check catches what it is there for.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod broken;
mod code;
mod interpreter;
#[path = "../../signals/mod.rs"]
mod signals;
#[path = "../../suite/mod.rs"]
mod suite;
mod symbolic;

mod every_address;
mod fallible;
mod footprint;
mod instructions;
mod interrupted;
mod mutants;
mod selftest;
