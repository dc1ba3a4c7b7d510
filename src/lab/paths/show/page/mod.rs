//! A page of paths between processes: what each costs against size, from which size on not copying pays, and what each
//! further copy adds.

#![forbid(unsafe_code)]

mod answers;
mod curves;

use crate::lab::evidence::Section;
use crate::lab::paths::show::page::answers::answers;
use crate::lab::paths::show::page::curves::{
    TABLE, USUAL, fastest, latency, rows_at, sizes, table, throughput, winners,
};
use crate::lab::paths::show::pays_from_bytes;
use crate::lab::paths::show::tables::{circumstances, groups, path_name};
use crate::lab::paths::ways::paths;
use crate::lab::paths::{Cell, PathRecord, Row, Summary, walked};
use crate::lab::show::page::loglog::LogLog;
use crate::lab::show::page::series::{Look, Point, Series};
use crate::lab::show::page::{HtmlTable, escape, figure, none, percent};
use crate::lab::show::{range, size, time};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A record's part of the page: first the paths in the plainest circumstances, then the answers, then everything else.
pub fn section(record: &PathRecord) -> Section {
    let summary = record.summary();
    let mut html = String::new();
    let groups = groups(&summary);
    if let Some((first, others)) = groups.split_first() {
        let _ = writeln!(html, "<h2>Paths by size: {}</h2>\n{}", escape(&circumstances(first)), table(&summary, first));
        html.push_str(&words(&summary));
        let _ = writeln!(html, "<figure>\n{}{CURVES}</figure>", latency(&summary, first));
        html.push_str("<h2>Which way, and when not copying pays</h2>\n");
        html.push_str(&answer(&summary, first));
        html.push_str(&answers(&summary, &record.predictions(), &walked(&record.cache)));
        let _ = writeln!(html, "<h2>More of {}</h2>", escape(&circumstances(first)));
        html.push_str(&more(&summary, first));
        if !others.is_empty() {
            html.push_str("<h2>Other circumstances</h2>\n");
        }
        for group in others {
            let _ = writeln!(
                html,
                "<details><summary>{}</summary>\n{}<figure>\n{}{CURVES}</figure>\n{}</details>",
                escape(&circumstances(group)),
                table(&summary, group),
                latency(&summary, group),
                more(&summary, group)
            );
        }
        html.push_str(&what_they_are(&summary));
    }
    html.push_str(&refused(record));
    let grid = escape(record.grid.trim_end()).replace('\n', "; ");
    Section { answer: html, appendix: format!("<h2>How it was measured</h2>\n<p>{grid}</p>\n") }
}

/// Half a round trip against size, in the plainest circumstances.
pub fn plot(summary: &Summary) -> Option<String> {
    groups(summary).first().map(|first| latency(summary, first))
}

/// What the words of the circumstances mean.
fn words(summary: &Summary) -> String {
    format!(
        "<p class=\"note\">Half of a round trip, median; several messages under way: a message’s time. Bold: the fastest of its \
         length, or within the noise floor of {} of it. The first rows are nearest to the fastest over all lengths; \
         <code>bare</code>, last, is no way for programs but the floor: what two cores need to pass a line. \
         <b>Polling</b>: both sides look again and again; <b>blocking</b>: they sleep in the kernel; <b>adaptive</b>: they \
         look for about as long as a sleep would cost, then sleep. <b>Touched</b>: the sender writes every byte, the receiver \
         reads and checks it. <b>Depth</b>: how many messages may be under way.</p>\n",
        percent(summary.noise_floor.max(1.0))
    )
}

const CURVES: &str = "<figcaption>Lower is better; both axes are logarithmic. In colour: the paths that are fastest at most \
    lengths, a Unix stream socket as what programs use, and the floor; grey: the others of the table. Point at a curve for \
    its name and figures.</figcaption>\n";

/// What each path of the record is, in the words of this build.
fn what_they_are(summary: &Summary) -> String {
    let measured: BTreeSet<&str> = summary.rows.iter().map(|row| row.path.as_str()).collect();
    let mut table = HtmlTable::new(&["path", "what it is"]);
    for path in paths().iter().filter(|path| measured.contains(path.name())) {
        table.row(&[escape(path.name()), escape(path.about())]);
    }
    format!(
        "<h2>What the paths are</h2>\n<details><summary>Every path that was measured</summary>\n<div class=\"words\">{}</div>\
         </details>\n",
        table.html()
    )
}

/// The table's cheapest and dearest path of a length, by their copies: what one copy costs.
fn copy_cost(rows: &[&Row]) -> Option<(f64, u32)> {
    let table = || rows.iter().filter(|row| row.path.starts_with(TABLE) && row.kernel.is_none());
    let most = table().max_by_key(|row| row.copies)?;
    let least = table().filter(|row| row.copies < most.copies).min_by(|a, b| {
        a.copies
            .cmp(&b.copies)
            .then(a.judged_ns().unwrap_or(f64::INFINITY).total_cmp(&b.judged_ns().unwrap_or(f64::INFINITY)))
    })?;
    let removed = most.copies - least.copies;
    Some(((most.judged_ns()? - least.judged_ns()?) / f64::from(removed), removed))
}

