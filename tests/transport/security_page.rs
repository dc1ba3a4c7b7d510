//! Promise: the tests that `SECURITY.md` names are there.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands between backticks, in the column of tests.
fn names(page: &str) -> Vec<&str> {
    let promises = page.split("\n## ").find(|section| section.starts_with("What is promised")).unwrap();
    let rows = promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    rows.flat_map(|row| row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2)).collect()
}

/// All that stands in a folder and those below it.
fn sources(folder: &Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.extension().is_some_and(|extension| extension == "rs") {
        true => fs::read_to_string(path).unwrap(),
        false if path.is_dir() => sources(&path),
        false => String::new(),
    };
    paths.map(read).collect()
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let names = names(&page);
    assert!(names.len() > 30, "the table was not found: {names:?}");
    // Unit tests stand beside what they test.
    let sources = sources(&root.join("tests")) + &sources(&root.join("src/transport"));
    for name in names {
        let mut places = [format!("{name}.rs"), format!("{name}/main.rs"), format!("{name}/mod.rs")].into_iter();
        let is_file = places.any(|place| root.join("tests").join(place).is_file());
        // The proofs and the fuzz targets are no part of a published package.
        if name.starts_with("proofs/") && !root.join("tests/proofs").is_dir() {
            continue;
        }
        let is_target = !root.join("fuzz").is_dir() || root.join(format!("fuzz/fuzz_targets/{name}.rs")).is_file();
        let is_test = match name.split_once('*') {
            Some((start, "")) => sources.contains(&format!("fn {start}")),
            _ => sources.contains(&format!("fn {name}(")),
        };
        assert!(is_file || is_test || is_target, "SECURITY.md names `{name}`, which is no test");
    }
}
