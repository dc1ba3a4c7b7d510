//! The promise: with `--json` every verb prints one document on the standard output and nothing else there; what a sweep
//! cannot have is in its record, or refused with the reason.

use crate::program::{Scratch, document, errors, has_keys, kept, put, refused, reopen, run};
use crate::tree::ONE;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::instruments::affinity::logical_cpus;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

pub const TINY: [&str; 8] = ["sweep", "--effort", "quick", "--sizes", "64,100", "--kernels", "portable", "--out"];

#[test]
fn doctor_and_calibrate() {
    has_keys(&document(&["doctor", "--json"]), &["cpu", "conditions"]);
    let scratch = Scratch::new("verbs-plan");
    let file = scratch.0.join("plan");
    let calibration = document(&["calibrate", "--json", "--save", file.to_str().unwrap()]);
    has_keys(&calibration, &["plan", "before", "is_new", "gain", "noise_floor", "points", "took_ms", "saved"]);
    assert_eq!(calibration["text"], fs::read_to_string(&file).unwrap());
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn explain_and_compare() {
    let explanation = document(&["explain", "4096", "--json", "--record", ONE]);
    has_keys(&explanation, &["len_bytes", "class", "kernel", "inferred_limit", "measured", "record"]);
    let comparison = document(&["compare", ONE, ONE, "--json", "--fail-over", "5"]);
    has_keys(
        &comparison,
        &["first", "second", "noise_floor", "cells", "against", "baseline", "geometric_mean", "contenders", "over"],
    );
    assert_eq!((&comparison["changed"], &comparison["baseline"]["name"]), (&Value::Array(Vec::new()), &"libc".into()));
    let gpr = comparison["contenders"].as_array().unwrap().iter().find(|one| one["name"] == "gpr").unwrap();
    assert_eq!(gpr["verdict"], "=");
    assert_eq!(gpr["cells"].as_array().unwrap().len() as u64, comparison["cells"].as_u64().unwrap());
    has_keys(&gpr["cells"][0], &["len_bytes", "dst_offset", "src_offset", "residency", "ratio"]);
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn report_has_every_figure_and_its_spread() {
    let report = document(&["report", ONE, "--json"]);
    let figures = &report["records"][0];
    assert_eq!(figures["name"], ONE["results/".len()..]);
    let cell = &figures["cells"][5];
    has_keys(cell, &["len_bytes", "residency", "fastest", "winner", "ties", "memcpy_auto_over_best"]);
    has_keys(&cell["contenders"][1], &["median_ns", "gb_per_s", "bytes_per_cycle", "time_over_libc"]);
    for figures in cell["contenders"].as_array().unwrap() {
        let [lower, upper] = [0, 1].map(|at| figures["quartiles_ns"][at].as_f64().unwrap());
        let median = figures["median_ns"].as_f64().unwrap();
        assert!(lower <= median && median <= upper, "{figures}");
        assert!((figures["spread"].as_f64().unwrap() - (upper - lower) / 2.0 / median).abs() < 1e-12);
    }
}

#[test]
fn sweep_says_where_its_record_is_and_nothing_else_there() {
    let scratch = Scratch::new("verbs-sweep");
    let document = document(&[&TINY[..], &[scratch.out(), "--json"]].concat());
    has_keys(&document, &["record", "noise_floor", "cells", "left_out"]);
    let record = CopyRecord::read(Path::new(document["record"].as_str().unwrap())).unwrap();
    assert_eq!(record.bench, "sweep");
    assert_eq!(document["cells"].as_array().unwrap().len(), 2);
}

#[test]
fn several_threads_copy_at_once_as_many_as_there_are_cpus_for() {
    let scratch = Scratch::new("verbs-threads");
    let cpus = logical_cpus().len();
    let count = cpus.min(2).to_string();
    let document = document(&[&TINY[..], &[scratch.out(), "--json", "--threads", &format!("1,{count}")]].concat());
    let residencies: BTreeSet<&str> =
        document["cells"].as_array().unwrap().iter().map(|cell| cell["residency"].as_str().unwrap()).collect();
    let expected = if cpus > 1 { BTreeSet::from(["hot", "threads-2"]) } else { BTreeSet::from(["hot"]) };
    assert_eq!(residencies, expected);
    let record = Path::new(document["record"].as_str().unwrap());
    assert_eq!(CopyRecord::read(record).unwrap().samples.iter().filter(|sample| sample.total_ns == 0).count(), 0);

    for (threads, cause) in
        [(format!("{}", cpus + 1), "or fewer"), ("0".to_owned(), "how many"), ("x".to_owned(), "how many")]
    {
        refused(&[&TINY[..], &[scratch.out(), "--threads", &threads]].concat(), &["--threads", cause]);
    }
}

/// A full disk, as far as a file cannot grow any more.
#[test]
fn what_was_measured_before_the_disk_was_full_is_kept_and_gone_on_with() {
    let scratch = Scratch::new("verbs-full");
    let program = env!("CARGO_BIN_EXE_memcpy-select");
    // In blocks of 512 bytes or of 1024: the rows of some cells, not those of all.
    let script = "trap '' XFSZ; ulimit -f 48; exec \"$@\"";
    let grid = ["sweep", "--effort", "quick", "--sizes", "1..1MiB", "--kernels", "portable", "--offsets", "0:0,0:1"];
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", program]).args(grid).args(["--out", scratch.out()]);
    let output = command.output().unwrap();
    let message = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("the record is partial") && message.contains("make room there"), "{message}");
    let folder = message.rsplit("--resume ").next().unwrap().trim();
    let kept = CopyRecord::read(Path::new(folder)).unwrap().samples;
    assert!(!kept.is_empty());
    assert!(run(&["report", "--json", folder]).status.success());
    document(&["sweep", "--resume", folder, "--json"]);
    let whole = CopyRecord::read(Path::new(folder)).unwrap().samples;
    assert!(whole.starts_with(&kept) && whole.len() > kept.len());
}

/// Compiles a shared object with this as its `memcpy`.
#[cfg(target_arch = "x86_64")]
pub fn shared_object(path: &Path, body: &str) {
    let source = path.with_extension("c");
    let text = format!("void *memcpy(void *d, const void *s, unsigned long n) {{\n{body}\n    return d;\n}}\n");
    fs::write(&source, text).unwrap();
    let mut command = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    let flags = ["-shared", "-fPIC", "-O1", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-o"];
    let status =
        command.args(flags).arg(path).arg(&source).status().expect("a C compiler, which the crate needs anyway");
    assert!(status.success());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_peer_that_copies_wrongly_has_no_timing_and_the_record_says_why() {
    let scratch = Scratch::new("verbs-wrong");
    let peer = scratch.0.join("wrong.so");
    shared_object(&peer, "    for (unsigned long i = 0; i < n - (n == 300); i++) ((char *)d)[i] = ((char *)s)[i];");
    let peer = format!("wrong={}", peer.display());
    let output = run(&[&TINY[..], &[scratch.out(), "--json", "--peer", &peer]].concat());
    assert_eq!(output.status.code(), Some(2), "what was asked for is missing: {output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cause = left_out(&document, "wrong");
    assert!(cause.contains("copies 300 bytes") && cause.contains("wrongly"), "{cause}");
    let record = CopyRecord::read(Path::new(document["record"].as_str().unwrap())).unwrap();
    assert_eq!(record.failures.len(), 2, "one for each cell");
    assert!(record.failures.iter().all(|failure| failure.contender == "wrong" && failure.cause == cause));
    assert!(record.samples.iter().all(|sample| sample.contender != "wrong"));

    // Resumed, in the middle or from the beginning, it says so once and has the same rows.
    let folder = Path::new(document["record"].as_str().unwrap());
    let whole = String::from_utf8(kept(folder, "samples.csv")).unwrap();
    for lines in [0, 2, 40, 90] {
        reopen(folder);
        put(folder, "samples.csv", whole.split_inclusive('\n').take(lines).collect::<String>().as_bytes());
        let output = run(&["sweep", "--resume", folder.to_str().unwrap(), "--json"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let resumed = CopyRecord::read(folder).unwrap();
        assert_eq!((&resumed.failures, resumed.samples.len()), (&record.failures, record.samples.len()), "{lines}");
    }
}

/// Why a contender has no timing, as a document says of each cell.
#[cfg(target_arch = "x86_64")]
pub fn left_out<'a>(document: &'a Value, name: &str) -> &'a str {
    let all = document["left_out"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).and_then(|one| one["error"].as_str()).expect("it is named")
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_peer_with_other_contents_is_not_resumed_with() {
    let scratch = Scratch::new("verbs-peer");
    let (peer, results) = (scratch.0.join("peer.so"), scratch.0.join("results"));
    let right = "    for (unsigned long i = 0; i < n; i++) ((char *)d)[i] = ((char *)s)[i];";
    shared_object(&peer, right);
    let word = format!("peer={}", peer.display());
    let document = document(&[&TINY[..], &[results.to_str().unwrap(), "--json", "--peer", &word]].concat());
    let folder = document["record"].as_str().unwrap();
    let text = fs::read_to_string(Path::new(folder).join("env.toml")).unwrap();
    assert!(text.contains("[[peers]]") && text.contains("hash = "), "{text}");
    reopen(Path::new(folder));
    let samples = kept(Path::new(folder), "samples.csv");
    put(Path::new(folder), "samples.csv", &samples);

    shared_object(&peer, &format!("    if (n == 12345678) return 0;\n{right}"));
    refused(&["sweep", "--resume", folder, "--json"], &["peer peer was", "with contents"]);
    assert_eq!(kept(Path::new(folder), "samples.csv"), samples);

    shared_object(&peer, right);
    crate::program::document(&["sweep", "--resume", folder, "--json"]);
    assert_eq!(kept(Path::new(folder), "samples.csv"), samples, "everything was there");
}
