//! Gives the shared library its name for programs that are linked against it.
//!
//! While the major version is 0, each minor version may break programs, and is part of that name.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let part = |name: &str| env::var(name).expect("cargo sets the package version");
    let name = match part("CARGO_PKG_VERSION_MAJOR").as_str() {
        "0" => format!("libmemcpy_select.so.0.{}", part("CARGO_PKG_VERSION_MINOR")),
        major => format!("libmemcpy_select.so.{major}"),
    };
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}");
    }
}
