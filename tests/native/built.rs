//! The packages in `native/`, built for release from what the crate's own build has fetched.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A cargo that is not told what the surrounding build was told, and needs no network.
pub fn cargo(words: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["--offline", "--locked"]).args(words);
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    cargo
}

/// Where they are built.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("native")
}

/// The shared library of a package: `recorder` or `preload`.
pub fn library(package: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("native").join(package).join("Cargo.toml");
    let mut build = cargo(&["build", "--release", "--target-dir"]);
    let output = build.arg(target()).arg("--manifest-path").arg(manifest).output();
    let output = output.expect("cargo starts");
    assert!(
        output.status.success(),
        "native/{package} does not build; if a package is missing offline, bring its Cargo.lock to the versions of Cargo.lock:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target().join(format!("release/libmemcpy_select_{package}.so"))
}
