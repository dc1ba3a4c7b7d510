//! The program: its verbs, the records that they write and resume, what is derived from those, and the pages.
//!
//! One suite, since each that stands alone links all that measures and reports. Each file says what it promises.

#![cfg(target_os = "linux")]

mod browser;
#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
#[path = "../suite/cases.rs"]
mod cases;
mod compare;
mod growing;
mod ipc;
mod killed;
mod made_up;
mod manners;
mod page;
mod profiles;
mod program;
mod questions;
mod record;
#[cfg(target_arch = "x86_64")]
mod ring0;
#[allow(dead_code, reason = "the cases of copies use it")]
#[path = "../suite/rng.rs"]
mod rng;
mod saved;
mod scope;
mod stored;
mod targets;
mod terminal;
mod tree;
mod validate;
mod verbs;
#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
mod xsave;
