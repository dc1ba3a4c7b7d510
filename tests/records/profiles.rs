//! The promise: the profiles in the source are what the records that they name give, nothing else; what a reader measures
//! changes none of it.

use crate::program::{Scratch, copy, document, has_keys, printed, refused, run};
use crate::tree::{SECOND, copies, records, results};
use memcpy_select::kernel::Stores;
use memcpy_select::lab::copies::cell::Residency;
use memcpy_select::lab::copies::plan::plan;
use memcpy_select::lab::copies::{CopyRecord, PROFILES_FILE, Survey};
use memcpy_select::lab::record::{LOCAL, contribute, record_folders};
use memcpy_select::select::{Class, CpuName, Plan, Policy, profiled_records};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Also beside another record, older or newer.
#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_source_is_what_the_records_give() {
    let scratch = Scratch::new("further");
    for folder in record_folders(&results()).unwrap() {
        let to = scratch.0.join(folder.strip_prefix(results()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(folder, to).unwrap();
    }
    let further = scratch.0.join(profiled_records().next().unwrap()).with_file_name("2999-01-01.1");
    copied(&further);
    let found = document(&["profiles", "--check", "--json", "--results", scratch.out()]);
    has_keys(&found, &["file", "is_current", "profiles", "passed_over"]);
    assert_eq!(
        found["is_current"], true,
        "run `cargo run --release --features cli -- profiles`, commit {PROFILES_FILE}"
    );
    let records = found["profiles"].as_array().unwrap();
    assert!(!records.is_empty());
    assert!(records.iter().all(|one| one["policy"] == "user" || one["policy"] == "no-simd"), "{records:?}");
    let why = |one: &Value| one["why"].as_str().unwrap_or_default().to_owned();
    assert!(found["passed_over"].as_array().unwrap().iter().any(|one| why(one).contains("bench neighbour")));
    let passed_over = found["passed_over"].to_string();
    assert!(passed_over.contains("2999-01-01.1") && passed_over.contains("made without it"), "{passed_over}");
}

#[test]
fn a_folder_without_records_gives_no_profile_and_a_missing_one_is_an_error() {
    let scratch = Scratch::new("profiles");
    assert!(Survey::of(&scratch.0).unwrap().source().ends_with("&[];\n"));
    let missing = scratch.0.join("missing");
    let error = Survey::of(&missing).unwrap_err().to_string();
    assert!(error.contains("there is no record to read"), "{error}");
}

/// Copies the record that a profile was made from.
fn copied(to: &Path) {
    copy(&results().join(profiled_records().next().unwrap()), to);
}

#[test]
fn what_a_reader_measures_makes_no_profile_until_it_is_contributed() {
    let scratch = Scratch::new("contribute");
    let name = profiled_records().next().unwrap();
    let local = scratch.0.join(LOCAL).join(name);
    copied(&local);
    fs::write(local.join("report.html"), "a page").unwrap();
    assert!(Survey::of(&scratch.0).unwrap().profiles().is_empty());

    let output = run(&["contribute", local.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(!local.exists());
    let contributed = scratch.0.join(name);
    assert!(printed(&output).contains(contributed.to_str().unwrap()), "{output:?}");
    assert!(!contributed.join("report.html").exists());
    assert!(!CopyRecord::read(&contributed).unwrap().samples.is_empty());
    let survey = Survey::of(&scratch.0).unwrap();
    assert!(survey.profiles().iter().all(|profile| profile.records == [Path::new(name)]));

    // A second of the same day gets the next number; what is no run on this machine stays where it is.
    copied(&local);
    assert_ne!(contribute(&local).unwrap(), contributed);
    refused(&["contribute", contributed.to_str().unwrap()], &["results/local"]);
    assert!(contributed.is_dir());
}

/// A loop that never reads keeps the destination out of the caches for the next non-temporal copy, which no program does.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_non_temporal_kernel_has_to_win_when_the_copy_is_read() {
    const FASTER: u64 = 20;
    let record = copies(SECOND);
    let with = |is_read_faster: bool| {
        let mut changed = record.clone();
        for sample in changed.samples.iter_mut().filter(|sample| sample.contender.ends_with("_nt")) {
            if is_read_faster || sample.cell.residency != Residency::Touch {
                sample.total_ns = (sample.total_ns / FASTER).max(1);
            }
        }
        plan([&changed].into_iter(), Policy::User).unwrap()
    };
    let long = 16 << 20;
    let is_non_temporal = |plan: &Plan| plan.kernel(long, Class::ALL[0]).stores() == Stores::NonTemporal;
    assert!(!is_non_temporal(&with(false)), "it wins in the loop alone");
    assert!(is_non_temporal(&with(true)), "it wins in every way of use");
}

/// A profile that what is known of the design beats on the profile's own records would be worse than none.
#[test]
#[ignore = "makes plans from two long records of results/: long"]
fn a_profile_that_the_formulas_beat_is_not_made() {
    let names = ["intel-6-207-2-kvm/2026-11-29.5", "intel-6-207-2-kvm/2026-11-29.6"];
    let survey = Survey::of_named(&results(), &names).unwrap();
    assert!(survey.profiles().iter().all(|profile| profile.text.policy != Policy::User), "{:?}", survey.profiles());
    let record = copies(&format!("results/{}", names[1]));
    assert!(plan([&record].into_iter(), Policy::User).is_some(), "the record alone gives a plan");
}

/// The formulas are asked for the CPU of a record, from the words that it keeps.
#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_record_tells_which_cpu_it_was() {
    for (record, findings) in records() {
        let facts = &findings.environment().cpu;
        let cpu = facts.cpu().unwrap_or_else(|| panic!("{record}: it keeps no words"));
        let name = CpuName::of(&cpu.signature).to_string();
        assert_eq!((&name, cpu.signature.microarch().name()), (&facts.signature, facts.microarchitecture.as_str()));
        // Later builds tell more of them.
        let features = cpu.features.to_string();
        let has = |name: &str| features.split(' ').any(|known| known == name);
        assert!(facts.features.split(' ').all(has), "{record}: {features}");
        assert_eq!(cpu.caches.l3.map(|cache| cache.size_bytes), facts.l3_bytes);
    }
}
