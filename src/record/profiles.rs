//! From records to the profiles in `src/select/profiles.rs`: one plan for each CPU that has a record of bench `select`.
//! What `sweep` measures is a choice of its user's, which makes no plan for everybody.
//!
//! All records count whose kernels are those of the newest, if they were made with default effort at least and beside an
//! untuned libc: what one day's neighbours did to the memory, another day's did not. Per length, each way of use has its
//! [weight], however many placements it was measured at: a plan that only a loop likes would be a plan for a benchmark. For
//! the same reason a non-temporal kernel counts only at lengths at which it wins when the copy is read afterwards. A profile
//! that the formulas beat on its own records is not made: what is known of a design holds for more than these.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::{Record, age, is_unused, read_environment};
use super::plan::{least_bytes, plan, ratio_of_plans, weight};
use super::progress::Progress;
use crate::cpu::MASKED;
use crate::measure::cell::{Cell, Residency};
use crate::measure::effort::Effort;
use crate::measure::statistics::geometric_mean;
use crate::measure::summary::Summary;
use crate::select::{Class, CpuName, Plan, PlanText, Policy, formula};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The bench whose records make profiles.
pub(super) const BENCH: &str = "select";

/// Where the generated source stands, from the package's folder.
pub const PROFILES_FILE: &str = "src/select/profiles.rs";

/// The folder under the results in which runs on this machine are kept: no profile is made from them, and version control
/// ignores them. `memcpy-select contribute` takes one out of it.
pub const LOCAL: &str = "local";

/// The newest record under a folder that counts for a CPU signature, runs on this machine included, if there is one.
/// Others are not read further than to see whose they are.
///
/// # Errors
///
/// [`RecordError`] if an environment, or the record itself, cannot be read.
pub fn newest_record(results: &Path, signature: &str) -> Result<Option<(PathBuf, Record)>, RecordError> {
    let mut folders = all_folders(results)?;
    folders.retain(|folder| !is_unused(folder));
    let mut own = Vec::new();
    for folder in folders.into_iter().rev() {
        let (environment, progress) = read_environment(&folder)?;
        if environment.cpu.signature == signature && progress.complete {
            own.push((folder, is_first_rate(&environment)));
        }
    }
    // Those that make no profile while there are others come last.
    own.sort_by_key(|(_, is_first_rate)| !is_first_rate);
    for (folder, _) in own {
        let record = Record::read(&folder)?;
        if record.bench == BENCH {
            return Ok(Some((folder, record)));
        }
    }
    Ok(None)
}

/// Whether a record counts where there are others that do not.
pub(super) fn is_first_rate(environment: &Environment) -> bool {
    environment.effort != Effort::Quick.name() && environment.system.libc_tunables.is_none()
}

/// The newest record of a bench under a folder that was made on a CPU of that signature, runs on this machine included, if
/// there is one.
///
/// # Errors
///
/// [`RecordError`] if a record cannot be read.
pub fn newest_of_bench(results: &Path, signature: &str, bench: &str) -> Result<Option<(PathBuf, Record)>, RecordError> {
    for folder in all_folders(results)?.into_iter().rev() {
        let progress = Progress::read(&folder)?;
        if progress.complete && progress.bench.as_deref() == Some(bench) {
            let record = Record::read(&folder)?;
            if record.environment.cpu.signature == signature {
                return Ok(Some((folder, record)));
            }
        }
    }
    Ok(None)
}

type Records = Vec<(PathBuf, Record)>;

/// The records under a folder: which make profiles, and which do not.
#[derive(Debug)]
pub struct Survey {
    results: PathBuf,
    /// For each CPU the records that count, oldest first.
    counted: BTreeMap<String, Records>,
    /// The others, and why.
    passed_over: Vec<(PathBuf, String)>,
}

/// A plan that records give.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The folders of the records, from the results' folder, oldest first.
    pub records: Vec<PathBuf>,
    /// The plan, the CPU and what its caller may use.
    pub text: PlanText,
}

impl Survey {
    /// Reads the records under a folder, of those that can make no profile only what says so. Folders whose name begins
    /// with a dot are those of runs that did not come to write a record; they are not looked at, nor is [`LOCAL`], and a
    /// folder in which nothing was written is passed over.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if a record cannot be read.
    pub fn of(results: &Path) -> Result<Self, RecordError> {
        Self::among(results, &|_| true)
    }

