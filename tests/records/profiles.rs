//! The promise: the profiles in the source are what the records in `results/` give, nothing else.

use memcpy_select::record::{PROFILES_FILE, profiles_source};
use std::fs;
use std::path::Path;

#[test]
fn the_source_is_what_the_records_give() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = profiles_source(&package.join("results")).unwrap_or_else(|error| panic!("{error}"));
    let source = fs::read_to_string(package.join(PROFILES_FILE)).expect("the source of the crate is here");
    assert!(source == generated, "run `cargo run --release --features cli -- profiles` and commit {PROFILES_FILE}");
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
