//! One HTML page from records, in a single file: nothing is loaded, nothing runs, whoever gets it can open it.
//!
//! The answer comes first, then what it was seen from: plots, then every figure as a table whose rows carry the names of
//! `samples.csv`, so that a point of a plot can be traced to the timings behind it.

#![forbid(unsafe_code)]

mod answer;
mod bands;
mod calls;
mod figures;
mod heat;
mod ipc;
mod ipc_answers;
mod ipc_curves;
mod loglog;
mod neighbour;
mod plan;
mod plot;
mod ranking;
mod record;
mod series;
mod tables;
#[cfg(target_arch = "x86_64")]
mod xsave;

pub use ipc::ipc_page;

use super::format;
use super::terminal::{ALIGNED, placed};
use crate::measure::cell::Cell;
use crate::measure::contender::{LIBC, MEMCPY_AUTO};
use crate::measure::statistics::is_tie;
use crate::measure::summary::{CellSummary, Summary};
use crate::record::Record;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The start of the `content` of the page's `<meta name="generator">`, and of a plot's `<metadata>`: by it a file is known
/// as one of ours.
pub const PAGE_GENERATOR: &str = "memcpy-select ";

/// The bench whose records cover the whole grid, and get the whole page.
const GRID_BENCH: &str = "select";
/// The bench of `memcpy-select sweep`: its records get the whole page if they have sizes to draw it from.
const SWEEP_BENCH: &str = "sweep";

const STYLE: &str = include_str!("style.css");

/// A record as the page shows it: what it is called, what it holds, and the figures of it.
struct Shown<'a> {
    name: &'a str,
    /// The number of the record on the page, from 1: its section and its cells are found by it.
    number: usize,
    record: &'a Record,
    summary: Summary,
    /// The place of each cell in the summary.
    places: HashMap<Cell, usize>,
}

impl<'a> Shown<'a> {
    fn of(number: usize, name: &'a str, record: &'a Record) -> Self {
        let summary = Summary::of(&record.samples);
        let places = summary.cells.iter().enumerate().map(|(at, cell)| (cell.cell, at)).collect();
        Self { name, number, record, summary, places }
    }

    /// Whether the record has sizes to draw curves from.
    fn is_grid(&self) -> bool {
        let lengths = || placed(&self.summary, ALIGNED).map(|cell| cell.cell.len_bytes).collect::<BTreeSet<_>>();
        match self.record.bench.as_str() {
            GRID_BENCH => true,
            SWEEP_BENCH => lengths().len() > 1,
            _ => false,
        }
    }

    /// The `id` of the rows that a cell's figures stand in, with the names of its samples.
    fn id(&self, cell: &Cell) -> String {
        format!("r{}c{}", self.number, self.places.get(cell).copied().unwrap_or(0))
    }

    /// HTML that leads to those rows.
    fn link(&self, cell: &Cell, html: &str) -> String {
        format!("<a href=\"#{}\">{html}</a>", self.id(cell))
    }
}

/// A page of these records, each with the name to show it under: `<machine>/<date>.<n>`.
///
/// The page is complete HTML, encoded as UTF-8, with its style and its plots inside; it asks for no network and has no
/// script. Records of the bench `select`, and of sweeps over several sizes, get the selection, plots and lists of losses;
/// others an answer, a small table and all of their cells. Figures lead to the rows that name their samples. Ratios are
/// speeds throughout: above 1 is faster.
pub fn page(records: &[(String, Record)]) -> String {
    let numbered = records.iter().enumerate();
    let shown: Vec<Shown<'_>> = numbered.map(|(at, (name, record))| Shown::of(at + 1, name, record)).collect();
    let title = match &shown[..] {
        [one] => one.name.to_owned(),
        several => format!("{} records", several.len()),
    };
    let mut body = String::new();
    if shown.is_empty() {
        body.push_str("<h1>memcpy-select</h1>\n<p>No record was given.</p>\n");
    } else if shown.len() > 1 {
        body.push_str(&side_by_side(&shown));
    }
    for record in &shown {
        body.push_str(&record::section(record));
    }
    document(&title, &body)
}

