//! `profiles`: the generated source of the profiles, written or checked.

use crate::json;
use clap::Args;
use memcpy_select::lab::copies::profiles::{PROFILES_FILE, Profile, Survey};
use memcpy_select::lab::record::file;
use memcpy_select::lab::show::{count, hanging, print};
use memcpy_select::select::profiled_records;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Generate the profiles of measured CPUs from the records, in the folder of the crate's source.
///
/// Records of `cargo bench` count, of each CPU those that measured today's kernels; the others are named with the reason.
/// Those of runs on this machine, in results/local, do not: `memcpy-select contribute` moves one to where it does. --check
/// makes the profiles again from the records that they name.
#[derive(Args)]
pub struct Profiles {
    /// Change nothing; exit status 1 if the source is not what the records give
    #[arg(long)]
    check: bool,
    /// Where the records are
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Profiles {
    pub fn run(self) -> Result<ExitCode, String> {
        let survey = if self.check {
            Survey::of_named(&self.results, &profiled_records().collect::<Vec<_>>())
        } else {
            Survey::of(&self.results)
        };
        let survey = survey.map_err(|error| error.to_string())?;
        let generated = survey.source();
        let current = fs::read_to_string(PROFILES_FILE)
            .map_err(|error| format!("{PROFILES_FILE}: {error}: run this in the folder of the crate's source"))?;
        let is_same = generated == current;
        if !is_same && !self.check {
            file::replace(PROFILES_FILE.as_ref(), generated.as_bytes())
                .map_err(|error| format!("{PROFILES_FILE}: {error}"))?;
        }
        let state = match (is_same, self.check) {
            (true, _) => State::Same,
            (false, true) => State::Different,
            (false, false) => State::Written,
        };
        if self.json {
            json::print(&document(&survey, state))?;
        } else {
            print(text(&survey, state))?;
        }
        Ok(if state == State::Different { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// How the source stands to the records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Same,
    Different,
    Written,
}

fn text(survey: &Survey, state: State) -> String {
    let mut text = String::new();
    for (folder, why) in survey.passed_over() {
        text.push_str(&hanging(4, &format!("passed over: {}: {why}", folder.display())));
    }
    let profiles = count(survey.profiles().len(), "profile");
    let _ = match state {
        State::Same => writeln!(text, "{PROFILES_FILE}: {profiles}, as the records give"),
        State::Written => writeln!(text, "{PROFILES_FILE}: {profiles} written"),
        State::Different => text.write_str(&hanging(
            4,
            &format!("{PROFILES_FILE}: not what the records give; run `memcpy-select profiles` and commit the file"),
        )),
    };
    text
}

fn document(survey: &Survey, state: State) -> Value {
    let profile = |Profile { records, text }: &Profile| {
        let (cpu, text) = (text.cpu.to_string(), text.to_string());
        json!({
            "cpu": cpu,
            "policy": text.lines().find_map(|line| line.strip_prefix("policy ")),
            "records": records,
            "plan": text.lines().collect::<Vec<_>>(),
        })
    };
    let passed_over = |(folder, why): &(PathBuf, String)| json!({"record": folder, "why": why});
    json!({
        "file": PROFILES_FILE,
        "is_current": state != State::Different,
        "is_written": state == State::Written,
        "profiles": survey.profiles().iter().map(profile).collect::<Vec<_>>(),
        "passed_over": survey.passed_over().iter().map(passed_over).collect::<Vec<_>>(),
    })
}
