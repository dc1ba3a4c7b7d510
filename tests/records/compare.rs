//! The promise: two records of one build show no difference beyond ties, and a kernel that became slower is reported, by
//! name and alone.

use crate::cases::Effort as Cases;
use crate::made_up::{self, Made};
use crate::program::{Scratch, printed, run};
use crate::tree::{FIRST, ONE, SECOND, copies as record};
use memcpy_select::lab::Evidence;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::show::{Comparison, NotComparable};
use std::collections::BTreeSet;

fn compared(first: &CopyRecord, second: &CopyRecord) -> Result<Comparison, NotComparable> {
    Comparison::of(&first.comparable(), &second.comparable())
}

/// Makes a kernel's copies slower by a share of what they take.
fn slow(record: &mut CopyRecord, name: &str, divisor: u64) {
    let of_it = record.samples.iter_mut().filter(|sample| sample.contender == name);
    of_it.for_each(|sample| sample.total_ns += sample.total_ns / divisor);
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn two_runs_of_one_build_differ_by_nothing() {
    let comparison = compared(&record(FIRST), &record(SECOND)).unwrap();
    assert!(comparison.contenders.len() > 10 && comparison.cells > 300);
    assert!(comparison.changed().is_empty(), "{comparison}");
    assert!(comparison.to_string().ends_with("no difference beyond ties\n"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_slower_kernel_is_reported_alone() {
    let (first, mut second) = (record(FIRST), record(SECOND));
    slow(&mut second, "gpr", 5);
    let comparison = compared(&first, &second).unwrap();
    let changed: Vec<&str> = comparison.changed().iter().map(|change| change.name.as_str()).collect();
    assert_eq!(changed, ["gpr"], "{comparison}");
    assert!(comparison.changed()[0].ratio > 1.1);
    assert!(comparison.to_string().contains("gpr, cells that changed most:"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn whichever_kernel_became_slower_it_alone_is_named() {
    let first = record(ONE);
    let names: BTreeSet<String> = first.samples.iter().map(|sample| sample.contender.to_string()).collect();
    // By default one in three of them.
    let each = if Cases::chosen() < Cases::Full { 3 } else { 1 };
    let others = names.iter().filter(|name| !["libc", "libc_again", "core_clock"].contains(&name.as_str()));
    for name in others.step_by(each) {
        let mut slowed = first.clone();
        slow(&mut slowed, name, 4);
        let comparison = compared(&first, &slowed).unwrap();
        let changed: Vec<&str> = comparison.changed().iter().map(|change| change.name.as_str()).collect();
        assert_eq!(changed, [name], "{comparison}");
        assert!((comparison.changed()[0].ratio - 1.25).abs() < 0.001, "{comparison}");
    }
}

#[test]
fn the_exit_status_is_for_scripts() {
    let scratch = Scratch::new("compare");
    let one = Made { bench: "select", ..made_up::copies() }.whole(&scratch.0);
    let mut slowed = CopyRecord::read(&one).unwrap();
    slow(&mut slowed, "gpr", 5);
    let one = one.to_str().unwrap();
    let slowed = slowed.save(&scratch.0).unwrap();
    let slowed = slowed.to_str().unwrap();
    let compare = |a: &str, b: &str, limit: &str| run(&["compare", a, b, "--fail-over", limit]);
    let same = compare(one, one, "0");
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(printed(&same).ends_with("no difference beyond ties\n"));
    let slower = compare(one, slowed, "10");
    assert_eq!(slower.status.code(), Some(1), "{slower:?}");
    let text = printed(&slower);
    let named: Vec<&str> = text.lines().filter(|line| line.ends_with("slower") || line.ends_with("faster")).collect();
    assert!(named.len() == 1 && named[0].starts_with("gpr "), "{text}");
    // Slower, but not by as much; and a change for the better is no failure.
    assert_eq!(compare(one, slowed, "30").status.code(), Some(0));
    assert_eq!(compare(slowed, one, "10").status.code(), Some(0));
    assert_eq!(compare(one, slowed, "nan").status.code(), Some(2));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn records_that_have_nothing_in_common_are_refused() {
    let (first, mut second) = (record(ONE), record(ONE));
    second.samples.retain(|sample| sample.contender != "libc");
    assert_eq!(
        compared(&first, &second).unwrap_err(),
        NotComparable::NoCommonCell { against: first.comparable().against }
    );
    second.bench = "bodies".to_owned();
    let error = compared(&first, &second).unwrap_err();
    assert!(error.to_string().contains("bench select") && error.to_string().contains("of bodies"));
}