/// What is fastest from which length to which in the first circumstances; the ends and the break-even of all.
fn answer(summary: &Summary, first: &Cell) -> String {
    let mut table = HtmlTable::new(&["circumstances", "fastest, short", "fastest, long", "not copying pays"]);
    for group in groups(summary) {
        let pays = match pays_from_bytes(summary, &group) {
            Some(bytes) => format!("from {} on", size(bytes)),
            None => "not up to the longest".to_owned(),
        };
        let best = |bytes: Option<&usize>| {
            let rows = rows_at(summary, &group, *bytes?);
            let row = fastest(&rows)?;
            let ns = row.judged_ns()?;
            let usual =
                rows.iter().find(|row| row.path == USUAL && row.kernel.is_none()).and_then(|row| row.judged_ns());
            let gain =
                usual.filter(|_| row.path != USUAL && ns > 0.0).map(|usual| format!(", {}×", figure(Some(usual / ns))));
            let name = escape(&path_name(row));
            Some(format!(
                "<code>{name}</code> at {}: {}{}",
                size(row.cell.payload_bytes),
                time(ns),
                gain.unwrap_or_default()
            ))
        };
        let sizes = sizes(summary, &group);
        let [short, long] = [sizes.first(), sizes.last()].map(|bytes| best(bytes).unwrap_or_else(none));
        table.row(&[escape(&circumstances(&group)), short, long, pays]);
    }
    let winners: Vec<String> = winners(summary, first)
        .into_iter()
        .map(|(from, to, name)| format!("<code>{}</code> {}", escape(name), range(from, to)))
        .collect();
    format!(
        "<div class=\"answer\">\n<p><b>Fastest</b>, or within the noise floor of it, with {}: {}.</p>\n<div \
         class=\"words\">{}</div>\n<p class=\"note\">×: how many times as fast as a Unix stream \
         socket (<code>{USUAL}</code>) at that length. “Not copying pays” from the length on at which, there and at all longer ones, the \
         fastest path without a copy beats the fastest with one.</p>\n</div>\n",
        escape(&circumstances(first)),
        winners.join("; "),
        table.html()
    )
}

/// Throughput, what copies cost, and every figure.
fn more(summary: &Summary, group: &Cell) -> String {
    format!(
        "<details><summary>Throughput against size</summary>\n<figure>\n{}<figcaption>Higher is better. The payload counted \
         once, decimal.</figcaption>\n</figure></details>\n{}{}",
        throughput(summary, group),
        saving(summary, group),
        figures(summary, group)
    )
}

/// What a copy costs in the table, and how that compares with the whole.
fn saving(summary: &Summary, group: &Cell) -> String {
    let mut points = Vec::new();
    for bytes in sizes(summary, group) {
        if let Some((ns, removed)) = copy_cost(&rows_at(summary, group, bytes)) {
            let said = format!("{}: {} a copy, {removed} removed", size(bytes), time(ns));
            points.push(Point { len_bytes: bytes, value: ns, said, id: None });
        }
    }
    if points.is_empty() {
        return String::new();
    }
    let look = Look { family: "auto", dashes: 0, is_thick: true };
    let plot = LogLog {
        title: "What each copy removed saves, against size",
        unit: "saved for each copy removed",
        tick: &time,
        series: vec![Series { name: "table".to_owned(), look, points }],
        marks: Vec::new(),
    };
    format!(
        "<details><summary>What each copy removed saves</summary>\n<figure>\n{}<figcaption>The table copying in and out \
         against the table in place, divided by the copies between the two. Where a point is missing, nothing was \
         saved.</figcaption>\n</figure></details>\n",
        plot.svg()
    )
}

fn figures(summary: &Summary, group: &Cell) -> String {
    let mut table = HtmlTable::new(&[
        "path",
        "p50",
        "p99",
        "p99.9",
        "GB/s",
        "cycles/B",
        "copies",
        "system calls",
        "faults",
        "CPU",
        "set-up",
        "repaid after",
    ]);
    for bytes in sizes(summary, group) {
        table.caption(12, &size(bytes));
        for row in rows_at(summary, group, bytes) {
            let half = |of: fn(&crate::lab::paths::Percentiles) -> f64| {
                row.half_rtt_ns.as_ref().map_or_else(none, |half| time(of(half)))
            };
            let repaid = row.repaid_after.map_or_else(none, |count| count.to_string());
            table.row(&[
                escape(&path_name(row)),
                half(|half| half.p50),
                half(|half| half.p99),
                half(|half| half.p999),
                figure(row.gb_per_s),
                figure(row.cycles_per_byte),
                row.copies.to_string(),
                figure(row.system_calls),
                figure(row.faults),
                row.cpu_ns.map_or_else(none, time),
                row.set_up_ns.map_or_else(none, |ns| time(ns as f64)),
                repaid,
            ]);
        }
    }
    format!(
        "<details><summary>Every figure</summary>\n<p class=\"note\">System calls, faults and CPU time are for a message, of \
         both sides. Copies are declared by the path; system calls are counted by it; faults and CPU time by the system. \
         “Repaid after”: messages until setting up, as far as it takes longer than a stream socket’s, is won back.</p>\n{}\
         </details>\n",
        table.html()
    )
}

fn refused(record: &PathRecord) -> String {
    let once: BTreeSet<(&str, &str)> =
        record.refusals.iter().map(|refusal| (refusal.path.as_str(), refusal.reason.as_str())).collect();
    if once.is_empty() {
        return String::new();
    }
    let mut html = String::from("<h2>Not measured</h2>\n<ul>\n");
    for (path, reason) in once {
        let _ = writeln!(html, "<li><code>{}</code>: {}</li>", escape(path), escape(reason));
    }
    html.push_str("</ul>\n");
    html
}
