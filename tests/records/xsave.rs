//! The promise: what `memcpy-select xsave` says of sections was predicted before they were measured, from costs and curves
//! alone; its record holds all that its figures are derived from; and what cannot be had is said.

use crate::program::{self, Scratch};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::xsave::prediction::Model;
use memcpy_select::measure::xsave::timings::Timings;
use memcpy_select::measure::xsave::{Part, Sample};
use memcpy_select::record::{Record, xsave};
use memcpy_select::select::load;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

fn run(arguments: &[&str]) -> Output {
    program::run(&[&["xsave"], arguments].concat())
}

fn refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{word} in {said}");
    }
}

/// Every complete record of the bench under a folder.
fn records(results: &Path) -> Vec<(PathBuf, Record)> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.is_dir()).collect()
    };
    let all = folders(results).into_iter().flat_map(|machine| folders(&machine));
    all.filter(|folder| program::gz(folder, "xsave.csv").exists())
        .map(|folder| (folder.clone(), Record::read(&folder).unwrap_or_else(|error| panic!("{error}"))))
        .collect()
}

/// What was predicted is what the samples from before the first section give, and nothing else.
fn nothing_was_looked_at(folder: &Path, record: &Record) {
    let kept = xsave::read(record).unwrap_or_else(|error| panic!("{error}"));
    let xstate = xsave::xstate(&record.environment, &kept.samples);
    let is_section = |sample: &Sample| matches!(sample.key.part, Part::Composite | Part::HeldBack);
    let first = kept.samples.iter().position(is_section).expect("sections were measured");
    let model = Model::fit(&Timings::of(&kept.samples[..first]), &xstate);
    assert!(!kept.predicted.is_empty());
    for one in &kept.predicted {
        let again = model.section_cycles(&one.kernel, one.live, one.len_bytes, one.copies, &xstate);
        let again = again.expect("the model knows the kernel and the state");
        assert!((again - one.cycles).abs() < 0.01, "{}: {one:?}, but {again}", folder.display());
    }
    println!("{}: {} predictions, each as the samples before give it", folder.display(), kept.predicted.len());
}

#[test]
fn a_run_keeps_its_predictions_and_says_all_that_it_promises() {
    if Cpu::detect().xstate.enabled.is_empty() {
        refused(&["--effort", "quick", "--out", env!("CARGO_TARGET_TMPDIR")], &["XSAVE", "nothing was measured"]);
        println!("skipped: this CPU or its operating system lacks XSAVE");
        return;
    }
    let scratch = Scratch::new("xsave-run");
    let plan = scratch.0.join("plan");
    let plan_name = plan.to_str().unwrap();
    let output = run(&["--effort", "quick", "--json", "--out", scratch.out(), "--plan", plan_name, "--copies", "16"]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    for key in ["components", "xinuse", "costs", "spill", "break_even", "validation", "switch", "signal"] {
        assert!(document.get(key).is_some_and(|value| !value.is_null()), "{key} in {document:#}");
    }
    for key in ["points", "median_abs_error", "p95_abs_error", "regret_mean"] {
        assert!(document["validation"][key].is_number(), "{key} in {}", document["validation"]);
    }
    let in_use = |kernel: &str| {
        let rows = document["xinuse"].as_array().unwrap();
        rows.iter().find(|row| row["kernel"] == kernel).map(|row| row["in_use"].as_str().unwrap().to_owned())
    };
    for kernel in memcpy_select::kernels().iter().filter(|kernel| !["libc", "portable"].contains(&kernel.name())) {
        if let Some(in_use) = in_use(kernel.name()) {
            assert_eq!(in_use, kernel.leaves_in_use().to_string(), "{}", kernel.name());
        }
    }
    let found = records(&scratch.0);
    let [(folder, record)] = &found[..] else { panic!("one record, not {}", found.len()) };
    nothing_was_looked_at(folder, record);

    let (policy, _) = load(&fs::read_to_string(&plan).unwrap(), &Cpu::detect()).expect("a plan for this CPU");
    assert_eq!(policy, memcpy_select::select::Policy::Section);
    refused(&["--record", folder.to_str().unwrap(), "--plan", plan_name], &["exists", "the plan is not kept"]);
    let again = run(&["--record", folder.to_str().unwrap()]);
    let text = String::from_utf8(again.stdout).expect("text");
    assert!(text.contains("In user mode") && text.contains("predicted before they were measured"), "{text}");
    let mut figures = text.lines().filter(|line| !line.starts_with("record: "));
    assert!(figures.all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn committed_records_were_predicted_too() {
    for (folder, record) in records(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results")) {
        nothing_was_looked_at(&folder, &record);
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_cannot_be_is_refused_with_the_reason() {
    refused(&["--record", "results/amd-26-2-1-kvm/2026-11-23.11"], &["xsave.csv", "no such file"]);
    refused(&["--record", "results/none"], &["results/none"]);
    refused(&["--usable-share", "1.5", "--record", "results/none"], &["--usable-share 1.5", "between 0 and 1"]);
    refused(&["--entry-cycles=-1", "--record", "results/none"], &["--entry-cycles", "from 0 on"]);
}
