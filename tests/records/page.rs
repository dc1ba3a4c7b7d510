//! The promise: a page stands alone, shows only figures, and shows what it is given as text.

use crate::cases::Effort as Cases;
use crate::made_up;
use crate::program::{Scratch, errors, refused, run, said};
use crate::tree::{CALLS, NEIGHBOURS, ONE, PATHS, PROGRAMS, SECOND, SECTIONS, named, named_some, of, records};
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::copies::cell::{Cell, Residency};
use memcpy_select::lab::copies::contender::{LIBC, LIBC_AGAIN, MEMCPY_AUTO};
use memcpy_select::lab::copies::sweep::{CORE_CLOCK, Sample};
use memcpy_select::lab::question::{Named, page};
use memcpy_select::lab::show::page::PAGE_GENERATOR;
#[cfg(target_arch = "x86_64")]
use memcpy_select::select::{PlanText, Policy};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;

const LARGEST_PAGE_BYTES: usize = 6 << 20;

/// A record with the environment of the first in `results/` and samples of our own.
fn record(bench: &str, samples: Vec<Sample>) -> CopyRecord {
    CopyRecord { bench: bench.to_owned(), samples, ..of::<CopyRecord>(&records()[0]).unwrap().clone() }
}

fn mine(record: CopyRecord) -> Named {
    ("mine".to_owned(), Box::new(record))
}

fn sample(cell: Cell, contender: &str, round: u32, total_ns: u64) -> Sample {
    Sample { cell, contender: Cow::Owned(contender.to_owned()), round, iterations: 10, total_ns }
}

