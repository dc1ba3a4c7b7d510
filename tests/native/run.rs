//! Promise: `memcpy-select run` puts the library in front of a program and gets out of its way: what it prints, how it ends and
//! what it finds in its environment is its own. Where that cannot be, it runs unchanged, and exactly one line says why.
//!
//! The library here is a small one in C that says when it is loaded.

use crate::place::{Place, text};
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::instruments::executable::{Obstacle, obstacle};
use memcpy_select::select::CpuName;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says that it is loaded, on the standard output, before the program's own lines.
const LIBRARY: &str = r#"
#include <stddef.h>
#include <unistd.h>
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return result;
}
__attribute__((constructor)) static void loaded(void) { (void)!write(1, "loaded\n", 7); }
"#;

/// Ends with 7.
const PROGRAM: &str = r#"
#include <stdio.h>
int main(int count, char **words) { (void)count; puts(words[0]); return 7; }
"#;

/// The same with a copy of its own.
const OWN_COPY: &str = r#"
#include <stddef.h>
#include <stdio.h>
OWN void *memcpy(void *to, const void *from, size_t length) {
    for (size_t at = 0; at < length; at++) ((volatile char *)to)[at] = ((const char *)from)[at];
    return to;
}
int main(int count, char **words) { char first; memcpy(&first, words[0], (size_t)count); putchar(first); return 7; }
"#;

/// A place with a library and a program.
fn place() -> Option<Place> {
    let place = Place::new();
    place.compile("library.so", LIBRARY, &["-shared", "-fPIC", "-O1"])?;
    place.compile("program", PROGRAM, &[])?;
    Some(place)
}

impl Place {
    /// The verb with these words behind it, and the library unless another one is named.
    fn run(&self, words: &[&str]) -> Output {
        let library = self.path("library.so");
        let named = ["--library", library.to_str().unwrap()];
        let is_named = words.contains(&"--library");
        let mut command = verb(Path::new(env!("CARGO_BIN_EXE_memcpy-select")));
        command.current_dir(&self.0).args(if is_named { &[][..] } else { &named }).args(words).output().unwrap()
    }

    /// That the program runs unchanged, and one line with these words says why.
    fn unchanged(&self, words: &[&str], status: i32, said: &[&str]) {
        let output = self.run(words);
        let (printed, line) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{words:?}: {line}");
        assert!(!printed.contains("loaded") && (status != 7 || !printed.is_empty()), "{words:?}: {printed}");
        let missing: Vec<_> = said.iter().filter(|word| !line.contains(**word)).collect();
        assert!(
            line.lines().count() == 1 && line.ends_with('\n') && missing.is_empty(),
            "{words:?}: {missing:?}: {line}"
        );
    }
}

fn verb(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("run").env_remove("LD_PRELOAD").env_remove("MEMCPY_SELECT_PLAN").env_remove("MEMCPY_SELECT_LIBRARY");
    command
}

#[test]
fn the_library_is_in_front_and_the_program_is_itself() {
    let Some(place) = place() else { return };
    let output = place.run(&["--", "./program", "--plan", "of its own"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(7), "loaded\n./program\n"));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    // By its name in PATH, and by a script.
    place.write("script", "#! /bin/sh -e\nprintf '%s|' \"$0\" \"$@\"\nexit 9\n", 0o755);
    let output = place.run(&["./script", "a b", ""]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(9), "loaded\n./script|a b||"));
    let output = place.run(&["--", "sh", "-c", "kill -s TERM $$"]);
    assert_eq!(output.status.signal(), Some(15));
    // What has no first line that names an interpreter is one for the shell.
    place.write("bare", "echo bare\n", 0o755);
    assert_eq!(text(&place.run(&["./bare"]).stdout), "loaded\nbare\n");
}

#[test]
fn what_is_in_front_already_stays_and_a_plan_is_passed_on() {
    let Some(place) = place() else { return };
    let library = place.path("library.so");
    let plan =
        format!("memcpy-select plan 1\ncpu {}\npolicy user\nabove libc\n", CpuName::of(&Cpu::detect().signature));
    let plan = place.write("good.plan", plan, 0o644);
    let mut command = verb(Path::new(env!("CARGO_BIN_EXE_memcpy-select")));
    let words = ["--plan", "good.plan", "--", "sh", "-c", "echo \"$LD_PRELOAD $MEMCPY_SELECT_PLAN\""];
    command.current_dir(&place.0).env("MEMCPY_SELECT_LIBRARY", "library.so").env("LD_PRELOAD", "libc.so.6").args(words);
    let output = command.output().unwrap();
    let expected = format!("loaded\n{}:libc.so.6 {}\n", library.display(), plan.display());
    assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, String::new()));
}

