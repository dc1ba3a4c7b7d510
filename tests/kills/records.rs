//! Promise: a run may die at any system call while its record is completed. The record is complete then, or resumed to what
//! it would have been, and nothing else is left in its folder but, at the worst, its largest file in both forms.

#[allow(dead_code, reason = "each binary uses its own part")]
#[path = "../records/made_up.rs"]
mod made_up;

use super::each_of;
use super::neighbours::{alone, apart};
use super::trace::{Pace, Stop, Traced, marker};
use made_up::Made;
use memcpy_select::lab::question;
use memcpy_select::lab::record::{Growth, Progress, RecordError};
use std::fs;
use std::path::Path;

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Kills what completes a record of that question behind its system calls, each of so many.
fn kill_at_calls<G: Growth>(name: &str, made: &Made<G>, each: usize) {
    let _alone = alone();
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-killed-{}", std::process::id()));
    let (expected, rows) = (made.files(), made.steps.iter().map(Vec::len).sum::<usize>());
    let is_complete = |folder: &Path| Progress::read(folder).unwrap().complete;
    // All rows are there, and the question understands them.
    let is_whole = |folder: &Path| {
        let read = question::read(folder).unwrap_or_else(|error| panic!("{error}"));
        let found = Made::<G>::entries(folder).unwrap().len();
        // The last step of what is not complete may be on its way again.
        found == rows || !read.is_complete() && found < rows && found + made.steps[made.steps.len() - 1].len() >= rows
    };
    let complete = |folder: &Path| made.end(made.resume(folder)?).map(drop);
    let (mut calls, mut kills, each) = (0, [0, 0], each.max(each_of()));
    loop {
        let folder = made.begun(&results, made.steps.len());
        assert!(!is_complete(&folder) && is_whole(&folder));
        let mut child = Traced::start(|| {
            marker();
            complete(&folder).unwrap();
        });
        assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
        let is_inside = (0..calls).all(|_| child.go(Pace::ToSystemCall) == Stop::SystemCall);
        child.kill();
        assert!(is_whole(&folder), "killed at call {calls}: {:?}", files(&folder));
        let was_complete = is_complete(&folder);
        kills[usize::from(was_complete)] += 1;
        let again = complete(&folder);
        if was_complete {
            assert!(matches!(again, Err(RecordError::NotResumable { .. })), "killed at call {calls}: {again:?}");
        } else {
            again.unwrap();
            assert_eq!(files(&folder), expected, "killed at call {calls}");
        }
        assert!(is_whole(&folder) && is_complete(&folder), "killed at call {calls}");
        let left: Vec<String> = files(&folder).into_iter().filter(|name| !expected.contains(name)).collect();
        assert!(left.is_empty() || was_complete && left == [made.file()], "{left:?}");
        fs::remove_dir_all(&results).unwrap();
        if !is_inside {
            assert!(left.is_empty());
            break;
        }
        // A call has two stops, its start and its end, and nothing happens from one's end to the next one's start.
        calls += 2 * each;
    }
    println!("{name}: {} kills before the record was complete, {} afterwards", kills[0], kills[1]);
    assert!(kills[0] > 10 && kills[1] > 1);
}

#[test]
fn a_record_of_copies_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("copies", &made_up::copies_without_one(), 1);
}

#[test]
fn a_record_of_paths_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("paths", &made_up::paths(), 1);
}

#[test]
fn a_record_of_neighbours_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("neighbours", &made_up::neighbours(), 5);
}

#[test]
fn a_record_of_calls_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("calls", &made_up::calls(), 5);
}

#[test]
fn a_record_of_programs_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("programs", &made_up::programs(), 5);
}

#[test]
fn a_record_of_sections_may_be_killed_at_any_call_while_it_is_completed() {
    if apart() {
        return;
    }
    kill_at_calls("sections", &made_up::sections(), 5);
}
