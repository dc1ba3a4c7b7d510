//! A folder for a test, and what is compiled in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for a test, and what is compiled in it. It is outside the repository, in which the library may have been built.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("memcpy-select-run-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// None if there is no C compiler.
    pub fn compile(&self, name: &str, source: &str, options: &[&str]) -> Option<PathBuf> {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        if Command::new(&compiler).arg("--version").output().is_err() {
            println!("skipped: there is no C compiler ({compiler})");
            return None;
        }
        let (file, path) = (self.write(&format!("{name}.c"), source, 0o644), self.path(name));
        let mut command = Command::new(compiler);
        let output = command.args(["-fno-builtin", "-o"]).arg(&path).arg(file).args(options).output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        Some(path)
    }

    /// A file with that mode.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