/// What holds for every page.
pub fn check(html: &str) {
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
fn the_page_of_every_record_stands_alone_and_answers_first() {
    for record in records() {
        let (name, bench) = (&record.0, record.1.bench());
        let html = page(std::slice::from_ref(record));
        check(&html);
        check_answer(&html);
        let [answer, table] = ["<div class=\"answer\">", "<table>"].map(|tag| html.find(tag).expect("it has one"));
        // Of paths, the table is the answer to which of them is fastest.
        assert!(answer < table || bench == "ipc", "{name}: the answer comes before any table");
        assert_eq!(html.contains("<h2>Use this plan</h2>"), bench == "select", "{name}");
        let drawn = html.matches("<svg").count();
        let expected = match bench {
            "select" => drawn == 4,
            "xsave" | "profile" | "programs" => drawn == 1,
            // As many as what was asked for gives.
            "sweep" | "ipc" | "neighbour" => true,
            _ => drawn == 0,
        };
        assert!(expected, "{name}: {drawn} plots");
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn several_records_stand_beside_each_other() {
    // Of every question, on one page: by default those that are read anyway.
    let asked_for: Vec<Named>;
    let several = if Cases::chosen() < Cases::Full {
        records()
    } else {
        asked_for = [SECOND, ONE, CALLS, PATHS, SECTIONS, NEIGHBOURS, PROGRAMS].map(named_some).into();
        &asked_for
    };
    let html = page(several);
    check(&html);
    assert_eq!(html.matches("<section").count(), 7);
    assert!(html.contains("<h2>What to use by size</h2>"));
    for anchor in (1..=7).map(|number| format!("record-{number}")) {
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
    let html = page(&[mine(record("select", samples.collect()))]);
    check(&html);
    let row = html.split("<tr class=\"group\" id=\"").nth(1).expect("the cell has rows");
    let id = row.split('"').next().unwrap_or_default();
    assert!(html.matches(&format!("href=\"#{id}\"")).count() > 3, "tables and plots lead to {id}");
    assert!(html.contains("bench select, len_bytes 4096 (4 KiB), dst_offset 1, src_offset 2063, residency hot"));
    // 51 ns are 80.3 GB/s, at two cycles a nanosecond 40.2 bytes a cycle; 1.96 times as fast as libc; three rounds.
    assert!(html.contains("<tr><td>memcpy_auto<td>51.0<td>80.3<td>40.2<td>1.96×<td>1.0%<td>3\n"));
}

/// What holds for the answer of a page: sentences, none of which recommends what loses.
fn check_answer(html: &str) {
    let answer = html.split("<div class=\"answer\">").nth(1).and_then(|rest| rest.split("</div>\n").next()).unwrap();
    assert!(answer.contains("<p>") && answer.len() < 8000, "{answer}");
    for word in [" times as long", "time over", "time / "] {
        assert!(!html.contains(word), "ratios of a page have one direction: {word}");
    }
}

/// What the table at the head of a page says to use, by the text of its rows.
fn advised(html: &str) -> Vec<String> {
    let table = html.split("<b>What to use</b>").nth(1).and_then(|rest| rest.split("</table>").next()).unwrap();
    let rows = table.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap().split("<tr>").skip(1);
    rows.map(|row| row.trim().replace('\u{a0}', " ").replace("<td>", "|").replace("<code>", "").replace("</code>", ""))
        .collect()
}

/// A record with times of `gpr`, `libc`, the same again, and `memcpy_auto` at some lengths.
fn of_times(times: &[(usize, [u64; 3])]) -> CopyRecord {
    let samples = times.iter().flat_map(|(len_bytes, [gpr, libc, auto])| {
        [("gpr", gpr), (LIBC, libc), (LIBC_AGAIN, libc), (MEMCPY_AUTO, auto)]
            .map(|(name, total_ns)| sample(Cell::hot(*len_bytes, 0, 0), name, 0, *total_ns))
    });
    record("select", samples.collect())
}

#[test]
#[cfg(target_arch = "x86_64")]
fn nothing_slower_than_libc_or_memcpy_auto_is_recommended() {
    let record = of_times(&[
        (32, [500, 900, 500]),
        (64, [500, 900, 500]),
        (4096, [500, 1000, 500]),
        (8192, [1100, 1000, 1100]),
        (16384, [1000, 1100, 900]),
        (32768, [1000, 2000, 1200]),
    ]);
    let html = page(&[mine(record)]);
    check(&html);
    let expected = [
        "|32 B to 64 B|memcpy_auto, inlined|1.80×",
        "|at 4 KiB|gpr|2.00×",
        "|at 8 KiB|libc: it wins or ties|–",
        "|at 16 KiB|memcpy_auto|1.22×",
        "|at 32 KiB|gpr|2.00×",
    ];
    assert_eq!(advised(&html), expected);
    // The same at each size, and side by side.
    for (size, name) in [("64 B", MEMCPY_AUTO), ("8 KiB", LIBC), ("16 KiB", MEMCPY_AUTO), ("32 KiB", "gpr")] {
        let row = html.split(&format!(">{size}</a><td><b>")).nth(1).unwrap();
        assert!(row.starts_with(name), "{size}: {}", &row[..40]);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_plan_on_a_page_is_a_file_that_loads() {
    let html = page(&[named(ONE)]);
    let text = |block: &str| block.replace("&quot;", "\"").trim().to_owned();
    let blocks: Vec<String> =
        html.split("<pre>").skip(1).map(|rest| text(rest.split("</pre>").next().unwrap())).collect();
    let [line, user, nosimd_line, no_simd] = &blocks[..] else { panic!("{blocks:?}") };
    assert_eq!(line, "memcpy_select::select::install_file(\"copy.plan\")?;");
    assert_eq!(nosimd_line, "memcpy_select::select::install_file(\"nosimd.plan\")?;");
    for (text, policy) in [(user, Policy::User), (no_simd, Policy::NoSimd)] {
        let plan: PlanText = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((plan.policy, plan.cpu.to_string()), (policy, "amd-25-1-1".to_owned()));
    }
}

#[test]
fn neighbours_and_calls_are_told_in_sentences_and_not_as_rows() {
    let neighbours = page(&[named(NEIGHBOURS)]);
    check(&neighbours);
    assert!(neighbours.contains("the worst hostile neighbour") && neighbours.contains("What safety costs"));
    assert!(!neighbours.contains("round_trips") && neighbours.len() < 64 << 10, "{} bytes", neighbours.len());
    let calls = page(&[named(CALLS)]);
    assert!(calls.contains("times as fast as libc in the first-level cache"));
    for term in ["All programs", "Predictable", "Read at once"] {
        assert!(calls.to_lowercase().contains(&format!("<b>{}</b>", term.to_lowercase())), "{term}");
    }
}

#[test]
fn conditions_are_explained_before_they_are_used_in_tables() {
    let html = page(&[named_some("results/intel-6-167-1-masked-kvm/2026-11-24.1")]);
    for term in ["aliased", "read afterwards", "cold", "all cores at once"] {
        let told = html.find(&format!("<li><b>{term}</b>:")).unwrap_or_else(|| panic!("{term} is not explained"));
        assert!(html.find(&format!("<tr><td>{term}")).is_none_or(|row| told < row), "{term}");
    }
    assert!(!html.contains("src+0, touch") && !html.contains("src+0, crowd"));
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "reads results/, which the published package lacks")]
fn the_figures_of_a_map_are_a_table_too() {
    let cells = (1..=90).flat_map(|step| [(0, 0), (1, 15)].map(|(dst, src)| Cell::hot(48 * step, dst, src)));
    let of = |cell: Cell| ["gpr", LIBC, LIBC_AGAIN, MEMCPY_AUTO].map(|name| sample(cell, name, 0, 1000));
    let html = page(&[mine(record("select", cells.flat_map(of).collect()))]);
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
    let html = |lengths| page(&[mine(record("sweep", samples(lengths)))]);
    let (several, one) = (html(&[4096, 8192]), html(&[4096]));
    check(&several);
    check(&one);
    assert!(several.contains("<svg") && several.contains("<h2>What to use at each size</h2>"));
    assert!(!one.contains("<svg") && one.contains("<h2>Fastest in bench"));
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
        let html = page(&[record.clone(), record].map(|record| (hostile.to_owned(), Box::new(record) as _)));
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
            check(&page(&[mine(record.clone())]));
            let cpu = &mut record.environment.cpu;
            (cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes) = (None, Some(0), Some(u64::MAX));
            record.environment.clock.core_cycles_per_ns = f64::NAN;
            record.environment.plan = "above".to_owned();
            check(&page(&[record.clone(), record].map(mine)));
        }
    }
    check(&page(&[]));
}

#[test]
fn the_verb_overwrites_only_what_it_wrote() {
    let scratch = Scratch::new("page");
    let folder = made_up::copies().whole(&scratch.0.join("results"));
    let one = folder.to_str().unwrap();
    let (out, foreign) = (scratch.0.join("report.html"), scratch.0.join("foreign.html"));
    let (out_name, foreign_name) = (out.to_str().unwrap(), foreign.to_str().unwrap());
    for _ in 0..2 {
        assert_eq!(said(&["report", one, "--out", out_name]), format!("page: {out_name}\n"));
    }
    let written = fs::read_to_string(&out).unwrap();
    check(&written);
    let name = folder.strip_prefix(scratch.0.join("results")).unwrap().display();
    assert!(written.contains(&format!("<h1>{name}</h1>")));

    fs::write(&foreign, "<html>mine").unwrap();
    refused(&["report", one, "--out", foreign_name], &["left as it is"]);
    // Of a page and a plot, both can be written, or neither is.
    refused(&["report", one, "--out", out_name, "--svg", foreign_name], &["left as it is"]);
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "<html>mine");

    // Among others, a folder that is no record is passed over; alone, it is refused.
    let empty = scratch.0.join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    let output = run(&["report", one, empty, "--out", out_name]);
    assert!(output.status.success() && errors(&output).contains("no record"), "{output:?}");
    refused(&["report", empty, "--out", out_name], &["neither env.toml nor samples.csv"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), written);
}
