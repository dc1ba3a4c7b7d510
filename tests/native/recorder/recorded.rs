//! Programs that run under the recorder, and what they leave.

use memcpy_select::recording::Recording;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where everything is made.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorder")
}

/// The library.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| crate::built::library("recorder"))
}

/// Compiles a file beside this one.
pub fn compile(source: &str, name: &str, options: &[&str]) -> PathBuf {
    fs::create_dir_all(folder()).expect("a folder for what is compiled");
    let path = folder().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/recorder").join(source);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .args(["-O1", "-fno-builtin", "-Wall", "-Wno-nonnull", "-o"])
        .arg(&path)
        .arg(source)
        .args(options)
        .output()
        .expect("a C compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// `program.c`, compiled.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("program.c", "program", &["-pthread", "-ldl"]))
}

/// What a tool says of the library.
pub fn tool(name: &str, options: &[&str]) -> String {
    let output = Command::new(name).args(options).arg(library()).output().expect("binutils are there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A program to be run under the recorder.
pub struct Run {
    command: Command,
    folder: PathBuf,
}

impl Run {
    /// `program.c` with these arguments.
    pub fn of<const COUNT: usize>(arguments: [&str; COUNT]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments);
        Self::prepared(command)
    }

    /// A line of shell that ends with the execution of `program.c`, its `$0`.
    pub fn through(line: &str) -> Self {
        let mut command = Command::new("sh");
        // The shell itself is not recorded.
        command.args(["-c", &format!("export LD_PRELOAD=\"$1\"; {line}")]).arg(program()).arg(library());
        let mut run = Self::prepared(command);
        run.command.env_remove("LD_PRELOAD");
        run
    }

    fn prepared(mut command: Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = folder().join(format!("{}.{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for recordings");
        command.env("LD_PRELOAD", library()).env("MEMCPY_SELECT_RECORDING", &folder);
        command.env_remove("MEMCPY_SELECT_PLAN").stdin(Stdio::null());
        Self { command, folder }
    }

    pub fn every(mut self, period: &str) -> Self {
        self.command.env("MEMCPY_SELECT_RECORDING_EVERY", period);
        self
    }

    pub fn under(mut self, under: &str) -> Self {
        self.command.env("MEMCPY_SELECT_RECORDING_UNDER", under);
        self
    }

    /// Another folder is named than the one that is looked into.
    pub fn folder(mut self, folder: &str) -> Self {
        self.command.env("MEMCPY_SELECT_RECORDING", folder);
        self
    }

    /// Runs it to its end.
    pub fn done(mut self) -> Done {
        let output = self.command.output().expect("it starts");
        let text = [output.stderr, output.stdout].concat();
        let output_text = String::from_utf8_lossy(&text).into_owned();
        Done { status: output.status, output: output_text, folder: self.folder }
    }
}

/// A program that ran.
pub struct Done {
    pub status: ExitStatus,
    /// Standard error, then standard output.
    pub output: String,
    folder: PathBuf,
}

impl Done {
    /// Every recording that was left.
    pub fn all(&self) -> Vec<Recorded> {
        let entries = fs::read_dir(&self.folder).expect("the folder is there");
        entries.map(|entry| Recorded::at(entry.expect("an entry").path())).collect()
    }

    /// The only one.
    pub fn recorded(&self) -> Recorded {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "one recording: {}", self.output);
        all.remove(0)
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A recording, as it was read.
pub struct Recorded {
    pub path: PathBuf,
    words: Vec<u64>,
}

impl Recorded {
    fn at(path: PathBuf) -> Self {
        let bytes = fs::read(&path).expect("it can be read");
        let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight"))).collect();
        Self { path, words }
    }

    pub fn read(&mut self) -> &Recording {
        Recording::read(&mut self.words).expect("a recording")
    }
}
