//! The promise: what a kernel measured in ring 0 is kept beside what was measured in user mode of the same CPU, takes the place of
//! what was modelled, and is shown as what it is; what is no such log, or of no real ring 0, is refused and nothing is kept; and a
//! record without such figures is what it was.

use crate::made_up;
use crate::page::check;
use crate::program::{
    Scratch, compressed, copy, copy_some, document, gz, kept, names, put, refused, reopen, run, said,
};
use crate::tree::SECTIONS;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::record::Record;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What the log adds to a record.
const FILES: [&str; 2] = ["xsave-ring0-machine.csv.gz", "xsave-ring0.csv.gz"];

/// The log of a serial port. Firmware writes before it, and something behind it.
pub fn log(cpu: &str, machine: &str, real: &str) -> String {
    format!(
        "\u{1b}[2JSeaBIOS (version 1.16)\r\nBooting from ROM..memcpy-select ring0 1\r\ncpu {cpu}\r\nmachine {machine}\r\n\
         real {real}\r\ntsc_hz 2000000000\r\n\
         row empty cycles 20 20 24 10000\r\n\
         row xsaves_xrstors/init cycles 80 78 90 10000\r\n\
         row xsaves_xrstors/sse cycles 120 118 130 10000\r\n\
         row xsaves_xrstors/avx512 cycles 220 210 250 10000\r\n\
         row interrupt/clean cycles 620 600 700 5000\r\n\
         row interrupt/sse cycles 770 750 800 5000\r\n\
         row interrupt/avx512 cycles 920 900 990 5000\r\n\
         row nm_trap/sse cycles 1020 1000 1100 5000\r\n\
         row nm_trap/avx512 cycles 1220 1200 1300 5000\r\n\
         row kernel/gpr/4096 cycles 420 410 450 5000\r\n\
         row fallible/gpr/4096 cycles 422 410 450 5000\r\n\
         row fallible_smap/gpr/4096 cycles 462 450 490 5000\r\n\
         row fault_fixup cycles 1520 1500 1700 500\r\n\
         end\r\nhalted\r\n"
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A row of the break-even of one copy a section.
fn policy<'a>(document: &'a Value, policy: &str, live: &str) -> &'a Value {
    let rows = document["xsave"]["break_even"].as_array().unwrap();
    let row = rows.iter().find(|row| row["policy"] == policy && row["live"] == live && row["copies"] == 1);
    row.unwrap_or_else(|| panic!("no {policy}, {live}"))
}

