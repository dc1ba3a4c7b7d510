//! The promise: the README's table of how the selection holds is what the records in it give; what cannot judge is named.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, copy_some, document, errors, has_keys, printed, refused, run, said};
use crate::terminal::check;
use crate::tree::{FIRST, NEIGHBOURS};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A record that holds cells back, of a CPU without a profile.
const HELD_BACK: &str = "results/intel-6-207-2-kvm/2026-11-29.9";
/// A record that holds none back, from which a profile was made.
const PROFILED: &str = "results/amd-25-1-1-kvm/2026-11-23.1";

/// By default one in so many records of the table is asked again.
const ONE_IN: usize = 6;

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_readme_has_what_its_records_give() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- validate -->\n").expect("the README has the table");
    let (table, _) = rest.split_once("<!-- /validate -->").expect("the table has an end");
    // The heads, and the rows of each record, the first of which links to it.
    let mut parts = table.split_inclusive('\n').fold(Vec::<String>::new(), |mut parts, line| {
        match parts.last_mut() {
            Some(last) if !line.starts_with("| [") => last.push_str(line),
            _ => parts.push(line.to_owned()),
        }
        parts
    });
    let heads = parts.remove(0);
    let each = if Cases::chosen() < Cases::Full { ONE_IN } else { 1 };
    let parts: Vec<String> = parts.into_iter().step_by(each).collect();
    assert!(!parts.is_empty(), "{table}");
    let link = |part: &String| part.split_once("](").unwrap().1.split_once(')').unwrap().0.to_owned();
    let records: Vec<String> = parts.iter().map(link).collect();
    let words: Vec<&str> = ["validate", "--markdown"].into_iter().chain(records.iter().map(String::as_str)).collect();
    assert_eq!(
        said(&words),
        heads + &parts.concat(),
        "run `memcpy-select validate --markdown results/*/*` and put what it prints there"
    );
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_was_made_from_the_cells_is_said_to_be() {
    let found = document(&["validate", HELD_BACK, PROFILED, NEIGHBOURS, "README.md", "--json"]);
    let records = found["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{found:#}");
    for record in records {
        has_keys(record, &["record", "cpu", "microarchitecture", "ways", "inlined"]);
        for way in record["ways"].as_array().unwrap() {
            has_keys(way, &["residency", "cells", "held_back", "plans"]);
            for plan in way["plans"].as_array().unwrap() {
                has_keys(plan, &["name", "cells", "time_over_libc", "time_over_best_kernel", "slow_share", "worst"]);
                let is_its_own = ["own record", "its profile"].contains(&plan["name"].as_str().unwrap());
                assert_eq!(plan["in_sample"], Value::Bool(is_its_own && way["held_back"] == false), "{plan:#}");
            }
        }
    }
    let names = |at: usize| -> Vec<&str> {
        records[at]["ways"][0]["plans"].as_array().unwrap().iter().map(|plan| plan["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names(0), ["formulas", "its profile", "own record"]);
    assert_eq!(names(1), ["formulas", "own record", "own, way left out"]);
    let passed_over = found["passed_over"].as_array().unwrap();
    assert_eq!(passed_over.len(), 2, "{found:#}");
    assert!(passed_over.iter().all(|one| !one["why"].as_str().unwrap().is_empty()), "{passed_over:?}");
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_answer_fits_a_terminal_and_the_newest_of_a_cpu_is_chosen() {
    let scratch = Scratch::new("validate");
    let [newer, older] = [FIRST, "results/amd-26-2-1-kvm/2026-11-23.6"].map(|name| {
        let folder = scratch.0.join(name);
        copy_some(name.as_ref(), &folder, "samples.csv");
        folder.into_os_string().into_string().unwrap()
    });
    let output = run(&["validate", &newer, &older, HELD_BACK, PROFILED]);
    assert!(output.status.success(), "{output:?}");
    let text = printed(&output);
    check("validate", &text);
    assert!(text.starts_with("On 60 cells of 1 CPU that no plan was made from, the formulas† take"), "{text}");
    assert!(text.contains("(amd-26-2-1), record amd-26-2-1-kvm/2026-11-23.9"), "{text}");
    let notes = errors(&output);
    assert!(notes.contains("2026-11-23.6") && notes.contains("or is newer"), "{notes}");
}

#[test]
fn what_cannot_judge_is_refused_with_the_reason() {
    let scratch = Scratch::new("validate");
    let missing = scratch.0.join("missing");
    let cases: [(&[&str], &str); 4] = [
        (&["validate", missing.to_str().unwrap()], "this is no record"),
        (&["validate", "--effort", "quik"], "did you mean quick?"),
        (&["validate", "--calibrations", "1000"], "1000 is not in 0..=100"),
        (&["validate", "results", "--effort", "quick"], "cannot be used with"),
    ];
    for (arguments, cause) in cases {
        refused(arguments, &[cause]);
    }
    refused(&["validate", "--resume", missing.to_str().unwrap()], &[]);
}
