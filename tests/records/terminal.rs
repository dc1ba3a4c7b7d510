//! The promise: what a terminal shows fits 80 columns and is plain text, whatever was measured.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, copy, printed, run};
use crate::tree::{FIRST, ONE, SECOND, copies, of, records};
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::copies::show::{answer, kernel_table, losses, placement_table, selection_table};
use memcpy_select::lab::instruments::conditions::conditions;
use memcpy_select::lab::show;
use std::path::Path;

pub fn check(of: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{of}: {} columns: {line}", line.chars().count());
        assert!(!line.chars().any(|character| character.is_control()), "{of}: {line:?}");
        assert_eq!(line.trim_end(), line, "{of}: spaces at the end");
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn tables_of_every_record_fit_80_columns() {
    let found = conditions(&Cpu::detect(), None);
    for record in records() {
        let name = &record.0;
        check(name, &show::machine(record.1.environment(), &found));
        let Some(copies) = of::<CopyRecord>(record).filter(|copies| copies.bench == "select") else { continue };
        let summary = copies.summary();
        check(name, &answer(&summary, &copies.environment));
        check(name, &selection_table(&summary, true));
        check(name, &placement_table(&summary));
        check(name, &kernel_table(&summary, &copies.environment));
        check(name, &losses(&summary));
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_floor_that_may_change_is_said_to_be_so_far() {
    let record = copies(SECOND);
    let summary = record.summary();
    let said = |goes_on| selection_table(&summary, goes_on).split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = format!("noise floor of {:.1}%", (record.environment.noise_floor - 1.0) * 100.0);
    assert!(said(false).contains(&format!("{whole}. ")), "{}", said(false));
    assert!(said(true).contains(&format!("{whole} so far. ")), "{}", said(true));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_verbs_print_fits_80_columns_without_a_terminal() {
    // One record does not give all profiles of the source: the verb says so and fails.
    let scratch = Scratch::new("terminal");
    let name = "amd-26-2-1-kvm/2026-11-23.6";
    copy(&Path::new("results").join(name), &scratch.0.join(name));
    let [first, second] = if Cases::chosen() < Cases::Full { [ONE; 2] } else { [FIRST, SECOND] };
    let verbs: [(&[&str], i32); 4] = [
        (&["doctor"], 0),
        (&["compare", first, second], 0),
        (&["explain", "4096", "--record", second], 0),
        (&["profiles", "--check", "--results", scratch.out()], 1),
    ];
    for (arguments, status) in verbs {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        check(arguments[0], &printed(&output));
    }
}
