//! Promise: programs run under `libmemcpy_select_preload.so` as without it. Each copy is right: before the process is ready, in
//! signal handlers and threads, after `fork` and `vfork`, in libraries that come later. A file that is no plan is named once, and
//! changes nothing else.

use crate::cases::Effort;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::CpuName;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/native/preload");

/// An empty folder of a test's, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("memcpy-select-preload-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of this test's");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file of this test's");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Of the lengths few, where it is asked how the library starts.
const FEW: [&str; 2] = ["997", "37"];

/// The library.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| crate::built::library("preload"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    text(&output.stdout)
}

/// Compiles a program or a library of this folder.
fn compiled(scratch: &Scratch, source: &str, name: &str, arguments: &[&str]) -> PathBuf {
    let program = scratch.0.join(name);
    // What the compiler would do by itself is not tested.
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    gcc.arg(format!("{HERE}/{source}")).args(arguments);
    succeeded(&mut gcc);
    program
}

/// A program under the library, in an environment without plans.
fn under(program: &Path, scratch: &Scratch) -> Command {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library()).env("HOME", &scratch.0);
    command.env_remove("MEMCPY_SELECT_PLAN").env_remove("XDG_CACHE_HOME");
    command
}

fn plan(band: &str) -> String {
    format!("memcpy-select plan 1\ncpu {}\npolicy user\n{band}\n", CpuName::of(&Cpu::detect().signature))
}

#[test]
fn every_length_and_every_overlap_is_right_under_every_plan() {
    let scratch = Scratch::new("strings");
    let program = compiled(&scratch, "strings.c", "strings", &[]);
    // By default with so long steps above 300 bytes as with each plan, and with each plan some of the lengths up to there.
    let [step, small] = if Effort::chosen() < Effort::Full { ["97", "5"] } else { ["1", "1"] };
    let said = succeeded(under(&program, &scratch).arg(step));
    assert!(said.ends_with("are right\n"), "{said}");
    print!("formulas or profile: {said}");
    for kernel in memcpy_select::kernels().iter().filter(|kernel| kernel.may_be_planned() && kernel.is_available()) {
        let file = scratch.file("one.plan", &plan(&format!("above {}", kernel.name())));
        let output = under(&program, &scratch).args(["97", small]).env("MEMCPY_SELECT_PLAN", &file).output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", kernel.name());
        print!("{}: {said}", kernel.name());
    }
}

/// The code for CPUs without AVX-512 and without AVX, by emulation.
#[test]
fn the_vectors_of_other_cpus_are_right_too() {
    let scratch = Scratch::new("emulated");
    let program = compiled(&scratch, "strings.c", "strings", &[]);
    let small = if Effort::chosen() < Effort::Full { "5" } else { "1" };
    for cpu in ["Nehalem", "Haswell"] {
        let mut emulator = Command::new("qemu-x86_64");
        emulator.args(["-cpu", cpu, "-E"]).arg(format!("LD_PRELOAD={}", library().display()));
        emulator.args(["-E", &format!("HOME={}", scratch.0.display())]).arg(&program).args(["397", small]);
        match emulator.env_remove("MEMCPY_SELECT_PLAN").env_remove("XDG_CACHE_HOME").output() {
            Err(_) => return println!("skipped: there is no qemu-x86_64"),
            Ok(output) => {
                let said = text(&output.stdout);
                assert!(output.status.success() && said.ends_with("are right\n"), "{cpu}: {output:?}");
                print!("{cpu}: {said}");
            }
        }
    }
}

#[test]
fn copies_are_right_wherever_a_program_makes_them() {
    let scratch = Scratch::new("places");
    let early = compiled(&scratch, "early.c", "libearly.so", &["-shared", "-fPIC", "-Wl,-z,now"]);
    let again = compiled(&scratch, "early.c", "libagain.so", &["-shared", "-fPIC"]);
    let folder = format!("-Wl,-rpath,{}", scratch.0.display());
    for (name, how) in [("now", "-Wl,-z,now"), ("lazy", "-Wl,-z,lazy")] {
        let early = early.to_str().expect("a path in UTF-8");
        let program = compiled(&scratch, "places.c", name, &[early, &folder, how, "-pthread", "-ldl"]);
        let said = succeeded(under(&program, &scratch).arg(&again).arg(&again));
        assert_eq!(said, "right everywhere\n", "{name}");
        let bind_now = succeeded(under(&program, &scratch).arg(&again).env("LD_BIND_NOW", "1"));
        assert_eq!(bind_now, "right everywhere\n", "{name}");
    }
}

