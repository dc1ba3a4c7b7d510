//! The promise: the verb `ipc` says in one document what each path costs, keeps a record that reads back as it was, and
//! what is derived from a record is what the samples say.

use crate::made_up::{sent, set_up};
use crate::page;
use crate::program::{Scratch, document, kept, put, refused, said};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::round_trips::percentile;
use memcpy_select::lab::paths::show::tables::ipc_tables;
use memcpy_select::lab::paths::show::{PathExplanation, pays_from_bytes};
use memcpy_select::lab::paths::ways::{Mode, Way};
use memcpy_select::lab::paths::{
    CacheSample, Cell, Part, PartSample, PathRecord, Pattern, Placement, Refusal, Row, Sample, Summary, What,
    part_figures,
};
use memcpy_select::lab::question;
use memcpy_select::lab::record::{Environment, RecordError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIKE: Cell = Cell::simple(64, Mode::Polling, Placement::TwoCores);

fn both(path: &str, payload_bytes: usize, copies: u32, message_ns: u64) -> [Sample; 2] {
    Pattern::ALL.map(|pattern| sent(path, payload_bytes, copies, message_ns, pattern))
}

#[test]
fn the_verb_says_what_each_path_costs_and_the_record_reads_back() {
    let scratch = Scratch::new("verb");
    let folder = scratch.0.display().to_string();
    let lists = ["--sizes", "64", "--modes", "blocking", "--placements", "one_core", "--touch", "touched,untouched"];
    let mut arguments = vec!["ipc", "--effort", "quick", "--json", "--out", &folder];
    arguments.extend(lists);
    arguments.extend(["--paths", "pipe,byte_ring,eventfd,table_in_place", "--kernels", "portable"]);
    let found = document(&arguments);
    let rows = found["rows"].as_array().unwrap();
    // Touched or not: the pipe, the ring, the ring with a kernel, and the table.
    assert_eq!(rows.len(), 2 * 4);
    for row in rows {
        for name in ["payload_bytes", "depth", "gb_per_s", "copies", "syscalls", "faults", "cpu_ns", "set_up_ns"] {
            assert!(row[name].is_number(), "{name}: {row}");
        }
        for name in ["path", "mode", "placement", "touch"] {
            assert!(row[name].is_string(), "{name}: {row}");
        }
        let half = |name: &str| row["half_rtt_ns"][name].as_f64().unwrap();
        assert!(0.0 < half("p50") && half("p50") <= half("p99") && half("p99") <= half("p999"), "{row}");
        assert_eq!(row["copies"], if row["path"] == "table_in_place" { 0 } else { 2 });
        // Who sleeps makes system calls.
        assert!(row["syscalls"].as_f64().unwrap() >= 0.5, "{row}");
    }
    let unavailable = found["unavailable"].as_array().unwrap();
    assert_eq!(unavailable.len(), 2);
    assert!(unavailable.iter().all(|one| one["path"] == "eventfd" && one["reason"].is_string()));

    let parts = found["parts"].as_array().unwrap();
    for name in ["block", "chain_entry", "wait_set_any", "idle"] {
        let of_it: Vec<&Value> = parts.iter().filter(|part| part["part"] == name).collect();
        assert!(!of_it.is_empty() || found["parts_left_out"].to_string().contains(name), "{name}: {found}");
        assert!(of_it.iter().all(|part| part["ns"].as_f64().unwrap() > 0.0), "{of_it:?}");
    }

    let folder = PathBuf::from(found["record"].as_str().unwrap());
    let record = PathRecord::read(&folder).unwrap();
    assert_eq!(part_figures(&record.parts).len(), parts.len());
    assert_eq!(record.summary().rows.len(), rows.len());
    assert_eq!(record.refusals.len(), 2);
    assert_eq!(record.environment.effort, "quick");

    let (page, folder) = (scratch.0.join("page.html"), folder.to_str().unwrap());
    assert!(said(&["report", folder, "--out", page.to_str().unwrap()]).starts_with("page: "));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("blocking, one core, untouched") && page.contains("byte_ring [portable]"));
    let text = said(&["explain", "100", "--record", folder]);
    assert!(text.contains("measured  at 64 B, blocking, one core, touched") && text.contains("system calls"), "{text}");
    assert_eq!(document(&["explain", "100", "--json", "--record", folder])["measured"].as_array().unwrap().len(), 2);
    let text = said(&["report", "--targets", folder]);
    assert!(text.starts_with("targets: ") && text.contains("lacks table_request at 8 B, polling"), "{text}");
    let targets = document(&["report", "--targets", "--json", folder]);
    let of_blocks = |target: &&Value| target["found"]["name"] == "owned 1";
    let block = targets["targets"].as_array().unwrap().iter().find(of_blocks).expect("a run measures blocks");
    assert!(block["verdict"] == "met" || block["verdict"] == "missed", "{block}");
    // Without the path that others are compared with.
    assert!(said(&["compare", folder, folder]).ends_with("\nno difference beyond ties\n"));
}