    /// The same of the records with these names alone, `<machine>/<date>.<n>`: the others are passed over.
    ///
    /// # Errors
    ///
    /// As for [`of`](Self::of).
    pub fn of_named(results: &Path, names: &[&str]) -> Result<Self, RecordError> {
        Self::among(results, &|name| names.iter().any(|wanted| name == Path::new(wanted)))
    }

    fn among(results: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> Result<Self, RecordError> {
        let mut counted: BTreeMap<String, Records> = BTreeMap::new();
        let mut passed_over = Vec::new();
        for folder in record_folders(results)? {
            if is_unused(&folder) {
                passed_over.push((folder, "nothing was written in it".to_owned()));
                continue;
            }
            let progress = Progress::read(&folder)?;
            if !progress.complete {
                passed_over.push((folder, "its run did not come to its end".to_owned()));
                continue;
            }
            let record = match progress.bench {
                Some(bench) if bench != BENCH => Err(bench),
                _ if !is_wanted(folder.strip_prefix(results).unwrap_or(&folder)) => {
                    passed_over.push((folder, "the profiles were made without it".to_owned()));
                    continue;
                }
                // Older records name it in their rows alone.
                _ => {
                    Ok(Record::read(&folder)?).and_then(|one| if one.bench == BENCH { Ok(one) } else { Err(one.bench) })
                }
            };
            match record {
                Ok(record) => {
                    counted.entry(record.environment.cpu.signature.clone()).or_default().push((folder, record));
                }
                Err(bench) => passed_over.push((folder, format!("records of bench {bench} make no profile"))),
            }
        }
        let is_first_rate = |(_, record): &(PathBuf, Record)| is_first_rate(&record.environment);
        let mut keep = |records: &mut Records, counts: &dyn Fn(&(PathBuf, Record)) -> bool, why: &str| {
            for (folder, _) in records.extract_if(.., |one| !counts(one)) {
                passed_over.push((folder, why.to_owned()));
            }
        };
        for records in counted.values_mut() {
            if records.iter().any(is_first_rate) {
                keep(records, &is_first_rate, "it was quick, or beside a tuned libc, and there are others");
            }
            let Some(kernels) = records.last().map(|(_, newest)| newest.environment.kernels.clone()) else { continue };
            keep(records, &|(_, one)| one.environment.kernels == kernels, "it has other kernels than the newest");
        }
        Ok(Self { results: results.to_owned(), counted, passed_over })
    }

    /// The records that make no profile, and why.
    pub fn passed_over(&self) -> &[(PathBuf, String)] {
        &self.passed_over
    }

    /// The profiles, by CPU and policy.
    pub fn profiles(&self) -> Vec<Profile> {
        let mut profiles = Vec::new();
        for (cpu, records) in &self.counted {
            for policy in [Policy::User, Policy::NoSimd] {
                let Some(text) = profile(cpu, records, policy) else { continue };
                let name =
                    |(folder, _): &(PathBuf, Record)| folder.strip_prefix(&self.results).unwrap_or(folder).to_owned();
                let records = records.iter().map(name).collect();
                profiles.push(Profile { records, text });
            }
        }
        profiles
    }

    /// The profiles as source.
    pub fn source(&self) -> String {
        let mut source = String::from(
            "//! Plans of measured CPUs. Generated from `results/` by `cargo run --release --features cli -- profiles`: not to be\n\
             //! edited.\n\
             \n\
             use super::cpu_name::CpuName;\n\
             use super::recorded::{Profile, plan};\n\
             use super::{Policy, Small};\n\
             use crate::cpu::Vendor;\n\
             \n\
             #[rustfmt::skip]\n\
             pub(super) static PROFILES: &[Profile] = &[",
        );
        let profiles = self.profiles();
        profiles.iter().for_each(|profile| profile_source(&mut source, profile));
        source.push_str(if profiles.is_empty() { "];\n" } else { "\n];\n" });
        source
    }
}

/// A profile as an expression.
fn profile_source(source: &mut String, Profile { records, text: PlanText { cpu, policy, plan } }: &Profile) {
    source.push_str("\n    Profile {\n        records: &[\n");
    for record in records {
        let _ = writeln!(source, "            \"{}\",", record.display());
    }
    let cpu = cpu.to_string();
    let (name, masked) = cpu.strip_suffix(MASKED).map_or((&*cpu, ""), |name| (name, ".masked()"));
    let (vendor, numbers) = name.split_once('-').unwrap_or((name, ""));
    let vendor: String = vendor[..1].to_uppercase() + &vendor[1..];
    let numbers = numbers.replace('-', ", ");
    let _ = writeln!(source, "        ],\n        cpu: CpuName::new(Vendor::{vendor}, {numbers}){masked},");
    let _ = writeln!(source, "        policy: Policy::{policy:?},\n        plan: plan(&[");
    for band in plan.bands() {
        let limit = match band.up_to_bytes() {
            usize::MAX => "usize::MAX".to_owned(),
            bytes => bytes.to_string(),
        };
        let kernel = band.kernel(Class::ALL[0]).name();
        let others = Class::ALL.into_iter().filter(|class| band.kernel(*class).name() != kernel);
        let others: Vec<String> =
            others.map(|class| format!("({:?}, {:?})", class.name(), band.kernel(class).name())).collect();
        let _ = writeln!(source, "            ({limit}, {kernel:?}, &[{}]),", others.join(", "));
    }
    let _ = write!(source, "        ], Small::{:?}),\n    }},", plan.small());
}

/// All records, those of [`LOCAL`] after the others: what was measured on this machine tells more of it.
pub(super) fn all_folders(results: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let mut all = record_folders(results)?;
    let local = results.join(LOCAL);
    if local.is_dir() {
        all.extend(record_folders(&local)?);
    }
    Ok(all)
}

/// All records, by day, number of the day and machine, without those of [`LOCAL`].
pub(super) fn record_folders(results: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let folders = |path: &Path| -> Result<Vec<PathBuf>, RecordError> {
        let unreadable =
            |error: std::io::Error| RecordError::Unreadable { path: path.into(), cause: error.to_string() };
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        Ok(paths.map_err(unreadable)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path)).collect())
    };
    let mut all = Vec::new();
    for machine in folders(results)?.into_iter().filter(|machine| !machine.ends_with(LOCAL)) {
        all.extend(folders(&machine)?);
    }
    all.sort_by_key(|folder| (age(folder), folder.clone()));
    Ok(all)
}

