//! A page of paths between processes: what each costs against size, from which size on not copying pays, and what each
//! further copy adds.

#![forbid(unsafe_code)]

use super::ipc_answers::answers;
use super::loglog::LogLog;
use super::series::{Look, Point, Series};
use super::{PAGE_GENERATOR, STYLE, Table, escape, figure, none, percent, unfinished};
use crate::measure::ipc::{Cell, Row, Summary, walked};
use crate::record::IpcRecord;
use crate::report::format::size;
use crate::report::ipc::{circumstances, groups, is_floor, path_name, time};
use crate::report::ipc_explain::pays_from_bytes;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The colours of paths that are not the table's, each with five kinds of dashes.
const FAMILIES: [&str; 7] = ["rep", "sse2", "avx", "avx512", "gpr", "base", "peer"];
/// What the names of the table's paths begin with.
const TABLE: &str = "table_";

/// A page of these records of the verb `ipc`, each with the name to show it under.
///
/// The page is complete HTML, encoded as UTF-8, with its style and its plots inside; it asks for no network and has no
/// script.
pub fn ipc_page(records: &[(String, IpcRecord)]) -> String {
    let title = match records {
        [(name, _)] => format!("memcpy-select: {name}"),
        several => format!("memcpy-select: {} records of paths", several.len()),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" \
         content=\"{PAGE_GENERATOR}{}\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}\
         </style>\n</head>\n<body>\n<main>\n",
        env!("CARGO_PKG_VERSION"),
        escape(&title)
    );
    for (number, (name, record)) in records.iter().enumerate() {
        html.push_str(&section(number + 1, name, record));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// One record, from its answer to how it was measured.
fn section(number: usize, name: &str, record: &IpcRecord) -> String {
    let summary = record.summary();
    let environment = &record.environment;
    let mut html = format!("<section id=\"paths-{number}\">\n<h1>{}</h1>\n", escape(name));
    html.push_str(&unfinished(record.complete, record.samples.is_empty()));
    let _ = writeln!(
        html,
        "<p class=\"machine\">{}, core at {} GHz; {}; noise floor {}.</p>",
        escape(&format!("{} ({})", environment.cpu.name, environment.cpu.microarchitecture)),
        figure(Some(environment.clock.core_cycles_per_ns)),
        escape(environment.system.kernel.as_deref().unwrap_or("kernel not known")),
        percent(summary.noise_floor)
    );
    html.push_str(&answer(&summary));
    html.push_str(&answers(&summary, &record.predictions(), &walked(&record.cache)));
    for group in groups(&summary) {
        html.push_str(&of_group(&summary, &group));
    }
    html.push_str(&refused(record));
    html.push_str("<h2>How it was measured</h2>\n");
    let _ = writeln!(html, "<p>{}</p>", escape(record.grid.trim_end()).replace('\n', "; "));
    html.push_str("<ul>\n");
    for condition in &environment.conditions {
        let _ = writeln!(html, "<li>{}</li>", escape(condition));
    }
    html.push_str("</ul>\n</section>\n");
    html
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

fn rows_at<'a>(summary: &'a Summary, group: &Cell, bytes: usize) -> Vec<&'a Row> {
    summary.beside(group).filter(|row| row.cell.payload_bytes == bytes).collect()
}

fn sizes(summary: &Summary, group: &Cell) -> Vec<usize> {
    let sizes: BTreeSet<usize> = summary.beside(group).map(|row| row.cell.payload_bytes).collect();
    sizes.into_iter().collect()
}

fn fastest<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    let timed = rows.iter().filter(|row| row.judged_ns().is_some() && !is_floor(&row.path));
    timed.min_by(|a, b| a.judged_ns().unwrap_or(0.0).total_cmp(&b.judged_ns().unwrap_or(0.0))).copied()
}

/// The break-even of each set of circumstances, and who is fastest there.
fn answer(summary: &Summary) -> String {
    let mut html = String::from("<div class=\"answer\">\n");
    for group in groups(summary) {
        let pays = match pays_from_bytes(summary, &group) {
            Some(bytes) => format!("not copying pays from {} on", size(bytes)),
            None => "at the longest payload, not copying does not pay".to_owned(),
        };
        let best = |bytes: Option<&usize>| {
            let rows = rows_at(summary, &group, *bytes?);
            let row = fastest(&rows)?;
            Some(format!("{} at {} ({})", path_name(row), size(row.cell.payload_bytes), time(row.judged_ns()?)))
        };
        let sizes = sizes(summary, &group);
        let ends: Vec<String> = [best(sizes.first()), best(sizes.last())].into_iter().flatten().collect();
        let _ = writeln!(
            html,
            "<p><b>{}</b>: {pays}. Fastest: {}.</p>",
            escape(&circumstances(&group)),
            escape(&ends.join("; "))
        );
    }
    html.push_str("</div>\n");
    html
}

