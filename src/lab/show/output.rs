//! What a program prints: all of it or an error, and nothing that a terminal takes for a command.
//!
//! `println!` panics where its output is closed or full, and a `write` whose result is dropped loses text in silence. So the
//! verbs and the benches print through [`print()`] and [`say`] alone.

use crate::lab::show::format::printable;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;
use std::fmt;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the reader of the standard output has closed it.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Prints on the standard output, and returns once all of it is written.
///
/// A reader that closes its end (`| head -1`) has seen enough: that is no error, and what is printed after it is dropped.
/// Control characters other than line breaks and tabs are [escaped](printable).
///
/// # Errors
///
/// [`OutputError`] if the output takes no more, as a file on a full disk.
pub fn print(text: impl fmt::Display) -> Result<(), OutputError> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let text = text.to_string();
    let mut output = stdout().lock();
    match output.write_all(printable(&text).as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => IS_CLOSED.store(true, Ordering::Relaxed),
        Err(error) => {
            return Err(OutputError { cause: error.to_string() });
        }
        Ok(()) => {}
    }
    Ok(())
}

/// Prints a line on the standard error, escaped as by [`print()`]. There is no other place to say that this failed: then it is
/// dropped.
pub fn say(line: impl fmt::Display) {
    let line = format!("{line}\n");
    let _ = stderr().lock().write_all(printable(&line).as_bytes());
}

/// Lets a write beyond the longest file that this process may write (`RLIMIT_FSIZE`) be an error of that write. Otherwise the
/// system ends the process.
pub fn outlive_file_limit() {
    if let Err(error) = flag::register(SIGXFSZ, Arc::default()) {
        say(format_args!("the limit of file sizes ends this program where a write reaches it: {error}"));
    }
}

/// The standard output takes no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputError {
    cause: String,
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "standard output: {}: not all of it was printed; make room there, or print to another place",
            self.cause
        )
    }
}

impl std::error::Error for OutputError {}

impl From<OutputError> for String {
    fn from(error: OutputError) -> Self {
        error.to_string()
    }
}
