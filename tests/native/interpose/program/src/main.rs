//! Copies as any Rust program does, and checks each byte.

use memcpy_select::interpose::is_started;
use memcpy_select::select::{Policy, install_owned, plan_in_force};
use std::hint::black_box;

fn check(pattern: &[u8], len: usize) {
    let mut to = vec![0; len + 2];
    to[1..=len].copy_from_slice(&pattern[..black_box(len)]);
    assert!((1..=len).all(|at| to[at] == pattern[at - 1]) && (to[0], to[len + 1]) == (0, 0), "{len} bytes");
    to.copy_within(..black_box(len), 2);
    assert!((2..len + 2).all(|at| to[at] == if at == 2 { 0 } else { pattern[at - 3] }), "{len} bytes upon themselves");
    to.fill(black_box(len as u8));
    assert!(to.iter().all(|byte| *byte == len as u8));
}

fn main() {
    assert!(is_started(), "the constructor runs before main");
    let pattern: Vec<u8> = (0..3_usize << 20).map(|at| (at * 31 + (at >> 8)) as u8).collect();
    let lengths = || (0..1200).chain([4096, 20_000, 300_000, 3 << 20]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| lengths().for_each(|len| check(&pattern, len)));
        }
        // Plans change while others copy.
        for kernel in memcpy_select::kernels().iter().filter(|kernel| kernel.may_be_planned() && kernel.is_available()) {
            let band = memcpy_select::select::Band::new(usize::MAX, kernel);
            install_owned(Policy::User, memcpy_select::select::Plan::new(&[band]).unwrap()).unwrap();
            lengths().step_by(7).for_each(|len| check(&pattern, len));
        }
    });
    println!("right, by {} bands", plan_in_force(Policy::User).bands().len());
}
