//! The promise: the profiles in the source are what the records in `results/` give, nothing else.

use crate::verbs::{document, has_keys};
use memcpy_select::record::{PROFILES_FILE, profiles_source};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn the_source_is_what_the_records_give() {
    let found = document(&["profiles", "--check", "--json"]);
    has_keys(&found, &["file", "is_current", "profiles", "passed_over"]);
    assert_eq!(
        found["is_current"], true,
        "run `cargo run --release --features cli -- profiles`, commit {PROFILES_FILE}"
    );
    let records = found["profiles"].as_array().unwrap();
    assert!(!records.is_empty());
    assert!(records.iter().all(|one| one["policy"] == "user" || one["policy"] == "no-simd"), "{records:?}");
    let why = |one: &Value| one["why"].as_str().unwrap_or_default().to_owned();
    assert!(found["passed_over"].as_array().unwrap().iter().any(|one| why(one).contains("bench distributions")));
}

#[test]
fn a_folder_without_records_gives_no_profile_and_a_missing_one_is_an_error() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profiles-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    assert!(profiles_source(&scratch).unwrap().ends_with("&[];\n"));
    fs::remove_dir(&scratch).unwrap();
    let error = profiles_source(&scratch).unwrap_err().to_string();
    assert!(error.contains("there is no record to read"), "{error}");
}
