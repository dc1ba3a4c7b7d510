//! The promise: whatever question a record is of, and of whichever format it is, it is compared, shown as a page, a plot and
//! text, printed as one document, and explained; and if it is unfinished or empty, that is said before anything else.

use crate::cases::Effort as Cases;
use crate::made_up::{self, Made};
use crate::page::check;
use crate::program::{
    Scratch, copy, copy_some, document, errors, gz, has_keys, kept, put, refused, reopen, run, said, set,
};
use crate::tree::{NEIGHBOURS, ONE, PATHS, PROGRAM, PROGRAMS, SECTIONS, records};
use memcpy_select::lab::question::json_of;
use memcpy_select::lab::record::Growth;
use memcpy_select::lab::show::page::PAGE_GENERATOR;
use memcpy_select::lab::show::{Comparison, Explained};
use memcpy_select::lab::{QUESTIONS, Question};
use std::fs;
use std::path::Path;

/// A committed record, and what can be said of it.
struct Kept {
    question: &'static str,
    folder: &'static str,
    /// The file whose rows are compared.
    file: &'static str,
    /// A column, who is looked for in it, and the columns with times.
    contender: (&'static str, &'static str, &'static [&'static str]),
    /// What its document has, and at least so many of each.
    figures: &'static [(&'static str, usize)],
}

static KEPT: [Kept; 7] = [
    Kept {
        question: "copies",
        folder: ONE,
        file: "samples.csv",
        contender: ("kernel", "gpr", &["total_ns"]),
        figures: &[("cells", 100)],
    },
    Kept {
        question: "copies",
        folder: "results/intel-6-207-2-kvm/2026-11-29.13",
        file: "samples.csv",
        contender: ("kernel", "avx512_hi16", &["total_ns"]),
        figures: &[("cells", 50), ("left_out", 0)],
    },
    Kept {
        question: "sections",
        folder: SECTIONS,
        file: "xsave.csv",
        contender: ("subject", "gpr", &["ticks"]),
        figures: &[("xsave", 10)],
    },
    Kept {
        question: "paths",
        folder: PATHS,
        file: "ipc.csv",
        contender: ("path", "pipe", &["total_ns", "round_trips"]),
        figures: &[("rows", 101), ("parts", 1), ("model", 1), ("cache", 0), ("unavailable", 0)],
    },
    Kept {
        question: "neighbours",
        folder: NEIGHBOURS,
        file: "neighbour.csv",
        contender: ("neighbour", "rings", &["round_trips"]),
        figures: &[("seen", 36), ("rows", 1)],
    },
    Kept {
        question: "calls",
        folder: PROGRAM,
        file: "profile.csv",
        contender: ("what", "plan", &["ticks"]),
        figures: &[
            ("calls", 5),
            ("lengths", 10),
            ("ratios", 3),
            ("sites", 5),
            ("processes", 1),
            ("choices", 3),
            ("samples", 8),
        ],
    },
    Kept {
        question: "programs",
        folder: PROGRAMS,
        file: "programs.csv",
        contender: ("arm", "drop_in", &["wall_ns"]),
        figures: &[("programs", 10), ("rows", 1)],
    },
];

/// The questions that this CPU has, in the records that were kept; by default one record of each.
fn all() -> impl Iterator<Item = &'static Kept> {
    let is_further = |at: usize| KEPT[..at].iter().any(|kept| kept.question == KEPT[at].question);
    let is_asked = move |at: usize| Cases::chosen() >= Cases::Full || !is_further(at);
    (0..KEPT.len())
        .filter(move |at| is_asked(*at))
        .map(|at| &KEPT[at])
        .filter(|kept| Question::named(kept.question).is_some())
}

