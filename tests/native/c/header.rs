//! The header, the code and the libraries say the same.

use super::installed::{GCC, Installed, Linked, folder, printed, read, source, text};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const HEADER: &str = "native/c/include/memcpy_select.h";

/// The header without comments and without lines of the preprocessor.
fn declarations() -> String {
    let header = read(HEADER);
    let mut code = String::new();
    for part in header.split("/*") {
        code.push_str(part.split_once("*/").map_or(part, |(_, after)| after));
    }
    code.lines().filter(|line| !line.starts_with('#') && *line != "extern \"C\" {").collect::<Vec<_>>().join("\n")
}

/// A type or a declaration with single spaces, and none beside an asterisk.
fn plain(text: &str) -> String {
    let words = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    words.replace(" *", "*").replace("* ", "*").trim().to_owned()
}

/// A type and a name, as C writes them.
fn type_and_name(declaration: &str) -> (String, String) {
    let declaration = plain(declaration);
    let at = declaration.rfind([' ', '*']).map_or(0, |at| at + 1);
    (plain(&declaration[..at]), declaration[at..].to_owned())
}

/// What a function takes and returns: the types and names of its parameters, and the type of its result.
type Signature = (Vec<(String, String)>, String);

/// The prototypes in the header.
fn declared() -> BTreeMap<String, Signature> {
    let code = declarations();
    let prototypes = code.split(';').filter(|statement| !statement.contains(['{', '}']) && statement.contains('('));
    let signature = |prototype: &str| {
        let (head, parameters) = prototype.split_once('(').expect("a parenthesis");
        let (result, name) = type_and_name(head);
        let parameters = parameters.trim_end().strip_suffix(')').expect("one parenthesis closes it");
        let all = parameters.split(',').filter(|parameter| *parameter != "void").map(type_and_name).collect();
        (name, (all, result))
    };
    prototypes.map(signature).collect()
}

/// What C calls a type of the code.
fn in_c(rust: &str) -> String {
    if let Some(behind) = rust.strip_prefix("*mut ") {
        return plain(&format!("{} *", in_c(behind)));
    }
    if let Some(behind) = rust.strip_prefix("*const ") {
        return plain(&format!("const {} *", in_c(behind)));
    }
    match rust {
        "usize" => "size_t",
        "bool" => "bool",
        "c_void" => "void",
        "c_char" => "char",
        "c_int" => "int",
        "c_uint" => "unsigned int",
        "Code" | "ErrorNumber" => "memcpy_select_error",
        "PolicyNumber" => "memcpy_select_policy",
        "OverlapNumber" => "memcpy_select_overlap",
        "Kernel" => "memcpy_select_kernel",
        "PlanText" => "memcpy_select_plan",
        other => panic!("no type of C is known for {other}"),
    }
    .to_owned()
}

/// The functions that the code exports.
fn defined() -> BTreeMap<String, Signature> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(source("native/c/src")).expect("the code of the interface") {
        let code = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file of code");
        for function in code.split("#[unsafe(no_mangle)]").skip(1) {
            let (_, function) = function.split_once("extern \"C\" fn ").expect("a function of C's form");
            let (name, rest) = function.split_once('(').expect("parameters");
            let (parameters, rest) = rest.split_once(')').expect("the end of the parameters");
            let result = rest.split_once('{').expect("a body").0.trim();
            let result = result.strip_prefix("-> ").map_or("void".to_owned(), in_c);
            let pairs = parameters.split(',').filter_map(|parameter| parameter.trim().split_once(": "));
            let parameters = pairs.map(|(name, kind)| (in_c(kind), name.to_owned())).collect();
            all.insert(name.to_owned(), (parameters, result));
        }
    }
    all
}

