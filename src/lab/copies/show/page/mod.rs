//! Copies' part of the page. The answer comes first, then what it was seen from: plots, then every figure as a table whose rows
//! carry the names of `samples.csv`, so that a point of a plot can be traced to the timings behind it.

#![forbid(unsafe_code)]

mod answer;
mod bands;
mod calls;
mod figures;
mod heat;
mod plan;
mod ranking;
mod record;
mod series;
mod tables;

use crate::lab::copies::cell::Cell;
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::terminal::{ALIGNED, placed};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::copies::{BENCH, CopyRecord, SWEEP};
use crate::lab::evidence::{Place, Section};
use crate::lab::instruments::statistics::is_tie;
use crate::lab::show;
use crate::lab::show::page::{HtmlTable, escape, figure, none, positive, svg_file};
use std::collections::{BTreeSet, HashMap};

/// A record as the page shows it: where it stands, what it holds, and the figures of it.
struct Shown<'a> {
    place: Place<'a>,
    record: &'a CopyRecord,
    summary: Summary,
    /// The place of each cell in the summary.
    places: HashMap<Cell, usize>,
}

impl<'a> Shown<'a> {
    fn of(place: Place<'a>, record: &'a CopyRecord) -> Self {
        let summary = record.summary();
        let places = summary.cells.iter().enumerate().map(|(at, cell)| (cell.cell, at)).collect();
        Self { place, record, summary, places }
    }

    /// Whether the record has sizes to draw curves from.
    fn is_grid(&self) -> bool {
        let lengths = || placed(&self.summary, ALIGNED).map(|cell| cell.cell.len_bytes).collect::<BTreeSet<_>>();
        match self.record.bench.as_str() {
            BENCH => true,
            SWEEP => lengths().len() > 1,
            _ => false,
        }
    }

    /// The `id` of the rows that a cell's figures stand in, with the names of its samples.
    fn id(&self, cell: &Cell) -> String {
        format!("r{}c{}", self.place.number, self.places.get(cell).copied().unwrap_or(0))
    }

    /// HTML that leads to those rows.
    fn link(&self, cell: &Cell, html: &str) -> String {
        format!("<a href=\"#{}\">{html}</a>", self.id(cell))
    }
}

/// A record's part of a page. Records of the bench `select`, and of sweeps over several sizes, get the selection, plots and
/// lists of losses; others an answer, a small table and all of their cells.
pub fn section(place: Place<'_>, record: &CopyRecord) -> Section {
    record::section(&Shown::of(place, record))
}

/// The plot of every kernel's throughput as a file of its own, with the name to show the record under; nothing where the
/// record has no sizes to draw it from.
///
/// The file is complete SVG, readable on light and on dark paper, and asks for no network.
pub fn plot(name: &str, record: &CopyRecord) -> Option<String> {
    let shown = Shown::of(Place { name, number: 1 }, record);
    if !shown.is_grid() {
        return None;
    }
    let mut plot = record::throughput(&shown);
    // There is nothing in this file that a point could lead to.
    plot.series.iter_mut().flat_map(|series| &mut series.points).for_each(|point| point.id = None);
    svg_file(name, &record.environment, &plot.svg())
}

/// What to use by size, where several records cover the grid; nothing otherwise.
pub fn side_by_side(records: &[(Place<'_>, &CopyRecord)]) -> String {
    let shown: Vec<Shown<'_>> = records.iter().map(|(place, record)| Shown::of(*place, record)).collect();
    let grids: Vec<&Shown<'_>> = shown.iter().filter(|one| one.is_grid()).collect();
    if grids.len() < 2 {
        return String::new();
    }
    let sizes: BTreeSet<usize> =
        grids.iter().flat_map(|one| placed(&one.summary, ALIGNED)).map(|cell| cell.cell.len_bytes).collect();
    let heads: Vec<&str> = ["size"].into_iter().chain(grids.iter().map(|one| one.place.name)).collect();
    let mut winners = HtmlTable::new(&heads);
    for len_bytes in sizes {
        let mut row = vec![show::size(len_bytes)];
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
    format!(
        "<h2>What to use by size</h2>\n<p>Destination and source at the start of a cache line, data in cache. In brackets: \
         GB/s, and how many times as fast as the libc of the same machine it is (“=”: within the noise floor). Machines \
         differ in clock and memory: compare the names and the ratios, not the GB/s.</p>\n{}",
        winners.html()
    )
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

/// Whether a speed is below that of what it is compared with, beyond the noise floor.
fn is_slower(speed: f64, noise_floor: f64) -> bool {
    speed < 1.0 && !is_tie(speed, noise_floor)
}

/// How many times as fast; "=" for a tie.
fn times(speed: Option<f64>, noise_floor: f64) -> String {
    positive(speed).map_or_else(none, |speed| crate::lab::show::speed_up(Some(speed), noise_floor).replace('x', "×"))
}