/// `memcpy` that is told of an object that is too short ends the process as libc does.
#[test]
fn what_does_not_fit_an_object_ends_the_process_as_in_libc() {
    let scratch = Scratch::new("chk");
    let source = scratch.file(
        "chk.c",
        "#include <stddef.h>\nvoid *__memcpy_chk(void *, const void *, size_t, size_t);\n\
         int main(void) { static char a[100], b[200]; __memcpy_chk(a, b, 200, 100); return 0; }\n",
    );
    let program = scratch.0.join("chk");
    succeeded(Command::new("gcc").arg("-o").arg(&program).arg(&source));
    let alone = Command::new(&program).output().unwrap();
    let found = under(&program, &scratch).output().unwrap();
    assert!(!found.status.success());
    assert_eq!((found.status, text(&found.stderr)), (alone.status, text(&alone.stderr)));
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[test]
fn a_file_that_is_no_plan_is_named_once_and_ignored() {
    let scratch = Scratch::new("plans");
    let program = compiled(&scratch, "strings.c", "strings", &[]);
    let foreign =
        plan("above gpr").replace(&format!("cpu {}", CpuName::of(&Cpu::detect().signature)), "cpu amd-23-1-1");
    let no_simd = plan("above gpr").replace("policy user", "policy no-simd");
    let long = "#".repeat(1 << 20);
    let cases = [
        ("none", None, "it cannot be read (error 2 of the system)"),
        ("text", Some("hello\n"), "no plan begins here"),
        ("kernel", Some(&*plan("above nothing")), "no kernel `nothing`"),
        ("foreign", Some(&*foreign), "amd-23-1-1"),
        ("policy", Some(&*no_simd), "its first plan is not for the policy user"),
        ("long", Some(&*long), "it is longer than any plan"),
        ("version", Some("# memcpy-select 0.0.1\nmemcpy-select plan 1\n"), "version `0.0.1` of memcpy-select wrote it"),
    ];
    for (name, contents, cause) in cases {
        let path = match contents {
            Some(contents) => scratch.file(name, contents),
            None => scratch.0.join(name),
        };
        let output = run(under(&program, &scratch).args(FEW).env("MEMCPY_SELECT_PLAN", &path));
        let said = text(&output.stderr);
        assert!(output.status.success(), "{name}: {output:?}");
        let start = format!("memcpy-select: {}: ", path.display());
        assert!(said.starts_with(&start) && said.contains(cause) && said.lines().count() == 1, "{name}: {said}");
    }
    let pipe = scratch.0.join("pipe");
    succeeded(Command::new("mkfifo").arg(&pipe));
    let output = run(under(&program, &scratch).args(FEW).env("MEMCPY_SELECT_PLAN", &pipe));
    assert!(
        output.status.success() && text(&output.stderr).lines().count() == 1,
        "nothing waits for a writer: {output:?}"
    );
    // With the standard error closed nothing is said, and nothing else gets the words.
    let shell = "exec \"$0\" 997 37 2>&-";
    let mut closed = under(Path::new("/bin/sh"), &scratch);
    let output = run(closed.args(["-c", shell]).arg(&program).env("MEMCPY_SELECT_PLAN", scratch.0.join("none")));
    assert!(output.status.success() && text(&output.stdout).lines().count() == 1, "{output:?}");
}

/// The plan that `tune` keeps for this user serves by itself: a bad one is named, so it was read.
#[test]
fn the_saved_plan_is_found_where_tune_keeps_it() {
    let scratch = Scratch::new("saved");
    let program = compiled(&scratch, "strings.c", "strings", &[]);
    let name = format!("{}-{}.plan", CpuName::of(&Cpu::detect().signature), env!("CARGO_PKG_VERSION"));
    for (variable, folder) in [("HOME", ".cache/memcpy-select"), ("XDG_CACHE_HOME", "memcpy-select")] {
        let home = scratch.0.join(variable);
        std::fs::create_dir_all(home.join(folder)).unwrap();
        let path = home.join(folder).join(&name);
        let found = |contents: &str| {
            std::fs::write(&path, contents).unwrap();
            run(under(&program, &scratch).args(FEW).env(variable, &home))
        };
        let both = |build: &str, user: &str| {
            format!("# memcpy-select {build}\n{}{}", plan(user), plan("above gpr").replace("user", "no-simd"))
        };
        let good = found(&both(env!("CARGO_PKG_VERSION"), "above rep_movsb"));
        assert!(good.status.success() && good.stderr.is_empty(), "{good:?}");
        let bad = found(&both("0.0.1", "above rep_movsb"));
        assert!(bad.status.success() && text(&bad.stderr).starts_with(&format!("memcpy-select: {}: ", path.display())));
    }
}

/// What the loader sees: nothing else is needed, nothing is written to code, the stack is not executable.
#[test]
fn the_library_needs_no_other_and_exports_only_its_symbols() {
    let read = |what: &str| succeeded(Command::new("readelf").args(["--wide", what]).arg(library()));
    let dynamic = read("--dynamic");
    assert!(!dynamic.contains("(NEEDED)") && !dynamic.contains("TEXTREL"), "{dynamic}");
    let segments = read("--segments");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).expect("a note on the stack");
    assert!(stack.split_whitespace().any(|word| word == "RW"), "{stack}");
    let symbols = read("--dyn-syms");
    let mut exported: Vec<&str> = symbols
        .lines()
        .filter(|line| line.contains(" GLOBAL ") && !line.contains(" UND "))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    exported.sort_unstable();
    let checked = ["__memcpy_chk", "__memmove_chk", "__mempcpy_chk", "__memset_chk"];
    assert_eq!(exported, [&checked[..], &["memcpy", "memmove", "mempcpy", "memset"]].concat());
    let needed = symbols.lines().filter(|line| line.contains(" GLOBAL ") && line.contains(" UND "));
    assert_eq!(needed.count(), 0, "what is missing in a program must not keep it from starting: {symbols}");
}
