//! The promise: the table of targets says of each target what the rows of one record say, met or missed, with the figures
//! behind it, and of what the record lacks that it is absent.

use memcpy_select::lab::paths::show::targets::{Bound, Outcome, Target, Targets};
use memcpy_select::lab::paths::ways::Mode;
use memcpy_select::lab::paths::{Added, Cell, Part, PartSample, Percentiles, Placement, Predicted, Row, Summary};

const fn cell(payload_bytes: usize, mode: Mode) -> Cell {
    Cell::simple(payload_bytes, mode, Placement::TwoCores)
}

/// A row whose half round trips, and messages one way, take that long.
fn row(path: &str, cell: Cell, ns: f64) -> Row {
    Row {
        cell,
        path: path.to_owned(),
        kernel: None,
        half_rtt_ns: Some(Percentiles { p50: ns, p99: 2.0 * ns, p999: 4.0 * ns }),
        gb_per_s: Some(cell.payload_bytes as f64 / ns),
        message_ns: Some(ns),
        cycles_per_byte: None,
        copies: 0,
        system_calls: Some(0.0),
        faults: None,
        cpu_ns: None,
        set_up_ns: None,
        set_up_faults: None,
        repaid_after: None,
    }
}

fn part(part: Part, subject: &str, members: u32, turn_ns: u64, cpu_ns: u64) -> PartSample {
    PartSample { part, subject: subject.into(), members, bytes: 0, round: 0, turns: 1, total_ns: turn_ns, cpu_ns }
}

fn targets(rows: Vec<Row>, parts: &[PartSample]) -> Targets {
    Targets::of(&Summary { rows, noise_floor: 1.0 }, parts, &[])
}

/// The one target whose theme and words these are.
fn only<'a>(targets: &'a Targets, theme: &str, what: &str) -> &'a Target {
    let of = |target: &&Target| target.theme.starts_with(theme) && target.what.starts_with(what);
    let found: Vec<&Target> = targets.list.iter().filter(of).collect();
    assert_eq!(found.len(), 1, "{theme}, {what}: {found:?}");
    found[0]
}

fn ratio(target: &Target) -> f64 {
    match target.outcome {
        Outcome::Found { ratio, .. } => ratio,
        Outcome::Absent { .. } => panic!("{target:?}"),
    }
}

#[test]
fn an_empty_record_has_no_figure_and_meets_nothing() {
    let targets = targets(Vec::new(), &[]);
    assert_eq!(targets.counts(), [0, 0, targets.list.len()]);
    assert!(targets.list.len() > 30);
    let text = targets.to_string();
    assert!(text.starts_with(&format!("targets: 0 met, 0 missed, {} not in this record", targets.list.len())));
    assert!(text.contains("lacks table_request at 8 B, polling"), "{text}");
}

#[test]
fn a_ratio_at_its_bound_is_met_and_one_beyond_is_missed() {
    let polling = cell(8, Mode::Polling);
    for (bare_ns, word) in [(100.0, "met"), (99.0, "missed")] {
        let rows = vec![row("table_request", polling, 170.0), row("bare", polling, bare_ns)];
        let targets = targets(rows, &[]);
        let target = only(&targets, "a bare request", "over a bare cache line");
        assert_eq!((target.verdict(), target.bound), (word, Bound::AtMost(1.7)));
        assert_eq!(ratio(target), 170.0 / bare_ns);
        let Outcome::Found { found, against: Some(against), .. } = &target.outcome else { panic!("{target:?}") };
        assert_eq!((found.name.as_str(), against.name.as_str()), ("table_request", "bare"));
        assert_eq!(found.half_rtt_ns.unwrap().p999, 680.0);
        assert_eq!(only(&targets, "a bare request", "its own p99").verdict(), "missed");
        assert_eq!(only(&targets, "a bare request", "over request-response").verdict(), "absent");
        // No row of the table of targets is wider than a terminal.
        let text = targets.to_string();
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(text.contains("half round trips behind them") && text.contains("680 ns"), "{text}");
    }
}

#[test]
fn the_best_peer_is_another_librarys_and_rates_are_higher_when_better() {
    let many = Cell { depth: 32, ..cell(8, Mode::Polling) };
    let rows = vec![
        row("table_request", many, 10.0),
        // A path of this crate is no peer, nor is the floor.
        row("bare", many, 1.0),
        row("pipe", many, 2.0),
        row("slow_library", many, 100.0),
        row("fast_library", many, 25.0),
    ];
    let targets = targets(rows, &[]);
    let target = only(&targets, "many requests", "over the best peer");
    let Outcome::Found { against: Some(against), .. } = &target.outcome else { panic!("{target:?}") };
    assert_eq!((against.name.as_str(), against.value), ("fast_library", 4e7));
    assert_eq!((ratio(target), target.verdict()), (2.5, "met"));
}

#[test]
fn parts_are_judged_by_themselves() {
    let parts = [
        // Two floors: one below, and one above that from which the time itself counts no more.
        part(Part::Block, "two_exchanges", 1, 5, 5),
        part(Part::Block, "owned", 1, 10, 10),
        part(Part::Block, "shared", 1, 11, 11),
        part(Part::ChainEntry, "bare_walk", 16, 10, 10),
        part(Part::ChainEntry, "resolve", 16, 12, 12),
        part(Part::ChainEntry, "bare_walk", 1024, 10, 10),
        part(Part::ChainEntry, "resolve", 1024, 13, 13),
        part(Part::WaitSetAny, "quiet", 1, 100, 100),
        part(Part::WaitSetAny, "quiet", 4096, 151, 151),
        part(Part::Idle, "adaptive_server", 1, 1000, 5),
    ];
    let targets = targets(Vec::new(), &parts);
    let verdicts: Vec<&str> =
        targets.list.iter().filter(|target| target.is_met().is_some()).map(Target::verdict).collect();
    // The idle server, both allocators, both chains, the set.
    assert_eq!(verdicts, ["met", "met", "missed", "met", "missed", "missed"]);
    assert_eq!(ratio(only(&targets, "waiting", "adaptive, idle")), 0.5);
}

