//! The promise: the program behaves as others do on a command line. A closed pipe is no error and a full device is one, a
//! length is a length everywhere, a file is there as a whole or not at all, what cannot be had is refused before anything is
//! measured, and what a record is not is said before its figures.

use crate::cases::Effort as Cases;
use crate::made_up::{self, Made};
use crate::program::{
    Scratch, copy, copy_some, document, errors, has_keys, names, printed, refused, reopen, run, said, set,
};
use crate::tree::{ONE, SECTIONS};
use crate::verbs::TINY;
use memcpy_select::lab::copies::CopyRecord;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full_device() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// One record of each of these questions, made here: bench `select` of copies, paths, neighbours, sections.
struct Records {
    scratch: Scratch,
    copies: String,
    paths: String,
    neighbours: String,
    sections: String,
}

impl Records {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let results = scratch.0.join("results");
        let word = |folder: PathBuf| folder.into_os_string().into_string().unwrap();
        let copies = word(Made { bench: "select", ..made_up::copies() }.whole(&results));
        let paths = word(made_up::paths().whole(&results));
        let neighbours = word(made_up::neighbours().whole(&results));
        #[cfg(target_arch = "x86_64")]
        let sections = word(made_up::sections().whole(&results));
        #[cfg(not(target_arch = "x86_64"))]
        let sections = String::new();
        Self { scratch, copies, paths, neighbours, sections }
    }

    /// Each of them.
    fn all(&self) -> impl Iterator<Item = &str> {
        [&*self.copies, &self.paths, &self.neighbours, &self.sections].into_iter().filter(|name| !name.is_empty())
    }
}

/// What each verb is asked that it answers without measuring for long.
fn questions(records: &Records) -> Vec<Vec<&str>> {
    let Records { copies, paths, neighbours, sections, .. } = records;
    let mut questions = vec![
        vec!["--help"],
        vec!["--version"],
        vec!["sweep", "--help"],
        vec!["doctor"],
        vec!["doctor", "--json"],
        vec!["calibrate"],
        vec!["calibrate", "--json"],
        vec!["explain", "4096", "--record", copies],
        vec!["explain", "4096", "--question", "paths", "--record", paths],
        vec!["compare", copies, copies],
        vec!["validate", ONE],
        vec!["report", records.scratch.out()],
        vec!["report", "--json", neighbours],
        vec!["report", "--targets", paths],
        vec!["ipc", "--list"],
        vec!["ipc", "--list", "--json"],
    ];
    if cfg!(target_arch = "x86_64") {
        questions.push(vec!["xsave", "--record", sections]);
    }
    questions
}

