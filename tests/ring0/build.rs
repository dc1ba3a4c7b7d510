//! Links by the script `ring0.ld`, without any library or start-up code.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=ring0.ld");
    let script = format!("{}/ring0.ld", env::var("CARGO_MANIFEST_DIR").expect("cargo sets the package's folder"));
    // Where there is no operating system, the linker is called itself; elsewhere, by the C compiler.
    let is_linker = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    let linker = ["-z", "max-page-size=4096", "--build-id=none", "-T", &script];
    if is_linker {
        linker.iter().for_each(|argument| println!("cargo::rustc-link-arg-bins={argument}"));
        return;
    }
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", &format!("-Wl,{}", linker.join(","))] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
