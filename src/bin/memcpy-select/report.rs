//! `report`: one HTML page, or one JSON document, from records.

use crate::records::{self, Kind};
use crate::{caveats, json};
use clap::Args;
use memcpy_select::measure::cell::{Cell, Residency};
use memcpy_select::measure::contender::LIBC;
use memcpy_select::measure::summary::{CellSummary, Summary};
use memcpy_select::measure::sweep::Failure;
use memcpy_select::record::{Environment, IpcRecord, Record, Table, file, is_record};
use memcpy_select::report::{PAGE_GENERATOR, count, ipc_page, page, plot, print, say};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write one self-contained HTML page from records, or list the records in a folder.
///
/// The page needs no network and no script. Records of bench `select` are shown with plots; several beside each other.
/// Records of paths between processes have a page of their own, named <out>-paths where there are others too.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Report {
    /// Folders of records: results/<machine>/<date>.<n>; or a folder that has some, which are listed
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

const AFTER_HELP: &str = "\
Examples:
  memcpy-select report results
      The records that there are: machine, CPU, bench, date, and whether each is complete
  memcpy-select report results/amd-26-2-1-kvm/2026-11-23.12
      The page of one, report.html
  memcpy-select report results/*/* --out machines.html
      All of them beside each other; what is no record is passed over with a note
  memcpy-select report results/intel-6-167-1-masked-kvm/2026-11-24.6 --json
      The figures of one, of whatever bench it is";

/// The records that a page or a document is of, and whether all that was named could be read.
struct Read {
    copies: Vec<(String, Record)>,
    paths: Vec<(String, IpcRecord)>,
    is_whole: bool,
}

impl Report {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.targets {
            return crate::targets::run(&self.records, self.json);
        }
        let within: Vec<Vec<PathBuf>> = self.records.iter().map(|folder| records::within(folder)).collect();
        if within.iter().all(|found| !found.is_empty()) {
            return records::list(&within.concat(), self.json);
        }
        let read = self.read(&within)?;
        if self.json {
            let copies = read.copies.iter().map(|(name, record)| figures(name, record));
            let paths = read.paths.iter().map(|(name, record)| Ok(of_paths(name, record)));
            json::print(&json!({
                "generator": format!("{PAGE_GENERATOR}{}", env!("CARGO_PKG_VERSION")),
                "records": copies.chain(paths).collect::<Result<Vec<Value>, String>>()?,
            }))?;
        } else {
            self.write_pages(&read)?;
        }
        Ok(if read.is_whole { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }

    /// What was named, by kind. Where several are, one that is no record is passed over, and so is one that cannot be read,
    /// which is an error all the same.
    fn read(&self, within: &[Vec<PathBuf>]) -> Result<Read, String> {
        let mut read = Read { copies: Vec::new(), paths: Vec::new(), is_whole: true };
        let is_alone = self.records.len() == 1;
        for (folder, within) in self.records.iter().zip(within) {
            if !is_alone && !is_record(folder) {
                let why = match within.len() {
                    0 => "this is no record".to_owned(),
                    some => format!("this is no record, but has {}: name them, or it alone", count(some, "record")),
                };
                say(format_args!("note: {}: {why}; it is passed over", folder.display()));
                continue;
            }
            let name = records::name(folder);
            match Kind::read(folder) {
                Ok(Kind::Copies(record)) => {
                    note(&caveats::of_record(folder, &record));
                    read.copies.push((name, record));
                }
                Ok(Kind::Paths(record)) => {
                    note(&caveats::of_paths(folder, &record));
                    read.paths.push((name, record));
                }
                Err(error) if is_alone => return Err(error.to_string()),
                Err(error) => {
                    say(format_args!("error: {error}"));
                    read.is_whole = false;
                }
            }
        }
        if read.copies.is_empty() && read.paths.is_empty() {
            return Err(
                "there is no record among what was named: nothing was written; `memcpy-select report results` lists \
                        those in a folder"
                    .to_owned(),
            );
        }
        Ok(read)
    }

    fn write_pages(&self, read: &Read) -> Result<(), String> {
        let Read { copies, paths, .. } = read;
        let mut pages: Vec<(PathBuf, String, String)> = Vec::new();
        if let Some(path) = &self.svg {
            let ([(name, record)], []) = (&copies[..], &paths[..]) else {
                return Err(format!(
                    "{}: a plot is of one record of copies: nothing was written; name one",
                    path.display()
                ));
            };
            let plot = plot(name, record).ok_or_else(|| {
                format!("{name}: it has no aligned copies of several sizes to draw: nothing was written; name another")
            })?;
            pages.push((path.clone(), plot, "plot".to_owned()));
        }
        if !copies.is_empty() {
            pages.push((self.out.clone(), page(copies), "page".to_owned()));
        }
        if !paths.is_empty() {
            let of_paths = if copies.is_empty() { self.out.clone() } else { beside(&self.out) };
            pages.push((of_paths, ipc_page(paths), "page".to_owned()));
        }
        // All of them can be written, or none is.
        pages.iter().try_for_each(|(path, ..)| may_write(path))?;
        for (path, page, what) in &pages {
            write(path, page)?;
            print(format_args!("{what}: {}\n", path.display()))?;
        }
        Ok(())
    }
}

fn note(notes: &[String]) {
    notes.iter().for_each(|note| say(format_args!("note: {note}")));
}

/// `report-paths.html` beside `report.html`.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_stem().unwrap_or_default().to_owned();
    name.push("-paths");
    if let Some(extension) = out.extension() {
        name.push(".");
        name.push(extension);
    }
    out.with_file_name(name)
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}: the page is not kept; name a file that can be written with --out", path.display())
}

/// Whether a page can be written there: nothing is there, or an older page.
fn may_write(path: &Path) -> Result<(), String> {
    file::may_replace(path).map_err(|error| failed(path, &error))?;
    if path.exists() && !is_page(path).map_err(|error| failed(path, &error))? {
        return Err(format!(
            "{}: there is a file that this verb has not written: it is left as it is; name another with --out",
            path.display()
        ));
    }
    Ok(())
}

/// Writes the page to a new file, or in the place of an older page.
fn write(path: &Path, page: &str) -> Result<(), String> {
    let written =
        if path.exists() { file::replace(path, page.as_bytes()) } else { file::create(path, page.as_bytes()) };
    written.map_err(|error| failed(path, &error))
}

/// Whether a file is a page or a plot of ours, by its head.
fn is_page(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let marks = ["<meta name=\"generator\" content=\"", "<metadata>"];
    Ok(marks.iter().any(|mark| head.contains(&format!("{mark}{PAGE_GENERATOR}"))))
}

/// What a record of any kind says of where and how it ran.
fn facts(name: &str, bench: &str, environment: &Environment, complete: bool) -> Value {
    let cpu = &environment.cpu;
    json!({
        "name": name,
        "bench": bench,
        "complete": complete,
        "machine": environment.machine,
        "date": environment.date,
        "effort": environment.effort,
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
    })
}

/// The figures of a record of paths, as `ipc --json` prints them.
fn of_paths(name: &str, record: &IpcRecord) -> Value {
    let mut all = facts(name, "ipc", &record.environment, record.complete);
    if let (Some(all), Value::Object(figures)) = (all.as_object_mut(), crate::ipc::figures(record, &record.summary())) {
        all.extend(figures);
    }
    all
}

/// The rows of the further files that have no figures of their own, each as an object with the names of its columns.
fn rows(record: &Record) -> Result<Value, String> {
    let mut files = Map::new();
    for table in record.tables.iter().filter(|table| !table.name().starts_with(XSAVE)) {
        let cells = table.cells().map_err(|error| error.to_string())?;
        let Some((heads, rows)) = cells.split_first() else { continue };
        let value = |cell: &String| match (cell.parse::<i64>(), cell.parse::<f64>()) {
            (Ok(number), _) => json!(number),
            (_, Ok(number)) if number.is_finite() => json!(number),
            _ => json!(cell),
        };
        let row = |row: &Vec<String>| -> Value {
            heads.iter().zip(row).map(|(head, cell)| (head.clone(), value(cell))).collect::<Map<_, _>>().into()
        };
        files.insert(table.name().to_owned(), rows.iter().map(row).collect());
    }
    Ok(files.into())
}

/// What the names of the files begin with that the figures of `xsave` are computed from.
const XSAVE: &str = "xsave";

/// The figures of a record of the verb `xsave`; nothing of others.
#[cfg(target_arch = "x86_64")]
fn of_sections(record: &Record) -> Result<Option<Value>, String> {
    use memcpy_select::report::xsave::{Figures, Parameters};
    if record.table(XSAVE).is_none() {
        return Ok(None);
    }
    let figures = Figures::of(record, &Parameters::default()).map_err(|error| error.to_string())?;
    serde_json::to_value(&figures).map(Some).map_err(|error| error.to_string())
}

#[cfg(not(target_arch = "x86_64"))]
fn of_sections(_record: &Record) -> Result<Option<Value>, String> {
    Ok(None)
}

/// A record's figures. What was not measured is null.
fn figures(name: &str, record: &Record) -> Result<Value, String> {
    let summary = Summary::of(&record.samples);
    let mut rounds: HashMap<(Cell, &str), usize> = HashMap::new();
    for sample in &record.samples {
        *rounds.entry((sample.cell, &sample.contender)).or_default() += 1;
    }
    let cells: Vec<Value> = summary.cells.iter().map(|cell| of_cell(cell, &summary, &rounds)).collect();
    let mut all = facts(name, &record.bench, &record.environment, record.complete);
    let figures = [
        ("noise_floor", json!(summary.noise_floor)),
        ("left_out", record.failures.iter().map(of_failure).collect()),
        ("tables", record.tables.iter().map(Table::name).collect()),
        ("rows", rows(record)?),
        ("xsave", json!(of_sections(record)?)),
        ("cells", json!(cells)),
    ];
    for (name, value) in figures {
        all[name] = value;
    }
    Ok(all)
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
