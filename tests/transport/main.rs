//! The transport, from its bits to programs in several processes: one suite, since each that stands alone links all of it.
//!
//! Each file says what it promises.

#![cfg(target_os = "linux")]

mod all_at_once;
mod blocks;
#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
#[path = "../suite/cases.rs"]
mod cases;
mod ends;
mod file;
mod files;
mod given_up;
mod hostile_sides;
mod inline;
mod memories;
mod messages;
mod numbers;
mod objects;
mod posts;
mod programs;
mod proxy;
mod raw_client;
mod ring;
#[allow(dead_code, reason = "each suite uses its own part")]
#[path = "../suite/rng.rs"]
mod rng;
mod security_page;
mod session;
mod sides;
mod streams;
mod stress;
mod table;
