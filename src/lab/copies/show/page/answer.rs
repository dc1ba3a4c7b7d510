//! What a reader came for: what to use, and what it wins and loses.

#![forbid(unsafe_code)]

use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::page::bands::{Band, bands};
use crate::lab::copies::show::page::series::{CONDITIONS, placement};
use crate::lab::copies::show::page::{Shown, against_best, is_slower, speed, times};
use crate::lab::copies::show::terminal::{ALIGNED, placed};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::instruments::statistics::{geometric_mean, is_tie};
use crate::lab::show::page::{HtmlTable, escape, figure, none, percent};
use crate::lab::show::{range, size};
use crate::select::INLINE_MAX_BYTES;
use std::fmt::Write;

/// What to use from which length to which, and what `memcpy_auto` gains and loses; then the terms.
pub(crate) fn answer(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let mut html = String::from("<div class=\"answer\">\n");
    let libc = shown.record.environment.system.libc.as_deref().unwrap_or("of unknown version");
    let table = what_to_use(summary);
    if !table.is_empty() {
        let _ = writeln!(
            html,
            "<p><b>What to use</b> with data in cache, destination and source at the start of a cache line, and how many times \
             as fast as libc ({}) it is:</p>\n{table}",
            escape(libc)
        );
    }
    html.push_str(&gain(shown));
    html.push_str("</div>\n");
    html.push_str(&terms(summary));
    html
}

/// The cells that the first tables show: at powers of two, where there are such lengths, for a record with lengths between
/// them has too many for a first look.
fn first_cells(summary: &Summary) -> Vec<&CellSummary> {
    let mut cells: Vec<&CellSummary> = placed(summary, ALIGNED).collect();
    cells.sort_by_key(|cell| cell.cell.len_bytes);
    let powers: Vec<&CellSummary> =
        cells.iter().copied().filter(|cell| cell.cell.len_bytes.is_power_of_two()).collect();
    if powers.is_empty() { cells } else { powers }
}

/// A row for each band.
fn what_to_use(summary: &Summary) -> String {
    let bands = bands(&first_cells(summary), summary.noise_floor);
    if bands.is_empty() {
        return String::new();
    }
    let mut table = HtmlTable::new(&["length", "use", "times as fast"]);
    for Band { from_bytes, to_bytes, name, gain } in bands {
        let said = match name {
            LIBC => ": it wins or ties",
            MEMCPY_AUTO if to_bytes <= INLINE_MAX_BYTES => ", inlined",
            _ => "",
        };
        table.row(&[
            // Lines break between two lengths, and not before a unit.
            range(from_bytes, to_bytes).replace(' ', "\u{a0}").replace("to\u{a0}", "to "),
            format!("<code>{}</code>{said}", escape(name)),
            gain.filter(|_| name != LIBC).map_or_else(none, |gain| from_to(gain, summary.noise_floor)),
        ]);
    }
    format!("<div class=\"words\">{}</div>\n", table.html())
}

/// What `memcpy_auto` gains against libc, and where it loses.
fn gain(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let speeds = against_libc(summary.cells.iter());
    let Some(mean) = geometric_mean(speeds.iter().map(|(_, speed)| *speed)) else {
        return "<p>libc and <code>memcpy_auto</code> were not measured side by side in this record.\n".to_owned();
    };
    let lost = speeds.iter().filter(|(_, speed)| is_slower(*speed, summary.noise_floor)).count();
    let mut html = format!(
        "<p><b><code>memcpy_auto</code></b> with the plan that it had is {mean:.2} times as fast as libc (geometric mean of \
         {} sizes and placements), and is slower beyond the noise floor of {} in {lost} of them",
        speeds.len(),
        percent(summary.noise_floor)
    );
    if let Some((cell, speed)) = worst(&speeds).filter(|(_, speed)| is_slower(*speed, summary.noise_floor)) {
        let place = format!("{}, {}", size(cell.cell.len_bytes), escape(&placement(&cell.cell)));
        let _ = write!(html, ", at worst {speed:.2} times as fast ({})", shown.link(&cell.cell, &place));
    }
    html.push_str(".\n");
    html
}

/// The words of this page, for the conditions that the record has.
fn terms(summary: &Summary) -> String {
    let mut html = format!(
        "<ul class=\"note\">\n<li>All ratios are speeds: 2 is twice as fast, 0.5 takes twice as long. “=”: within the noise \
         floor of {}, by which libc differs from itself in this run.\n<li>“dst+1 src+15”: the destination begins 1 byte into \
         a cache line of 64 bytes, the source 15 bytes into one.\n",
        percent(summary.noise_floor)
    );
    for (name, _, _, contains, meaning) in CONDITIONS {
        if summary.cells.iter().any(contains) {
            let _ = writeln!(html, "<li><b>{name}</b>: {meaning}.");
        }
    }
    html.push_str("</ul>\n");
    html
}