/// A committed record where it may be added to, without the rows that only judge its predictions, and the log of its CPU.
fn committed(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let name = SECTIONS.strip_prefix("results/").unwrap();
    let (folder, serial) = (scratch.0.join(name), scratch.0.join("serial.log"));
    copy_some(SECTIONS.as_ref(), &folder, "xsave.csv");
    let is_left_out = |line: &&str| ["composite,", "held-back,", "switch,"].iter().any(|part| line.starts_with(part));
    let samples = String::from_utf8(kept(&folder, "xsave.csv")).unwrap();
    let fewer: String = samples.split_inclusive('\n').filter(|line| !is_left_out(line)).collect();
    fs::write(gz(&folder, "xsave.csv"), compressed(fewer.as_bytes())).unwrap();
    fs::write(&serial, log("intel-6-167-1-masked", "bare", "yes")).unwrap();
    (folder, serial)
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_was_modelled_is_replaced_by_what_ring_0_measured() {
    let scratch = Scratch::new("ring0");
    let (old, serial) = committed(&scratch);
    let found = document(&["xsave", "--record", text(&old), "--ring0", text(&serial), "--json"]);
    let new = PathBuf::from(found["record"].as_str().unwrap());
    assert_eq!(new, old.with_file_name("2026-11-24.3"), "a new record beside the old one");
    assert_eq!(
        (&found["xsave"]["ring0"]["machine"], found["xsave"]["ring0"].get("not_real")),
        (&"bare".into(), Some(&Value::Null))
    );

    // Ticks of 2 GHz without the empty pair's, at the core clock of the record.
    let core_cycles_per_ns = found["xsave"]["core_cycles_per_ns"].as_f64().unwrap();
    let cycles = |ticks: f64| ticks / 2.0 * core_cycles_per_ns;
    let before = document(&["xsave", "--record", text(&old), "--json"]);
    let is = |name: &str, live: &str, expected: f64| {
        let row = policy(&found, name, live);
        let section = row["section_cycles"].as_f64().unwrap();
        assert!((section - expected).abs() < 1e-6, "{name}, {live}: {section}, not {expected}");
        assert_eq!((&row["is_modelled"], &row["measured_in_ring0"]), (&false.into(), &true.into()), "{name}");
        assert_eq!(policy(&before, name, live)["is_modelled"], true, "{name}");
    };
    for (live, pair, handler) in [("everything", 200.0, 300.0), ("xmm", 100.0, 150.0)] {
        is("restore-at-once", live, cycles(pair));
        is("restore-at-return", live, cycles(pair / 4.0));
        is("interrupt", live, cycles(handler));
    }
    // Two traps, of which each figure has a restore in it, and a pair.
    let lazy = policy(&found, "lazy-trap", "everything");
    let lazy_cycles = lazy["section_cycles"].as_f64().unwrap();
    assert!(
        lazy["measured_in_ring0"] == true
            && cycles(2.0 * 1000.0) < lazy_cycles
            && lazy_cycles < cycles(2.0 * 1200.0 + 200.0)
    );
    // Nobody measured these.
    for (name, live, is_modelled) in
        [("dead-registers", "everything", true), ("user", "own", false), ("partial-spill", "xmm", false)]
    {
        let row = policy(&found, name, live);
        assert_eq!((&row["is_modelled"], row.get("measured_in_ring0")), (&is_modelled.into(), None), "{name}");
        assert_eq!(row, policy(&before, name, live), "{name}");
    }
    // What the reader says of his own kernel counts, and is not measured.
    let own = document(&["xsave", "--record", text(&new), "--entry-cycles", "60", "--trap-cycles", "900", "--json"]);
    let row = policy(&own, "restore-at-once", "xmm");
    assert_eq!((&row["is_modelled"], row.get("measured_in_ring0")), (&true.into(), None));
    assert!((row["section_cycles"].as_f64().unwrap() - 60.0 - cycles(100.0)).abs() < 1e-6);
    assert_eq!(policy(&own, "lazy-trap", "xmm")["is_modelled"], true);

    let shown = said(&["xsave", "--record", text(&new)]);
    assert!(
        shown.contains("(measured in ring 0)") && shown.contains("  restore-at-once (ring 0), everything: "),
        "{shown}"
    );
    for line in ["measured in ring 0 by the kernel of tests/ring0, without a hypervisor", "  fault_fixup "] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let more = format!("gpr/4096: {:.0}, with stac and clac {:.0}", cycles(2.0), cycles(42.0));
    assert!(shown.replace('\n', " ").contains(&more), "{more} in {shown}");
    let page = scratch.0.join("page.html");
    said(&["report", text(&new), "--out", text(&page)]);
    let html = fs::read_to_string(&page).unwrap();
    check(&html);
    assert!(
        html.contains("<h2>Measured in ring 0</h2>")
            && html.contains("restore-at-once (ring 0)")
            && !html.contains("restore-at-once (modelled)")
    );
    let explained = said(&["explain", "4096", "--record", text(&new)]);
    assert!(explained.contains("restore it at once, which was measured in ring 0\n"), "{explained}");
    assert_eq!(document(&["explain", "4096", "--record", text(&new), "--json"])["measured_in_ring0"], true);
    let plan = scratch.0.join("plan");
    said(&["xsave", "--record", text(&new), "--plan", text(&plan)]);

    // Slower in ring 0 alone, which comparing shows.
    let slower = serial.with_file_name("slower.log");
    fs::write(
        &slower,
        log("intel-6-167-1-masked", "bare", "yes")
            .replace("fault_fixup cycles 1520 1500 1700", "fault_fixup cycles 3020 3000 3100"),
    )
    .unwrap();
    let third = document(&["xsave", "--record", text(&new), "--ring0", text(&slower), "--json"]);
    let compared = run(&["compare", text(&new), third["record"].as_str().unwrap(), "--fail-over", "50", "--json"]);
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(compared["over"], serde_json::json!(["fault_fixup"]), "{compared}");
    assert_eq!(names(new.parent().unwrap()).len(), 3, "of three records none was changed");
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn without_such_figures_a_record_is_what_it_was() {
    let scratch = Scratch::new("without");
    let (old, serial) = committed(&scratch);
    let found = document(&["xsave", "--record", text(&old), "--ring0", text(&serial), "--json"]);
    let new = PathBuf::from(found["record"].as_str().unwrap());
    let mut expected = names(&old);
    expected.extend(FILES.map(str::to_owned));
    expected.sort();
    assert_eq!(names(&new), expected);
    for name in names(&old).iter().filter_map(|name| name.strip_suffix(".gz")) {
        assert!(kept(&old, name) == kept(&new, name), "{name}");
    }
    // Where they are taken out again, every word is the old record's.
    FILES.iter().for_each(|name| fs::remove_file(new.join(name)).unwrap());
    let page = scratch.0.join("page.html");
    let words = |folder: &Path| {
        let folder = text(folder);
        let mut words = vec![said(&["report", folder, "--out", text(&page)]), fs::read_to_string(&page).unwrap()];
        let verbs: [&[&str]; 4] = [
            &["xsave", "--record", folder],
            &["xsave", "--record", folder, "--json"],
            &["explain", "4096", "--record", folder],
            &["explain", "4096", "--json", "--record", folder],
        ];
        words.extend(verbs.map(said));
        words.into_iter().map(|text| text.replace("2026-11-24.3", "2026-11-24.2")).collect::<Vec<String>>()
    };
    assert!(words(&old) == words(&new));
    assert!(!words(&old).concat().contains("ring 0") && !words(&old).concat().contains("ring0"));
}

#[test]
fn what_gives_no_figures_is_refused_and_nothing_is_kept() {
    let scratch = Scratch::new("ring0-refused");
    let made = made_up::sections();
    let folder = made.whole(&scratch.0);
    let (cpu, serial) = (Cpu::detect().signature.to_string(), scratch.0.join("serial.log"));
    let good = log(&cpu, "kvm", "yes");
    let machine = folder.parent().unwrap();
    let before = names(machine);
    let with = |text_of_log: &[u8], words: &[&str]| {
        fs::write(&serial, text_of_log).unwrap();
        refused(&["xsave", "--record", text(&folder), "--ring0", text(&serial)], words);
        assert_eq!(names(machine), before, "nothing is kept");
    };
    let cases: [(&str, &str, &[&str]); 12] = [
        (
            &cpu,
            "amd-1-2-3",
            &["figures of amd-1-2-3", &format!("record is of {cpu}"), "make a record where it was booted"],
        ),
        (
            "real yes",
            "real no: the timer exits",
            &["serial.log: ring 0 was not real on kvm (the timer exits)", "--unreal"],
        ),
        ("end\r\nhalted\r\n", "", &["`end` is missing", "cut off", "boot the kernel"]),
        ("ring0 1", "ring0 7", &["serial.log:2: figures of version \"7\", this build reads version 1", "one version"]),
        ("memcpy-select ring0 1", "Starting", &["no line `memcpy-select ring0 1`", "boot the kernel"]),
        ("fault_fixup", "empty", &["serial.log:19: empty is there twice", "refused as a whole"]),
        ("cycles 80", "cycles eighty", &["serial.log:8: \"eighty\" is no number"]),
        ("cycles 80", "cycles 79.x", &["\"79.x\" is no number"]),
        ("cycles 80 78 90", "cycles 80 90 78", &["do not rise"]),
        ("row kernel", "row\u{fffd}kernel", &["is no line of such figures"]),
        ("tsc_hz 2000000000", "tsc_hz 0", &["0 ticks a second"]),
        ("machine kvm", "machine tcg", &["on tcg, which is an emulator, no figure is real"]),
    ];
    for (from, to, words) in cases {
        let text_of_log = good.replacen(from, to, 1);
        assert_ne!(text_of_log, good, "{from}");
        with(text_of_log.as_bytes(), words);
    }
    with(b"", &["no line `memcpy-select ring0 1`"]);
    with(&[0xff, 0, 0x80, b'\n'].repeat(1000), &["no line `memcpy-select ring0 1`"]);
    let none = ["xsave", "--record", text(&folder), "--ring0"];
    refused(&[&none[..], &["none.log"]].concat(), &["none.log: No such file", "no figures from ring 0 were read"]);
    refused(&[&none[..], &[text(&scratch.0)]].concat(), &["directory", "name the log"]);
    refused(&["xsave", "--record", text(&folder), "--unreal"], &["--ring0"]);
    // Before anything is measured.
    fs::write(&serial, good.replace(&cpu, "amd-1-2-3")).unwrap();
    refused(&["xsave", "--ring0", text(&serial), "--out", scratch.out()], &["figures of amd-1-2-3"]);
    assert_eq!(names(machine), before, "nothing is kept");

    fs::write(&serial, &good).unwrap();
    let elsewhere = scratch.0.join("elsewhere/record");
    copy(&folder, &elsewhere);
    refused(&["xsave", "--record", text(&elsewhere), "--ring0", text(&serial)], &["in the folder of its machine"]);
    let unfinished = machine.join("2020-01-01.1");
    copy(&folder, &unfinished);
    reopen(&unfinished);
    refused(&["xsave", "--record", text(&unfinished), "--ring0", text(&serial)], &["did not come to its end"]);
}

#[test]
fn an_emulated_ring_0_is_kept_only_as_not_real() {
    let scratch = Scratch::new("ring0-emulated");
    let made = made_up::sections();
    let folder = made.whole(&scratch.0);
    let serial = scratch.0.join("serial.log");
    fs::write(&serial, log(&Cpu::detect().signature.to_string(), "tcg", "no: instructions are emulated")).unwrap();
    let asked = ["xsave", "--record", text(&folder), "--ring0", text(&serial)];
    refused(&asked, &["ring 0 was not real on tcg (instructions are emulated)", "nothing is kept"]);
    let found = document(&[&asked[..], &["--unreal", "--json"]].concat());
    let ring0 = &found["xsave"]["ring0"];
    assert_eq!(ring0["not_real"], "instructions are emulated");
    assert!(ring0["rows"].as_array().unwrap().iter().all(|row| row["real"] == false));
    let rows = found["xsave"]["break_even"].as_array().unwrap();
    assert!(rows.iter().all(|row| row.get("measured_in_ring0").is_none()), "nothing is derived from them");
    let new = found["record"].as_str().unwrap();
    let shown = said(&["xsave", "--record", new]).replace('\n', " ");
    assert!(
        shown.contains("none of them is real (instructions are emulated), and nothing is derived from them"),
        "{shown}"
    );
    let page = scratch.0.join("page.html");
    said(&["report", new, "--out", text(&page)]);
    let html = fs::read_to_string(page).unwrap();
    check(&html);
    assert!(html.contains("<h2>Measured in ring 0</h2>\n<p class=\"warning\">Measured in ring 0 by"));

    // What is in a record is held to the same rules.
    let new = Path::new(new);
    let figures = String::from_utf8(kept(new, "xsave-ring0.csv")).unwrap();
    let read = |words: &[&str]| refused(&["xsave", "--record", text(new)], words);
    put(new, "xsave-ring0.csv", figures.replacen("false", "true", 1).as_bytes());
    read(&["xsave-ring0.csv:2: empty: on tcg", "restore the file"]);
    put(new, "xsave-ring0.csv", figures.replacen("interrupt/sse", "interrupt/clean", 1).as_bytes());
    read(&["xsave-ring0.csv:7: interrupt/clean is there twice"]);
    put(new, "xsave-ring0.csv", figures.as_bytes());
    let machine = kept(new, "xsave-ring0-machine.csv");
    put(new, "xsave-ring0-machine.csv", &[&machine[..], b"a,b,c,2000000000\n"].concat());
    read(&["xsave-ring0-machine.csv:1: this file has one row"]);
    fs::remove_file(new.join("xsave-ring0-machine.csv")).unwrap();
    read(&["go together, and one is missing"]);
    assert!(Record::read(new).is_ok(), "the record's other files can be read");
}
