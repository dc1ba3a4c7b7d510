//! What every correctness test and the fuzz targets share: guarded buffers, contents, cases, the checks and the runner.
//!
//! The checks know nothing about kernels: they take a [`Routine`](routine::Routine), and so the same ones judge the
//! rows of the table, the calls, and the deliberately broken kernels that prove the checks work.

#![allow(dead_code, reason = "each test file uses its own part")]

#[cfg(all(target_arch = "x86_64", unix))]
pub mod abi;
pub mod arena;
pub mod cases;
pub mod check;
#[cfg(target_os = "linux")]
pub mod delivered;
pub mod fault;
pub mod folder;
pub mod forever;
pub mod guarded;
pub mod oracle;
#[cfg(target_os = "linux")]
pub mod pages;
pub mod pattern;
pub mod rng;
pub mod routine;
pub mod runner;
pub mod sys;
