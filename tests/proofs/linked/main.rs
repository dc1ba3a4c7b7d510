//! Promises about programs that this crate is linked into: as kernels are, at any address and in any code model, nothing in it
//! keeps them from being linked, and the symbols that it exports cannot call themselves; a program with a C library keeps
//! that one's symbols.
//!
//! The images are of `tests/freestanding`, in four ways of linking. The rest of the matrix is built on demand:
//! `cargo test -p memcpy-select-proofs --test linked -- --ignored`.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod builds;
mod hosted;
mod image;
mod matrix;
mod recursion;
mod walk;

/// The symbols of the feature `mem`.
const SYMBOLS: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "bcmp"];
