//! The packages in `native/`, built for release from what the crate's own build has fetched.
//!
//! Each is built in a folder of its own by the first test that needs one; `c` and `preload`, which the usual run has, at the same
//! time: what links most of a build's time is one thread.

use crate::c::script;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;

/// A cargo that is not told what the surrounding build was told, and needs no network.
pub fn cargo(words: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["--offline", "--locked"]).args(words);
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    cargo
}

/// Where a package is built.
pub fn target(package: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("native").join(package)
}

/// Where the C interface is installed, in place of the root.
pub fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("native-c").join("installed")
}

fn build(package: &str) -> Output {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("native").join(package).join("Cargo.toml");
    let mut build = cargo(&["build", "--release", "--target-dir"]);
    build.arg(target(package)).arg("--manifest-path").arg(manifest).output().expect("cargo starts")
}

/// What the build of a package said: of `c`, `recorder` or `preload`.
fn output(package: &str) -> &'static Output {
    static RECORDER: OnceLock<Output> = OnceLock::new();
    static OTHERS: OnceLock<[Output; 2]> = OnceLock::new();
    if package == "recorder" {
        return RECORDER.get_or_init(|| build("recorder"));
    }
    let [c, preload] = OTHERS.get_or_init(|| {
        let preload = thread::spawn(|| build("preload"));
        [script(&installed(), &[]), preload.join().expect("cargo starts")]
    });
    if package == "c" { c } else { preload }
}

/// Has a package built: `c`, which is installed, `recorder` or `preload`.
pub fn built(package: &str) {
    let output = output(package);
    assert!(
        output.status.success(),
        "native/{package} does not build; if a package is missing offline, bring its Cargo.lock to the versions of Cargo.lock:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The shared library of a package: `recorder` or `preload`.
pub fn library(package: &str) -> PathBuf {
    built(package);
    target(package).join(format!("release/libmemcpy_select_{package}.so"))
}
