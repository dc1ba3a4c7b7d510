//! `report`: one HTML page, or one JSON document, from records.

use crate::json;
use clap::Args;
use memcpy_select::measure::cell::{Cell, Residency};
use memcpy_select::measure::summary::{CellSummary, Summary};
use memcpy_select::measure::sweep::{Failure, LIBC};
use memcpy_select::record::{IPC_FILE, IpcRecord, Record, Table};
use memcpy_select::report::{PAGE_GENERATOR, ipc_page, page, plot};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write one self-contained HTML page from records.
///
/// The page needs no network and no script. Records of bench `select` are shown with plots; several beside each other.
#[derive(Args)]
pub struct Report {
    /// Folders of records: results/<machine>/<date>.<n>
    #[arg(required_unless_present = "targets", value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Print what a record of paths between processes says of the transport's targets, and write no page; without a record,
    /// the newest of this CPU under results/
    #[arg(long, conflicts_with_all = ["out", "svg"])]
    targets: bool,
    /// Where the page goes; an older page is replaced, any other file is not
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Also write the plot of throughput of the one record as a file of its own, as for a README
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the figures as JSON instead, and write no page
    #[arg(long, conflicts_with_all = ["out", "svg"])]
    json: bool,
}

impl Report {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.targets {
            return crate::targets::run(&self.records, self.json);
        }
        if let Some(page) = self.paths_page()? {
            write(&self.out, &page)?;
            println!("page: {}", self.out.display());
            return Ok(ExitCode::SUCCESS);
        }
        let read = |folder: &PathBuf| Ok((name(folder), Record::read(folder).map_err(|error| error.to_string())?));
        let records = self.records.iter().map(read).collect::<Result<Vec<(String, Record)>, String>>()?;
        if self.json {
            let document = json!({
                "generator": format!("{PAGE_GENERATOR}{}", env!("CARGO_PKG_VERSION")),
                "records": records.iter().map(|(name, record)| figures(name, record)).collect::<Vec<Value>>(),
            });
            json::print(&document)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(path) = &self.svg {
            let [(name, record)] = &records[..] else {
                return Err(format!("{}: a plot is of one record: nothing was written; name one", path.display()));
            };
            let plot = plot(name, record).ok_or_else(|| {
                format!("{name}: it has no aligned copies of several sizes to draw: nothing was written; name another")
            })?;
            write(path, &plot)?;
            println!("plot: {}", path.display());
        }
        write(&self.out, &page(&records))?;
        println!("page: {}", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}

impl Report {
    /// The page, if the records are of paths between processes.
    fn paths_page(&self) -> Result<Option<String>, String> {
        let is_of_paths = |folder: &&PathBuf| folder.join(IPC_FILE).exists();
        let Some(folder) = self.records.iter().find(is_of_paths) else { return Ok(None) };
        if self.json || !self.records.iter().all(|folder| is_of_paths(&folder)) {
            return Err(format!(
                "{}: records of paths have a page of their own, and no other: no page was written; name them alone, and for \
                 JSON ask `memcpy-select ipc --json` or `explain --ipc --json`",
                folder.display()
            ));
        }
        let read = |folder: &PathBuf| Ok((name(folder), IpcRecord::read(folder).map_err(|error| error.to_string())?));
        let records = self.records.iter().map(read).collect::<Result<Vec<(String, IpcRecord)>, String>>()?;
        Ok(Some(ipc_page(&records)))
    }
}

/// What a record is called: its folder and the one above, `<machine>/<date>.<n>`.
fn name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut names: Vec<_> = full.iter().rev().take(2).map(|name| name.to_string_lossy()).collect();
    names.reverse();
    names.join("/")
}

/// Writes the page to a new file, or in the place of an older page.
fn write(path: &Path, page: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        format!("{}: {error}: the page is not kept; name a file that can be written with --out", path.display())
    };
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !is_page(path).map_err(failed)? {
                return Err(format!(
                    "{}: there is a file that this verb has not written: it is left as it is; name another with --out",
                    path.display()
                ));
            }
            return fs::write(path, page).map_err(failed);
        }
        created => created.map_err(failed)?,
    };
    file.write_all(page.as_bytes()).map_err(failed)
}

