//! The header, the library, its messages and the module for Python say the same.

use super::built::{has, installed, source, text};
use std::collections::BTreeSet;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(source(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const HEADER: &str = "native/stream/include/streamtable.h";

pub fn version() -> String {
    let header = read(HEADER);
    let line = header.lines().find_map(|line| line.strip_prefix("#define STREAMTABLE_VERSION \"")).unwrap();
    line.trim_end_matches('"').to_owned()
}

/// The names and numbers of `streamtable_error`.
pub fn errors() -> Vec<(String, u32)> {
    let header = read(HEADER);
    let body = header.split_once("typedef enum streamtable_error {").unwrap().1.split_once('}').unwrap().0.to_owned();
    let lines = body.lines().filter_map(|line| line.trim().split_once(" = "));
    lines.map(|(name, number)| (name.to_owned(), number.trim_end_matches(',').parse().unwrap())).collect()
}

#[test]
fn every_error_has_a_name_and_a_message_and_python_knows_it() {
    let code = read("native/stream/src/streamtable.c");
    let errors = errors();
    assert!(errors.len() > 40, "{errors:?}");
    for (name, _) in &errors {
        let short = name.strip_prefix("STREAMTABLE_").unwrap();
        let message = code.split_once(&format!("TEXT({short},")).unwrap_or_else(|| panic!("{name}")).1;
        let message = message.split_once("),\n").unwrap().0;
        // Cause, effect, fix.
        let is_whole = message.contains(": ") && message.contains("; ") || message.contains("\" BROKEN");
        assert!(short == "OK" || is_whole, "{name}: {message}");
    }
    if !has("python3") {
        return;
    }
    let names: Vec<&str> = errors.iter().filter_map(|(name, _)| name.strip_prefix("STREAMTABLE_ERROR_")).collect();
    let ask = format!("import streamtable; print(*[getattr(streamtable, n) for n in {names:?}])");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", source("native/stream/python")).env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", &ask]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let wanted: Vec<String> = errors.iter().skip(1).map(|(_, number)| number.to_string()).collect();
    assert_eq!(text(&output.stdout).trim(), wanted.join(" "));
    assert!(read("native/stream/python/streamtable.py").contains(&format!("__version__ = \"{}\"", version())));
}

/// What is declared is what is exported, and nothing else is.
#[test]
fn the_library_exports_what_the_header_declares() {
    let header = read(HEADER);
    let mut declared: BTreeSet<&str> = BTreeSet::new();
    let mut comments = header.split("/*");
    let code = comments.next().into_iter().chain(comments.filter_map(|part| Some(part.split_once("*/")?.1)));
    for part in code {
        let names = part.split(|letter: char| !(letter.is_alphanumeric() || "_(".contains(letter)));
        let called = names.filter_map(|name| Some(name.split_once('(')?.0));
        declared.extend(called.filter(|name| name.starts_with("streamtable_")));
    }
    assert!(declared.len() > 25, "{declared:?}");
    for compiler in ["gcc", "clang"] {
        let Some(root) = installed(compiler) else { continue };
        for (file, option) in [("lib/libstreamtable.so", "-D"), ("lib/libstreamtable.a", "-g")] {
            let output = Command::new("nm").args([option, "--defined-only"]).arg(root.join(file)).output().unwrap();
            let listed = text(&output.stdout);
            let exported: BTreeSet<&str> =
                listed.lines().filter_map(|line| line.rsplit_once(" T ").map(|(_, name)| name)).collect();
            assert_eq!(exported, declared, "{compiler}: {file}");
        }
    }
}

#[test]
fn the_header_serves_cpp_and_pkg_config_says_how_to_link() {
    let Some(root) = installed("gcc") else { return };
    let folder = super::Folder::new("clients");
    let program = folder.join("program.cpp");
    let body = "#include <streamtable.h>\nint main() { return streamtable_message(STREAMTABLE_OK) == nullptr; }\n";
    std::fs::write(&program, body).unwrap();
    let mut flags = vec![format!("-I{}", root.join("include").display()), format!("-L{}", root.join("lib").display())];
    flags.push("-lstreamtable".to_owned());
    if has("pkg-config") {
        let destination = root.ancestors().nth(2).unwrap();
        let output = Command::new("pkg-config")
            .args(["--cflags", "--libs", "streamtable"])
            .env("PKG_CONFIG_PATH", root.join("lib/pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", destination)
            .output()
            .unwrap();
        let said = text(&output.stdout);
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), flags);
    }
    for compiler in ["g++", "clang++"] {
        if !has(compiler) {
            continue;
        }
        let built = folder.join("program");
        let output = Command::new(compiler)
            .args(["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"])
            .arg(&program)
            .args(&flags)
            .arg("-o")
            .arg(&built)
            .output()
            .unwrap();
        assert!(output.status.success(), "{compiler}: {}", text(&output.stderr));
        assert!(Command::new(built).env("LD_LIBRARY_PATH", root.join("lib")).status().unwrap().success());
    }
}
