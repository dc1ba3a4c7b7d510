//! The C interface of memcpy-select: what `include/memcpy_select.h` declares, and nothing else.
//!
//! What each call promises and asks for stands in that header, once. Here every argument from C is looked at before it is
//! used: what can be told from its value is refused with a code, so that no input reaches a panic.

#[cfg(not(unix))]
compile_error!("the C interface takes the names of files as bytes, as Unix has them");

mod copies;
mod error;
mod fallible;
mod kernels;
mod plans;
mod policy;
mod text;
mod tuning;
