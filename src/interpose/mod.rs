//! `memcpy`, `memmove`, `mempcpy` and `memset` of a whole program, on x86-64 Linux: the symbols themselves.
//!
//! With the feature `interpose` a program or a shared library that this crate is linked into has these symbols, and their
//! `_chk` forms, and its code and that of the libraries it loads calls them in the place of libc's. They follow the plan in
//! force above 1 KiB; shorter copies are made by the vectors that this CPU has. `libmemcpy_select_preload.so` in
//! `native/preload/` is this module with something around it that looks for a plan: it is for programs as they are.
//!
//! # What holds
//!
//! - `memcpy` is `memmove`: ranges may overlap, as programs rely on that were never caught.
//! - No call allocates, locks, calls libc, or touches thread-local storage or `errno`: they are safe in signal handlers, after
//!   `fork` and `vfork`, and in the middle of libc's own functions.
//! - They work from the first instruction of a process. Calls come before this code is relocated and its constructor has run, from
//!   resolvers of indirect functions and from other constructors: until then they copy with SSE2, by code and data that
//!   need no relocation.
//! - A kernel `libc` in a plan is the next definition of `memmove` in the program's order of libraries, which is libc's.
//!   On a CPU of which nothing is known that is the whole plan.
//!
//! # What does not
//!
//! - libc calls its own routines inside of itself (`fwrite`, `realloc`): no interposed symbol changes that.
//! - Compilers replace calls with a constant short length by moves, and Rust and C++ inline some: those never call.
//! - A program that is linked statically has libc's symbols too: the linker takes the first definition, which is this one where
//!   this crate comes before libc, as it does in a Rust program.
//! - Sanitizers and valgrind interpose the same symbols: one of them wins.

#[doc(hidden)]
pub mod entry;
mod start;

pub use start::{is_started, start_with};
