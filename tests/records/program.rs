//! The program under test, folders for what it writes, and records as files.

use crate::cases::Effort as Cases;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
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

/// What it says on the standard output.
pub fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it says on the standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it prints where it succeeds.
pub fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    printed(&output)
}

/// The one document that it prints where it succeeds.
pub fn document(arguments: &[&str]) -> Value {
    let text = said(arguments);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in\n{text}"))
}

/// What it says on the standard error where it fails, all of these words among it, and nothing on the standard output.
pub fn refused(arguments: &[&str], words: &[&str]) -> String {
    let output = run(arguments);
    let message = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    let missing: Vec<&&str> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", printed(&output));
    assert!(missing.is_empty() && !message.contains("panicked"), "{arguments:?}: no {missing:?} in {message}");
    message
}

pub fn has_keys(document: &Value, keys: &[&str]) {
    for key in keys {
        assert!(document.get(key).is_some_and(|value| !value.is_null()), "{key} in {document:#}");
    }
}

/// The names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Copies the files of a record, named from the folder of the package.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(from)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Copies a record; of what has very many rows, by default one in so many rounds of each cell, and none that only judges
/// predictions, which is enough where no figure is asked for.
pub fn copy_some(from: &Path, to: &Path, file: &str) {
    const MANY: usize = 10_000;
    const ONE_IN: usize = 8;
    copy(from, to);
    if Cases::chosen() >= Cases::Full {
        return;
    }
    let text = String::from_utf8(kept(to, file)).unwrap();
    let heads = text.lines().next().unwrap_or_default();
    let Some(at) = heads.split(',').position(|head| head == "round").filter(|_| text.lines().count() >= MANY) else {
        return;
    };
    let is_judging = |line: &str| ["composite,", "held-back,", "switch,"].iter().any(|part| line.starts_with(part));
    let is_kept = |line: &&str| {
        if file == "xsave.csv" && is_judging(line) {
            return false;
        }
        line.split(',').nth(at).unwrap().parse::<usize>().map_or(true, |round| round.is_multiple_of(ONE_IN))
    };
    let some: String = text.split_inclusive('\n').filter(is_kept).collect();
    fs::write(gz(to, file), compressed(some.as_bytes())).unwrap();
    if fs::read_to_string(to.join("env.toml")).unwrap().contains("\nrows = ") {
        set(to, "rows", Some(&(some.lines().count() - 1).to_string()));
    }
}

/// Gives the first key of that name in a record's environment another value, or removes it.
pub fn set(folder: &Path, key: &str, value: Option<&str>) {
    let path = folder.join("env.toml");
    let text = fs::read_to_string(&path).unwrap();
    let line = text.split_inclusive('\n').find(|line| line.starts_with(&format!("{key} = ")));
    let line = line.unwrap_or_else(|| panic!("no {key} in\n{text}"));
    let with = value.map_or_else(String::new, |value| format!("{key} = {value}\n"));
    fs::write(&path, text.replacen(line, &with, 1)).unwrap();
}

/// Makes a record look as if its run had been ended before it was complete.
pub fn reopen(folder: &Path) {
    set(folder, "complete", Some("false"));
    set(folder, "rows", None);
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