/// A CPU's profile; nothing where no kernel of ours was measured, or where the formulas are better on the same
/// figures: what is known of the design holds for more than these.
fn profile(cpu: &str, records: &Records, policy: Policy) -> Option<PlanText> {
    let all = records.iter().map(|(_, record)| record);
    let plan = plan(all.clone(), policy)?;
    let known = records.last()?.1.environment.cpu.cpu();
    let formulas = known.map(|cpu| formula::plan(&cpu, policy));
    if formulas.and_then(|formulas| time_ratio(all, &plan, &formulas, policy)).is_some_and(|ratio| ratio > 1.0) {
        return None;
    }
    Some(PlanText { cpu: CpuName::named(cpu)?, policy, plan })
}

/// Time under one plan over time under another: geometric mean over all lengths of the records, those between powers of two
/// included, each way of use by its [weight].
fn time_ratio<'a>(records: impl Iterator<Item = &'a Record>, plan: &Plan, other: &Plan, policy: Policy) -> Option<f64> {
    // Of each length and way of use, the mean over the places comes first.
    let mut ratios: BTreeMap<(usize, Residency), Vec<f64>> = BTreeMap::new();
    for cell in records.flat_map(|record| Summary::of(&record.samples).cells) {
        let Cell { len_bytes, residency, .. } = cell.cell;
        if let Some(ratio) = ratio_of_plans(&cell, plan, other).filter(|_| len_bytes >= least_bytes(policy)) {
            ratios.entry((len_bytes, residency)).or_default().push(ratio);
        }
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    for ((_, residency), ratios) in ratios {
        sum += weight(residency) * geometric_mean(ratios)?.ln();
        weights += weight(residency);
    }
    (weights > 0.0).then(|| (sum / weights).exp())
}
