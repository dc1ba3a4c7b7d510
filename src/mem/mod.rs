//! `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp` of a program without a C library: the symbols themselves, on x86-64.
//!
//! Compiled code calls these five, whatever it is written in. On targets without an operating system (`target_os = "none"`,
//! as `x86_64-unknown-none`) the feature `mem` exports them, and they take the place of the weak ones in `compiler_builtins`.
//! Elsewhere they are functions of this module alone, and a program keeps its C library's, unless its build asks for them:
//!
//! ```text
//! RUSTFLAGS="--cfg memcpy_select_mem" cargo build
//! ```
//!
//! # What holds
//!
//! - No vector register, MXCSR or x87 state is touched, and the direction flag stays clear. Nothing is allocated or locked:
//!   they are safe in interrupt and exception handlers.
//! - They cannot call themselves, at no level of optimisation: they are machine code that reaches only this crate's kernels,
//!   which call nothing.
//! - They work from the first instruction on. Nothing has to be relocated, and nothing that they read before
//!   [`follow_plan`] is in memory that has to be cleared first.
//! - `memcpy` where source and destination are the same range is right, as compilers rely on.
//! - `memcmp` and `bcmp` read nothing outside of the two ranges. Only the sign of what they return has a meaning.
//!
//! # Which kernel copies
//!
//! Copies are made in line up to 128 bytes, fills at every length, from some hundred bytes on by `rep stosq`. Longer copies are made,
//! until [`follow_plan`], by kernels that are slow on no CPU that was measured: `gpr` up to
//! 512 bytes, then by how the two ranges lie to each other. After it, by the plan for callers that must not touch vector registers
//! ([`Policy::NoSimd`](crate::select::Policy)). Ranges that overlap are copied by that plan too where the destination is 64 bytes or
//! more below the source; otherwise by `gpr_forward` or `gpr_backward`, since string instructions are slow there.
//!
//! # Linking
//!
//! A dependency that no line names is not linked: name the crate (`use memcpy_select as _;`, or the call of [`follow_plan`]). The variable
//! above takes the place of the flags in `.cargo/config.toml`: a kernel that has some there adds this one to them. The feature `interpose`
//! has symbols of the same names: with `--cfg memcpy_select_mem` it does not build. Where nothing was assembled (another architecture, `MEMCPY_SELECT_NO_ASM`), and where C functions
//! follow Microsoft's calling convention (Windows, UEFI), there are no symbols; docs.rs builds no assembly, and lists none.

#[cfg(memcpy_select_symbols)]
mod symbols;

#[cfg(memcpy_select_symbols)]
pub use symbols::{bcmp, memcmp, memcpy, memmove, memset};

#[cfg(all(memcpy_select_symbols, memcpy_select_mem, feature = "interpose"))]
compile_error!("`--cfg memcpy_select_mem` and the feature `interpose` both export `memcpy`: build with one of them");

/// Lets the symbols follow the plan for callers that must not touch vector registers: the one that was
/// [installed](crate::select::install) for [`Policy::NoSimd`](crate::select::Policy), or the plan for this CPU. Call it again after another
/// one was installed. Copies under way finish as they started.
///
/// It runs compiled code, which may use vector registers where the target has them, and asks CPUID, which takes a guest some
/// hundred microseconds: call it once, early, at the address at which the program stays. Where there are no symbols it
/// does nothing.
pub fn follow_plan() {
    #[cfg(memcpy_select_symbols)]
    symbols::follow_plan();
}
