//! The promise: a page stands alone, shows only figures, and shows what it is given as text.

use crate::tree::{records, results};
use memcpy_select::measure::cell::{Cell, Residency};
use memcpy_select::measure::sweep::{CORE_CLOCK, LIBC, LIBC_AGAIN, MEMCPY_AUTO, Sample};
use memcpy_select::record::Record;
use memcpy_select::report::{PAGE_GENERATOR, page};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const LARGEST_PAGE_BYTES: usize = 6 << 20;

fn read(folder: &Path) -> (String, Record) {
    let record = Record::read(folder).unwrap_or_else(|error| panic!("{error}"));
    (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), record)
}

/// A record with the environment of the first in `results/` and samples of our own.
fn record(bench: &str, samples: Vec<Sample>) -> Record {
    let (_, mut record) = read(&records()[0].0);
    record.bench = bench.to_owned();
    record.samples = samples;
    record
}

fn sample(cell: Cell, contender: &str, round: u32, total_ns: u64) -> Sample {
    Sample { cell, contender: Cow::Owned(contender.to_owned()), round, iterations: 10, total_ns }
}

/// What holds for every page.
fn check(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert!(html.contains(&format!("<meta name=\"generator\" content=\"{PAGE_GENERATOR}")));
    assert!(html.len() < LARGEST_PAGE_BYTES, "{} bytes", html.len());
    for tag in ["html", "head", "body", "main", "section", "svg", "g", "table", "figure", "details", "div", "style"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    for word in html.split(|character: char| !character.is_ascii_alphanumeric()) {
        assert!(!["NaN", "inf"].contains(&word), "a figure that is none");
    }
    for remote in ["http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", "src="] {
        assert!(!html.contains(remote), "{remote}");
    }
    let words = |before: &str| -> BTreeSet<String> {
        let parts = html.split(before).skip(1);
        parts.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let (links, ids) = (words(" href=\"#"), words(" id=\""));
    let lost: Vec<_> = links.difference(&ids).collect();
    assert!(lost.is_empty(), "links to nowhere: {lost:?}");
    assert_eq!(html.matches(" id=\"").count(), ids.len(), "an id twice");
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_page_of_every_record_stands_alone_and_answers_in_three_sentences() {
    // Records of paths between processes have a page of their own.
    for (folder, record) in records().iter().filter(|(_, record)| record.bench != "ipc") {
        let named = (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), record.clone());
        let is_grid = named.1.bench == "select";
        let plots = match named.1.bench.as_str() {
            "select" => 4,
            "xsave" => 1,
            _ => 0,
        };
        let html = page(&[named]);
        check(&html);
        if is_grid {
            check_answer(&html);
        }
        assert_eq!(html.contains("<h2>What to use</h2>"), is_grid, "{}", folder.display());
        assert_eq!(html.matches("<svg").count(), plots, "{}", folder.display());
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn several_records_stand_beside_each_other() {
    let both = [
        read(&results().join("amd-26-2-1-kvm/2026-11-23.12")),
        read(&results().join("amd-25-1-1-kvm/2026-11-23.1")),
        read(&results().join("amd-26-2-1-kvm/2026-11-23.8")),
    ];
    let html = page(&both);
    check(&html);
    assert_eq!(html.matches("<section").count(), 3);
    assert!(html.contains("<h2>Winner by size</h2>"));
    for anchor in ["record-1", "record-2", "record-3"] {
        assert!(html.contains(&format!("href=\"#{anchor}\"")) && html.contains(&format!("id=\"{anchor}\"")));
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_figure_leads_to_its_samples() {
    let cell = Cell::hot(4096, 1, 15);
    let samples = (0..3).flat_map(|round| {
        [(LIBC, 1000), (LIBC_AGAIN, 1000), (MEMCPY_AUTO, 500 + 10 * u64::from(round)), (CORE_CLOCK, 5)]
            .map(|(name, total_ns)| sample(cell, name, round, total_ns))
    });
    let html = page(&[("mine".to_owned(), record("select", samples.collect()))]);
    check(&html);
    let row = html.split("<tr class=\"group\" id=\"").nth(1).expect("the cell has rows");
    let id = row.split('"').next().unwrap_or_default();
    assert!(html.matches(&format!("href=\"#{id}\"")).count() > 3, "tables and plots lead to {id}");
    assert!(html.contains("bench select, len_bytes 4096 (4 KiB), dst_offset 1, src_offset 2063, residency hot"));
    // 51 ns are 80.3 GB/s, at two cycles a nanosecond 40.2 bytes a cycle; 0.51 of libc; three rounds.
    assert!(html.contains("<tr><td>memcpy_auto<td>51.0<td>80.3<td>40.2<td>0.51<td>1.0%<td>3\n"));
}

/// Three sentences, however many bands there are.
fn check_answer(html: &str) {
    let answer = html.split("<div class=\"answer\">").nth(1).and_then(|rest| rest.split("</div>").next()).unwrap();
    let sentences: Vec<&str> = answer.split("<p>").skip(1).collect();
    assert_eq!(sentences.len(), 3, "{answer}");
    // A figure has points of its own; a sentence ends with its line.
    assert!(sentences.iter().all(|one| one.trim_end().ends_with('.') && one.trim_end().lines().count() == 1));
    assert!(sentences[1].matches("<code>").count() <= 4, "{}", sentences[1]);
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_figures_of_a_map_are_a_table_too() {
    let html = page(&[read(&results().join("amd-26-2-1-kvm/2026-11-23.10"))]);
    assert_eq!(html.matches("<summary>The figures of this map</summary>").count(), 2);
    let table = html.split("The figures of this map").nth(1).and_then(|rest| rest.split("</details>").next()).unwrap();
    let fields = html.split("<svg class=\"heat\"").nth(1).and_then(|rest| rest.split("</svg>").next()).unwrap();
    assert_eq!(table.matches("<a href=").count(), fields.matches("<rect").count(), "one for each field");
    // The fields are too narrow for figures, which are on hover and in the table.
    assert!(fields.matches("<text>").count() == 0 && fields.contains("<title>"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn a_sweep_over_sizes_is_drawn_and_said_to_make_no_profile() {
    let samples = |lengths: &[usize]| -> Vec<Sample> {
        let of =
            |len_bytes| [LIBC, LIBC_AGAIN, MEMCPY_AUTO].map(|name| sample(Cell::hot(len_bytes, 0, 0), name, 0, 1000));
        lengths.iter().flat_map(|len_bytes| of(*len_bytes)).collect()
    };
    let html = |lengths| page(&[("mine".to_owned(), record("sweep", samples(lengths)))]);
    let (several, one) = (html(&[4096, 8192]), html(&[4096]));
    check(&several);
    check(&one);
    assert!(several.contains("<svg") && several.contains("<h2>What to use</h2>"));
    assert!(!one.contains("<svg") && one.contains("<h2>Figures of bench"));
    assert!(several.contains("makes no profile of a CPU") && one.contains("makes no profile of a CPU"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn whatever_a_record_says_is_shown_as_text() {
    let hostile = "<script>alert('\"&</svg></table>";
    let cell = Cell::hot(4096, 0, 0);
    let samples = [hostile, LIBC, MEMCPY_AUTO].map(|name| sample(cell, name, 0, 1000));
    for bench in ["select", hostile] {
        let mut record = record(bench, samples.to_vec());
        record.environment.plan = format!("4096 {hostile} x={hostile}\nabove {hostile}\n");
        record.environment.conditions = vec![hostile.to_owned()];
        record.environment.cpu.name = hostile.to_owned();
        record.environment.system.libc = Some(hostile.to_owned());
        let html = page(&[(hostile.to_owned(), record.clone()), (hostile.to_owned(), record)]);
        check(&html);
        assert!(html.contains("&lt;script&gt;alert(&#39;&quot;&amp;&lt;/svg&gt;"));
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn what_was_not_measured_is_left_out() {
    let hot = Cell::hot(4096, 0, 0);
    let cases: [Vec<Sample>; 8] = [
        vec![],
        vec![sample(hot, MEMCPY_AUTO, 0, 100)],
        vec![sample(hot, LIBC, 0, 100)],
        vec![sample(hot, "a peer", 0, 100)],
        vec![sample(hot, CORE_CLOCK, 0, 100)],
        vec![sample(hot.with(Residency::Cold), LIBC, 0, 100), sample(hot, MEMCPY_AUTO, 3, 100)],
        vec![sample(hot, LIBC, 0, 0), sample(hot, LIBC_AGAIN, 0, 0), sample(hot, MEMCPY_AUTO, 0, 0)],
        vec![sample(Cell::hot(0, 0, 0), LIBC, 0, 100), sample(Cell::hot(usize::MAX, 63, 63), LIBC, 0, u64::MAX)],
    ];
    for samples in cases {
        for bench in ["select", "distributions", ""] {
            let mut record = record(bench, samples.clone());
            check(&page(&[("whole".to_owned(), record.clone())]));
            let cpu = &mut record.environment.cpu;
            (cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes) = (None, Some(0), Some(u64::MAX));
            record.environment.clock.core_cycles_per_ns = f64::NAN;
            record.environment.plan = "above".to_owned();
            let with_gaps = ("gaps".to_owned(), record);
            check(&page(&[with_gaps.clone(), with_gaps]));
        }
    }
    check(&page(&[]));
}

fn report(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.arg("report").args(arguments).output().expect("the program starts")
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_verb_overwrites_only_what_it_wrote() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let (out, foreign) = (scratch.join("report.html"), scratch.join("foreign.html"));
    let (out_name, foreign_name) = (out.to_str().unwrap(), foreign.to_str().unwrap());
    let folder = results().join("amd-25-1-1-kvm/2026-11-23.1");
    let folder = folder.to_str().unwrap();

    for _ in 0..2 {
        let output = report(&[folder, "--out", out_name]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("page: {out_name}\n"));
    }
    let written = fs::read_to_string(&out).unwrap();
    check(&written);
    assert!(written.contains("<h1>amd-25-1-1-kvm/2026-11-23.1</h1>"));

    fs::write(&foreign, "<html>mine").unwrap();
    let output = report(&[folder, "--out", foreign_name]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("left as it is"), "{output:?}");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "<html>mine");

    let output = report(&[folder, scratch.to_str().unwrap(), "--out", out_name]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("neither env.toml nor samples.csv"), "{output:?}");
    assert_eq!(fs::read_to_string(&out).unwrap(), written);
    fs::remove_dir_all(&scratch).unwrap();
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_verb_prints_figures_as_json() {
    let folder = results().join("amd-25-1-1-kvm/2026-11-23.1");
    let output = report(&["--json", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for key in ["\"noise_floor\"", "\"median_ns\"", "\"gb_per_s\"", "\"bytes_per_cycle\"", "\"time_over_libc\""] {
        assert!(text.contains(key), "{key}");
    }
    assert!(text.contains("\"name\": \"amd-25-1-1-kvm/2026-11-23.1\"") && text.trim_end().ends_with('}'));
}
