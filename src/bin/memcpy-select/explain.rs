//! `explain`: what `memcpy_auto` picks for a length, and why.

use crate::{caveats, json, sections};
use clap::{Args, ValueEnum};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::words::length;
use memcpy_select::record::{Record, newest_record};
use memcpy_select::report::{Explanation, print, say};
use memcpy_select::select::{self, CpuName};
use memcpy_select::xsave::Verdict;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what memcpy_auto picks for a length on this CPU, what limits such a copy, and what the record has measured.
#[derive(Args)]
#[command(after_help = "Example: memcpy-select explain 4096 --dst-offset 1 --src-offset 2048")]
pub struct Explain {
    /// The length, as in 64, 4k or 1MiB (see `memcpy-select --help`)
    #[arg(value_parser = length)]
    len: usize,
    /// Where the destination starts in its page
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = length)]
    dst_offset: usize,
    /// Where the source starts in its page
    #[arg(long, value_name = "BYTES", default_value = "2048", value_parser = length)]
    src_offset: usize,
    /// What the caller may use
    #[arg(long, value_enum, default_value_t = Policy::User)]
    policy: Policy,
    /// The folder of a record, instead of the newest of this CPU in results/
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Explain a payload of that length between two processes instead, from a record of the verb `ipc`
    #[arg(long, conflicts_with_all = ["dst_offset", "src_offset", "policy"])]
    ipc: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    User,
    NoSimd,
    Section,
}

/// The newest record of a CPU in the folder of results. Without one there is nothing measured to tell, which is said; what
/// is in the way of reading it is said as well.
fn newest(signature: &str) -> Option<(PathBuf, Record)> {
    let results = Path::new("results");
    if !results.is_dir() {
        return None;
    }
    newest_record(results, signature).unwrap_or_else(|error| {
        say(format_args!("warning: {error}"));
        None
    })
}

/// What a reader has to know of the record before its figures.
fn notes(folder: &Path, record: &Record, here: &str) -> Vec<String> {
    let mut notes = caveats::of_record(folder, record);
    notes.extend(caveats::other_cpu(folder, &record.environment, here));
    if record.bench != "select" && record.bench != "sweep" {
        let bench = &record.bench;
        notes.push(format!(
            "{} is of bench {bench}, which is not about lengths: `select` and `sweep` are",
            folder.display()
        ));
    }
    notes
}

impl Explain {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.ipc {
            return super::ipc::explain(self.len, self.record.as_deref(), self.json);
        }
        let cpu = Cpu::detect();
        let policy = match self.policy {
            Policy::User => select::Policy::User,
            Policy::NoSimd => select::Policy::NoSimd,
            Policy::Section => select::Policy::Section,
        };
        let record = match &self.record {
            Some(folder) => Some((folder.clone(), Record::read(folder).map_err(|error| error.to_string())?)),
            None => newest(&CpuName::of(&cpu.signature).to_string()),
        };
        let here = CpuName::of(&cpu.signature).to_string();
        let notes = record.as_ref().map(|(folder, record)| notes(folder, record, &here)).unwrap_or_default();
        let sections = match self.policy {
            Policy::Section => sections::at_length(&here, self.len)?,
            Policy::User | Policy::NoSimd => Vec::new(),
        };
        let place = (self.dst_offset, self.src_offset);
        let figures = record.as_ref().map(|(_, record)| record);
        let explanation = Explanation::of(&cpu, policy, self.len, place, figures);
        if self.json {
            let measured = explanation.measured.as_ref().map(|measured| {
                let figures: Vec<_> = measured
                    .figures
                    .iter()
                    .map(|(name, ns, per_cycle)| json!({"name": name, "ns": ns, "bytes_per_cycle": per_cycle}))
                    .collect();
                json!({"len_bytes": measured.len_bytes, "figures": figures})
            });
            let document = json!({
                "len_bytes": explanation.len_bytes, "class": explanation.class.name(), "kernel": explanation.kernel,
                "from_bytes": explanation.band.0, "up_to_bytes": explanation.band.1,
                "plan_origin": explanation.origin.name(), "inferred_limit": explanation.limit,
                "sections": sections.iter().map(|at| json!({
                    "copies": at.copies, "section_cycles": at.section_cycles, "plain_cycles": at.plain_cycles,
                    "verdict": format!("{:?}", at.verdict).to_lowercase(),
                })).collect::<Vec<_>>(),
                "measured": measured, "record": record.map(|(folder, _)| folder), "notes": notes,
            });
            json::print(&document)?;
        } else {
            print(format_args!("{}{explanation}", caveats::text(&notes)))?;
            for at in &sections {
                let verdict = match at.verdict {
                    Verdict::Vector => "vector registers win",
                    Verdict::Tie => "a tie",
                    Verdict::Plain => "without is faster",
                };
                print(format_args!(
                    "  sections  of {:>2}: {:.0} cycles a copy, {:.0} without: {verdict}\n",
                    at.copies, at.section_cycles, at.plain_cycles
                ))?;
            }
            if let Some((folder, _)) = record {
                print(format_args!("  record    {}\n", folder.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
