//! Promise: the crate links as kernels do: at fixed addresses in both high halves and at any address, in the code models `kernel`
//! and `large`, with `panic = "abort"`, with link-time optimisation, and without vector registers; nothing in it needs an absolute
//! 32-bit relocation, a loader, or a symbol from outside. What can run on Linux is run.

use crate::SYMBOLS;
use crate::builds::{ALL, Build};
use crate::image::{Image, kind_name};
use crate::recursion;
use object::elf;
use std::path::Path;
use std::process::Command;

/// Where `tests/freestanding/build.rs` has the images start that a script places.
const BASES: [(&str, u64); 2] = [("top-2gib", 0xffff_ffff_8000_0000), ("high-half", 0xffff_8000_0010_0000)];
/// More than any image takes in memory.
const MAX_IMAGE_BYTES: u64 = 16 << 20;

/// Of these builds position-independent code is what the compiler makes by itself; in `static-model` it is told to use
/// absolute addresses of 32 bits, which the highest 2 GiB can be reached by.
fn builds() -> Vec<Build> {
    let release = |name, flags| Build { name, release: true, flags, target: None, images: ALL, lto: false };
    vec![
        release("release", ""),
        Build { lto: true, ..release("release-lto", "") },
        release("kernel-model", "-Ccode-model=kernel -Cno-redzone"),
        release("large-model", "-Ccode-model=large"),
        Build {
            images: &["static", "top-2gib"],
            ..release("static-model", "-Ccode-model=kernel -Crelocation-model=static")
        },
        Build { release: false, ..release("dev-kernel-model", "-Ccode-model=kernel") },
    ]
}

/// What a kernel's own target needs installed.
const BARE: &str = "x86_64-unknown-none";

fn has_core(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("libcore"))
}

#[test]
fn the_profile_dev_links_in_every_way() {
    check(&Build::DEV);
}

#[test]
#[ignore = "builds the free-standing program a dozen times: minutes"]
fn every_code_model_and_profile_links_in_every_way() {
    builds().iter().for_each(check);
}

#[test]
#[ignore = "builds the free-standing program twice"]
fn a_target_without_vector_registers_links_in_every_way() {
    if !has_core(BARE) {
        return println!("skipped: the standard library for {BARE} is not installed (rustup target add {BARE})");
    }
    for (name, release) in [("none-dev", false), ("none-release", true)] {
        check(&Build { name, release, flags: "", target: Some(BARE), images: ALL, lto: false });
    }
}

fn check(build: &Build) {
    for (name, path) in build.build() {
        let mut image = Image::read(&path);
        let what = format!("{}, {name}", build.name);
        assert!(image.undefined.is_empty(), "{what}: {:?} is expected from outside", image.undefined);
        check_relocations(&image, name, build, &what);
        check_addresses(&image, name, &what);
        recursion::check(&mut image).unwrap_or_else(|wrong| panic!("{what}: {wrong:?}"));
        if BASES.iter().all(|(image, _)| *image != name) {
            check_run(&path, &what);
        }
    }
}

/// Those that are made, of a position-independent program those that are left; prints them by kind.
fn check_relocations(image: &Image, name: &str, build: &Build, what: &str) {
    if name == "static-pie" {
        let relative = image.left.iter().filter(|kind| **kind == elf::R_X86_64_RELATIVE).count();
        println!("{what:<28} left to the start: {relative} RELATIVE");
        assert_eq!(relative, image.left.len(), "{what}: others than RELATIVE");
        return assert!(relative > 0, "{what}: the tables of kernels hold addresses");
    }
    println!("{what:<28} made: {:?}", image.kinds());
    assert!(image.left.is_empty(), "{what}: relocations for a loader");
    assert!(image.made.len() > 100, "{what}: the image keeps its relocations");
    let absolute = image.made.iter().filter(|(kind, _)| [elf::R_X86_64_32, elf::R_X86_64_32S].contains(kind));
    for (kind, place) in absolute {
        // Code that the compiler makes does what it is told; what this crate brings along does not.
        let place = place.as_deref().unwrap_or("no symbol");
        let is_compiled = !SYMBOLS.contains(&place) && !place.starts_with("memcpy_select_");
        let is_asked_for = build.name == "static-model" && *kind == elf::R_X86_64_32S && is_compiled;
        assert!(is_asked_for, "{what}: R_X86_64_{} in {place}", kind_name(*kind));
    }
}

fn check_addresses(image: &Image, name: &str, what: &str) {
    let Some((_, base)) = BASES.iter().find(|(image, _)| *image == name) else { return };
    for section in &image.sections {
        let end = section.address + section.bytes.len() as u64;
        assert!(
            *base <= section.address && end <= base + MAX_IMAGE_BYTES,
            "{what}: {} at {:#x}",
            section.name,
            section.address
        );
    }
    let start = image.named("memcpy").expect("a symbol").address;
    assert!(start >= *base, "{what}: memcpy at {start:#x}");
    println!("{what:<28} from {base:#x}, memcpy at {start:#x}");
}

/// Every copy is right, and one spoiled byte is noticed.
fn check_run(program: &Path, what: &str) {
    for (arguments, code) in [(&[][..], 0), (&["spoil"], 1)] {
        let status = Command::new(program).args(arguments).status().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(status.code(), Some(code), "{what} {arguments:?}: {status}");
    }
}