/// How a path looks: the table's in one colour, thick where nothing is copied; the others by their place.
fn look(name: &str, copies: u32, place: usize) -> Look {
    if name.starts_with(TABLE) {
        return Look { family: "auto", dashes: copies as usize % 5, is_thick: copies == 0 };
    }
    Look { family: FAMILIES[place % FAMILIES.len()], dashes: place / FAMILIES.len() % 5, is_thick: false }
}

/// What can be told apart in a plot: each path with its usual kernel, and of the floor what copies nothing. The table of
/// figures has all rows.
fn is_drawn(row: &Row) -> bool {
    row.kernel.is_none() && !(is_floor(&row.path) && row.copies > 0)
}

fn curves(
    summary: &Summary,
    group: &Cell,
    value: &dyn Fn(&Row) -> Option<f64>,
    said: &dyn Fn(f64) -> String,
) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for row in summary.beside(group).filter(|row| is_drawn(row)) {
        let Some(value) = value(row) else { continue };
        let name = path_name(row);
        let at = series.iter().position(|one| one.name == name).unwrap_or_else(|| {
            let look = look(&name, row.copies, series.iter().filter(|one| !one.name.starts_with(TABLE)).count());
            series.push(Series { name: name.clone(), look, points: Vec::new() });
            series.len() - 1
        });
        let bytes = row.cell.payload_bytes;
        let said = format!("{name}, {}: {}", size(bytes), said(value));
        series[at].points.push(Point { len_bytes: bytes, value, said, id: None });
    }
    // One length alone is no curve, unless no more was measured.
    let longest = series.iter().map(|one| one.points.len()).max().unwrap_or(0);
    series.retain(|one| one.points.len() > 1 || longest == 1);
    for one in &mut series {
        one.points.sort_by_key(|point| point.len_bytes);
    }
    series
}

/// Plots and figures of one set of circumstances.
fn of_group(summary: &Summary, group: &Cell) -> String {
    let name = circumstances(group);
    let mut html = format!("<h2>{}</h2>\n", escape(&name));
    let pays: Vec<(usize, String)> = pays_from_bytes(summary, group)
        .map(|bytes| (bytes, format!("not copying pays from {} on", size(bytes))))
        .into_iter()
        .collect();
    let latency = LogLog {
        title: &format!("Half a round trip against size: {name}"),
        unit: "half round trip, p50",
        tick: &time,
        series: curves(summary, group, &|row| Some(row.half_rtt_ns?.p50), &time),
        marks: pays,
    };
    let _ = writeln!(
        html,
        "<figure>\n{}<figcaption>Lower is better. {} Kernels of choice and ways \
             measured at one length are in the figures below.</figcaption>\n</figure>",
        latency.svg(),
        LATENCY
    );
    let gb_per_s = |value: f64| format!("{} GB/s", figure(Some(value)));
    let throughput = LogLog {
        title: &format!("Throughput against size: {name}"),
        unit: "GB/s one way",
        tick: &|value| if value < 1.0 { value.to_string() } else { figure(Some(value)) },
        series: curves(summary, group, &|row| row.gb_per_s, &gb_per_s),
        marks: Vec::new(),
    };
    let _ = writeln!(
        html,
        "<figure>\n{}<figcaption>Higher is better. The payload counted once, decimal.</figcaption>\n</figure>",
        throughput.svg()
    );
    html.push_str(&saving(summary, group));
    html.push_str(&figures(summary, group));
    html
}

const LATENCY: &str = "Every payload goes there and back; with more than one message under way, half of the time from \
    sending a message to hearing that it was received.";

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
        "<figure>\n{}<figcaption>The table copying in and out against the table in place, divided by the copies between \
         the two. Where a point is missing, nothing was saved.</figcaption>\n</figure>\n",
        plot.svg()
    )
}

fn figures(summary: &Summary, group: &Cell) -> String {
    let mut table = Table::new(&[
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
            let half = |of: fn(&crate::measure::ipc::Percentiles) -> f64| {
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

fn refused(record: &IpcRecord) -> String {
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