/// Which of the standard output and the standard error is in trouble for a question of that number: both, or by default one of
/// them, where the other test has the other one.
fn in_trouble(number: usize, is_first_output: bool) -> [bool; 2] {
    let is_output = number.is_multiple_of(2) == is_first_output;
    if Cases::chosen() < Cases::Full { [is_output, !is_output] } else { [true; 2] }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let records = Records::new("manners-closed");
    for (number, question) in questions(&records).into_iter().enumerate() {
        let [is_output, is_error] = in_trouble(number, true);
        if is_output {
            let output = program().args(&question).stdout(closed_pipe()).output().unwrap();
            assert_eq!((output.status.code(), errors(&output).contains("panicked")), (Some(0), false), "{question:?}");
        }
        if is_error {
            let output = program().args(&question).stderr(closed_pipe()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{question:?}");
        }
    }
    // What the status says is said without a reader, too.
    let slower = slower(records.copies.as_ref(), &records.scratch.0.join("slower"));
    let compare = ["compare", &records.copies, slower.to_str().unwrap(), "--fail-over", "5"];
    assert_eq!(program().args(compare).stdout(closed_pipe()).output().unwrap().status.code(), Some(1));
    let output = program().args(["explain", "4q"]).stderr(closed_pipe()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_full_device_is_an_error() {
    let records = Records::new("manners-full");
    for (number, question) in questions(&records).into_iter().enumerate() {
        let [is_output, is_error] = in_trouble(number, false);
        if is_output {
            let output = program().args(&question).stdout(full_device()).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{question:?}");
            let said = errors(&output);
            assert!(said.contains("error: standard output: No space left"), "{question:?}: {said}");
        }
        if is_error {
            let output = program().args(&question).stderr(full_device()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{question:?}");
        }
    }
}

#[test]
fn measuring_verbs_print_as_the_others_do() {
    let scratch = Scratch::new("manners-measuring");
    let out = scratch.0.join("results");
    let sweep = [&TINY[..], &[out.to_str().unwrap()]].concat();
    let ipc = ["ipc", "--effort", "quick", "--sizes", "64", "--paths", "pipe", "--out", out.to_str().unwrap()];
    let neighbour = ["neighbour", "--effort", "quick", "--out", out.to_str().unwrap()];
    // What takes seconds to measure is measured if all cases are asked for.
    let is_long = |verb: &[&str]| verb == neighbour || (verb == ipc && Cases::chosen() < Cases::Full);
    for verb in [&sweep[..], &ipc[..], &neighbour[..]] {
        let output = program().args(verb).stdout(full_device()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("error: standard output: No space left"), "{}", errors(&output));
        assert!(!out.exists(), "what cannot be printed is not measured either");
        if is_long(verb) {
            continue;
        }
        let output = program().args(verb).stdout(closed_pipe()).stderr(closed_pipe()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        // Its record is kept all the same.
        let listed = document(&["report", out.to_str().unwrap(), "--json"]);
        let listed = listed["listed"].as_array().unwrap();
        assert_eq!((listed.len(), &listed[0]["complete"]), (1, &Value::Bool(true)));
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_length_is_a_length_everywhere() {
    let scratch = Scratch::new("manners-lengths");
    let record = tiny(&scratch);
    let record = record.to_str().unwrap();
    let explained = |arguments: &[&str]| document(&[&["explain", "--json", "--record", record], arguments].concat());
    for word in ["4096", "4096B", "4k", "4K", "4kb", "4KB", "4KiB", "4 kib"] {
        assert_eq!(explained(&[word])["len_bytes"], 4096, "{word}");
    }
    let paths = made_up::paths().whole(&scratch.0.join("paths"));
    let explained_of_paths = document(&["explain", "1MiB", "--json", "--record", paths.to_str().unwrap()]);
    assert_eq!(explained_of_paths["payload_bytes"], 1 << 20);
    assert_eq!(explained(&["1.5k"])["len_bytes"], 1536);
    let class = |offset: &str| explained(&["64", "--dst-offset", offset, "--src-offset", offset])["class"].clone();
    assert_eq!(class("1k"), class("1024"));
    let sweep =
        ["sweep", "--effort", "quick", "--sizes", "1k,2KB", "--kernels", "portable", "--json", "--out", scratch.out()];
    let lengths: Vec<u64> =
        document(&sweep)["cells"].as_array().unwrap().iter().map(|cell| cell["len_bytes"].as_u64().unwrap()).collect();
    assert_eq!(lengths, [1024, 2048]);
    assert!(said(&["--help"]).contains("4096, 4k, 4KB"));
}

#[test]
fn a_near_miss_is_answered_with_what_was_meant() {
    let cases: [(&[&str], &str); 13] = [
        (&["explain", "4kbi"], "did you mean 4KiB (4096 bytes)?"),
        (&["sweep", "--sizes", "64,4kbi"], "did you mean 4KiB (4096 bytes)?"),
        (&["ipc", "--sizes", "1mibi"], "did you mean 1MiB (1048576 bytes)?"),
        (&["sweep", "--kernels", "rep_movb"], "did you mean rep_movsb?"),
        (&["ipc", "--kernels", "rep_movb"], "did you mean rep_movsb?"),
        (&["ipc", "--paths", "unixstream"], "did you mean unix_stream?"),
        (&["ipc", "--modes", "pooling"], "did you mean polling?"),
        (&["ipc", "--placements", "one-core"], "did you mean one_core?"),
        (&["ipc", "--touch", "untouch"], "did you mean untouched?"),
        (&["sweep", "--residency", "hott"], "did you mean hot?"),
        (&["sweep", "--effort", "quik"], "did you mean quick?"),
        (&["explain", "64", "--question", "path"], "'paths'"),
        (&["sweap"], "'sweep'"),
    ];
    for (arguments, meant) in cases {
        refused(arguments, &[meant]);
    }
    // Or with what there is.
    refused(&["sweep", "--kernels", "zzz"], &["use rep_movsb, "]);
}

/// The program where no file can have any bytes.
fn on_a_full_disk(arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_memcpy-select")]).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

#[test]
fn what_a_full_disk_had_no_room_for_can_be_tried_again() {
    let (scratch, records) = (Scratch::new("manners-disk"), Records::new("manners-kept"));
    let sections = records.scratch.0.join("sections");
    copy_some(SECTIONS.as_ref(), &sections, "xsave.csv");
    let (plan, page) = (scratch.0.join("plan"), scratch.0.join("page.html"));
    let (plan_word, page_word) = (plan.to_str().unwrap(), page.to_str().unwrap());
    let mut verbs =
        vec![vec!["calibrate", "--save", plan_word], vec!["report", &records.neighbours, "--out", page_word]];
    if cfg!(target_arch = "x86_64") {
        verbs.push(vec!["xsave", "--record", sections.to_str().unwrap(), "--plan", plan_word]);
    }
    for verb in verbs {
        let output = on_a_full_disk(&verb);
        assert_eq!(output.status.code(), Some(2), "{verb:?}: {}", errors(&output));
        assert!(errors(&output).contains("File too large"), "{verb:?}: {}", errors(&output));
        assert!(names(&scratch.0).is_empty(), "{verb:?} leaves nothing");
        assert!(run(&verb).status.success(), "{verb:?}");
        assert_eq!(names(&scratch.0).len(), 1, "{verb:?}");
        let whole = fs::read(scratch.0.join(&names(&scratch.0)[0])).unwrap();
        // Of a page, the older one stays; a plan is never replaced.
        assert_eq!(on_a_full_disk(&verb).status.code(), Some(2), "{verb:?}");
        assert_eq!(fs::read(scratch.0.join(&names(&scratch.0)[0])).unwrap(), whole, "{verb:?}");
        fs::remove_file(scratch.0.join(&names(&scratch.0)[0])).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_measured() {
    let scratch = Scratch::new("manners-first");
    let (file, out) = (scratch.0.join("file"), scratch.0.join("results"));
    fs::write(&file, "mine").unwrap();
    let (file_word, out_word) = (file.to_str().unwrap(), out.to_str().unwrap());
    let missing = scratch.0.join("missing/plan");
    let mut refused: Vec<Vec<&str>> = vec![
        vec!["calibrate", "--save", file_word],
        vec!["calibrate", "--save", missing.to_str().unwrap()],
        [&TINY[..], &[file_word]].concat(),
        vec!["ipc", "--effort", "quick", "--out", file_word],
        vec!["neighbour", "--effort", "quick", "--out", file_word],
    ];
    if cfg!(target_arch = "x86_64") {
        refused.push(vec!["xsave", "--effort", "quick", "--plan", file_word, "--out", out_word]);
        refused.push(vec!["xsave", "--effort", "quick", "--plan", missing.to_str().unwrap(), "--out", out_word]);
        refused.push(vec!["xsave", "--effort", "quick", "--out", file_word]);
    }
    for verb in refused {
        let output = run(&verb);
        assert_eq!(output.status.code(), Some(2), "{verb:?}: {}", errors(&output));
        let messages = errors(&output);
        assert!(!messages.contains("measuring") && !messages.contains("as it grows"), "{verb:?}: {messages}");
        assert!(!printed(&output).contains("plan"), "{verb:?}");
        assert_eq!(
            (names(&scratch.0), fs::read(&file).unwrap()),
            (vec!["file".to_owned()], b"mine".to_vec()),
            "{verb:?}"
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_peer_that_crashes_is_named_and_the_others_are_measured() {
    let scratch = Scratch::new("manners-crash");
    let right = "    for (unsigned long i = 0; i < n; i++) ((char *)d)[i] = ((char *)s)[i];";
    let cases = [
        ("fault", format!("    if (n == 300) *(volatile char *)8 = 1;\n{right}"), "SIGSEGV"),
        ("abort", format!("    if (n == 300) __builtin_trap();\n{right}"), "SIGILL"),
    ];
    for (name, body, signal) in cases {
        let library = scratch.0.join(format!("{name}.so"));
        crate::verbs::shared_object(&library, &body);
        let peer = format!("{name}={}", library.display());
        let output = run(&[&TINY[..], &[scratch.out(), "--json", "--peer", &peer]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        let message = errors(&output);
        assert!(message.contains(&format!("error: {name} ")) && message.contains(signal), "{message}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cause = crate::verbs::left_out(&document, name);
        assert!(cause.contains(signal), "{cause}");
        let record = CopyRecord::read(Path::new(document["record"].as_str().unwrap())).unwrap();
        assert!(record.complete && record.samples.iter().any(|sample| sample.contender == "portable"));
        assert!(record.samples.iter().all(|sample| sample.contender != name));
    }
}

/// The same record with slower copies by one contender.
fn slower(folder: &Path, results: &Path) -> PathBuf {
    let mut record = CopyRecord::read(folder).unwrap();
    record.samples.iter_mut().filter(|one| one.contender == "gpr").for_each(|one| one.total_ns *= 16);
    record.save(results).unwrap()
}

/// A record of two cells, made here.
fn tiny(scratch: &Scratch) -> PathBuf {
    PathBuf::from(document(&[&TINY[..], &[scratch.out(), "--json"]].concat())["record"].as_str().unwrap())
}

#[test]
fn records_of_every_kind_are_reported_on_one_page() {
    let records = Records::new("manners-kinds");
    let [page, broken, svg] = ["all.html", "2026-01-01.1", "2026-01-01.2.svg"].map(|name| records.scratch.0.join(name));
    let html = || fs::read_to_string(&page).unwrap();
    fs::write(&svg, "a plot").unwrap();
    let svg = svg.to_str().unwrap();
    let (named, to_page) = (records.all().chain([svg]).collect::<Vec<_>>(), ["--out", page.to_str().unwrap()]);
    let output = run(&[&["report"], &named[..], &to_page].concat());
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains(&format!("note: {svg}: this is no record")), "{}", errors(&output));
    assert_eq!(printed(&output), format!("page: {}\n", page.display()));
    assert_eq!(html().matches("<section").count(), records.all().count());
    let machine_and_day = |name: &str| name.rsplitn(3, '/').take(2).map(str::to_owned).collect::<Vec<_>>();
    assert!(records.all().all(|name| machine_and_day(name).iter().all(|part| html().contains(part))));

    // One that cannot be read keeps none of the others from the page, and is an error all the same.
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("env.toml"), "format = 2\n").unwrap();
    let neighbours = &*records.neighbours;
    let output = run(&[&["report", broken.to_str().unwrap(), neighbours], &to_page[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("env.toml") && html().contains(&machine_and_day(neighbours)[0]));
    refused(&[&["report", svg, "src"], &to_page[..]].concat(), &["no record among what was named"]);
    // A plot is of one record.
    let plot = records.scratch.0.join("plot.svg");
    let two = ["report", &records.copies, &records.paths, "--svg", plot.to_str().unwrap()];
    refused(&two, &["a plot is of one record"]);
}

#[test]
fn a_folder_of_records_is_listed() {
    let text = said(&["report", "results"]);
    let line =
        |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
    assert!(line("2026-11-24.4 ").contains("ipc") && line("2026-11-24.4 ").ends_with("complete"));
    assert!(line("2026-11-23.8 ").contains("distributions"));
    assert!(line("amd-26-2-1-kvm").contains("AMD EPYC"));
    let one = said(&["report", "results/amd-25-1-1-kvm"]);
    assert!(one.contains("1 record;") && one.lines().count() == 3, "{one}");

    let scratch = Scratch::new("manners-list");
    let folder = tiny(&scratch);
    reopen(&folder);
    let listed = document(&["report", scratch.out(), "--json"]);
    let one = &listed["listed"][0];
    has_keys(one, &["record", "name", "bench", "date", "effort", "machine", "cpu"]);
    assert_eq!((&one["bench"], &one["complete"]), (&Value::from("sweep"), &Value::Bool(false)));
    assert!(said(&["report", scratch.out()]).contains("not complete"));
    fs::write(folder.join("env.toml"), "format = 99\n").unwrap();
    let output = run(&["report", scratch.out()]);
    assert!(output.status.code() == Some(2) && printed(&output).contains("unreadable"), "{}", printed(&output));
}

#[test]
fn what_a_record_is_not_is_said_before_its_figures() {
    let scratch = Scratch::new("manners-notes");
    let (here, there) = (tiny(&scratch), scratch.0.join("there"));
    copy(&here, &there);
    let (here, there) = (here.to_str().unwrap(), there.to_str().unwrap());
    let questions = [&["explain", "64", "--record", there][..], &["compare", here, there]];
    assert!(questions.iter().all(|question| !said(question).starts_with("note:")));

    set(Path::new(there), "signature", Some("\"intel-6-1-1\""));
    for question in questions {
        let text = said(question);
        assert!(text.starts_with("note: ") && text.contains("CPU") && text.contains("intel-6-1-1"), "{text}");
    }
    assert_eq!(document(&["compare", here, there, "--json"])["notes"].as_array().unwrap().len(), 1);
    // Of another question than was asked.
    let records = Records::new("manners-others");
    let explain =
        |question, record| refused(&["explain", "64", "--question", question, "--record", record], &[question]);
    assert!(explain("copies", &*records.neighbours).contains("is of neighbours"));
    assert!(explain("paths", &*records.copies).contains("is of copies"));
    refused(&["compare", &records.copies, &records.neighbours], &["of bench select, the other of neighbour"]);
    refused(&["report", "--targets", &records.copies], &["of bench select"]);
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let scratch = Scratch::new("manners-controls");
    let made = tiny(&scratch);
    let folder = scratch.0.join("machine\u{1b}[2J/2026-01-01.1");
    copy(&made, &folder);
    set(&folder, "name", Some("\"\\u001b[31mred\\u0007\\u009b\\u202e\\nerror: false\\r\""));
    set(&folder, "signature", Some("\"intel-6-1-1\""));
    let (word, page) = (folder.to_str().unwrap(), scratch.0.join("page.html"));
    let page = page.to_str().unwrap();
    let questions: [&[&str]; 8] = [
        &["report", scratch.out()],
        &["report", scratch.out(), "--json"],
        &["report", word, "--out", page],
        &["report", word, "--json"],
        &["explain", "64", "--record", word],
        &["compare", made.to_str().unwrap(), word],
        &["explain", "\u{1b}[31m"],
        &["report", "\u{1b}[31m"],
    ];
    for question in questions {
        let output = run(question);
        for text in [printed(&output), errors(&output)] {
            let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(is_bad), "{question:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("error: false")), "{question:?}: {text}");
        }
        if question.contains(&"--json") {
            serde_json::from_slice::<Value>(&output.stdout).unwrap();
        }
    }
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("[31mred") && !html.contains(|c: char| c.is_control() && c != '\n'), "the page");
}
