//! From records to the profiles in `src/select/profiles.rs`: one plan for each CPU that has a record of bench `select`.
//!
//! All records count whose kernels are those of the newest, if they were made with default effort at least and beside an
//! untuned libc: what one day's neighbours did to the memory, another day's did not. Per length, the copies in hot
//! buffers, those that are read afterwards, those between cold ones and those beside busy cores weigh the same,
//! however many placements each was measured at: nobody knows in which of these ways a caller's data is found and used,
//! and a plan that only one of them likes would be a plan for a benchmark.

use super::folder::{Record, RecordError};
use crate::kernel::{Kernel, Stores, kernels};
use crate::measure::cell::Residency;
use crate::measure::effort::Effort;
use crate::measure::statistics::median;
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
    let counted = counted(results)?;
    for (cpu, records) in &counted {
        for policy in [Policy::User, Policy::NoSimd] {
            let Some(text) = profile(cpu, records, policy) else { continue };
            for (folder, _) in records {
                let _ = write!(source, "\n    // {}", folder.strip_prefix(results).unwrap_or(folder).display());
            }
            source.push_str("\n    \"\\\n");
            text.lines().for_each(|line| _ = writeln!(source, "{line}"));
            source.push_str("\",");
        }
    }
    source.push_str(if counted.is_empty() { "];\n" } else { "\n];\n" });
    Ok(source)
}

/// The newest record under a folder that counts for a CPU signature, if there is one.
///
/// # Errors
///
/// [`RecordError`] if a record cannot be read.
pub fn newest_record(results: &Path, signature: &str) -> Result<Option<(PathBuf, Record)>, RecordError> {
    Ok(counted(results)?.remove(signature).and_then(|mut records| records.pop()))
}

type Records = Vec<(PathBuf, Record)>;

/// For each CPU the records that count, oldest first.
fn counted(results: &Path) -> Result<BTreeMap<String, Records>, RecordError> {
    let mut found: BTreeMap<String, Records> = BTreeMap::new();
    for folder in record_folders(results)? {
        let record = Record::read(&folder)?;
        if record.bench == BENCH {
            found.entry(record.environment.cpu.signature.clone()).or_default().push((folder, record));
        }
    }
    let is_first_rate = |(_, record): &(PathBuf, Record)| {
        record.environment.effort != Effort::Quick.name() && record.environment.system.libc_tunables.is_none()
    };
    for records in found.values_mut() {
        if records.iter().any(is_first_rate) {
            records.retain(is_first_rate);
        }
        let kernels = records.last().map(|(_, newest)| newest.environment.kernels.clone());
        records.retain(|(_, record)| Some(&record.environment.kernels) == kernels.as_ref());
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
fn profile(cpu: &str, records: &Records, policy: Policy) -> Option<String> {
    let plan = plan(records.iter().map(|(_, record)| record), policy)?;
    Some(PlanText { cpu: CpuName::named(cpu)?, policy, plan }.to_string())
}

/// The best plan for the figures of these records, all of one CPU.
pub fn plan<'a>(records: impl Iterator<Item = &'a Record> + Clone, policy: Policy) -> Option<Plan> {
    let newest = &records.clone().last()?.environment;
    let available =
        |kernel: &&Kernel| newest.kernels.iter().any(|known| known.name == kernel.name() && known.available);
    let is_allowed = |kernel: &&Kernel| policy == Policy::User || kernel.writes().is_empty();
    let own = kernels().iter().filter(|kernel| kernel.stores() != Stores::Unknown && !kernel.restores());
    let candidates: Vec<&'static Kernel> = own.filter(available).filter(is_allowed).collect();
    let summaries: Vec<Summary> = records.map(|record| Summary::of(&record.samples)).collect();
    let points: Vec<Point> = summaries.iter().flat_map(|summary| points(summary, &candidates, policy)).collect();
    let floors: Vec<f64> = summaries.iter().map(|summary| summary.noise_floor).collect();
    let limits = formula::natural_limits(newest.cpu.l1d_bytes, newest.cpu.l2_bytes, newest.cpu.l3_bytes);
    choose(&candidates, &points, &limits, Terms::of_noise(median(&floors)?))
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
