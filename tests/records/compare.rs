//! The promise: two records of one build show no difference beyond ties, and a kernel that became slower is reported, by
//! name and alone.

use memcpy_select::record::Record;
use memcpy_select::report::{Comparison, NotComparable};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn record(folder: &str) -> Record {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(folder);
    Record::read(&folder).unwrap_or_else(|error| panic!("{error}"))
}

/// The same kernels on two occasions of one guest.
const FIRST: &str = "amd-26-2-1-kvm/2026-11-23.9";
const SECOND: &str = "amd-26-2-1-kvm/2026-11-23.12";

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn two_runs_of_one_build_differ_by_nothing() {
    let comparison = Comparison::of(&record(FIRST), &record(SECOND)).unwrap();
    assert!(comparison.contenders.len() > 10 && comparison.cells > 300);
    assert!(comparison.changed().is_empty(), "{comparison}");
    assert!(comparison.to_string().ends_with("no difference beyond ties\n"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_slower_kernel_is_reported_alone() {
    let (first, mut second) = (record(FIRST), record(SECOND));
    for sample in second.samples.iter_mut().filter(|sample| sample.contender == "gpr") {
        sample.total_ns += sample.total_ns / 5;
    }
    let comparison = Comparison::of(&first, &second).unwrap();
    let changed: Vec<&str> = comparison.changed().iter().map(|change| change.name.as_str()).collect();
    assert_eq!(changed, ["gpr"], "{comparison}");
    assert!(comparison.changed()[0].ratio > 1.1);
    assert!(comparison.to_string().contains("gpr, cells that changed most:"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn whichever_kernel_became_slower_it_alone_is_named() {
    let first = record(FIRST);
    let names: BTreeSet<String> = first.samples.iter().map(|sample| sample.contender.to_string()).collect();
    for name in names.iter().filter(|name| !["libc", "libc_again", "core_clock"].contains(&name.as_str())) {
        let mut slowed = first.clone();
        for sample in slowed.samples.iter_mut().filter(|sample| sample.contender == *name) {
            sample.total_ns += sample.total_ns / 4;
        }
        let comparison = Comparison::of(&first, &slowed).unwrap();
        let changed: Vec<&str> = comparison.changed().iter().map(|change| change.name.as_str()).collect();
        assert_eq!(changed, [name], "{comparison}");
        assert!((comparison.changed()[0].ratio - 1.25).abs() < 0.001, "{comparison}");
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_exit_status_is_for_scripts() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{}", std::process::id()));
    let first = record(FIRST);
    let mut slowed = first.clone();
    slowed
        .samples
        .iter_mut()
        .filter(|sample| sample.contender == "gpr")
        .for_each(|sample| sample.total_ns += sample.total_ns / 5);
    let slowed = slowed.save(&scratch).unwrap();
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(FIRST);
    let compare = |a: &Path, b: &Path, limit: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
        command.arg("compare").args([a, b]).args(["--fail-over", limit]).output().unwrap()
    };
    let same = compare(&first, &first, "0");
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(String::from_utf8_lossy(&same.stdout).ends_with("no difference beyond ties\n"));
    let slower = compare(&first, &slowed, "10");
    assert_eq!(slower.status.code(), Some(1), "{slower:?}");
    let text = String::from_utf8_lossy(&slower.stdout).into_owned();
    let named: Vec<&str> = text.lines().filter(|line| line.ends_with("slower") || line.ends_with("faster")).collect();
    assert!(named.len() == 1 && named[0].starts_with("gpr "), "{text}");
    // Slower, but not by as much; and a change for the better is no failure.
    assert_eq!(compare(&first, &slowed, "30").status.code(), Some(0));
    assert_eq!(compare(&slowed, &first, "10").status.code(), Some(0));
    assert_eq!(compare(&first, &slowed, "nan").status.code(), Some(2));
    fs::remove_dir_all(&scratch).unwrap();
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn records_that_have_nothing_in_common_are_refused() {
    let (first, mut second) = (record(FIRST), record(SECOND));
    second.samples.retain(|sample| sample.contender != "libc");
    assert_eq!(Comparison::of(&first, &second).unwrap_err(), NotComparable::NoCommonCell);
    second.bench = "bodies".to_owned();
    let error = Comparison::of(&first, &second).unwrap_err();
    assert!(error.to_string().contains("bench select") && error.to_string().contains("of bodies"));
}
