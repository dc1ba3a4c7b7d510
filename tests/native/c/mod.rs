//! The C interface: header, static and shared library, and pkg-config's file, used by programs in C and C++.

mod header;
mod installed;

use crate::cases::Effort;
use header::enumerators;
pub use installed::script;
use installed::{COMPILERS, GCC, Installed, Linked, PREFIX, printed, source, text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty folder for what a program writes, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("memcpy-select-c-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of this test's");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every regular file and link under a folder.
fn files(folder: &Path) -> Vec<String> {
    fn add(root: &Path, folder: &Path, all: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                add(root, &entry.path(), all);
            } else {
                all.push(entry.path().strip_prefix(root).expect("it is below").display().to_string());
            }
        }
    }
    let mut all = Vec::new();
    add(folder, folder, &mut all);
    all.sort();
    all
}

#[test]
fn what_is_installed_can_be_removed() {
    let scratch = Scratch::new("install");
    Installed::once();
    assert!(script(&scratch.0, &[]).status.success());
    let root = &PREFIX[1..];
    let version = env!("CARGO_PKG_VERSION");
    let (minor, _) = version.rsplit_once('.').expect("three numbers");
    let mut wanted = vec![
        format!("{root}/include/memcpy_select.h"),
        format!("{root}/lib/libmemcpy_select.a"),
        format!("{root}/lib/libmemcpy_select.so"),
        format!("{root}/lib/libmemcpy_select.so.{}", if version.starts_with("0.") { minor } else { "1" }),
        format!("{root}/lib/libmemcpy_select.so.{version}"),
        format!("{root}/lib/pkgconfig/memcpy_select.pc"),
    ];
    wanted.sort();
    assert_eq!(files(&scratch.0), wanted);
    for path in &wanted {
        assert!(scratch.0.join(path).exists(), "{path}: a link leads nowhere");
    }
    let refused = script(&scratch.0, &["--remove"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--remove is not understood: nothing was done;"), "{refused:?}");
    assert_eq!(files(&scratch.0), wanted);
    assert!(script(&scratch.0, &["--uninstall"]).status.success());
    assert_eq!(files(&scratch.0), [""; 0]);
}

/// The example measures at its first start, reads at its second, and follows a file that it is given. By default each compiler links
/// in one way, each in another.
#[test]
fn the_example_copies_with_every_compiler_and_library() {
    for (number, compiler) in COMPILERS.into_iter().enumerate() {
        let ways = [Linked::Shared, Linked::Static, Linked::WhollyStatic];
        let is_full = Effort::chosen() >= Effort::Full;
        for linked in ways.into_iter().cycle().skip(number).take(if is_full { ways.len() } else { 1 }) {
            let Some(program) = compiler.compile(&source("native/c/examples/copy.c"), linked) else { continue };
            let scratch = Scratch::new("example");
            let run = |arguments: &[&Path]| {
                printed(program.command().args(arguments).env("XDG_CACHE_HOME", scratch.0.join("cache")))
            };
            let saved_at = || scratch.0.join("cache").join(&files(&scratch.0.join("cache"))[0]);
            let first = run(&[]);
            let saved = saved_at();
            let [version, tuned, right, ..] = first.lines().collect::<Vec<_>>()[..] else { panic!("{first}") };
            assert_eq!(version, format!("memcpy_select {}", env!("CARGO_PKG_VERSION")));
            assert!(tuned.starts_with("a plan was calibrated in "), "{compiler:?}, {linked:?}: {tuned}");
            assert!(tuned.ends_with(&format!("the next start loads it from {}", saved.display())), "{tuned}");
            assert_eq!(right, "copied, moved and filled: every byte is right");

            let second = run(&[]);
            assert!(second.contains(&format!("\nthe plan saved in {} is in force\n", saved.display())), "{second}");
            assert!(second.contains("\nthe plan in force (saved):\nmemcpy-select plan 1\ncpu "), "{second}");
            assert!(second.contains("\npolicy user\n"), "{second}");
            let last = second.lines().last().unwrap_or_default();
            let kernel = last.strip_prefix("1048576 bytes are copied by ").expect("the kernel of a length");
            assert!(memcpy_select::Kernel::named(kernel).is_some(), "{last}");

            // A plan with one band: what it says is what copies.
            let cpu = second.lines().find(|line| line.starts_with("cpu ")).expect("the plan names the CPU");
            let file = scratch.0.join("one.plan");
            std::fs::write(&file, format!("memcpy-select plan 1\n{cpu}\npolicy user\nabove gpr\n")).unwrap();
            let third = run(&[&file]);
            assert!(third.ends_with("\nabove gpr\n1048576 bytes are copied by gpr\n"), "{third}");

            let missing = program.command().arg(scratch.0.join("none")).output().unwrap();
            assert_eq!(missing.status.code(), Some(1));
            assert!(text(&missing.stderr).contains(": MEMCPY_SELECT_ERROR_NOT_FOUND: "), "{missing:?}");
        }
    }
}

/// The shared library that a program asks for is the one of its minor version.
#[test]
fn a_program_asks_for_the_library_by_its_version() {
    let Some(program) = GCC.compile(&source("native/c/examples/copy.c"), Linked::Shared) else { return };
    let needed = text(&Command::new("readelf").arg("-d").arg(&program.path).output().expect("readelf starts").stdout);
    let (minor, _) = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers");
    assert!(needed.contains(&format!("[libmemcpy_select.so.{minor}]")), "{needed}");
}

/// Each call and each kernel by its handle, from C, at lengths and offsets around those that plans and kernels part at.
#[test]
fn every_call_copies_from_c() {
    let Some(program) = GCC.compile(&source("tests/native/c/calls.c"), Linked::Shared) else { return };
    let said = printed(&mut program.command());
    let kernels: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("kernel ")).collect();
    let wanted: Vec<String> = memcpy_select::kernels()
        .iter()
        .map(|kernel| {
            format!(
                "{}: {}, {}",
                kernel.name(),
                kernel.needs(),
                if kernel.is_available() { "copied" } else { "skipped" }
            )
        })
        .collect();
    assert_eq!(kernels, wanted);
    assert_eq!(said.lines().last(), Some("every byte is right"));
}

/// Copies come back at faults however the library is linked: the exception table is there, and found. By default each length in one
/// way, some in the others.
#[test]
fn copies_that_fault_come_back_in_c() {
    for linked in [Linked::Shared, Linked::Static, Linked::WhollyStatic] {
        let Some(program) = GCC.compile(&source("tests/native/c/faults.c"), linked) else { continue };
        let each = linked == Linked::Shared || Effort::chosen() >= Effort::Full;
        let step = if each { "1" } else { "7" };
        assert_eq!(printed(program.command().arg(step)), "every byte is right\n", "{linked:?}");
    }
}

/// Plans come and go while threads copy, from the first copy of the process on.
#[test]
fn threads_copy_while_plans_change() {
    let Some(program) = GCC.compile(&source("tests/native/c/threads.c"), Linked::Static) else { return };
    let rounds = if Effort::chosen() < Effort::Full { "60" } else { "300" };
    assert_eq!(printed(program.command().arg(rounds)), "every byte is right\n");
}

/// Every code is provoked by what it is for, and no bad input ends the program or keeps it waiting.
#[test]
fn bad_input_is_refused_with_every_code() {
    let Some(program) = GCC.compile(&source("tests/native/c/bad_input.c"), Linked::Static) else { return };
    let mut provoked = BTreeSet::new();
    // On a CPU without AVX some kernels are unavailable.
    let emulator: &[&str] = &["qemu-x86_64", "-cpu", "Nehalem"];
    let has_emulator = Command::new(emulator[0]).arg("--version").output().is_ok();
    // By default only where all codes are provoked.
    let runs: &[Option<&[&str]>] = match (has_emulator, Effort::chosen() >= Effort::Full) {
        (false, _) => &[None],
        (true, false) => &[Some(emulator)],
        (true, true) => &[None, Some(emulator)],
    };
    for &under in runs {
        let scratch = Scratch::new("bad");
        let said = printed(program.under(under).arg(&scratch.0));
        provoked.extend(said.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name.to_owned()));
        provoked.retain(|name| name.starts_with("MEMCPY_SELECT_"));
    }
    let mut wanted: BTreeSet<String> = enumerators("memcpy_select_error").into_iter().map(|(name, _)| name).collect();
    if !has_emulator && memcpy_select::kernels().iter().all(memcpy_select::Kernel::is_available) {
        println!("skipped: this CPU has all kernels, and there is no qemu-x86_64 with one that lacks some");
        wanted.remove("MEMCPY_SELECT_ERROR_UNAVAILABLE");
    }
    assert_eq!(provoked, wanted);
}
