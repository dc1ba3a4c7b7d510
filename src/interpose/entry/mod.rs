//! The symbols.
//!
//! One word says which vectors this CPU has. It is 0 until the constructor has run, and 16-byte vectors serve then: nothing else
//! in memory is read before this code is relocated.

mod copies;
mod fills;

use crate::cpu::{Cpu, Features};
use crate::select::interposed::has_good_ymm;
use core::arch::{global_asm, naked_asm};
use core::sync::atomic::{AtomicU32, Ordering};

pub use copies::{__memcpy_chk, __memmove_chk, __mempcpy_chk, memcpy, memmove, mempcpy};
pub use fills::{__memset_chk, memset};

/// The vectors of this CPU. In memory that is zero before this code is relocated, and until they are known.
static VECTORS: AtomicU32 = AtomicU32::new(0);
const SSE2: u32 = 1;
const AVX: u32 = 2;
const EVEX: u32 = 3;

/// Chooses the vectors for this CPU; from here on the symbols follow the plan in force.
pub(in crate::interpose) fn begin(cpu: &Cpu) {
    const EVEX_NEEDS: Features = Features::AVX512VL.union(Features::AVX512BW).union(Features::BMI2);
    let vectors = if cpu.features.contains(EVEX_NEEDS) {
        EVEX
    } else if has_good_ymm(cpu) {
        AVX
    } else {
        SSE2
    };
    VECTORS.store(vectors, Ordering::Release);
}

/// Whether they have been chosen.
pub(in crate::interpose) fn has_begun() -> bool {
    VECTORS.load(Ordering::Acquire) != 0
}

/// Every symbol.
pub(in crate::interpose) static ALL: [Symbol; 8] = [
    Symbol(memcpy as *const ()),
    Symbol(memmove as *const ()),
    Symbol(mempcpy as *const ()),
    Symbol(memset as *const ()),
    Symbol(__memcpy_chk as *const ()),
    Symbol(__memmove_chk as *const ()),
    Symbol(__mempcpy_chk as *const ()),
    Symbol(__memset_chk as *const ()),
];

/// The address of a symbol.
pub(in crate::interpose) struct Symbol(#[expect(dead_code, reason = "it is there to be linked")] *const ());

// SAFETY: nothing is done with the address.
unsafe impl Sync for Symbol {}

global_asm!(".weak __chk_fail");

/// Libc's end of a process that would have written beyond an object; without libc, that of an undefined instruction.
#[unsafe(naked)]
unsafe extern "C" fn too_long() {
    naked_asm!("mov rax, qword ptr [rip + __chk_fail@GOTPCREL]", "test rax, rax", "jz 2f", "jmp rax", "2: ud2")
}
