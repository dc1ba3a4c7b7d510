//! One JSON document on the standard output, which is what `--json` of every verb promises.

use serde_json::Value;
use std::io::{ErrorKind, Write};

/// Prints a document. Whoever closed the output has seen enough.
pub fn print(document: &Value) -> Result<(), String> {
    match writeln!(std::io::stdout().lock(), "{document:#}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
