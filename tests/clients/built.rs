//! What is compiled, once for all tests: the library by its script, and programs that use it.

use super::cases::Effort;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Where it is installed, in the folder that the tests have for it.
pub const PREFIX: &str = "/opt/streamtable";

/// A folder of this test program's, under the build's.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program is there; says that it is skipped otherwise.
pub fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: there is no {program}");
    }
    is_there
}

/// Runs the script that installs the library.
pub fn script(compiler: &str, destination: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(source("native/stream/install"));
    for variable in ["INCLUDEDIR", "LIBDIR", "PYTHONDIR", "AR"] {
        command.env_remove(variable);
    }
    command.args(arguments).env("CC", compiler).env("CFLAGS", "-Werror -pedantic -Wshadow -Wconversion");
    command.env("PREFIX", PREFIX).env("DESTDIR", destination).output().expect("bash starts the script")
}

/// The library as gcc or clang made it: the folder that it is installed under.
pub fn installed(compiler: &'static str) -> Option<&'static Path> {
    static INSTALLED: [OnceLock<Option<PathBuf>>; 2] = [OnceLock::new(), OnceLock::new()];
    let built = INSTALLED[usize::from(compiler == "clang")].get_or_init(|| {
        if !has(compiler) {
            return None;
        }
        let destination = folder(compiler);
        let output = script(compiler, &destination, &[]);
        assert!(output.status.success(), "{compiler}: {}", text(&output.stderr));
        Some(destination.join(&PREFIX[1..]))
    });
    built.as_deref()
}

/// Compiles a program of `tests/clients` or of the examples.
pub fn compile(compiler: &str, name: &str, sources: &[PathBuf], options: &[&str]) -> Result<PathBuf, String> {
    let path = folder("programs").join(name);
    let output = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(source("native/stream/include"))
        .args(sources)
        .args(options)
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap();
    if output.status.success() { Ok(path) } else { Err(text(&output.stderr)) }
}

/// A program of a source file, linked against the shared library that the same compiler made.
pub fn with_shared(compiler: &'static str, file: &str, standard: &str) -> Option<PathBuf> {
    let libraries = installed(compiler)?.join("lib").display().to_string();
    let stem = Path::new(file).file_stem().unwrap().to_str().unwrap();
    let linked = [&format!("-L{libraries}"), &format!("-Wl,-rpath,{libraries}"), "-lstreamtable", "-O1", standard];
    let built = compile(compiler, &format!("{stem}-{compiler}"), &[source(file)], &linked);
    Some(built.unwrap_or_else(|why| panic!("{why}")))
}

/// A program with the library's source, under the sanitizers of addresses and of undefined behaviour where there are any; by default
/// not optimised, which is most of its compile time.
pub fn sanitized(compiler: &str, file: &str) -> Option<PathBuf> {
    if !has(compiler) {
        return None;
    }
    let stem = Path::new(file).file_stem().unwrap().to_str().unwrap();
    let name = format!("{stem}-{compiler}-sanitized");
    let sources = [source("native/stream/src/streamtable.c"), source(file)];
    let level = if Effort::chosen() < Effort::Full { "-O0" } else { "-O1" };
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", level];
    match compile(compiler, &name, &sources, &sanitizers) {
        Ok(path) => Some(path),
        Err(why) if why.contains("sanitize") || why.contains("asan") => {
            println!("skipped: {compiler} has no sanitizers here: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

/// What a program that does all right printed.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}{complaints}", output.status);
    said
}