#[test]
fn what_cannot_be_measured_is_said_and_measures_nothing() {
    let scratch = Scratch::new("wrong");
    let folder = scratch.0.display().to_string();
    for (list, word) in [
        (["--paths", "carrier_pigeon"], "carrier_pigeon"),
        (["--kernels", "memcpy_best"], "memcpy_best"),
        (["--depths", "0"], "a depth of 0"),
        (["--offsets", "0:4096"], "0:4096"),
        (["--connections", "65"], "65 connections"),
        (["--sizes", "2GiB"], "2GiB"),
        (["--modes", "hoping"], "hoping"),
        (["--touch", "maybe"], "maybe"),
    ] {
        refused(&["ipc", "--out", &folder, list[0], list[1]], &[word]);
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    let listed = said(&["ipc", "--list"]);
    assert!(listed.contains("unix_stream") && listed.contains("process_vm_readv"));
}

#[test]
fn sides_do_not_outlive_the_verb_however_it_ends() {
    let scratch = Scratch::new("killed");
    let folder = scratch.0.display().to_string();
    let lists = ["--sizes", "64", "--modes", "blocking", "--placements", "one_core", "--paths", "pipe,posix_mq"];
    let mut verb = Command::new(env!("CARGO_BIN_EXE_memcpy-select"))
        .args(["ipc", "--effort", "full", "--out", &folder])
        .args(lists)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", verb.id());
    let start = Instant::now();
    let sides = loop {
        let found = fs::read_to_string(&children).unwrap_or_default();
        let found: Vec<String> = found.split_whitespace().map(str::to_owned).collect();
        let is_side = |child: &String| {
            fs::read(format!("/proc/{child}/environ"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains("MEMCPY_SELECT_IPC_SIDE"))
        };
        if found.len() == 2 && found.iter().all(is_side) {
            break found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the sides were never there: {found:?}");
        std::thread::sleep(Duration::from_millis(1));
    };
    verb.kill().unwrap();
    verb.wait().unwrap();
    let start = Instant::now();
    // Whoever adopts them may take its time to reap them.
    let is_there =
        |side: &String| fs::read_to_string(format!("/proc/{side}/cmdline")).is_ok_and(|text| !text.is_empty());
    while sides.iter().any(is_there) {
        assert!(start.elapsed() < Duration::from_secs(5), "{sides:?} outlived the verb");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One round of ten turns, each taking that long, with a hundredth of it on a processor.
fn part(part: Part, subject: &str, members: u32, turn_ns: u64) -> PartSample {
    let total_ns = turn_ns * 10;
    PartSample {
        part,
        subject: subject.into(),
        members,
        bytes: 0,
        round: 0,
        turns: 10,
        total_ns,
        cpu_ns: total_ns / 100,
    }
}

/// A record with the environment of this machine and samples of our own.
fn record(samples: Vec<Sample>) -> PathRecord {
    let environment = Environment::gather(&memcpy_select::cpu::Cpu::detect(), Effort::Quick, None);
    let refusal =
        Refusal { cell: LIKE, path: "gone".into(), kernel: None, reason: "a \"reason\", with a comma".into() };
    PathRecord {
        environment,
        grid: "effort quick\n".into(),
        samples,
        refusals: vec![refusal],
        complete: true,
        copies: vec![],
        cache: vec![],
        parts: vec![],
    }
}

#[test]
fn a_record_reads_back_as_it_was_written_and_a_damaged_one_is_refused_by_line() {
    let scratch = Scratch::new("record");
    let mut samples = vec![set_up("pipe", 64, 1000)];
    samples.extend(both("pipe", 64, 2, 500));
    samples[1].kernel = Some("portable".into());
    let what = What::Traced { messages: 64, system_calls: 96 };
    samples.push(Sample { what, ..sent("pipe", 64, 2, 1, Pattern::OneWay) });
    let mut written = record(samples);
    let without = written.save(&scratch.0).unwrap();
    assert_eq!(PathRecord::read(&without).unwrap().parts, [], "a record need not have parts");
    written.parts = vec![part(Part::WaitSetAny, "quiet", 4096, 70), part(Part::Block, "owned", 1, 6)];
    written.copies = both("stage_copy_in", 64, 1, 300).to_vec();
    written.cache = vec![CacheSample {
        way: Way::CopyOut,
        kernel: Some("portable".into()),
        touch: true,
        payload_bytes: 1 << 20,
        walk_bytes: 1 << 14,
        round: 3,
        walks: 5,
        total_ns: 6000,
    }];
    let folder = written.save(&scratch.0).unwrap();
    let files = ["samples.csv", "samples.csv.gz"].map(|name| folder.join(name).exists());
    assert_eq!(files, [false; 2], "no copies were timed");
    let read = PathRecord::read(&folder).unwrap();
    assert_eq!(read.samples, written.samples);
    assert_eq!(read.parts, written.parts);
    assert_eq!(read.refusals, written.refusals);
    assert_eq!(read.grid, written.grid);
    assert_eq!((&read.copies, &read.cache), (&written.copies, &written.cache));
    assert_ne!(written.save(&scratch.0).unwrap(), folder, "a record is never written over");

    let text = String::from_utf8(kept(&folder, "ipc.csv")).unwrap();
    for (from, to, word) in [
        ("ping_pong", "pong_ping", "pong_ping"),
        ("polling", "praying", "praying"),
        ("two_cores", "no_core", "no_core"),
        ("500x9", "500y9", "500y9"),
        (",10,5000,", ",0,5000,", "no message"),
        (",10,5000,", ",10,0,", "no message"),
        ("path,kernel", "path,kernels", "kernel"),
    ] {
        let damaged = text.replacen(from, to, if from == "polling" { 1 } else { usize::MAX });
        assert_ne!(damaged, text, "{from}");
        put(&folder, "ipc.csv", damaged.as_bytes());
        match PathRecord::read(&folder) {
            Err(RecordError::Damaged { line: 2.., cause, .. }) => assert!(cause.contains(word), "{cause}"),
            other => panic!("{from} to {to}: {other:?}"),
        }
    }
}

fn only<'a>(summary: &'a Summary, path: &str, bytes: usize) -> &'a Row {
    summary.rows.iter().find(|row| row.path == path && row.cell.payload_bytes == bytes).unwrap()
}

#[test]
fn figures_are_those_of_the_samples() {
    let mut samples = vec![set_up("unix_stream", 64, 1000), set_up("mapped", 64, 21_000)];
    samples.extend(both("unix_stream", 64, 2, 3000));
    samples.extend(both("mapped", 64, 0, 1000));
    samples.extend(both("unix_stream_again", 64, 2, 3300));
    // Traced calls stand in where the path has counted none.
    let mut silent = both("silent", 64, 0, 9000);
    for one in &mut silent {
        if let What::Moved { near, far, .. } = &mut one.what {
            (near.system_calls, far.system_calls) = (None, None);
        }
    }
    let what = What::Traced { messages: 64, system_calls: 96 };
    samples.push(Sample { what, ..silent[0].clone() });
    samples.extend(silent);
    let summary = Summary::of(&samples);
    assert_eq!(summary.rows.len(), 3, "second runs have no row");
    assert_eq!(only(&summary, "silent", 64).system_calls, Some(1.5));
    assert!((summary.noise_floor - 1.1).abs() < 1e-9, "{}", summary.noise_floor);
    let row = only(&summary, "mapped", 64);
    // Trips of 1000 ns, one of 10,000: half of that.
    let half = row.half_rtt_ns.unwrap();
    assert_eq!((half.p50, half.p99, half.p999), (500.0, 5000.0, 5000.0));
    assert_eq!(row.message_ns, Some(1000.0));
    assert!((row.gb_per_s.unwrap() - 0.064).abs() < 1e-12);
    // Two cycles a nanosecond.
    assert!((row.cycles_per_byte.unwrap() - 2000.0 / 64.0).abs() < 1e-9);
    // Ten there and back are twenty messages, for both sides.
    assert_eq!((row.system_calls, row.faults, row.cpu_ns), (Some(4.0), Some(1.0), Some(500.0)));
    assert_eq!((row.set_up_ns, row.set_up_faults), (Some(21_000), Some(7)));
    // 20,000 ns more, and 1000 saved by each message.
    assert_eq!(row.repaid_after, Some(20));
    assert_eq!(only(&summary, "unix_stream", 64).repaid_after, None);
}

#[test]
fn not_copying_pays_from_where_it_is_faster_for_good() {
    let mut samples = Vec::new();
    for (bytes, copying, in_place) in [(64, 10, 5), (1024, 20, 30), (4096, 50, 40), (65_536, 500, 100)] {
        samples.extend(both("ring", bytes, 2, copying));
        samples.extend(both("place", bytes, 0, in_place));
    }
    let summary = Summary::of(&samples);
    assert_eq!(pays_from_bytes(&summary, &LIKE), Some(4096));
    let explained = PathExplanation::of(&summary, 60_000);
    assert_eq!(explained.measured.len(), 1);
    assert_eq!(explained.measured[0].cell.payload_bytes, 65_536);
    assert_eq!(explained.measured[0].rows[0].path, "place");
    samples.extend(both("ring", 1 << 20, 2, 1));
    samples.extend(both("place", 1 << 20, 0, 2));
    assert_eq!(pays_from_bytes(&Summary::of(&samples), &LIKE), None);
}

#[test]
fn tiers_change_half_way_between_the_lengths_at_which_others_win() {
    let mut samples = Vec::new();
    for (bytes, inline, direct, handover) in [(16, 1, 5, 50), (64, 2, 5, 50), (1024, 9, 6, 50), (65_536, 99, 60, 50)] {
        if bytes <= 64 {
            samples.extend(both("inline", bytes, 2, inline));
        }
        samples.extend(both("process_vm_readv", bytes, 1, direct));
        samples.extend(both("cow_handover", bytes, 0, handover));
    }
    let tiers = Summary::of(&samples).tiers(&LIKE).unwrap();
    assert_eq!((tiers.inline_max_bytes, tiers.direct_max_bytes), (256, 8192));
    assert_eq!(Summary::default().tiers(&LIKE), None);
}

#[test]
fn a_page_stands_alone_and_shows_names_as_text() {
    let mut samples = Vec::new();
    for bytes in [64, 1 << 10, 1 << 20] {
        samples.extend(both("table_<copy>_copy", bytes, 2, bytes as u64 * 2));
        samples.extend(both("table_in_place", bytes, 0, bytes as u64));
    }
    let html = question::page(&[("machine/<day>.1".to_owned(), Box::new(record(samples.clone())))]);
    page::check(&html);
    assert!(!html.contains("<copy>") && !html.contains("<day>"));
    assert!(html.contains("What each copy removed saves") && html.contains("not copying pays from 64 B on"));
    // The table of paths by lengths comes first, then the curves, then the answer.
    let [table, plot, answer] =
        ["<table>", "<svg class=\"few\"", "<div class=\"answer\">"].map(|tag| html.find(tag).unwrap());
    assert!(table < plot && plot < answer);
    let row = "<tr><td>table_in_place<td><b>32.0 ns</b><td><b>512 ns</b><td><b>524 us</b>";
    assert!(html.contains(row), "the fastest of a length stands out");
    assert!(html.contains("<code>table_in_place</code> 64 B to 1 MiB"));
    let tables = ipc_tables(&Summary::of(&samples));
    assert!(tables.contains("polling, two cores, touched, depth 1"), "{tables}");
}

#[test]
fn a_few_curves_are_told_apart_and_the_others_are_grey() {
    let mut samples = Vec::new();
    for bytes in [64, 1 << 10, 1 << 20] {
        for path in 0..20 {
            samples.extend(both(&format!("path_{path:02}"), bytes, 1, bytes as u64 * (2 + path)));
        }
        samples.extend(both("unix_stream", bytes, 2, bytes as u64 * 30));
        samples.extend(both("bare", bytes, 0, bytes as u64));
    }
    let html = question::page(&[("machine/day.1".to_owned(), Box::new(record(samples)))]);
    let plot = html.split("<svg class=\"few\"").nth(1).and_then(|rest| rest.split("</svg>").next()).unwrap();
    let looks: Vec<&str> = plot
        .split("<g class=\"series ")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|look| !look.starts_with("rest "))
        .collect();
    let colours: BTreeSet<&str> = looks.iter().map(|look| look.split(' ').next().unwrap()).collect();
    assert_eq!((looks.len(), colours.len()), (6, 6), "{looks:?}");
    let labels: BTreeSet<&str> = ["path_00", "unix_stream", "bare"].into();
    assert!(labels.iter().all(|name| plot.contains(&format!(">{name}</text>"))));
    assert_eq!(plot.matches("series rest ").count(), 16);
}

#[test]
fn percentiles_of_nothing_are_nothing() {
    assert_eq!(percentile(&[], 0.999), None);
    assert!(Summary::of(&[]).rows.is_empty());
}
