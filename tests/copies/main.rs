//! Every kernel and every call copies exactly what it was told, and keeps the calling convention. Each file says what it
//! promises.

#![cfg(unix)]

#[cfg(target_arch = "x86_64")]
mod abi;
mod boundaries;
mod calls;
mod contract;
mod differential;
#[cfg(target_arch = "x86_64")]
mod fills;
#[cfg(memcpy_select_symbols)]
mod mem;
mod overlap;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod physical;
#[path = "../suite/mod.rs"]
mod suite;
