//! The promise: what `memcpy-select xsave` says of sections was predicted before they were measured, from costs and curves
//! alone; its record holds all that its figures are derived from; and what cannot be had is said.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, document, has_keys, refused, said};
use crate::ring0::log;
use crate::tree::{SECTIONS, named, of, records};
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::sections::prediction::Model;
use memcpy_select::lab::sections::timings::Timings;
use memcpy_select::lab::sections::{Part, Sample, SectionRecord};
use memcpy_select::select::load;
use std::fs;
use std::path::Path;

/// What was predicted is what the samples from before the first section give, and nothing else.
fn nothing_was_looked_at(name: &str, kept: &SectionRecord) {
    let xstate = kept.xstate();
    let is_section = |sample: &Sample| matches!(sample.key.part, Part::Composite | Part::HeldBack);
    let first = kept.samples.iter().position(is_section).expect("sections were measured");
    let model = Model::fit(&Timings::of(&kept.samples[..first]), &xstate);
    assert!(!kept.predicted.is_empty());
    for one in &kept.predicted {
        let again = model.section_cycles(&one.kernel, one.live, one.len_bytes, one.copies, &xstate);
        let again = again.expect("the model knows the kernel and the state");
        assert!((again - one.cycles).abs() < 0.01, "{name}: {one:?}, but {again}");
    }
    println!("{name}: {} predictions, each as the samples before give it", kept.predicted.len());
}

#[test]
fn a_run_keeps_its_predictions_and_says_all_that_it_promises() {
    if Cpu::detect().xstate.enabled.is_empty() {
        refused(
            &["xsave", "--effort", "quick", "--out", env!("CARGO_TARGET_TMPDIR")],
            &["XSAVE", "nothing was measured"],
        );
        println!("skipped: this CPU or its operating system lacks XSAVE");
        return;
    }
    let scratch = Scratch::new("xsave-run");
    let plan = scratch.0.join("plan");
    let plan_name = plan.to_str().unwrap();
    let serial = scratch.0.join("serial.log");
    fs::write(&serial, log(&Cpu::detect().signature.to_string(), "kvm", "yes")).unwrap();
    let all = document(&[
        "xsave",
        "--ring0",
        serial.to_str().unwrap(),
        "--effort",
        "quick",
        "--json",
        "--out",
        scratch.out(),
        "--plan",
        plan_name,
        "--copies",
        "16",
    ]);
    let figures = &all["xsave"];
    has_keys(
        figures,
        &["components", "xinuse", "costs", "spill", "break_even", "validation", "switch", "signal", "ring0"],
    );
    for key in ["points", "median_abs_error", "p95_abs_error", "regret_mean"] {
        assert!(figures["validation"][key].is_number(), "{key} in {}", figures["validation"]);
    }
    let in_use = |kernel: &str| {
        let rows = figures["xinuse"].as_array().unwrap();
        rows.iter().find(|row| row["kernel"] == kernel).map(|row| row["in_use"].as_str().unwrap().to_owned())
    };
    for kernel in memcpy_select::kernels().iter().filter(|kernel| !["libc", "portable"].contains(&kernel.name())) {
        if let Some(in_use) = in_use(kernel.name()) {
            assert_eq!(in_use, kernel.leaves_in_use().to_string(), "{}", kernel.name());
        }
    }
    let folder = all["record"].as_str().unwrap();
    nothing_was_looked_at(folder, &SectionRecord::read(Path::new(folder)).unwrap());

    let (policy, _) = load(&fs::read_to_string(&plan).unwrap(), &Cpu::detect()).expect("a plan for this CPU");
    assert_eq!(policy, memcpy_select::select::Policy::Section);
    refused(&["xsave", "--record", folder, "--plan", plan_name], &["exists", "the plan is not kept"]);
    let text = said(&["xsave", "--record", folder]);
    assert!(text.contains("In user mode") && text.contains("predicted before they were measured"), "{text}");
    let mut figures = text.lines().filter(|line| !line.starts_with("record: "));
    assert!(figures.all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn committed_records_were_predicted_too() {
    // All rows of one, by default.
    let one = [named(SECTIONS)];
    let records = if Cases::chosen() < Cases::Full { &one[..] } else { records() };
    let sections = records.iter().filter_map(|record| Some((&record.0, of::<SectionRecord>(record)?)));
    assert!(sections.map(|(name, record)| nothing_was_looked_at(name, record)).count() > 0);
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_cannot_be_is_refused_with_the_reason() {
    refused(
        &["xsave", "--record", "results/amd-26-2-1-kvm/2026-11-23.11"],
        &["of bench bodies", "memcpy-select xsave"],
    );
    refused(&["xsave", "--record", "results/none"], &["results/none"]);
    let of_none = |option: &str, words: &[&str]| refused(&["xsave", option, "--record", "results/none"], words);
    of_none("--usable-share=1.5", &["--usable-share 1.5", "between 0 and 1"]);
    of_none("--entry-cycles=-1", &["--entry-cycles", "from 0 on"]);
}
