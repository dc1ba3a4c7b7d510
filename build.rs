//! Assembles every `asm/*.S` into the library, each symbol under a prefix that carries this crate's version.
//!
//! Nothing here names a kernel: a new file in `asm/` is picked up by its name. Where assembly is impossible
//! (another architecture, the documentation builder, `MEMCPY_SELECT_NO_ASM=1`) the crate builds with the portable
//! copies alone, and `cfg(memcpy_select_asm)` is not set.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=asm");
    println!("cargo::rerun-if-env-changed=MEMCPY_SELECT_NO_ASM");
    println!(
        "cargo::rustc-check-cfg=cfg(memcpy_select_asm, memcpy_select_interposed, memcpy_select_out_of_line, \
         memcpy_select_repository, memcpy_select_symbols, memcpy_select_mem)"
    );
    if is_repository() {
        println!("cargo::rustc-cfg=memcpy_select_repository");
    }

    let prefix = symbol_prefix();
    println!("cargo::rustc-env=MEMCPY_SELECT_PREFIX={prefix}");

    println!("cargo::rustc-env=MEMCPY_SELECT_RUSTC={}", first_line(&env::var("RUSTC").unwrap_or_default(), "-V"));
    println!("cargo::rustc-env=MEMCPY_SELECT_CC=none");
    println!("cargo::rustc-env=MEMCPY_SELECT_SOURCE_HASHES=");

    if !is_x86_64() || is_documentation_build() || is_opted_out() || !is_gnu_assembly_understood() {
        return;
    }
    let sources = assembly_files(Path::new("asm"));
    let mut build = cc::Build::new();
    build.files(&sources).include("asm").define("MEMCPY_SELECT_PREFIX", prefix.as_str()).cargo_warnings(true);
    // Code models and target features say nothing to assembly, and a C compiler may refuse those that a kernel asks rustc for.
    build.inherit_rustflags(false);
    if !has_link_order(&build) {
        build.define("MEMCPY_SELECT_NO_LINK_ORDER", None);
    }
    if let Err(error) = build.try_compile("memcpy_select_kernels") {
        explain(&error);
    }
    println!("cargo::rustc-cfg=memcpy_select_asm");
    if env::var_os("CARGO_FEATURE_INTERPOSING").is_some() && target("OS") == "linux" {
        println!("cargo::rustc-cfg=memcpy_select_interposed");
    }
    if env::var_os("CARGO_FEATURE_MEM").is_some() && is_c_called_like_kernels() {
        println!("cargo::rustc-cfg=memcpy_select_symbols");
    }
    if is_debug_build() {
        println!("cargo::rustc-cfg=memcpy_select_out_of_line");
    }
    println!(
        "cargo::rustc-env=MEMCPY_SELECT_CC={}",
        first_line(&build.get_compiler().path().to_string_lossy(), "--version")
    );
    println!("cargo::rustc-env=MEMCPY_SELECT_SOURCE_HASHES={}", source_hashes(&sources));
}

/// Whether the assembler knows the flag `o` of a section, as GNU's does from version 2.35 on.
fn has_link_order(build: &cc::Build) -> bool {
    let folder = std::path::PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let (source, object) = (folder.join("link_order.S"), folder.join("link_order.o"));
    let text = ".text\n.section probe, \"ao\", @progbits, .text\n.long 0\n";
    let Ok(compiler) =
        std::fs::write(&source, text).map_err(drop).and_then(|()| build.try_get_compiler().map_err(drop))
    else {
        return false;
    };
    let output = compiler.to_command().arg("-c").arg(&source).arg("-o").arg(&object).output();
    output.is_ok_and(|output| output.status.success())
}

/// What a compiler says of itself: records keep it.
fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// `stem=hash` for each file, over the file and the headers that it includes: records tell by it which code they measured.
fn source_hashes(sources: &[PathBuf]) -> String {
    let hash = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        format!("{stem}={:08x}", fnv1a(with_headers(path).into_bytes()))
    };
    sources.iter().map(hash).collect::<Vec<_>>().join(" ")
}

/// A source, and each header that it includes after it.
fn with_headers(path: &Path) -> String {
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let included = source.lines().filter_map(|line| line.strip_prefix("#include \"")?.strip_suffix('"'));
    let headers: String = included.map(|header| with_headers(&Path::new("asm").join(header))).collect();
    source + &headers
}

/// Fowler, Noll and Vo's hash, 32 bits.
fn fnv1a(bytes: Vec<u8>) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// `memcpy_select_0_1_0_`: two versions of the crate in one program do not collide.
fn symbol_prefix() -> String {
    let part = |name: &str| env::var(name).expect("cargo sets the package version");
    format!(
        "memcpy_select_{}_{}_{}_",
        part("CARGO_PKG_VERSION_MAJOR"),
        part("CARGO_PKG_VERSION_MINOR"),
        part("CARGO_PKG_VERSION_PATCH"),
    )
}

/// Whether the records are here, and the other packages that tests build: the published package has neither.
fn is_repository() -> bool {
    Path::new("tests/freestanding/Cargo.toml").is_file()
}

fn target(part: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default()
}

fn is_x86_64() -> bool {
    // x32 also reports x86_64, with 32-bit pointers, which the kernels do not take.
    target("ARCH") == "x86_64" && target("POINTER_WIDTH") == "64"
}

/// Microsoft's convention passes arguments in other registers.
fn is_c_called_like_kernels() -> bool {
    !["windows", "uefi", "cygwin"].contains(&target("OS").as_str())
}

/// Whether the profile inherits from `dev`. How the program is optimised, and this crate in it, may differ: `OPT_LEVEL` is
/// this crate's.
fn is_debug_build() -> bool {
    env::var("PROFILE").is_ok_and(|profile| profile == "debug")
}

fn is_documentation_build() -> bool {
    env::var_os("DOCS_RS").is_some()
}

fn is_opted_out() -> bool {
    env::var_os("MEMCPY_SELECT_NO_ASM").is_some_and(|value| value != "0")
}

/// Microsoft's assembler does not read the GNU syntax of `asm/`.
fn is_gnu_assembly_understood() -> bool {
    let understood = target("ENV") != "msvc";
    if !understood {
        println!(
            "cargo::warning=memcpy-select: the MSVC toolchain cannot assemble asm/*.S, so only the portable copies \
             are built; the x86_64-pc-windows-gnu target has all kernels"
        );
    }
    understood
}

fn assembly_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()))
        .map(|entry| entry.expect("a readable directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "S"))
        .collect();
    files.sort();
    files
}

fn explain(error: &cc::Error) -> ! {
    eprintln!(
        "\nmemcpy-select could not assemble its copy kernels (asm/*.S).\n\n  cause:  {error}\n  effect: the crate \
         cannot be built with its kernels\n  fix:    install a C compiler (Debian, Ubuntu: apt install gcc; Fedora: \
         dnf install gcc; Alpine: apk add gcc musl-dev; macOS: xcode-select --install) or name one in CC;\n          \
         or set MEMCPY_SELECT_NO_ASM=1 to build with the portable copies alone\n"
    );
    std::process::exit(1);
}
