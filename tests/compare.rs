//! The promise: two records of one build show no difference beyond ties, and a kernel that became slower is reported, by
//! name and alone.

use memcpy_select::record::Record;
use memcpy_select::report::{Comparison, NotComparable};
use std::path::Path;

fn record(folder: &str) -> Record {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(folder);
    Record::read(&folder).unwrap_or_else(|error| panic!("{error}"))
}

/// The same kernels on two occasions of one guest.
const FIRST: &str = "amd-26-2-1-kvm/2026-11-23.9";
const SECOND: &str = "amd-26-2-1-kvm/2026-11-23.12";

#[test]
fn two_runs_of_one_build_differ_by_nothing() {
    let comparison = Comparison::of(&record(FIRST), &record(SECOND)).unwrap();
    assert!(comparison.contenders.len() > 10 && comparison.cells > 300);
    assert!(comparison.changed().is_empty(), "{comparison}");
    assert!(comparison.to_string().ends_with("no difference beyond ties\n"));
}

#[test]
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
fn records_that_have_nothing_in_common_are_refused() {
    let (first, mut second) = (record(FIRST), record(SECOND));
    second.samples.retain(|sample| sample.contender != "libc");
    assert_eq!(Comparison::of(&first, &second).unwrap_err(), NotComparable::NoCommonCell);
    second.bench = "bodies".to_owned();
    let error = Comparison::of(&first, &second).unwrap_err();
    assert!(error.to_string().contains("bench select") && error.to_string().contains("of bodies"));
}