/// The names of the functions that a library gives to others, without those of the kernels, which bear a version.
fn exported(library: &str, arguments: &[&str]) -> BTreeSet<String> {
    let output =
        Command::new("nm").args(arguments).arg(Installed::once().library(library)).output().expect("nm starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let of_kernels = format!("memcpy_select_{}_", env!("CARGO_PKG_VERSION").replace('.', "_"));
    let symbols = text(&output.stdout);
    let names = symbols.lines().filter_map(|line| line.rsplit(' ').next());
    names
        .filter(|name| name.starts_with("memcpy_select_") && !name.starts_with(&of_kernels))
        .map(str::to_owned)
        .collect()
}

#[test]
fn header_code_and_libraries_have_the_same_functions() {
    let (declared, defined) = (declared(), defined());
    assert!(declared.len() > 30, "{} prototypes were found", declared.len());
    for (name, signature) in &declared {
        assert_eq!(Some(signature), defined.get(name), "{name}: the header, and the code");
    }
    let names: BTreeSet<String> = declared.into_keys().collect();
    assert_eq!(names, defined.into_keys().collect(), "the header, and the code");
    assert_eq!(names, exported("libmemcpy_select.so", &["-D", "--defined-only"]), "the header, and the shared library");
    assert_eq!(names, exported("libmemcpy_select.a", &["-g", "--defined-only"]), "the header, and the static library");
}

/// The shared library gives programs nothing else: no name of theirs is taken.
#[test]
fn the_shared_library_takes_no_other_names() {
    let library = Installed::once().library("libmemcpy_select.so");
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().expect("nm starts");
    let symbols = text(&output.stdout);
    let others: Vec<&str> = symbols.lines().filter(|line| !line.contains(" T memcpy_select_")).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// The enumerators of an enumeration in the header.
pub fn enumerators(name: &str) -> Vec<(String, u32)> {
    let code = declarations();
    let (_, after) = code.split_once(&format!("typedef enum {name} {{")).expect("the enumeration");
    let (body, _) = after.split_once('}').expect("its end");
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').expect("a value");
        (name.trim().to_owned(), value.trim().parse().expect("a number"))
    };
    body.split(',').map(pair).collect()
}

/// What the library calls each number, the compiler's value of each enumerator, and the versions.
#[test]
fn header_and_library_have_the_same_codes_and_version() {
    let errors = enumerators("memcpy_select_error");
    let lines: String = errors.iter().map(|(name, _)| format!("printf(\"%s %d\\n\", \"{name}\", {name});")).collect();
    let program = format!(
        "#include <memcpy_select.h>\n#include <stdio.h>\nint main(void) {{ int at; {lines}\nputs(\"--\");\n\
         for (at = 0; at < 300; at++) printf(\"%s %d %s\\n\", memcpy_select_error_name((memcpy_select_error)at), at, \
         memcpy_select_error_message((memcpy_select_error)at));\nputs(\"--\");\n\
         printf(\"%s %d.%d.%d %s\", MEMCPY_SELECT_VERSION, MEMCPY_SELECT_VERSION_MAJOR, MEMCPY_SELECT_VERSION_MINOR, \
         MEMCPY_SELECT_VERSION_PATCH, memcpy_select_version());\nreturn 0; }}\n"
    );
    std::fs::create_dir_all(folder("generated")).expect("a folder for code");
    let path = folder("generated").join("codes.c");
    std::fs::write(&path, program).expect("a file of code");
    let Some(program) = GCC.compile(&path, Linked::Shared) else { return };
    let said = printed(&mut program.command());
    let [compiled, named, version] = said.split("--\n").collect::<Vec<_>>()[..] else { panic!("{said}") };

    let wanted: String = errors.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    assert_eq!(compiled, wanted, "the values are those that stand there");
    for line in named.lines() {
        let (name, rest) = line.rsplit_once(" memcpy_select_error ").map_or_else(
            || line.split_once(' ').expect("a name"),
            |(no, rest)| {
                assert_eq!(no, "no");
                ("", rest)
            },
        );
        let (value, message) = rest.split_once(' ').expect("a number");
        let value: u32 = value.parse().expect("a number");
        let in_header = errors.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name.as_str());
        assert_eq!(name, in_header, "{value}");
        let says_what_to_do = message.contains(": ") && message.contains("; ");
        assert!(says_what_to_do || value == 0 || name.is_empty(), "{name}: {message}");
    }
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(version, format!("{own} {own} {own}"), "header and library have the version of the crate");
}

/// The limits that the header states are the crate's.
#[test]
fn the_header_states_the_limits_of_the_crate() {
    let header = read(HEADER);
    let limit = |name: &str| -> usize {
        let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define {name} "))).expect("the macro");
        line.parse().expect("a number")
    };
    use memcpy_select::select::{CALIBRATE_MAX_TIME, MAX_TEXT_BYTES};
    assert_eq!(limit("MEMCPY_SELECT_TEXT_BYTES"), MAX_TEXT_BYTES);
    assert_eq!(limit("MEMCPY_SELECT_CALIBRATE_MS") as u128, CALIBRATE_MAX_TIME.as_millis());
}
