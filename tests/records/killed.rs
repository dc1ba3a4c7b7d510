//! The promise: a sweep that is killed, five times and at any moment, is resumed to a record of the same rows as one that
//! was left alone.

use crate::program::record_in;
use memcpy_select::measure::cell::Cell;
use memcpy_select::record::{Progress, Record};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine to start the program.
const PATIENCE: Duration = Duration::from_secs(60);
/// So that five kills hit it: some 300 cells of a few milliseconds each.
const SIZES: std::ops::RangeInclusive<usize> = 1..=300;

fn sweep(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command
        .arg("sweep")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn samples_bytes(results: &Path) -> u64 {
    let file = record_in(results).map(|folder| folder.join("samples.csv"));
    file.and_then(|file| fs::metadata(file).ok()).map_or(0, |file| file.len())
}

type Keys = BTreeSet<(Cell, String, u32)>;

fn keys(folder: &Path) -> Keys {
    let record = Record::read(folder).unwrap_or_else(|error| panic!("{error}"));
    record.samples.iter().map(|sample| (sample.cell, sample.contender.to_string(), sample.round)).collect()
}

#[test]
fn five_kills_and_a_resume_give_the_rows_of_an_uninterrupted_run() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{}", std::process::id()));
    let (whole, killed) = (scratch.join("whole"), scratch.join("killed"));
    let sizes = SIZES.map(|bytes| bytes.to_string()).collect::<Vec<_>>().join(",");
    let grid = ["--effort", "quick", "--sizes", &sizes, "--kernels", "portable", "--out"];
    assert!(sweep(&[&grid[..], &[whole.to_str().unwrap()]].concat()).wait().unwrap().success());
    let expected = keys(&record_in(&whole).unwrap());

    // Moments without a pattern, the same in each run: during the start, between and inside of cells.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    for _ in 0..5 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let before = samples_bytes(&killed);
        let mut child = match record_in(&killed) {
            None => sweep(&[&grid[..], &[killed.to_str().unwrap()]].concat()),
            Some(folder) => sweep(&["--resume", folder.to_str().unwrap()]),
        };
        let start = Instant::now();
        // Every other time it is killed wherever it is, else once it writes.
        while random & 1 == 0 && samples_bytes(&killed) == before && child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "the sweep writes nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random % 90_000));
        let _ = child.kill();
        kills += usize::from(child.wait().unwrap().signal() == Some(9));
        if let Some(folder) = record_in(&killed) {
            assert!(keys(&folder).is_subset(&expected));
        }
    }
    assert!(kills > 0, "the sweep came to its end before the first kill");
    let folder = match record_in(&killed) {
        Some(folder) => {
            if !Progress::read(&folder).unwrap().complete {
                assert!(sweep(&["--resume", folder.to_str().unwrap()]).wait().unwrap().success());
            }
            folder
        }
        None => panic!("not one of {kills} kills came after the first row"),
    };
    assert_eq!(keys(&folder), expected, "after {kills} kills");
    assert!(Progress::read(&folder).unwrap().complete);
    println!("{kills} kills, {} rows", expected.len());
    fs::remove_dir_all(&scratch).unwrap();
}
