//! The promise: what a terminal shows fits 80 columns and is plain text, whatever was measured.

use crate::program::Scratch;
use crate::tree::{records, results};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::summary::Summary;
use memcpy_select::record::Record;
use memcpy_select::report;
use std::fs;
use std::process::Command;

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
    for (folder, record) in records() {
        let name = folder.display().to_string();
        check(&name, &report::machine(&record.environment, &found));
        if record.bench != "select" {
            continue;
        }
        let summary = Summary::of(&record.samples);
        check(&name, &report::answer(&summary, &record.environment));
        check(&name, &report::selection_table(&summary, true));
        check(&name, &report::placement_table(&summary));
        check(&name, &report::kernel_table(&summary, &record.environment));
        check(&name, &report::losses(&summary));
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_floor_that_may_change_is_said_to_be_so_far() {
    let folder = results().join("amd-26-2-1-kvm/2026-11-23.12");
    let record = Record::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    let summary = Summary::of(&record.samples);
    let said = |goes_on| report::selection_table(&summary, goes_on).split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = format!("noise floor of {:.1}%", (record.environment.noise_floor - 1.0) * 100.0);
    assert!(said(false).contains(&format!("{whole}. ")), "{}", said(false));
    assert!(said(true).contains(&format!("{whole} so far. ")), "{}", said(true));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_verbs_print_fits_80_columns_without_a_terminal() {
    let records = ["results/amd-26-2-1-kvm/2026-11-23.9", "results/amd-26-2-1-kvm/2026-11-23.12"];
    // One record does not give all profiles of the source: the verb says so and fails.
    let scratch = Scratch::new("terminal");
    let (folder, copy) = (results().join("amd-26-2-1-kvm/2026-11-23.6"), scratch.0.join("amd-26-2-1-kvm/2026-11-23.6"));
    fs::create_dir_all(&copy).unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let verbs: [(&[&str], i32); 4] = [
        (&["doctor"], 0),
        (&["compare", records[0], records[1]], 0),
        (&["explain", "4096", "--record", records[1]], 0),
        (&["profiles", "--check", "--results", scratch.out()], 1),
    ];
    for (arguments, status) in verbs {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        check(arguments[0], &String::from_utf8(output.stdout).unwrap());
    }
}
