//! One JSON document on the standard output, which is what `--json` of every verb promises.

use serde_json::Value;

/// Prints a document.
pub fn print(document: &Value) -> Result<(), String> {
    Ok(memcpy_select::lab::show::print(format_args!("{document:#}\n"))?)
}
