//! The program under test, and folders for what it writes.

#![allow(dead_code, reason = "each suite uses its own part")]

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for each test, gone afterwards.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn out(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program in the folder of the package, as `cargo run` does.
pub fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("the program starts")
}

/// The one record under a folder of results, if it is there.
pub fn record_in(results: &Path) -> Option<PathBuf> {
    let is_named = |path: &PathBuf| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.');
    let only = |path: &Path| fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(is_named);
    only(&only(results)?)
}

/// Where the compressed form of a record's file is.
pub fn gz(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.gz"))
}

/// What a file of a record holds, compressed or not.
pub fn kept(folder: &Path, name: &str) -> Vec<u8> {
    let Ok(compressed) = fs::read(gz(folder, name)) else { return fs::read(folder.join(name)).unwrap() };
    let mut bytes = Vec::new();
    GzDecoder::new(&compressed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Gives a file of a record other contents, as a plain file.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let _ = fs::remove_file(gz(folder, name));
    fs::write(folder.join(name), bytes).unwrap();
}

pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
