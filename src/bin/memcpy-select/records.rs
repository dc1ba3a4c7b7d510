//! Records as a reader names them: by their folders, or by a folder that has some.

use crate::json;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::Question;
use memcpy_select::lab::record::{Listed, Record, RecordError, is_record, records_below};
use memcpy_select::lab::show::{count, hanging, print};
use memcpy_select::select::CpuName;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where records are looked for.
pub const RESULTS: &str = "results";

/// The name of this CPU in records.
pub fn here() -> String {
    CpuName::of(&Cpu::detect().signature).to_string()
}

/// Reads a record of that bench, where no other will do.
pub fn read<T>(folder: &Path, bench: &str, of: fn(Record) -> Result<T, RecordError>) -> Result<T, String> {
    let record = Record::read(folder).map_err(|error| error.to_string())?;
    if record.bench != bench {
        let Question { name, made_by, .. } = Question::of_bench(bench);
        return Err(format!(
            "{}: this record is of bench {}, and this is about {name}: nothing was read of it; name a record of \
             `{made_by}`",
            folder.display(),
            record.bench
        ));
    }
    of(record).map_err(|error| error.to_string())
}

/// What a record is called: its folder and the one above, `<machine>/<date>.<n>`.
pub fn name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut names: Vec<_> = full.iter().rev().take(2).map(|name| name.to_string_lossy()).collect();
    names.reverse();
    names.join("/")
}

/// The records in a folder that is none itself.
pub fn within(folder: &Path) -> Vec<PathBuf> {
    if is_record(folder) { Vec::new() } else { records_below(folder) }
}

/// Prints what records there are. One that cannot be read is among them, with the reason.
pub fn list(folders: &[PathBuf], is_json: bool) -> Result<ExitCode, String> {
    let listed: Vec<(&PathBuf, Result<Listed, RecordError>)> =
        folders.iter().map(|folder| (folder, Listed::read(folder))).collect();
    if is_json {
        let of = |(folder, listed): &(&PathBuf, Result<Listed, RecordError>)| match listed {
            Ok(Listed { bench, environment, complete }) => json!({
                "record": folder.display().to_string(), "name": name(folder), "bench": bench, "date": environment.date,
                "effort": environment.effort, "complete": complete, "machine": environment.machine,
                "cpu": { "name": environment.cpu.name, "signature": environment.cpu.signature },
            }),
            Err(error) => json!({ "record": folder.display().to_string(), "error": error.to_string() }),
        };
        json::print(&json!({ "listed": listed.iter().map(of).collect::<Vec<Value>>() }))?;
    } else {
        print(text(&listed))?;
    }
    let is_read = listed.iter().all(|(_, listed)| listed.is_ok());
    Ok(if is_read { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The records of a machine under its name, a line each.
fn text(listed: &[(&PathBuf, Result<Listed, RecordError>)]) -> String {
    let mut text = String::new();
    let mut machine = None;
    for (folder, listed) in listed {
        let last = folder.file_name().unwrap_or_default().to_string_lossy();
        let of_machine = folder.parent();
        let is_first = machine != Some(of_machine);
        machine = Some(of_machine);
        if is_first {
            let cpu = listed
                .as_ref()
                .map(|one| format!(": {} ({})", one.environment.cpu.name, one.environment.cpu.signature));
            let path = of_machine.unwrap_or_else(|| Path::new(".")).display();
            text.push_str(&hanging(4, &format!("{path}{}", cpu.unwrap_or_default())));
        }
        match listed {
            Ok(Listed { bench, environment, complete }) => {
                let complete = if *complete { "complete" } else { "not complete" };
                let (date, effort) = (&environment.date, &environment.effort);
                let _ = writeln!(text, "  {last:<16}{bench:<16}{date:<13}{effort:<10}{complete}");
            }
            Err(error) => text.push_str(&hanging(4, &format!("  {last:<16}unreadable: {error}"))),
        }
    }
    let _ = writeln!(text, "{}; name one or several of them for a page", count(listed.len(), "record"));
    text
}