#[test]
fn programs_that_take_no_library_run_unchanged() {
    let Some(place) = place() else { return };
    for option in ["-static", "-static-pie"] {
        place.compile("static", PROGRAM, &[option]).unwrap();
        place.unchanged(&["./static"], 7, &["./static", "linked statically"]);
    }
    place.write("script", format!("#!{}\n", place.path("static").display()), 0o755);
    place.unchanged(&["./script"], 7, &["./script", "static, by which it is run", "linked statically"]);
    for (own, exports) in [("", "-rdynamic"), ("", "-no-pie"), ("static", "-O0")] {
        place.compile("own", OWN_COPY, &[&format!("-DOWN={own}"), exports]).unwrap();
        place.unchanged(&["./own"], 7, &["./own", "memcpy of its own"]);
    }
    let chain = place.write("chain", format!("#!{}\n", place.path("chain").display()), 0o755);
    assert!(matches!(obstacle(&chain), (_, Some(Obstacle::TooManyInterpreters))));
    assert_eq!(place.run(&["./chain"]).status.code(), Some(126));
}

#[test]
fn programs_of_other_machines_and_damaged_ones_are_known() {
    let Some(place) = place() else { return };
    let whole = fs::read(place.path("program")).unwrap();
    let seen = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        obstacle(&place.write(name, bytes, 0o755)).1
    };
    assert!(seen("same", &|_| ()).is_none());
    // EI_CLASS, e_machine, e_phoff.
    assert!(matches!(seen("short", &|bytes| bytes[4] = 1), Some(Obstacle::OtherMachine(_))));
    let other = seen("other", &|bytes| bytes[18] = 183);
    assert!(matches!(&other, Some(Obstacle::OtherMachine(machine)) if machine == "Aarch64"), "{other:?}");
    assert!(matches!(seen("headers", &|bytes| bytes[32..40].fill(0xff)), Some(Obstacle::Damaged(_))));
    for length in [4, 5, 63, 64, 100] {
        let cut = seen("cut", &|bytes| bytes.truncate(length));
        assert!(matches!(cut, Some(Obstacle::Damaged(_) | Obstacle::Static)), "{length}: {cut:?}");
    }
    let loader = b"/lib64/ld-linux-x86-64.so.2\0";
    let at = whole.windows(loader.len()).position(|bytes| bytes == loader).unwrap();
    let with = |other: &[u8]| {
        seen("loader", &|bytes| {
            bytes[at..at + loader.len()].fill(0);
            bytes[at..at + other.len()].copy_from_slice(other);
        })
    };
    assert!(with(b"/lib/ld-musl-x86_64.so.1").is_none());
    let other = with(b"/system/bin/linker64");
    assert!(matches!(&other, Some(Obstacle::OtherLoader(path)) if path.ends_with("linker64")), "{other:?}");
    assert!(matches!(obstacle(&place.0), (_, Some(Obstacle::Unreadable(_)))));
    let endless = place.write("endless", "#!/dev/zero\n", 0o755);
    assert!(matches!(obstacle(&endless), (_, Some(Obstacle::Unreadable(_)))));
}

#[test]
fn programs_with_other_rights_run_unchanged() {
    let Some(place) = place() else { return };
    // One of another user: root can make it, others find it.
    let made = place.path("program");
    let is_root = fs::metadata(&made).unwrap().uid() == 0;
    let known = if is_root {
        chown(&made, Some(65534), Some(65534)).unwrap();
        fs::set_permissions(&made, fs::Permissions::from_mode(0o4755)).unwrap();
        Some(made.clone())
    } else {
        ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| fs::metadata(path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o4000 != 0))
    };
    let Some(known) = known else { return println!("skipped: there is no setuid program") };
    let found = obstacle(&known).1;
    let Some(Obstacle::Privileged(why)) = found else {
        return println!("skipped: {} is on a file system that is mounted nosuid", known.display());
    };
    assert!(why.contains("setuid"));
    if is_root {
        place.unchanged(&["./program"], 7, &["setuid", "LD_PRELOAD"]);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o2755)).unwrap();
        place.unchanged(&["./program"], 7, &["setgid", "LD_PRELOAD"]);
        // Without the group's right to execute, the bit has another meaning.
        fs::set_permissions(&made, fs::Permissions::from_mode(0o2745)).unwrap();
        assert!(obstacle(&made).1.is_none());
        fs::set_permissions(&made, fs::Permissions::from_mode(0o4755)).unwrap();
        // Where no program gets new rights, the loader trusts its environment.
        let mut command = Command::new("setpriv");
        let words = ["--no-new-privs", env!("CARGO_BIN_EXE_memcpy-select"), "run", "--library"];
        match command.args(words).arg(place.path("library.so")).arg(&made).output() {
            Ok(output) => assert!(text(&output.stdout).starts_with("loaded\n"), "{output:?}"),
            Err(error) => println!("skipped: setpriv: {error}"),
        }
    }
}

