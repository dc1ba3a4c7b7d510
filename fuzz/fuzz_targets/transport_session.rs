//! A session of the transport, the server's side or the client's, called in an order that the input chooses, over memory
//! that its bytes change between any two reads: see `tests/hostile`.

#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    hostile::session::drive(hostile::Choices::input(input));
});
