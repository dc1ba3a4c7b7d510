//! What the crate believes of a CPU, the plans that it makes of that, and that copies are exact under each. Each file says
//! what it promises.

mod calibrate;
mod cpu_decode;
mod formulas;
mod guests;
#[cfg(all(unix, memcpy_select_asm))]
mod plan_text;
#[cfg(all(target_arch = "x86_64", unix, memcpy_select_asm))]
mod section;
#[cfg(unix)]
#[path = "../suite/mod.rs"]
mod suite;
#[cfg(all(target_arch = "x86_64", unix, memcpy_select_asm))]
mod tiers;
#[cfg(unix)]
mod tune;
mod turn;
mod words;
