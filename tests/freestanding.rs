//! Promise: the crate works where there is no operating system's library: `no_std`, no `alloc`, no libc.
//!
//! `tests/freestanding` is a program of that kind. It is built here as a reader would build it, looked at for anything
//! that it still expects from outside, and run.

#![cfg(all(target_arch = "x86_64", target_os = "linux", memcpy_select_asm))]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program; without the network, from what the crate's own build has already fetched.
fn build() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/freestanding/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freestanding");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo)
        .args(["build", "--offline", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        // What the surrounding build was told is not meant for this one. It has the crate's `memcpy` and its family.
        .env("RUSTFLAGS", "--cfg memcpy_select_mem ")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "the freestanding program does not build; if a package is missing offline, bring tests/freestanding/Cargo.lock \
         to the versions of Cargo.lock:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("debug/static")
}

/// What a linked program still expects from outside, read from its ELF headers (System V ABI, "Object Files").
struct Expects {
    interpreter: bool,
    dynamic: bool,
    undefined_symbols: usize,
    symbols: usize,
}

/// A little-endian number of `bytes` bytes.
fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    let mut word = [0; 8];
    word[..bytes].copy_from_slice(&file[at..at + bytes]);
    usize::from_le_bytes(word)
}

impl Expects {
    fn of(file: &[u8]) -> Self {
        const PT_DYNAMIC: usize = 2;
        const PT_INTERP: usize = 3;
        const SHT_SYMTAB: usize = 2;
        assert_eq!(&file[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
        let table = |start, entry_bytes, count| {
            let start = number(file, start, 8);
            let entry_bytes = number(file, entry_bytes, 2);
            (0..number(file, count, 2)).map(move |index| start + index * entry_bytes)
        };
        let kinds: Vec<usize> = table(0x20, 0x36, 0x38).map(|header| number(file, header, 4)).collect();
        let (mut symbols, mut undefined_symbols) = (0, 0);
        for header in table(0x28, 0x3a, 0x3c).filter(|header| number(file, header + 4, 4) == SHT_SYMTAB) {
            let (start, bytes) = (number(file, header + 0x18, 8), number(file, header + 0x20, 8));
            // The first symbol is empty by definition; section 0 means undefined.
            for symbol in (start..start + bytes).step_by(24).skip(1) {
                symbols += 1;
                undefined_symbols += usize::from(number(file, symbol + 6, 2) == 0);
            }
        }
        Self {
            interpreter: kinds.contains(&PT_INTERP),
            dynamic: kinds.contains(&PT_DYNAMIC),
            undefined_symbols,
            symbols,
        }
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "builds tests/freestanding, which the published package lacks")]
fn a_program_without_any_library_copies() {
    let program = build();
    let expects = Expects::of(&std::fs::read(&program).expect("the program was just built"));
    assert!(!expects.interpreter, "no loader is asked for");
    assert!(!expects.dynamic, "nothing is linked at run time");
    assert!(expects.symbols > 0, "the program has symbols to look at");
    assert_eq!(expects.undefined_symbols, 0, "every symbol is the program's own");

    let run = |arguments: &[&str]| Command::new(&program).args(arguments).status().expect("the program starts").code();
    assert_eq!(run(&[]), Some(0), "every copy is right");
    assert_eq!(run(&["spoil"]), Some(1), "one spoiled byte is noticed");
}

/// The control of the look into the ELF file: this test program does need a loader and libraries.
#[test]
fn the_look_into_a_program_sees_what_it_expects() {
    let this = std::env::current_exe().expect("the path of this program");
    let expects = Expects::of(&std::fs::read(this).expect("this program can be read"));
    assert!(expects.dynamic || cfg!(target_feature = "crt-static"));
    assert!(expects.undefined_symbols > 0 || cfg!(target_feature = "crt-static"));
}