/// All rows that the copying targets and the model take at these lengths, `more_ns` being what the table costs.
fn copying(sizes: &[usize], more_ns: f64) -> Vec<Row> {
    let mut rows = Vec::new();
    for &bytes in sizes {
        let ns = bytes as f64;
        let at = cell(bytes, Mode::Polling);
        rows.extend([row("bare", at, ns), row("table_in_place", at, ns + 50.0), row("pipe", at, 9.0 * ns)]);
        for (copies, table, bare) in [
            (1.0, "table_copy_read", "bare_copy_in_read_only"),
            (1.0, "table_write_copy", "bare_copy_out_read_only"),
            (2.0, "table_copy_copy", "bare_copy_copy_read_only"),
            (2.0, "table_copy_copy_shared", "bare_copy_copy"),
        ] {
            let copied = ns * (1.0 + copies);
            rows.extend([row(bare, at, copied), row(table, at, copied + more_ns)]);
        }
    }
    rows
}

#[test]
fn copying_forms_are_judged_by_the_floor_with_copies_and_one_request() {
    let sizes = [64, 64 << 10, 1 << 20];
    let copying_forms = |more_ns| -> Vec<&'static str> {
        let targets = targets(copying(&sizes, more_ns), &[]);
        let of = |target: &&Target| target.theme.starts_with("copying forms");
        targets.list.iter().filter(of).map(Target::verdict).collect()
    };
    assert_eq!(copying_forms(50.0), ["met"; 8]);
    // 5% of the shortest is 7 us: more than that is seen there, and not at a megabyte.
    let slow = copying_forms(7500.0);
    assert_eq!((&slow[..2], &slow[4..]), (&["missed"; 2][..], &["met"; 4][..]), "{slow:?}");
}

#[test]
fn the_model_is_judged_by_its_worst_row() {
    let predicted = |mode, measured_ns| Predicted {
        cell: cell(64, mode),
        path: "table_copy_copy".into(),
        kernel: None,
        in_place_ns: 100.0,
        wake_up_ns: 0.0,
        added: Added { all_ns: 20.0, kernels_ns: None, replaced_ns: None },
        measured_ns,
    };
    let predictions = [(Mode::Polling, 120.0), (Mode::Polling, 100.0), (Mode::Blocking, 125.0)];
    let predictions = predictions.map(|(mode, measured_ns)| predicted(mode, measured_ns));
    let targets = Targets::of(&Summary { rows: Vec::new(), noise_floor: 1.0 }, &[], &predictions);
    let polling = only(&targets, "model", "polling, 95% of 2 rows");
    assert!((ratio(polling) - 0.2).abs() < 1e-12, "{polling:?}");
    assert_eq!((polling.verdict(), only(&targets, "model", "blocking").verdict()), ("missed", "met"));
    let none = Targets::of(&Summary { rows: Vec::new(), noise_floor: 1.0 }, &[], &[]);
    assert_eq!(only(&none, "model", "polling").verdict(), "absent");
}

#[test]
fn in_place_is_judged_against_every_other_way_but_the_floor() {
    let sizes = [64, 64 << 10];
    let best = targets(copying(&sizes, 50.0), &[]);
    let target = only(&best, "in place", "over the best other, worst of 2 sizes");
    assert_eq!(target.verdict(), "met", "the floor is no way to be compared with: {target:?}");
    let mut rows = copying(&sizes, 50.0);
    rows.push(row("library", cell(64 << 10, Mode::Polling), 60_000.0));
    let beaten = targets(rows.clone(), &[]);
    let target = only(&beaten, "in place", "over the best other");
    let Outcome::Found { against: Some(against), .. } = &target.outcome else { panic!("{target:?}") };
    assert_eq!((target.verdict(), against.name.as_str()), ("missed", "library"));
    // Pieces are in place, too.
    rows.push(row("table_in_pieces", cell(64 << 10, Mode::Polling), 50_000.0));
    assert_eq!(only(&targets(rows, &[]), "in place", "over the best other").verdict(), "met");
}

#[test]
fn long_payloads_are_judged_by_the_best_way_through_the_table() {
    const THEME: &str = "payloads from 4 KiB on";
    let at = |bytes| cell(bytes, Mode::Polling);
    let mut rows = copying(&[64, 64 << 10], 0.0);
    let verdicts = |rows: &[Row]| {
        let targets = targets(rows.to_vec(), &[]);
        ["half round trip, worst of 1 sizes", "one way, the other over it"]
            .map(|what| only(&targets, THEME, what).verdict())
    };
    assert_eq!(verdicts(&rows), ["met"; 2], "a payload of 64 bytes is not long");
    rows.push(row("library", at(64 << 10), 32_768.0));
    assert_eq!(verdicts(&rows), ["missed"; 2]);
    rows.push(row("table_copy_copy_shared", at(64 << 10), 30_000.0));
    assert_eq!(verdicts(&rows), ["met"; 2], "a way that copies is one, too");
}
