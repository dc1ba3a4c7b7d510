//! Recordings that were made up: their figures are known, or they are none.

use super::{Scratch, errors, no_recorder};
use crate::cases::Effort;
use memcpy_select::recording::{Arm, Function, Kind, Line, Recording, Sample, Under, flags, reuse};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::Ordering::Relaxed;

/// Runs a shell that leaves this file as a recording, and does nothing else.
fn left(scratch: &Scratch, bytes: &[u8], options: &[&str]) -> Output {
    let path = scratch.0.join("made");
    fs::write(&path, bytes).unwrap();
    shell(scratch, r#"cp "$0" "$MEMCPY_SELECT_RECORDING/77-1.recording""#, path.to_str().unwrap(), options)
}

fn shell(scratch: &Scratch, line: &str, word: &str, options: &[&str]) -> Output {
    let words = ["--library", no_recorder()];
    let command = ["--", "sh", "-c", line, word];
    scratch.profile(&[&words[..], options, &command[..]].concat()).output().unwrap()
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A process of a millisecond of processor time, a tick a nanosecond, with 1000 copies of 64 bytes. libc takes 100 ns for each,
/// and the plan 50; timing nothing takes 100 ns.
fn fill(recording: &Recording) {
    let header = &recording.header;
    header.pid.store(77, Relaxed);
    header.parent.store(1, Relaxed);
    header.period.store(10, Relaxed);
    header.under.store(Under::Both as u32, Relaxed);
    header.flags.store(flags::ENDED | flags::LIBC_FOUND, Relaxed);
    header.ticks_per_second.store(1_000_000_000, Relaxed);
    header.empty_milliticks.store(100_000, Relaxed);
    header.call_milliticks.store(2_000, Relaxed);
    header.sample_milliticks.store(80_000, Relaxed);
    header.start.monotonic_ns.store(1_000, Relaxed);
    header.updated.monotonic_ns.store(2_001_000, Relaxed);
    header.processes[0].pid.store(77, Relaxed);
    header.processes[0].cpu_ns.store(1_000_000, Relaxed);
    header.reuse_state.store(reuse::WORKS, Relaxed);
    header.reuse_window_ns.store(5_000, Relaxed);
    let path = b"/a folder/program";
    header.program.bytes.iter().zip(path).for_each(|(place, byte)| place.store(*byte, Relaxed));
    header.program.len.store(path.len() as u64, Relaxed);
    recording.slots[0].owner.store(77 << 32 | 77, Relaxed);
    for _ in 0..1000 {
        recording.slots[0].count(Kind::Copy, 64);
    }
    for _ in 0..3 {
        recording.slots[5].count(Kind::MoveUp, 5000);
    }
    recording.slots[5].count(Kind::Fill, 16);
    for number in 0..100 {
        let (arm, ticks) = if number % 2 == 0 { (Arm::Libc, 200) } else { (Arm::Plan, 150) };
        let kind = Kind::Copy;
        let function = if number < 10 { Function::Memmove } else { Function::Memcpy };
        recording.add_sample(&Sample {
            kind,
            function,
            dst: 0x1_0010,
            src: 0x2_0008,
            len: 64,
            site: 0x1234,
            arm,
            ticks,
        });
    }
    recording.reuse_of(Line::First, 64).add(900);
    recording.reuse_of(Line::First, 64).not_within.store(3, Relaxed);
}

fn made() -> Vec<u64> {
    let mut words = vec![0; Recording::WORDS];
    fill(Recording::create(&mut words).unwrap());
    words
}

fn is_near(value: &Value, wanted: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - wanted).abs() < 1e-9)
}

