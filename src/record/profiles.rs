//! From records to the profiles in `src/select/profiles.rs`: one plan for each CPU that has a record of bench `select`.
//!
//! The newest record of a CPU counts, one made at least with default effort where there is one. Per length, the copies
//! in hot buffers, those that are read afterwards, those between cold ones and those beside busy cores weigh the same,
//! however many placements each was measured at: nobody knows in which of these ways a caller's data is found and used,
//! and a plan that only one of them likes would be a plan for a benchmark.

use super::folder::{Record, RecordError};
use crate::kernel::{Kernel, Stores, kernels};
use crate::measure::cell::Residency;
use crate::measure::effort::Effort;
use crate::measure::summary::{CellSummary, Summary};
use crate::select::choose::{Point, Terms, choose};
use crate::select::{CpuName, INLINE_MAX_BYTES, Plan, PlanText, Policy, formula};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The bench whose records make profiles.
const BENCH: &str = "select";

/// Where the generated source stands, from the package's folder.
pub const PROFILES_FILE: &str = "src/select/profiles.rs";

/// The source of the profiles that the records under a folder give.
///
/// # Errors
///
/// [`RecordError`] if a record cannot be read, or gives no plan.
pub fn profiles_source(results: &Path) -> Result<String, RecordError> {
    let mut source = String::from(
        "//! Plans of measured CPUs. Generated from `results/` by `cargo run --release --features cli -- profiles`: not to be\n\
         //! edited.\n\npub(super) static PROFILES: &[&str] = &[",
    );
    let newest = newest(results)?;
    for (cpu, (folder, record)) in &newest {
        for policy in [Policy::User, Policy::NoSimd] {
            let Some(text) = profile(cpu, record, policy) else { continue };
            let name = folder.strip_prefix(results).unwrap_or(folder).display();
            let _ = write!(source, "\n    // {name}\n    \"\\\n");
            text.lines().for_each(|line| _ = writeln!(source, "{line}"));
            source.push_str("\",");
        }
    }
    source.push_str(if newest.is_empty() { "];\n" } else { "\n];\n" });
    Ok(source)
}

type Newest = BTreeMap<String, (PathBuf, Record)>;

/// For each CPU the record that counts.
fn newest(results: &Path) -> Result<Newest, RecordError> {
    let mut found = Newest::new();
    for folder in record_folders(results)? {
        let record = Record::read(&folder)?;
        if record.bench != BENCH {
            continue;
        }
        let is_quick = |record: &Record| record.environment.effort == Effort::Quick.name();
        // Folders come in order of age: a later one replaces an earlier one unless it was made with less care.
        let cpu = record.environment.cpu.signature.clone();
        if found.get(&cpu).is_none_or(|(_, known)| is_quick(known) || !is_quick(&record)) {
            found.insert(cpu, (folder, record));
        }
    }
    Ok(found)
}

/// All records, by machine, day and number of the day.
fn record_folders(results: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let folders = |path: &Path| -> Result<Vec<PathBuf>, RecordError> {
        let unreadable =
            |error: std::io::Error| RecordError::Unreadable { path: path.into(), cause: error.to_string() };
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        Ok(paths.map_err(unreadable)?.into_iter().filter(|path| path.is_dir()).collect())
    };
    let age = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (date, number) = name.rsplit_once('.').unwrap_or((&name, ""));
        (date.to_owned(), number.parse::<u32>().unwrap_or(0), folder.clone())
    };
    let mut all = Vec::new();
    for machine in folders(results)? {
        all.extend(folders(&machine)?);
    }
    all.sort_by_key(age);
    Ok(all)
}

/// The text of a CPU's profile; nothing where no kernel of ours was measured.
fn profile(cpu: &str, record: &Record, policy: Policy) -> Option<String> {
    let plan = plan(record, policy)?;
    Some(PlanText { cpu: CpuName::named(cpu)?, policy, plan }.to_string())
}

/// The best plan for a record's figures.
pub fn plan(record: &Record, policy: Policy) -> Option<Plan> {
    let summary = Summary::of(&record.samples);
    let available = |kernel: &&Kernel| {
        record.environment.kernels.iter().any(|known| known.name == kernel.name() && known.available)
    };
    let is_allowed = |kernel: &&Kernel| policy == Policy::User || kernel.writes().is_empty();
    let own = kernels().iter().filter(|kernel| kernel.stores() != Stores::Unknown);
    let candidates: Vec<&'static Kernel> = own.filter(available).filter(is_allowed).collect();
    let points = points(&summary, &candidates, policy);
    let cpu = &record.environment.cpu;
    let limits = formula::natural_limits(cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes);
    choose(&candidates, &points, &limits, Terms::of_noise(summary.noise_floor))
}

fn points(summary: &Summary, candidates: &[&'static Kernel], policy: Policy) -> Vec<Point> {
    // Without SIMD every length goes by the plan; else only those that are not inlined.
    let least = if policy == Policy::User { INLINE_MAX_BYTES + 1 } else { 1 };
    // Powers of two make the plan; what a record has between them is there to judge it.
    let in_plan = |cell: &&CellSummary| cell.cell.len_bytes >= least && cell.cell.len_bytes.is_power_of_two();
    let cells: Vec<&CellSummary> = summary.cells.iter().filter(in_plan).collect();
    let count = |len_bytes: usize, residency: Residency| {
        let same = cells.iter().filter(|cell| cell.cell.len_bytes == len_bytes && cell.cell.residency == residency);
        same.count() as f64
    };
    let point = |cell: &&CellSummary| {
        let copy_ns: Option<Vec<f64>> = candidates.iter().map(|kernel| cell.copy_ns(kernel.name())).collect();
        let weight = 1.0 / count(cell.cell.len_bytes, cell.cell.residency);
        Some(Point { len_bytes: cell.cell.len_bytes, class: cell.cell.class(), weight, copy_ns: copy_ns? })
    };
    cells.iter().filter_map(point).collect()
}