type Speeds<'a> = Vec<(&'a CellSummary, f64)>;

fn against_libc<'a>(cells: impl Iterator<Item = &'a CellSummary>) -> Speeds<'a> {
    cells.filter_map(|cell| Some((cell, speed(cell, MEMCPY_AUTO, LIBC)?))).collect()
}

fn worst<'a>(speeds: &[(&'a CellSummary, f64)]) -> Option<(&'a CellSummary, f64)> {
    speeds.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The same for each condition.
pub(crate) fn by_condition(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let mut table = HtmlTable::new(&[
        "condition",
        "cells",
        "vs libc",
        "slower in",
        "worst",
        "vs best kernel",
        "slower in",
        "worst",
    ]);
    for (name, _, _, contains, _) in CONDITIONS {
        let cells = || summary.cells.iter().filter(|cell| contains(cell));
        let best: Speeds<'_> = cells().filter_map(|cell| Some((cell, against_best(cell)?))).collect();
        let libc = against_libc(cells());
        if libc.is_empty() && best.is_empty() {
            continue;
        }
        let mut row = vec![name.to_owned(), cells().count().to_string()];
        for speeds in [libc, best] {
            let mean = geometric_mean(speeds.iter().map(|(_, speed)| *speed));
            row.push(mean.map_or_else(none, |mean| format!("{mean:.2}×")));
            row.push(speeds.iter().filter(|(_, speed)| is_slower(*speed, summary.noise_floor)).count().to_string());
            row.push(worst(&speeds).map_or_else(none, |(cell, speed)| shown.link(&cell.cell, &format!("{speed:.2}×"))));
        }
        table.row(&row);
    }
    format!(
        "{}<p class=\"note\">How many times as fast as libc, and as the best kernel of each cell, memcpy_auto is: geometric \
         means over the cells, the number of cells that are slower beyond the noise floor, and the worst of them.</p>\n",
        table.html()
    )
}

/// For each aligned size what to use.
pub(crate) fn selection(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let cells: Vec<&CellSummary> = placed(summary, ALIGNED).collect();
    let first = first_cells(summary);
    let mut html = selection_of(shown, &first);
    if first.len() < cells.len() {
        let all = selection_of(shown, &cells);
        let _ = write!(html, "<details><summary>All {} sizes</summary>\n{all}</details>\n", cells.len());
    }
    let _ = writeln!(
        html,
        "<p class=\"note\">Destination and source at the start of a cache line, data in cache. “use”: <code>memcpy_auto</code> \
         where it copies inlined or beats every kernel, else the simplest of the kernels that the noise floor of {} does not \
         tell from the fastest; never one that is slower than libc or than <code>memcpy_auto</code> beyond it. “ties”: how \
         many more there are. “vs libc”: how many times as fast as the installed libc. A size leads to its figures and the \
         names of its samples.</p>",
        percent(summary.noise_floor)
    );
    html
}

fn selection_of(shown: &Shown<'_>, cells: &[&CellSummary]) -> String {
    let summary = &shown.summary;
    let mut table = HtmlTable::new(&["size", "use", "ties", "GB/s", "B/cycle", "vs libc", "memcpy_auto vs libc"]);
    for cell in cells {
        let Some(advice) = cell.advice(summary.noise_floor) else {
            continue;
        };
        table.row(&[
            shown.link(&cell.cell, &size(cell.cell.len_bytes)),
            format!("<b>{}</b>", escape(advice.name)),
            format!("<span title=\"{}\">{}</span>", escape(&advice.ties.join(", ")), advice.ties.len()),
            figure(cell.gb_per_s(advice.name)),
            figure(cell.bytes_per_cycle(advice.name)),
            times(speed(cell, advice.name, LIBC), summary.noise_floor),
            times(speed(cell, MEMCPY_AUTO, LIBC), summary.noise_floor),
        ]);
    }
    format!("<div class=\"left\">{}</div>\n", table.html())
}

/// A range of speeds, as one figure where its ends look alike; "=" within the noise floor.
fn from_to((least, most): (f64, f64), noise_floor: f64) -> String {
    let shown = |speed| {
        if is_tie(speed, noise_floor) { "=".to_owned() } else { format!("{speed:.2}×") }
    };
    let (least, most) = (shown(least), shown(most));
    if least == most { least } else { format!("{least} to {most}") }
}
