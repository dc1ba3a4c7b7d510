//! What the libraries for `LD_PRELOAD` do when they are loaded: read the environment, and find the plan of this machine.
//!
//! Nothing here needs libc: files are read by system calls, and the environment from `/proc/self/environ`, so that it does not
//! matter which libc the program has, or whether it is initialised yet.

#![no_std]

pub mod environment;
pub mod plan;

// What comparing bytes becomes, of which there is little here: libc's would be one symbol more that has to be found.
core::arch::global_asm!(
    ".globl bcmp",
    ".hidden bcmp",
    ".type bcmp, @function",
    "bcmp:",
    "endbr64",
    "mov rcx, rdx",
    "xor eax, eax",
    "cmp eax, eax",
    "repe cmpsb",
    "setne al",
    "ret",
    ".size bcmp, . - bcmp",
);
