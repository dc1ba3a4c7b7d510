//! Promise: a Rust program that is built with the feature `interpose` copies by this crate wherever it calls `memcpy`, `memmove` or
//! `memset`, linked dynamically and statically, in builds for debugging and for release.

use crate::built::{cargo, target};
use std::path::Path;
use std::process::Command;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn has_the_symbols_and_copies_by_them(profile: &str, arguments: &[&str], flags: &str) {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/interpose/program");
    let mut cargo = cargo(&["build", "--quiet", "--target", TARGET, "--target-dir"]);
    output(cargo.arg(target("interpose")).args(arguments).current_dir(&folder).env("RUSTFLAGS", flags));
    let program = target("interpose").join(TARGET).join(profile).join("interposed-program");
    let said = output(&mut Command::new(&program));
    assert_eq!(said, "right, by 1 bands\n", "{profile}");
    let symbols = output(Command::new("nm").arg(&program));
    for name in ["memcpy", "memmove", "memset"] {
        // That of libc would be undefined, or an indirect function.
        let is_here = |line: &str| [" T ", " t "].iter().any(|kind| line.ends_with(&format!("{kind}{name}")));
        assert!(symbols.lines().any(is_here), "{profile}: {name} is libc's");
    }
}

#[test]
#[ignore = "builds a program, and all that it needs: ten seconds"]
fn a_static_program_for_debugging_has_the_symbols_and_copies_by_them() {
    has_the_symbols_and_copies_by_them("debug", &[], "-Ctarget-feature=+crt-static");
}

#[test]
#[ignore = "builds a second program, and all that it needs anew: long"]
fn a_dynamic_program_for_release_has_the_symbols_and_copies_by_them() {
    has_the_symbols_and_copies_by_them("release", &["--release"], "");
}