#[test]
fn what_is_no_library_or_no_plan_changes_nothing() {
    let Some(place) = place() else { return };
    let is_build = "cargo build --release --manifest-path native/preload/Cargo.toml";
    place.compile("other.so", PROGRAM, &["-shared", "-fPIC"]).unwrap();
    for (name, said) in [
        ("absent.so", "is not there"),
        ("library.so.c", "no shared library"),
        ("program", "does not export memcpy"),
        ("static.o", "no shared library"),
        ("other.so", "does not export memcpy"),
        (".", "no regular file"),
        ("/dev/zero", "no regular file"),
    ] {
        if name == "static.o" {
            place.compile(name, LIBRARY, &["-c"]).unwrap();
        }
        place.unchanged(&["--library", name, "--", "./program"], 7, &[name.trim_matches('.'), said, is_build]);
    }
    for name in ["a b.so", "a:b.so"] {
        fs::copy(place.path("library.so"), place.path(name)).unwrap();
        place.unchanged(&["--library", name, "--", "./program"], 7, &[name, "LD_PRELOAD is split"]);
    }
    for (name, plan, said) in [
        ("damaged.plan", "memcpy-select plan 1\ncpu amd-1-1-1\npolicy", "damaged.plan"),
        ("foreign.plan", "memcpy-select plan 1\ncpu amd-1-1-1\npolicy user\nabove libc\n", "amd-1-1-1"),
        ("absent.plan", "", "No such file"),
    ] {
        if !plan.is_empty() {
            place.write(name, plan, 0o644);
        }
        place.unchanged(&["--plan", name, "--", "./program"], 7, &[name, said]);
    }
    let no_simd = format!(
        "memcpy-select plan 1\ncpu {}\npolicy no-simd\nabove rep_movsb\n",
        CpuName::of(&Cpu::detect().signature)
    );
    place.write("no-simd.plan", no_simd, 0o644);
    place.unchanged(&["--plan", "no-simd.plan", "--", "./program"], 7, &["not of policy user"]);
    // A name that would be two lines.
    place.write("two\nlines", "#!/bin/sh\nexit 3\n", 0o755);
    place.unchanged(&["--library", "absent.so", "--", "./two\nlines"], 3, &["./two\\nlines"]);
    // Where there is none, what makes one is said.
    let program = place.path("memcpy-select");
    fs::copy(env!("CARGO_BIN_EXE_memcpy-select"), &program).unwrap();
    let output = verb(&program).args(["--", "sh", "-c", "exit 5"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(5) && said.lines().count() == 1 && said.contains(is_build), "{said}");
}

#[test]
fn what_cannot_be_started_has_a_shells_status() {
    let Some(place) = place() else { return };
    place.write("data", "x", 0o644);
    place.write("gone", "#!/nowhere/interpreter\n", 0o755);
    let status = |program: &str, said: &str| {
        let output = place.run(&["--", program]);
        let message = text(&output.stderr);
        assert!(message.contains("nothing was started") && message.contains(said), "{program}: {message}");
        assert!(output.stdout.is_empty());
        output.status.code()
    };
    assert_eq!(status("./absent", "./absent"), Some(127));
    assert_eq!(status("memcpy-select-absent", "in PATH"), Some(127));
    assert_eq!(status("", "no such program"), Some(127));
    assert_eq!(status("./data/below", "./data/below"), Some(127));
    assert_eq!(status("./data", "Permission denied"), Some(126));
    assert_eq!(status(".", "nothing was started"), Some(126));
    assert_eq!(status("./gone", "missing"), Some(127));
    let output = verb(Path::new(env!("CARGO_BIN_EXE_memcpy-select"))).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "no program at all");
}
