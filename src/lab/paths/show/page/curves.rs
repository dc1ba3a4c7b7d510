//! The paths of one set of circumstances: a table of paths by lengths, and curves of which a few are told apart.

#![forbid(unsafe_code)]

use crate::lab::instruments::statistics::is_tie;
use crate::lab::paths::show::pays_from_bytes;
use crate::lab::paths::show::tables::{circumstances, is_floor, path_name};
use crate::lab::paths::{Cell, Row, Summary};
use crate::lab::show::page::loglog::{LogLog, REST};
use crate::lab::show::page::ranges::cover;
use crate::lab::show::page::series::{Look, Point, Series};
use crate::lab::show::page::{HtmlTable, escape, figure, none};
use crate::lab::show::{size, time};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What a program uses that looks for nothing else.
pub(crate) const USUAL: &str = "unix_stream";
/// What the names of the table's paths begin with.
pub(crate) const TABLE: &str = "table_";
/// The colours of the curves that are told apart, each with dashes of its own.
const LOOKS: [&str; 6] = ["auto", "peer", "avx", "avx512", "rep", "base"];

/// The lengths that were measured in these circumstances, rising.
pub(crate) fn sizes(summary: &Summary, group: &Cell) -> Vec<usize> {
    let sizes: BTreeSet<usize> = summary.beside(group).map(|row| row.cell.payload_bytes).collect();
    sizes.into_iter().collect()
}

/// The rows of one length in these circumstances.
pub(crate) fn rows_at<'a>(summary: &'a Summary, group: &Cell, bytes: usize) -> Vec<&'a Row> {
    summary.beside(group).filter(|row| row.cell.payload_bytes == bytes).collect()
}

/// The fastest way for programs of these rows.
pub(crate) fn fastest<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    let timed = rows.iter().filter(|row| row.judged_ns().is_some() && !is_floor(&row.path));
    timed.min_by(|a, b| a.judged_ns().unwrap_or(0.0).total_cmp(&b.judged_ns().unwrap_or(0.0))).copied()
}

/// What the table and the curves show: each path with its usual kernel, and of the floor what copies nothing. The table of
/// every figure has all rows.
fn is_shown(row: &Row) -> bool {
    row.kernel.is_none() && !(is_floor(&row.path) && row.copies > 0)
}

/// The paths, nearest to the best of each length first, the floor last; each with its time at each length.
struct Paths<'a> {
    sizes: Vec<usize>,
    rows: Vec<(&'a str, Vec<Option<f64>>)>,
}

impl<'a> Paths<'a> {
    fn of(summary: &'a Summary, group: &Cell) -> Self {
        let shown = || summary.beside(group).filter(|row| is_shown(row) && row.judged_ns().is_some());
        let sizes: Vec<usize> =
            shown().map(|row| row.cell.payload_bytes).collect::<BTreeSet<_>>().into_iter().collect();
        let names: BTreeSet<&str> = shown().map(|row| row.path.as_str()).collect();
        let at = |name: &str, bytes: usize| {
            let of = |row: &&Row| row.path == name && row.cell.payload_bytes == bytes;
            shown().find(of).and_then(Row::judged_ns)
        };
        let rows = names.into_iter().map(|name| (name, sizes.iter().map(|bytes| at(name, *bytes)).collect()));
        let mut paths = Self { rows: rows.collect(), sizes };
        // A path at one length alone is in the figures, unless no more was measured.
        let lengths = |times: &[Option<f64>]| times.iter().flatten().count();
        let most = paths.rows.iter().map(|(_, times)| lengths(times)).max().unwrap_or(0);
        paths.rows.retain(|(_, times)| lengths(times) > 1 || most == 1);
        let best: Vec<f64> = (0..paths.sizes.len()).map(|column| paths.best(column).unwrap_or(1.0)).collect();
        let distance = |times: &[Option<f64>]| {
            let ratios: Vec<f64> =
                times.iter().zip(&best).filter_map(|(ns, best)| Some(((*ns)? / best).ln())).collect();
            ratios.iter().sum::<f64>() / ratios.len().max(1) as f64
        };
        paths.rows.sort_by(|a, b| is_floor(a.0).cmp(&is_floor(b.0)).then(distance(&a.1).total_cmp(&distance(&b.1))));
        paths
    }

    /// The least time of a column that a program can have.
    fn best(&self, column: usize) -> Option<f64> {
        let times = self.rows.iter().filter(|(name, _)| !is_floor(name)).filter_map(|(_, times)| times[column]);
        times.min_by(f64::total_cmp)
    }

    /// Whether a time is the best of its column, or not to be told from it.
    fn is_best(&self, column: usize, ns: f64, noise_floor: f64) -> bool {
        self.best(column).is_some_and(|best| is_tie(ns / best, noise_floor.max(1.0)))
    }

