//! Builds of the free-standing program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How the program is compiled.
pub struct Build {
    pub name: &'static str,
    pub release: bool,
    /// Beside what exports the symbols.
    pub flags: &'static str,
    pub target: Option<&'static str>,
    /// Its images, by the names that `tests/freestanding/build.rs` links them under.
    pub images: &'static [&'static str],
    /// Whether link-time optimisation goes over all crates.
    pub lto: bool,
}

/// Every way of linking.
pub const ALL: &[&str] = &["static", "static-pie", "top-2gib", "high-half"];

impl Build {
    /// As a reader builds it: the profile `dev`, and what the compiler does by itself.
    pub const DEV: Self = Self { name: "dev", release: false, flags: "", target: None, images: ALL, lto: false };

    /// Builds all images; without the network, from what the crate's own build has fetched.
    pub fn build(&self) -> Vec<(&'static str, PathBuf)> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../freestanding/Cargo.toml");
        // That of the profile `dev` is what `tests/freestanding.rs` builds, too.
        let folder =
            if self.name == Self::DEV.name { String::from("freestanding") } else { format!("linked/{}", self.name) };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        cargo.args(["build", "--quiet", "--offline", "--locked", "--manifest-path"]).arg(manifest);
        cargo.arg("--target-dir").arg(&folder).env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        cargo.env("RUSTFLAGS", format!("--cfg memcpy_select_mem {}", self.flags));
        if self.release {
            cargo.arg("--release");
        }
        if let Some(target) = self.target {
            cargo.args(["--target", target]);
        }
        if self.lto {
            cargo.env("CARGO_PROFILE_RELEASE_LTO", "fat");
        }
        cargo.args(self.images.iter().flat_map(|image| ["--bin", *image]));
        let output = cargo.output().expect("cargo starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: the program does not build:\n{said}", self.name);
        let profile = if self.release { "release" } else { "debug" };
        let built = folder.join(self.target.unwrap_or_default()).join(profile);
        self.images.iter().map(|image| (*image, built.join(image))).collect()
    }
}