/// Whether a file is a page or a plot of ours, by its head.
fn is_page(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let marks = ["<meta name=\"generator\" content=\"", "<metadata>"];
    Ok(marks.iter().any(|mark| head.contains(&format!("{mark}{PAGE_GENERATOR}"))))
}

/// A record's figures. What was not measured is null.
fn figures(name: &str, record: &Record) -> Value {
    let summary = Summary::of(&record.samples);
    let mut rounds: HashMap<(Cell, &str), usize> = HashMap::new();
    for sample in &record.samples {
        *rounds.entry((sample.cell, &sample.contender)).or_default() += 1;
    }
    let environment = &record.environment;
    let cpu = &environment.cpu;
    let cells: Vec<Value> = summary.cells.iter().map(|cell| of_cell(cell, &summary, &rounds)).collect();
    json!({
        "name": name,
        "bench": record.bench,
        "machine": environment.machine,
        "date": environment.date,
        "effort": environment.effort,
        "noise_floor": summary.noise_floor,
        "cpu": {
            "name": cpu.name,
            "microarchitecture": cpu.microarchitecture,
            "signature": cpu.signature,
            "hypervisor": cpu.hypervisor,
            "features": cpu.features,
            "l1d_bytes": cpu.l1d_bytes,
            "l2_bytes": cpu.l2_bytes,
            "l3_bytes": cpu.l3_bytes,
            "core_cycles_per_ns": environment.clock.core_cycles_per_ns,
        },
        "libc": environment.system.libc,
        "plan": environment.plan,
        "conditions": environment.conditions,
        "left_out": record.failures.iter().map(of_failure).collect::<Vec<Value>>(),
        "tables": record.tables.iter().map(Table::name).collect::<Vec<&str>>(),
        "cells": cells,
    })
}

/// A contender that has no timing in a cell.
fn of_failure(failure: &Failure) -> Value {
    let Cell { len_bytes, dst_offset, src_offset, residency } = failure.cell;
    json!({
        "name": failure.contender,
        "len_bytes": len_bytes,
        "dst_offset": dst_offset,
        "src_offset": src_offset,
        "residency": residency.name(),
        "error": failure.cause,
    })
}

fn of_cell(cell: &CellSummary, summary: &Summary, rounds: &HashMap<(Cell, &str), usize>) -> Value {
    let Cell { len_bytes, dst_offset, src_offset, residency } = cell.cell;
    // A sequence of calls has no length.
    let is_single = !matches!(residency, Residency::Calls(_));
    let mut names: Vec<&str> = rounds.keys().filter(|(of, _)| *of == cell.cell).map(|(_, name)| *name).collect();
    names.sort_unstable();
    let contenders = names.into_iter().filter_map(|name| {
        Some(json!({
            "name": name,
            "median_ns": cell.copy_ns(name)?,
            "quartiles_ns": cell.quartiles_ns(name).map(|(lower, upper)| [lower, upper]),
            "spread": cell.spread(name),
            "gb_per_s": cell.gb_per_s(name).filter(|_| is_single),
            "bytes_per_cycle": cell.bytes_per_cycle(name).filter(|_| is_single),
            "time_over_libc": cell.time_ratio(name, LIBC),
            "rounds": rounds.get(&(cell.cell, name)),
        }))
    });
    json!({
        "len_bytes": len_bytes,
        "dst_offset": dst_offset,
        "src_offset": src_offset,
        "residency": residency.name(),
        "fastest": cell.fastest(),
        "winner": cell.winner(summary.noise_floor).map(|winner| winner.name),
        "ties": cell.winner(summary.noise_floor).map(|winner| winner.ties),
        "memcpy_auto_over_best": cell.regret(),
        "contenders": contenders.collect::<Vec<Value>>(),
    })
}
