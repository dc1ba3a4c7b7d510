//! The guide's page on operating: its rows name these tests, and each of these tests is in a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names in the last column of the page's tables.
fn named(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| trouble"));
    let tests = rows.map(|row| row.trim_end_matches('|').rsplit('|').next().unwrap());
    tests
        .flat_map(|tests| {
            let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "a row without a test: {tests}");
            names
        })
        .collect()
}

/// The tests of the source files in a folder.
fn tests_in(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for test in text.split("#[test]\nfn ").skip(1) {
            names.insert(test.split_once('(').unwrap().0.to_owned());
        }
    }
    names
}

#[test]
fn every_row_of_the_operators_page_has_its_test_and_every_test_its_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/guide/operating.md")).unwrap();
    let named = named(&page);
    let mut here = tests_in(&root.join("tests/operators"));
    assert!(here.remove("every_row_of_the_operators_page_has_its_test_and_every_test_its_row"));
    for test in &here {
        assert!(named.contains(test.as_str()), "no row names {test}");
    }
    for name in named {
        let is_elsewhere = name.split_once("::").is_some_and(|(binary, test)| {
            ["clients", "connect", "streamtable"].contains(&binary)
                && tests_in(&root.join("tests").join(binary)).contains(test)
        });
        assert!(here.contains(name) || is_elsewhere, "the page names `{name}`, which is no test");
    }
}