/// A whole page around its body.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" \
         content=\"{PAGE_GENERATOR}{}\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>memcpy-select: {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escape(title)
    )
}

/// What a reader must know before any figure: that the run did not come to its end, or that it holds nothing.
fn caveat(is_complete: bool, is_empty: bool) -> &'static str {
    match (is_complete, is_empty) {
        (true, false) => "",
        (true, true) => {
            "<p class=\"warning\"><b>This record is empty.</b> Nothing was measured: it gives no advice.</p>\n"
        }
        (false, true) => {
            "<p class=\"warning\"><b>This record is unfinished and empty.</b> Its run was ended, or goes on, and nothing was \
             measured by then: it gives no advice.</p>\n"
        }
        (false, false) => {
            "<p class=\"warning\"><b>This record is unfinished.</b> Its run was ended, or goes on: what follows is what it \
             had measured by then, and what is missing may change the answer.</p>\n"
        }
    }
}

/// The plot of every kernel's throughput as a file of its own, with the name to show the record under; nothing where the
/// record has no sizes to draw it from.
///
/// The file is complete SVG, readable on light and on dark paper, and asks for no network.
pub fn plot(name: &str, record: &Record) -> Option<String> {
    let shown = Shown::of(1, name, record);
    if !shown.is_grid() {
        return None;
    }
    let mut plot = record::throughput(&shown);
    // There is nothing in this file that a point could lead to.
    plot.series.iter_mut().flat_map(|series| &mut series.points).for_each(|point| point.id = None);
    let about = escape(&format!("{name}, {}", record.environment.cpu.name));
    let first = format!(
        "<metadata>{PAGE_GENERATOR}{}: {about}</metadata>\n<style>\n{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" \
         style=\"fill:var(--paper)\"/>\n",
        env!("CARGO_PKG_VERSION"),
    );
    let drawing = plot.drawing(" xmlns=\"http://www.w3.org/2000/svg\"", &first)?;
    Some(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{drawing}\n"))
}

/// The winners of several records beside each other.
fn side_by_side(shown: &[Shown<'_>]) -> String {
    let mut html = String::from("<h1>memcpy-select: records side by side</h1>\n");
    let mut facts = Table::new(&["record", "bench", "CPU", "core GHz", "libc", "noise floor", "effort"]);
    for one in shown {
        let environment = &one.record.environment;
        facts.row(&[
            format!(
                "<a href=\"#record-{}\">{}</a>{}",
                one.number,
                escape(one.name),
                if one.record.complete { "" } else { ", <b>unfinished</b>" }
            ),
            escape(&one.record.bench),
            escape(&format!("{} ({})", environment.cpu.name, environment.cpu.microarchitecture)),
            figure(Some(environment.clock.core_cycles_per_ns)),
            escape(environment.system.libc.as_deref().unwrap_or("not known")),
            percent(one.summary.noise_floor),
            escape(&environment.effort),
        ]);
    }
    html.push_str(&facts.html());
    let grids: Vec<&Shown<'_>> = shown.iter().filter(|one| one.is_grid()).collect();
    if grids.len() < 2 {
        return html;
    }
    html.push_str(
        "<h2>What to use by size</h2>\n<p>Destination and source at the start of a cache line, data in cache. In brackets: \
         GB/s, and how many times as fast as the libc of the same machine it is (“=”: within the noise floor). Machines \
         differ in clock and memory: compare the names and the ratios, not the GB/s.</p>\n",
    );
    let sizes: BTreeSet<usize> =
        grids.iter().flat_map(|one| placed(&one.summary, ALIGNED)).map(|cell| cell.cell.len_bytes).collect();
    let heads: Vec<&str> = ["size"].into_iter().chain(grids.iter().map(|one| one.name)).collect();
    let mut winners = Table::new(&heads);
    for len_bytes in sizes {
        let mut row = vec![format::size(len_bytes)];
        for one in &grids {
            let floor = one.summary.noise_floor;
            let at_size = placed(&one.summary, ALIGNED).find(|cell| cell.cell.len_bytes == len_bytes);
            row.push(at_size.and_then(|cell| Some((cell, cell.advice(floor)?))).map_or_else(none, |(cell, advice)| {
                let gb_per_s = figure(cell.gb_per_s(advice.name));
                let name = one.link(&cell.cell, &format!("<b>{}</b>", escape(advice.name)));
                format!("{name} ({gb_per_s}; {})", times(speed(cell, advice.name, LIBC), floor))
            }));
        }
        winners.row(&row);
    }
    html.push_str(&winners.html());
    html
}

/// A table that scrolls in a container of its own. Cells are HTML; heads are text, and may be missing.
struct Table {
    html: String,
}

impl Table {
    fn new(heads: &[&str]) -> Self {
        let mut html = String::from("<div class=\"scroll\"><table>\n");
        for (at, head) in heads.iter().enumerate() {
            let _ = write!(html, "{}<th>{}", if at == 0 { "<thead><tr>" } else { "" }, escape(head));
        }
        html.push_str(if heads.is_empty() { "<tbody>\n" } else { "</thead>\n<tbody>\n" });
        Self { html }
    }

    fn row(&mut self, cells: &[String]) {
        self.html.push_str("<tr>");
        for cell in cells {
            let _ = write!(self.html, "<td>{cell}");
        }
        self.html.push('\n');
    }

    /// A line over the whole width, above the rows that it names.
    fn heading(&mut self, columns: usize, id: &str, text: &str) {
        let _ = writeln!(self.html, "<tr class=\"group\" id=\"{id}\"><th colspan=\"{columns}\">{}", escape(text));
    }

    /// The same where no figure leads to it.
    fn caption(&mut self, columns: usize, text: &str) {
        let _ = writeln!(self.html, "<tr class=\"group\"><th colspan=\"{columns}\">{}", escape(text));
    }

    fn html(mut self) -> String {
        self.html.push_str("</tbody></table></div>\n");
        self.html
    }
}

/// Text as it may stand in HTML, between tags and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in format::printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// What stands where there is no figure.
fn none() -> String {
    "–".to_owned()
}

/// A value that can be shown and drawn.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Three significant digits.
fn figure(value: Option<f64>) -> String {
    finite(value).map_or_else(none, format::gb_per_s)
}

/// How many times as fast one contender is as another: above 1 is faster. All ratios of a page have this direction.
fn speed(cell: &CellSummary, name: &str, than: &str) -> Option<f64> {
    // The other's time over this one's, round by round.
    positive(cell.time_ratio(than, name))
}

/// How many times as fast as the best kernel of the cell `memcpy_auto` is.
fn against_best(cell: &CellSummary) -> Option<f64> {
    speed(cell, MEMCPY_AUTO, cell.fastest()?)
}

fn positive(value: Option<f64>) -> Option<f64> {
    finite(value).filter(|value| *value > 0.0)
}

/// Whether a speed is below that of what it is compared with, beyond the noise floor.
fn is_slower(speed: f64, noise_floor: f64) -> bool {
    speed < 1.0 && !is_tie(speed, noise_floor)
}

/// How many times as fast; "=" for a tie.
fn times(speed: Option<f64>, noise_floor: f64) -> String {
    positive(speed).map_or_else(none, |speed| super::terminal::speed_up(Some(speed), noise_floor).replace('x', "×"))
}

/// A ratio above 1 as what it is more than 1.
fn percent(ratio: f64) -> String {
    finite(Some((ratio - 1.0) * 100.0)).map_or_else(none, |percent| format!("{percent:.1}%"))
}