    /// The paths whose curves are told apart: what programs use, those that are fastest at most lengths, and the floor.
    fn highlighted(&self) -> Vec<&'a str> {
        let wins = |times: &[Option<f64>]| {
            (0..self.sizes.len())
                .filter(|column| times[*column].is_some() && times[*column] == self.best(*column))
                .count()
        };
        let mut winners: Vec<(&str, usize)> =
            self.rows.iter().filter(|(name, _)| !is_floor(name)).map(|(name, times)| (*name, wins(times))).collect();
        winners.sort_by_key(|(_, wins)| Reverse(*wins));
        let mut names: Vec<&str> = winners.iter().filter(|(_, wins)| *wins > 0).map(|(name, _)| *name).collect();
        // The best by distance fill up what the fastest leave.
        names.extend(winners.iter().filter(|(_, wins)| *wins == 0).map(|(name, _)| *name));
        names.retain(|name| *name != USUAL);
        names.truncate(LOOKS.len() - 2);
        names.extend(self.rows.iter().map(|(name, _)| *name).filter(|name| *name == USUAL || is_floor(name)));
        names.truncate(LOOKS.len());
        names
    }
}

/// A table of paths by lengths: the fastest of each length, and what ties with it, stand out.
pub(crate) fn table(summary: &Summary, group: &Cell) -> String {
    let paths = Paths::of(summary, group);
    let heads: Vec<String> =
        std::iter::once("path".to_owned()).chain(paths.sizes.iter().map(|one| size(*one))).collect();
    let mut table = HtmlTable::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, times) in &paths.rows {
        let time = |(column, ns): (usize, &Option<f64>)| {
            let Some(ns) = *ns else { return none() };
            let is_best = !is_floor(name) && paths.is_best(column, ns, summary.noise_floor);
            if is_best { format!("<b>{}</b>", time(ns)) } else { time(ns) }
        };
        let row: Vec<String> = std::iter::once(escape(name)).chain(times.iter().enumerate().map(time)).collect();
        table.row(&row);
    }
    format!("<div class=\"best\">{}</div>\n", table.html())
}

/// From which length to which a path is the fastest, or not to be told from it, in as few ranges as may be.
pub(crate) fn winners<'a>(summary: &'a Summary, group: &Cell) -> Vec<(usize, usize, &'a str)> {
    let paths = Paths::of(summary, group);
    let good = |column: usize| {
        let is_best = |ns: Option<f64>| ns.is_some_and(|ns| paths.is_best(column, ns, summary.noise_floor));
        let of_programs = paths.rows.iter().filter(|(name, _)| !is_floor(name));
        of_programs.filter(|(_, times)| is_best(times[column])).map(|(name, _)| *name).collect()
    };
    cover(paths.sizes.iter().enumerate().map(|(column, bytes)| (*bytes, good(column))))
}

/// Half a round trip against size.
pub(crate) fn latency(summary: &Summary, group: &Cell) -> String {
    let pays =
        pays_from_bytes(summary, group).map(|bytes| (bytes, format!("not copying pays from {} on", size(bytes))));
    let plot = LogLog {
        title: &format!("Half a round trip against size: {}", circumstances(group)),
        unit: "half a round trip, median",
        tick: &time,
        series: curves(summary, group, &|row| Some(row.half_rtt_ns?.p50), &time),
        marks: pays.into_iter().collect(),
    };
    plot.svg()
}

/// Throughput against size.
pub(crate) fn throughput(summary: &Summary, group: &Cell) -> String {
    let gb_per_s = |value: f64| format!("{} GB/s", figure(Some(value)));
    let plot = LogLog {
        title: &format!("Throughput against size: {}", circumstances(group)),
        unit: "GB/s one way",
        tick: &|value| {
            if value < 1.0 { value.to_string() } else { figure(Some(value)) }
        },
        series: curves(summary, group, &|row| row.gb_per_s, &gb_per_s),
        marks: Vec::new(),
    };
    plot.svg()
}

fn curves(
    summary: &Summary,
    group: &Cell,
    value: &dyn Fn(&Row) -> Option<f64>,
    said: &dyn Fn(f64) -> String,
) -> Vec<Series> {
    let highlighted = Paths::of(summary, group).highlighted();
    let mut series: Vec<Series> = Vec::new();
    for row in summary.beside(group).filter(|row| is_shown(row)) {
        let Some(value) = value(row) else { continue };
        let name = path_name(row);
        let at = series.iter().position(|one| one.name == name).unwrap_or_else(|| {
            let look = highlighted.iter().position(|one| *one == name).map_or(
                Look { family: REST, dashes: 0, is_thick: false },
                |place| Look { family: LOOKS[place], dashes: place % 5, is_thick: place == 0 },
            );
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
    // The others lie below those that are told apart.
    series.sort_by_key(|one| one.look.family != REST);
    series
}
