//! From records to the profiles in `src/select/profiles.rs`: one plan for each CPU that has a record of bench `select`.
//! What `sweep` measures is its user's choice, and makes no plan for other programs.
//!
//! All records count whose kernels are those of the newest, if they were made with default effort at least and beside an
//! untuned libc: what one day's neighbours did to the memory, another day's did not. Per length, each way of use has its
//! weight, however many placements it was measured at: a plan that only a loop likes would be a plan for a benchmark. For
//! the same reason a non-temporal kernel counts only at lengths at which it wins when the copy is read afterwards. A profile
//! that the formulas beat on its own records is not made: what is known of a design holds for more than these.

use super::{BENCH, CopyRecord};
use crate::cpu::MASKED;
use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::plan::{least_bytes, plan, ratio_of_plans, weight};
use crate::lab::copies::summary::Summary;
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::record::{Progress, RecordError, is_unused, record_folders};
use crate::select::{Class, CpuName, Plan, PlanText, Policy, formula};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the generated source stands, from the package's folder.
pub const PROFILES_FILE: &str = "src/select/profiles.rs";

type Records = Vec<(PathBuf, CopyRecord)>;

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
                _ => Ok(CopyRecord::read(&folder)?)
                    .and_then(|one| if one.bench == BENCH { Ok(one) } else { Err(one.bench) }),
            };
            match record {
                Ok(record) => {
                    counted.entry(record.environment.cpu.signature.clone()).or_default().push((folder, record));
                }
                Err(bench) => passed_over.push((folder, format!("records of bench {bench} make no profile"))),
            }
        }
        let is_first_rate = |(_, record): &(PathBuf, CopyRecord)| record.environment.is_first_rate();
        let mut keep = |records: &mut Records, counts: &dyn Fn(&(PathBuf, CopyRecord)) -> bool, why: &str| {
            for (folder, _) in records.extract_if(.., |one| !counts(one)) {
                passed_over.push((folder, why.to_owned()));
            }
        };
        for records in counted.values_mut() {
            if records.iter().any(is_first_rate) {
                keep(records, &is_first_rate, "it was quick, or beside a tuned libc, and there are others");
            }
            let Some(kernels) = records.last().map(|(_, newest)| newest.environment.kernels.clone()) else {
                continue;
            };
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
                let Some(text) = profile(cpu, records, policy) else {
                    continue;
                };
                let name = |(folder, _): &(PathBuf, CopyRecord)| {
                    folder.strip_prefix(&self.results).unwrap_or(folder).to_owned()
                };
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
fn time_ratio<'a>(
    records: impl Iterator<Item = &'a CopyRecord>,
    plan: &Plan,
    other: &Plan,
    policy: Policy,
) -> Option<f64> {
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