#[test]
fn every_figure_of_a_recording_is_in_the_record() {
    let scratch = Scratch::new();
    let output = left(&scratch, &bytes_of(&made()), &["--every", "10"]);
    assert!(output.status.success(), "{}", errors(&output));
    let said = errors(&output);
    for part in [
        "exit status 0 in ",
        "1.00 ms of processor time; 1 process recorded, 2 threads that copied.",
        "It copied 1003 times, 79.0 kB",
        "0.30% of the calls overlap; it filled 1 time, 16 B.",
        "Half of the copies are of 64 B or less; half of the bytes are in copies of 64 B or more.",
        "Would a better copy help? Yes: memcpy-select's plan instead of libc would save 5.00% (5.00% to 5.00%) of the processor \
         time.",
        "All copying and filling is 10.0% (10.0% to 10.0%)",
        "Recording took 10.0 us (1.00% of the processor time)",
        "0x1234, in no file",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let found = scratch.document();
    assert_eq!((&found["question"], &found["bench"]), (&json!("calls"), &json!("profile")));
    assert_eq!(
        (&found["cpu_ns"], &found["under"], &found["end"]),
        (&json!(1_000_000), &json!("both"), &json!("exit status 0"))
    );
    let calls = |kind: &str| {
        let all = found["calls"].as_array().unwrap();
        let one = all.iter().find(|one| one["kind"] == kind).unwrap();
        (one["calls"].as_u64().unwrap(), one["bytes"].as_u64().unwrap())
    };
    let kinds = ["copy", "move_down", "move_up", "same", "fill"];
    assert_eq!(kinds.map(calls), [(1000, 64_000), (0, 0), (3, 15_000), (0, 0), (1, 16)]);
    let share = &found["share_of_cpu_by_libc"];
    assert!(
        is_near(&share["value"], 0.1) && is_near(&share["interval"][0], 0.1) && is_near(&share["interval"][1], 0.1)
    );
    assert!(is_near(&found["plan_saves_of_cpu"]["value"], 0.05), "{}", found["plan_saves_of_cpu"]);
    assert!(is_near(&found["ratios"][0]["plan_over_libc"]["value"], 0.5), "{}", found["ratios"]);
    let site = &found["sites"][0];
    assert_eq!((&site["address"], &site["samples"], &site["bytes"]), (&json!(0x1234), &json!(100), &json!(6400)));
    assert_eq!(
        (&site["repeats"], &site["compared"], &site["calls_to"]),
        (&json!(99), &json!(99), &json!("memcpy+memmove"))
    );
    assert_eq!((&site["lengths"], &site["ticks"]), (&json!("64x100"), &json!(7500.0)));
    let samples = |figure: &str| found["samples"][figure].clone();
    assert_eq!(samples("dst_offset"), json!([{ "what": "", "from": 16, "up_to": 16, "calls": 100, "bytes": 6400 }]));
    assert_eq!(samples("distance"), json!([{ "what": "", "from": 1, "up_to": 63, "calls": 100, "bytes": 6400 }]));
    let class = json!([{ "what": "unequal+dst-after", "from": 64, "up_to": 127, "calls": 100, "bytes": 6400 }]);
    assert_eq!(samples("class"), class);
    assert_eq!(samples("reuse_ns")[0]["from"], 512);
    let unused = json!([{ "what": "first 256", "from": 5000, "up_to": u64::MAX, "calls": 3, "bytes": 0 }]);
    assert_eq!(samples("unused_ns"), unused);
    let process = &found["processes"][0];
    assert_eq!((&process["program"], &process["end"]), (&json!("/a folder/program"), &json!("exited")));
    assert_eq!((&process["elapsed_ns"], &process["threads"]), (&json!(2_000_000), &json!(2)));
    assert_eq!(found["choices"][0]["samples"], 100);
    // The lengths are a workload, moves among them and fills not.
    let path = scratch.record().join("workload.csv");
    let output = std::process::Command::new("gzip").arg("-dc").arg(path.with_extension("csv.gz")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "from_bytes,up_to_bytes,calls\n64,64,1000\n4608,5119,3\n");
}

/// Two processes: what is measured in one is not held against the other's cost of timing nothing.
#[test]
fn processes_are_added_up_each_by_its_own_clock() {
    let scratch = Scratch::new();
    let (first, mut second) = (made(), vec![0; Recording::WORDS]);
    let recording = Recording::create(&mut second).unwrap();
    fill(recording);
    recording.header.empty_milliticks.store(50_000, Relaxed);
    let files = [first, second].map(|words| bytes_of(&words));
    for (name, bytes) in ["one", "two"].into_iter().zip(&files) {
        fs::write(scratch.0.join(name), bytes).unwrap();
    }
    let line = r#"for one in one two; do cp "$0/$one" "$MEMCPY_SELECT_RECORDING/77-$one.recording"; done"#;
    let output = shell(&scratch, line, scratch.0.to_str().unwrap(), &["--pid-of-children"]);
    assert!(output.status.success() && errors(&output).contains("2 processes recorded"), "{}", errors(&output));
    let found = scratch.document();
    assert_eq!((found["calls"][0]["calls"].as_u64(), found["cpu_ns"].as_u64()), (Some(2000), Some(2_000_000)));
    // 1000 calls of 100 ns and as many of 150, in 2 ms.
    assert!(is_near(&found["share_of_cpu_by_libc"]["value"], 0.125), "{}", found["share_of_cpu_by_libc"]);
    assert!(is_near(&found["plan_saves_of_cpu"]["value"], 0.05), "{}", found["plan_saves_of_cpu"]);
}

#[test]
fn what_is_no_recording_is_said_and_left() {
    let of_words = |change: fn(&mut Vec<u64>)| {
        let mut words = made();
        change(&mut words);
        bytes_of(&words)
    };
    let cases = [
        (Vec::new(), "it has 0 bytes where a recording has"),
        (vec![7; 100_000], "it has 100000 bytes"),
        (of_words(|words| words[0] = 7), "as no recording does"),
        (of_words(|words| words[1] = 99), "its layout has version 99"),
    ];
    for (bytes, cause) in cases {
        let scratch = Scratch::new();
        let output = left(&scratch, &bytes, &[]);
        assert!(output.status.success(), "{}", errors(&output));
        let said = errors(&output);
        assert!(said.contains("note: 77-1.recording: ") && said.contains(cause), "{cause}: {said}");
        assert_eq!(scratch.document()["processes"], json!([]));
    }
    // A process that ended before its recording was ready says nothing.
    let scratch = Scratch::new();
    let output = left(&scratch, &bytes_of(&vec![0; Recording::WORDS]), &[]);
    assert!(output.status.success() && errors(&output).contains("nothing was recorded"), "{}", errors(&output));
}

/// What lies in the folder under such a name may be anything.
#[test]
fn no_link_pipe_or_folder_is_read_or_waited_for() {
    for line in [
        r#"mkfifo "$MEMCPY_SELECT_RECORDING/77-1.recording""#,
        r#"ln -s /dev/zero "$MEMCPY_SELECT_RECORDING/77-1.recording""#,
        r#"mkdir "$MEMCPY_SELECT_RECORDING/77-1.recording""#,
    ] {
        let scratch = Scratch::new();
        let output = shell(&scratch, line, "", &[]);
        assert!(output.status.success(), "{}", errors(&output));
        assert!(errors(&output).contains("note: 77-1.recording: "), "{line}: {}", errors(&output));
    }
}

/// Every number is as large as can be, or any other: all of it is shown, on the page too.
#[test]
fn any_numbers_at_all_are_shown() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let fillers: [&mut dyn FnMut() -> u64; 3] = [&mut || u64::MAX, &mut || 0x8080_8080_8080_8080, &mut next];
    // By default the two that differ most.
    let each = if Effort::chosen() < Effort::Full { 2 } else { 1 };
    for filler in fillers.into_iter().step_by(each) {
        let mut words: Vec<u64> = (0..Recording::WORDS).map(|_| filler()).collect();
        let whole = made();
        words[..3].copy_from_slice(&whole[..3]);
        let scratch = Scratch::new();
        let output = left(&scratch, &bytes_of(&words), &[]);
        assert!(output.status.success(), "{}", errors(&output));
        let said = errors(&output);
        assert!(!said.contains("panicked") && !said.contains("NaN") && said.contains("1 process recorded"), "{said}");
        let found = scratch.document();
        assert!(found["calls"][0]["calls"].as_u64().unwrap() > 0);
        let page = scratch.0.join("page.html");
        let output = scratch.verb("report").arg(scratch.record()).arg("--out").arg(&page).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        assert!(Path::new(&page).is_file());
    }
}
