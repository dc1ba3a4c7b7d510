//! The promise: what a terminal shows fits 80 columns and is plain text, whatever was measured.

use memcpy_select::cpu::Cpu;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::summary::Summary;
use memcpy_select::record::Record;
use memcpy_select::report;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn check(of: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{of}: {} columns: {line}", line.chars().count());
        assert!(!line.chars().any(|character| character.is_control()), "{of}: {line:?}");
        assert_eq!(line.trim_end(), line, "{of}: spaces at the end");
    }
}

fn record_folders() -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    folders(&results).iter().flat_map(|machine| folders(machine)).collect()
}

#[test]
fn tables_of_every_record_fit_80_columns() {
    let found = conditions(&Cpu::detect(), None);
    for folder in record_folders() {
        let record = Record::read(&folder).unwrap_or_else(|error| panic!("{error}"));
        let name = folder.display().to_string();
        check(&name, &report::machine(&record.environment, &found));
        if record.bench != "select" {
            continue;
        }
        let summary = Summary::of(&record.samples);
        check(&name, &report::answer(&summary));
        check(&name, &report::selection_table(&summary, true));
        check(&name, &report::placement_table(&summary));
        check(&name, &report::kernel_table(&summary, &record.environment));
        check(&name, &report::losses(&summary));
    }
}

#[test]
fn a_floor_that_may_change_is_said_to_be_so_far() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/amd-26-2-1-kvm/2026-11-23.12");
    let record = Record::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    let summary = Summary::of(&record.samples);
    let said = |goes_on| report::selection_table(&summary, goes_on).split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = format!("noise floor of {:.1}%", (record.environment.noise_floor - 1.0) * 100.0);
    assert!(said(false).contains(&format!("{whole}. ")), "{}", said(false));
    assert!(said(true).contains(&format!("{whole} so far. ")), "{}", said(true));
}

#[test]
fn what_verbs_print_fits_80_columns_without_a_terminal() {
    let records = ["results/amd-26-2-1-kvm/2026-11-23.9", "results/amd-26-2-1-kvm/2026-11-23.12"];
    let verbs: [&[&str]; 4] = [
        &["doctor"],
        &["compare", records[0], records[1]],
        &["explain", "4096", "--record", records[1]],
        &["profiles", "--check"],
    ];
    for arguments in verbs {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        check(arguments[0], &String::from_utf8(output.stdout).unwrap());
    }
}
