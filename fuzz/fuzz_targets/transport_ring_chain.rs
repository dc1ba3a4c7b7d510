//! Rings, chains, messages and allocators of the transport, each over memory that answers with the input's bytes at each
//! read: see `tests/hostile`.

#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    hostile::parts::drive(hostile::Choices::input(input));
});
