//! Programs that run under the recorder: what is said of them, and how they end.

use super::{Scratch, errors, no_recorder, printed, program};
use crate::recorder::recorded::library;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// `profile` of `program.c` with these words.
fn profiled(scratch: &Scratch, options: &[&str], words: &[&str]) -> Command {
    let library = ["--library", library().to_str().unwrap()];
    scratch.profile(&[&library[..], options, &["--", program()], words].concat())
}

/// Folders for recordings that are there.
fn folders() -> Vec<String> {
    let names = ["/dev/shm", "/tmp"].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    names
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|name| name.contains("/memcpy-select-"))
        .collect()
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn every_call_is_counted_and_its_site_is_named() {
    let scratch = Scratch::new();
    let output = profiled(&scratch, &["--every", "4"], &[]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let found = scratch.document();
    let lengths = found["lengths"].as_array().unwrap();
    let of = |from: u64| lengths.iter().find(|one| one["from_bytes"] == from).unwrap();
    assert!(of(64)["copies"].as_u64().unwrap() >= 6000 && of(64)["copies"].as_u64().unwrap() < 6050, "{}", of(64));
    assert!(of(4096)["bytes"].as_u64().unwrap() >= 3000 * 4096, "{}", of(4096));
    let moves = found["calls"].as_array().unwrap().iter().find(|one| one["kind"] == "move_up").unwrap();
    assert_eq!((&moves["calls"], &moves["bytes"]), (&json!(200), &json!(200_000)));
    let sites = found["sites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["symbol"] == "a_named_function").expect("its name");
    let (samples, repeats) = (site["samples"].as_u64().unwrap(), site["repeats"].as_u64().unwrap());
    assert!(samples > 1000 && samples < 2000 && repeats + 1 == samples, "{site}");
    assert_eq!((&site["calls_to"], &site["module"]), (&json!("memcpy"), &json!(program())));
    let said = errors(&output);
    assert!(said.contains("a_named_function+0x") && said.contains("Would a better copy help? "), "{said}");
    // Less what it takes to time nothing, short copies may take no time at all.
    let is_long = |ratio: &Value| ratio["from_bytes"] == 4096;
    assert!(found["ratios"].as_array().unwrap().iter().any(is_long), "{}", found["ratios"]);
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn the_status_is_the_programs() {
    let cases =
        [("exit", 7, "exit status 7"), ("signal", 139, "signal 11 (SIGSEGV)"), ("kill", 137, "signal 9 (SIGKILL)")];
    for (word, code, end) in cases {
        let scratch = Scratch::new();
        let output = profiled(&scratch, &[], &[word]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{word}: {}", errors(&output));
        let found = scratch.document();
        assert!(found["end"].as_str().unwrap().starts_with(end), "{}", found["end"]);
        assert_eq!(found["calls"].as_array().unwrap().len(), 5);
        assert!(
            found["lengths"].as_array().unwrap().iter().any(|one| one["copies"] == 3000),
            "counted before it ended"
        );
    }
}

#[test]
fn what_cannot_be_run_is_said_and_leaves_no_record() {
    let scratch = Scratch::new();
    let script = scratch.0.join("no program");
    fs::write(&script, "").unwrap();
    let cases = [
        ("/nowhere/program", "there is no such program"),
        ("no-such-program-anywhere", "there is no such program"),
        (script.to_str().unwrap(), "it may not be executed"),
    ];
    for (name, cause) in cases {
        let output = scratch.profile(&["--library", no_recorder(), "--", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = errors(&output);
        assert!(said.contains(name) && said.contains(cause) && said.contains("nothing was run"), "{said}");
    }
    let records =
        || fs::read_dir(scratch.0.join("out")).unwrap().flat_map(|of| fs::read_dir(of.unwrap().path()).unwrap());
    assert_eq!(records().count(), 0);
    for words in [
        &["--library", "/nowhere.so", "--", "true"][..],
        &["--plan", "/nowhere.plan", "--", "true"],
        &["--every", "0", "--", "true"],
        &["--"],
    ] {
        let output = scratch.profile(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn a_program_without_libraries_runs_unchanged_and_that_is_said() {
    let scratch = Scratch::new();
    let path = scratch.0.join("static.c");
    fs::write(&path, "#include <unistd.h>\nint main(void) { return write(1, \"there\\n\", 6) == 6 ? 3 : 4; }\n")
        .unwrap();
    let built = scratch.0.join("static");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status =
        Command::new(compiler).args(["-static", "-o"]).args([&built, &path]).stderr(Stdio::null()).status().unwrap();
    if !status.success() {
        println!("skipped: there is no static C library here");
        return;
    }
    let output =
        scratch.profile(&["--library", library().to_str().unwrap(), "--", built.to_str().unwrap()]).output().unwrap();
    assert_eq!((output.status.code(), &*printed(&output)), (Some(3), "there\n"));
    assert!(
        errors(&output).contains("it is linked statically, and loads no library; it ran unchanged"),
        "{}",
        errors(&output)
    );
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn input_output_and_environment_are_the_programs() {
    for is_json in [false, true] {
        let scratch = Scratch::new();
        let options: &[&str] = if is_json { &["--json"] } else { &[] };
        let mut command = profiled(&scratch, options, &["echo"]);
        command.env("A_WORD", "of the environment").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"a line\nanother\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let text = "a line\nanother\nof the environment\n";
        if is_json {
            let found: serde_json::Value =
                serde_json::from_slice(&output.stdout).expect("one document and nothing else");
            assert_eq!(found["end"], "exit status 0");
            assert!(String::from_utf8_lossy(&output.stderr).contains(text));
        } else {
            assert_eq!(printed(&output), text);
        }
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn signals_are_passed_on_and_the_report_comes_all_the_same() {
    let scratch = Scratch::new();
    let mut command = profiled(&scratch, &[], &["signals"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let pid = rustix::process::Pid::from_child(&child);
    for signal in [rustix::process::Signal::USR1, rustix::process::Signal::USR1, rustix::process::Signal::TERM] {
        rustix::process::kill_process(pid, signal).unwrap();
        if signal == rustix::process::Signal::USR1 {
            assert_eq!(lines.next().as_deref(), Some("got one"));
        }
    }
    assert_eq!(lines.next(), None);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{}", errors(&output));
    assert!(
        errors(&output).contains("signal 15 (SIGTERM)") && errors(&output).contains("It copied 9"),
        "{}",
        errors(&output)
    );
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn a_limit_of_time_ends_a_program_that_runs_for_ever() {
    let scratch = Scratch::new();
    let output = profiled(&scratch, &["--seconds", "1"], &["for ever"]).output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{}", errors(&output));
    assert!(scratch.document()["lengths"].as_array().unwrap().iter().any(|one| one["copies"] == 3000));
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn a_process_that_goes_on_is_counted_until_now_and_that_is_said() {
    let scratch = Scratch::new();
    let mark = scratch.0.join("goes on");
    fs::write(&mark, "").unwrap();
    // What goes on keeps the standard error open.
    let (path, mut command) = (scratch.0.join("said"), profiled(&scratch, &[], &["daemon", mark.to_str().unwrap()]));
    let status = command.stdout(Stdio::null()).stderr(fs::File::create(&path).unwrap()).status().unwrap();
    fs::remove_file(&mark).unwrap();
    let said = fs::read_to_string(&path).unwrap();
    assert!(status.success() && said.contains("note: 1 process goes on; recorded until now"), "{said}");
    let found = scratch.document();
    assert_eq!((&found["processes_going_on"], &found["processes"][0]["end"]), (&json!(1), &json!("goes on")));
    // What the child did that was forked is in its parent's recording.
    assert!(found["lengths"].as_array().unwrap().iter().any(|one| one["copies"] == 6000), "{}", found["lengths"]);
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn however_many_children_there_are_each_is_counted_and_the_record_is_bounded() {
    let scratch = Scratch::new();
    let output = profiled(&scratch, &["--pid-of-children"], &["children", "80"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let found = scratch.document();
    let processes = found["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 65, "64 by themselves, and the others");
    assert_eq!((&processes[64]["pid"], &processes[64]["program"]), (&json!(0), &json!("17 further processes")));
    assert!(errors(&output).contains("81 processes recorded"), "{}", errors(&output));
    let copies: u64 = found["lengths"].as_array().unwrap().iter().map(|one| one["copies"].as_u64().unwrap()).sum();
    assert!((81 * 9200..81 * 9300).contains(&copies), "{copies}");
}

/// None of those that the tests beside this one have made stays.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn nothing_is_left() {
    let scratch = Scratch::new();
    let mut child = profiled(&scratch, &[], &["for ever"]).stderr(Stdio::null()).spawn().unwrap();
    let of_child = |names: Vec<String>| {
        names.into_iter().filter(|name| name.contains(&format!("memcpy-select-{}-", child.id()))).count()
    };
    let start = std::time::Instant::now();
    while of_child(folders()) == 0 {
        assert!(start.elapsed().as_secs() < 60, "the folder is made");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // Once the folder is there, a signal is kept until there is a program to pass it on to.
    std::thread::sleep(std::time::Duration::from_millis(200));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let id = child.id();
    child.wait().unwrap();
    let left = folders().into_iter().filter(|name| name.contains(&format!("memcpy-select-{id}-"))).count();
    assert_eq!(left, 0);
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn the_lengths_are_a_workload_to_measure_by() {
    let scratch = Scratch::new();
    let output = profiled(&scratch, &[], &[]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let record = scratch.record();
    let sweep = |path: &std::path::Path| {
        let mut command = scratch.verb("sweep");
        command.args(["--effort", "quick", "--kernels", "portable", "--json", "--workload"]).arg(path);
        command.arg("--out").arg(scratch.0.join("sweeps")).output().unwrap()
    };
    let output = sweep(&record);
    assert!(output.status.success(), "{}", errors(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = found["cells"].as_array().unwrap();
    assert!(cells.len() >= 12 && cells.iter().all(|cell| cell["residency"].as_str().unwrap().starts_with("workload+")));
    let output = scratch.verb("calibrate").arg("--json").arg("--workload").arg(&record).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let bad = scratch.0.join("bad.csv");
    fs::write(&bad, "from_bytes,up_to_bytes,calls\n8,4,1\n").unwrap();
    for verb in ["sweep", "calibrate"] {
        let output = scratch.verb(verb).arg("--workload").arg(&bad).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains("bad.csv:2: 8 to 4 is no range of lengths"), "{}", errors(&output));
    }
}
