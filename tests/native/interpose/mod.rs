//! Promise: a Rust program that is built with the feature `interpose` copies by this crate wherever it calls `memcpy`, `memmove` or
//! `memset`, linked dynamically and statically, in builds for debugging and for release.

use crate::built::cargo;
use std::path::Path;
use std::process::Command;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_program_has_the_symbols_and_copies_by_them() {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/interpose/program");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interpose");
    let builds = [(&["--quiet"][..], "debug", ""), (&["--release"], "release", "-Ctarget-feature=+crt-static")];
    for (arguments, profile, flags) in builds {
        let mut cargo = cargo(&["build", "--target", TARGET, "--target-dir"]);
        output(cargo.arg(&built).args(arguments).current_dir(&folder).env("RUSTFLAGS", flags));
        let program = built.join(TARGET).join(profile).join("interposed-program");
        let said = output(&mut Command::new(&program));
        assert_eq!(said, "right, by 1 bands\n", "{profile}");
        let symbols = output(Command::new("nm").arg(&program));
        for name in ["memcpy", "memmove", "memset"] {
            // That of libc would be undefined, or an indirect function.
            let is_here = |line: &str| [" T ", " t "].iter().any(|kind| line.ends_with(&format!("{kind}{name}")));
            assert!(symbols.lines().any(is_here), "{profile}: {name} is libc's");
        }
    }
}