/// Makes all times of one contender far longer than any noise.
fn slow(folder: &Path, file: &str, (column, name, times): (&str, &str, &[&str])) {
    let text = String::from_utf8(kept(folder, file)).unwrap();
    let heads: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let at = |name: &str| heads.iter().position(|head| *head == name).unwrap();
    // A time, or as many words as times: how long, and how often.
    let longer = |word: &str| {
        let (ns, count) = word.split_once('x').map_or((word, String::new()), |(ns, count)| (ns, format!("x{count}")));
        format!("{}{count}", ns.parse::<u64>().unwrap() * 16)
    };
    let row = |line: &str| {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        if fields.len() == heads.len() && fields[at(column)] == name {
            for time in times {
                let field = &mut fields[at(time)];
                *field = field.split_whitespace().map(longer).collect::<Vec<_>>().join(" ");
            }
        }
        fields.join(",") + "\n"
    };
    put(folder, file, text.lines().map(row).collect::<String>().as_bytes());
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn every_record_is_a_document_and_is_compared_drawn_and_explained() {
    for record in records() {
        let (name, findings) = record;
        let question = Question::of_bench(findings.bench()).name;
        let found = json_of(record).unwrap();
        has_keys(&found, &["name", "bench", "complete", "machine", "date", "effort", "cpu", "noise_floor"]);
        assert_eq!((&found["question"], &found["complete"]), (&question.into(), &true.into()), "{name}");
        let has_cells = found["cells"].as_array().is_some_and(|cells| !cells.is_empty());
        assert_eq!(has_cells, question == "copies", "{name}");
        let comparable = findings.comparable();
        let comparison = Comparison::of(&comparable, &comparable).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(comparison.changed().is_empty() && (comparison.mean - 1.0).abs() < 1e-9, "{name}: {comparison}");
        let Explained { text, document } = findings.explain(4096);
        assert!(document.is_object(), "{name}");
        for text in [text, findings.text()] {
            assert!(text.lines().count() > 1 && text.ends_with('\n') && !text.contains("NaN"), "{name}: {text}");
        }
        if let Some(plot) = findings.plot(name) {
            assert!(plot.starts_with("<?xml") && plot.ends_with("</svg>\n") && plot.contains(PAGE_GENERATOR), "{name}");
            assert!(plot.contains(&**name) && !plot.contains("<script"), "{name}");
        }
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn every_question_has_every_verb() {
    assert!(QUESTIONS.iter().all(|question| all().any(|kept| kept.question == question.name)), "one is not asked here");
    // By default each verb prints in one of its two ways, text or a document, in turn.
    let is_full = Cases::chosen() >= Cases::Full;
    for (number, &Kept { question, folder: kept_in, file, contender, figures }) in all().enumerate() {
        let [is_text, is_document] = [0, 1].map(|way| is_full || number % 2 == way);
        let scratch = Scratch::new("questions");
        let (name, slower) = (kept_in.strip_prefix("results/").unwrap(), scratch.0.join("slower"));
        let folder = scratch.0.join(name);
        copy_some(kept_in.as_ref(), &folder, file);
        copy(&folder, &slower);
        slow(&slower, file, contender);
        let [folder, slower] = [&folder, &slower].map(|path| path.to_str().unwrap());
        if is_text {
            let same = said(&["compare", folder, folder, "--fail-over", "0"]);
            assert!(same.ends_with("\nno difference beyond ties\n"), "{same}");
            let status = |first, second| run(&["compare", first, second, "--fail-over", "50"]).status.code();
            assert_eq!([status(folder, slower), status(slower, folder)], [Some(1), Some(0)], "{folder}");
        }
        if is_document {
            let output = run(&["compare", folder, slower, "--fail-over", "50", "--json"]);
            let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                (output.status.code(), &found["over"]),
                (Some(1), &serde_json::json!([contender.1])),
                "{folder}"
            );
            has_keys(&found, &["first", "second", "noise_floor", "cells", "against", "contenders", "changed", "notes"]);
        }

        let found = document(&["report", "--json", folder]);
        let found = &found["records"][0];
        assert_eq!(found["question"], question);
        for (name, least) in figures {
            let count = found[name].as_array().map(Vec::len).or(found[name].as_object().map(serde_json::Map::len));
            assert!(count.is_some_and(|count| count >= *least), "{folder}: {count:?} {name}");
        }
        if question == "sections" && is_full {
            assert_eq!(found["xsave"], document(&["xsave", "--record", folder, "--json"])["xsave"]);
        }
        let [page, plot] = ["page.html", "plot.svg"].map(|name| scratch.0.join(name));
        let names = [&page, &plot].map(|path| path.to_str().unwrap());
        // Twice: an own page and an own plot are replaced.
        for _ in 0..if is_full || question == "calls" { 2 } else { 1 } {
            let text = said(&["report", folder, "--out", names[0], "--svg", names[1]]);
            assert_eq!(text, format!("plot: {}\npage: {}\n", names[1], names[0]));
        }
        check(&fs::read_to_string(page).unwrap());
        assert!(fs::read_to_string(plot).unwrap().contains(name));

        if is_text {
            let text = said(&["explain", "4096", "--record", folder]);
            assert!(text.ends_with(&format!("  record    {folder}\n")), "{text}");
        }
        if is_document {
            let found = document(&["explain", "4096", "--json", "--question", question, "--record", folder]);
            has_keys(&found, &["record", "complete", "notes"]);
            assert_eq!(found["question"], question);
        }
    }
}

fn an_unfinished_or_empty_one_says_so_first<G: Growth>(made: &Made<G>) {
    let (made_in, scratch) = (Scratch::new("made"), Scratch::new("caveats"));
    let whole = made.whole(&made_in.0);
    let (file, page) = (made.file(), scratch.0.join("page.html"));
    let report = |names: &[&str]| {
        let output = run(&[&["report", "--out", page.to_str().unwrap()], names].concat());
        assert!(output.status.success(), "{}", errors(&output));
        let html = fs::read_to_string(&page).unwrap();
        check(&html);
        (html, errors(&output))
    };
    let (html, notes) = report(&[whole.to_str().unwrap()]);
    assert!(!html.contains("This record is") && !notes.contains("note:"), "a whole record has no caveat: {notes}");
    let cases = [
        ("unfinished", "is not complete", "This record is unfinished."),
        ("empty", "is empty", "This record is empty."),
        ("neither", "is empty", "This record is unfinished and empty."),
    ];
    for (state, note, words) in cases {
        let folder = scratch.0.join(state);
        copy(&whole, &folder);
        let header = kept(&folder, &file).split_inclusive(|byte| *byte == b'\n').next().unwrap().to_vec();
        if state == "empty" {
            put(&folder, &file, &header);
            set(&folder, "rows", Some("0"));
        } else {
            reopen(&folder);
        }
        if state == "neither" {
            fs::remove_file(gz(&folder, &file)).unwrap();
        }
        let [folder, whole] = [&folder, &whole].map(|folder| folder.to_str().unwrap());
        let (html, notes) = report(&[folder]);
        let first = html.split("</h1>\n").nth(1).unwrap().lines().next().unwrap();
        assert!(first.starts_with("<p class=\"warning\">") && first.contains(words), "{state}: {first}");
        assert!(!html.contains("Use this plan"), "a run that did not come to its end gives no plan");
        assert!(notes.contains(note), "{state}: {notes}");
        let (html, _) = report(&[folder, whole]);
        let beside = html.split("<section").next().unwrap();
        assert_eq!(
            beside.matches("<b>unfinished</b>").count(),
            usize::from(state != "empty"),
            "a table of several says it"
        );
        let is_noted = |text: String| text.starts_with("note: ") && text.replace("\n      ", " ").contains(note);
        assert!(is_noted(said(&["explain", "64", "--record", folder])), "{state}");
        assert!(!document(&["explain", "64", "--record", folder, "--json"])["notes"].as_array().unwrap().is_empty());
        document(&["report", folder, "--json"]);
        if state == "unfinished" {
            assert!(is_noted(said(&["compare", folder, whole])));
        } else {
            refused(&["compare", folder, whole], &[note]);
        }
    }
}

#[test]
fn an_unfinished_or_empty_record_of_every_question_says_so_first() {
    an_unfinished_or_empty_one_says_so_first(&Made { bench: "select", ..made_up::copies() });
    an_unfinished_or_empty_one_says_so_first(&made_up::paths());
    an_unfinished_or_empty_one_says_so_first(&made_up::neighbours());
    an_unfinished_or_empty_one_says_so_first(&made_up::calls());
    an_unfinished_or_empty_one_says_so_first(&made_up::programs());
    #[cfg(target_arch = "x86_64")]
    an_unfinished_or_empty_one_says_so_first(&made_up::sections());
}
