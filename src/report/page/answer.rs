//! What a reader came for: what to use, and what it wins and loses.

#![forbid(unsafe_code)]

use super::merge::{Band, merged};
use super::series::{CONDITIONS, placement};
use super::{Shown, Table, escape, figure, finite, none, percent, times};
use crate::measure::statistics::{geometric_mean, is_tie};
use crate::measure::summary::{CellSummary, Summary};
use crate::measure::sweep::{LIBC, MEMCPY_AUTO};
use crate::report::format::size;
use crate::report::terminal::{ALIGNED, placed};
use crate::select::INLINE_MAX_BYTES;
use std::fmt::Write;

/// Three sentences: what to use for small copies, what for others, and what `memcpy_auto` gains and loses.
///
/// Many bands are said as a few, with what that costs.
pub(super) fn sentences(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let libc = escape(shown.record.environment.system.libc.as_deref().unwrap_or("of unknown version"));
    let mut html = String::from("<div class=\"answer\">\n");
    let inlined = placed(summary, ALIGNED).filter(|cell| cell.cell.len_bytes <= INLINE_MAX_BYTES);
    let mut gains: Vec<f64> = inlined.filter_map(|cell| finite(cell.time_ratio(LIBC, MEMCPY_AUTO))).collect();
    gains.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (gains.first(), gains.last()) {
        let _ = writeln!(
            html,
            "<p><b>Up to {}:</b> call <code>memcpy_auto</code>, which copies in the caller itself, {} times \
             as fast as libc ({libc}).",
            size(INLINE_MAX_BYTES),
            from_to(*least, *most)
        );
    }
    html.push_str(&kernels(summary));
    html.push_str(&gain(shown));
    html.push_str("</div>\n");
    html
}

/// How many kernels a reader can keep in mind.
const BANDS: usize = 4;

/// What to use above what is inlined.
fn kernels(summary: &Summary) -> String {
    let mut cells: Vec<&CellSummary> =
        placed(summary, ALIGNED).filter(|cell| cell.cell.len_bytes > INLINE_MAX_BYTES).collect();
    cells.sort_by_key(|cell| cell.cell.len_bytes);
    // Borders at powers of two, where there are such sizes: nobody wants to know 16777217.
    let powers: Vec<&CellSummary> =
        cells.iter().copied().filter(|cell| cell.cell.len_bytes.is_power_of_two()).collect();
    let bands = merged(if powers.is_empty() { &cells } else { &powers }, summary.noise_floor, BANDS);
    let Some((last, others)) = bands.split_last() else { return String::new() };
    let name = |band: &Band<'_>| format!("<code>{}</code>", escape(band.name));
    let mut parts: Vec<String> =
        others.iter().map(|band| format!("{} up to {}", name(band), size(band.to_bytes))).collect();
    parts.push(if others.is_empty() { name(last) } else { format!("{} beyond", name(last)) });
    let list = match parts.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => parts.concat(),
    };
    let ratio = |cell: &&CellSummary| {
        let band = bands.iter().find(|band| cell.cell.len_bytes <= band.to_bytes).unwrap_or(last);
        Some((cell.cell.len_bytes, finite(cell.time_ratio(band.name, cell.fastest()?))?))
    };
    let worst = cells.iter().filter_map(ratio).max_by(|a, b| a.1.total_cmp(&b.1));
    let (at, ratio) = worst.unwrap_or((0, 1.0));
    let cost = if is_tie(ratio, summary.noise_floor) {
        format!("everywhere within the noise floor of {} of the fastest", percent(summary.noise_floor))
    } else {
        format!("at worst {ratio:.2} times as long as the fastest ({})", size(at))
    };
    format!("<p><b>Above,</b> with an aligned destination and data in cache, the kernel to use is {list}: {cost}.\n")
}

/// What `memcpy_auto` gains against libc, and where it loses.
fn gain(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let ratios = against_libc(summary.cells.iter());
    let positive = ratios.iter().map(|(_, ratio)| *ratio);
    let Some(mean) = geometric_mean(positive) else {
        return "<p>libc and <code>memcpy_auto</code> were not measured side by side in this record.\n".to_owned();
    };
    let lost = ratios.iter().filter(|(_, ratio)| *ratio > summary.noise_floor).count();
    let worst = ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, ratio)| *ratio > summary.noise_floor);
    let mut html = format!(
        "<p><b>Against libc,</b> <code>memcpy_auto</code> takes {mean:.2} of its time (geometric mean of {} sizes and \
         placements), and is slower beyond the noise floor of {} in {lost} of them",
        ratios.len(),
        percent(summary.noise_floor)
    );
    if let Some((cell, ratio)) = worst {
        let at = escape(&placement(&cell.cell));
        let place = format!("{}, {at}", size(cell.cell.len_bytes));
        let _ = write!(html, ", at worst {ratio:.2} times as long ({})", shown.link(&cell.cell, &place));
    }
    html.push_str(".\n");
    html
}

fn against_libc<'a>(cells: impl Iterator<Item = &'a CellSummary>) -> Vec<(&'a CellSummary, f64)> {
    cells
        .filter_map(|cell| Some((cell, finite(cell.time_ratio(MEMCPY_AUTO, LIBC)).filter(|ratio| *ratio > 0.0)?)))
        .collect()
}

/// The same for each condition.
pub(super) fn by_condition(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let mut table = Table::new(&[
        "condition",
        "cells",
        "time / libc",
        "slower than libc",
        "worst / libc",
        "time / best kernel",
        "slower than best",
        "worst / best",
    ]);
    for (name, _, _, contains) in CONDITIONS {
        let cells = || summary.cells.iter().filter(|cell| contains(cell));
        let regret = |cell: &CellSummary| finite(cell.regret()).filter(|ratio| *ratio > 0.0);
        let best: Vec<(&CellSummary, f64)> = cells().filter_map(|cell| Some((cell, regret(cell)?))).collect();
        let libc = against_libc(cells());
        if libc.is_empty() && best.is_empty() {
            continue;
        }
        let mut row = vec![name.to_owned(), cells().count().to_string()];
        for ratios in [libc, best] {
            let mean = geometric_mean(ratios.iter().map(|(_, ratio)| *ratio));
            let worst = ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let link = |(cell, ratio): &(&CellSummary, f64)| shown.link(&cell.cell, &format!("{ratio:.2}"));
            row.push(mean.map_or_else(none, |mean| format!("{mean:.2}")));
            row.push(ratios.iter().filter(|(_, ratio)| *ratio > summary.noise_floor).count().to_string());
            row.push(worst.map_or_else(none, link));
        }
        table.row(&row);
    }
    format!(
        "{}<p class=\"note\">Times of memcpy_auto over those of libc and of the best kernel: geometric means over the \
         cells, the number of cells that are slower beyond the noise floor, and the worst of them.</p>\n",
        table.html()
    )
}

/// For each aligned size the kernel to use.
pub(super) fn selection(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let cells: Vec<&CellSummary> = placed(summary, ALIGNED).collect();
    let (powers, between): (Vec<&CellSummary>, Vec<&CellSummary>) =
        cells.iter().partition(|cell| cell.cell.len_bytes.is_power_of_two());
    // A record with lengths between the powers of two has too many for a first look.
    let first = if powers.is_empty() { &cells } else { &powers };
    let mut html = selection_of(shown, first);
    if !powers.is_empty() && !between.is_empty() {
        let all = selection_of(shown, &cells);
        let _ = write!(html, "<details><summary>All {} sizes</summary>\n{all}</details>\n", cells.len());
    }
    let _ = writeln!(
        html,
        "<p class=\"note\">Destination +0, source +0, data in cache. “use”: the simplest of the kernels that the noise \
         floor of {} does not tell from the fastest; “ties”: how many more there are. “vs libc”: how many times as fast \
         as the installed libc; “=”: within the noise floor. A size leads to its figures and the names of its samples.</p>",
        percent(summary.noise_floor)
    );
    html
}

fn selection_of(shown: &Shown<'_>, cells: &[&CellSummary]) -> String {
    let summary = &shown.summary;
    let mut table = Table::new(&["size", "use", "ties", "GB/s", "B/cycle", "vs libc", "memcpy_auto vs libc"]);
    for cell in cells {
        let Some(winner) = cell.winner(summary.noise_floor) else { continue };
        table.row(&[
            shown.link(&cell.cell, &size(cell.cell.len_bytes)),
            format!("<b>{}</b>", escape(winner.name)),
            format!("<span title=\"{}\">{}</span>", escape(&winner.ties.join(", ")), winner.ties.len()),
            figure(cell.gb_per_s(winner.name)),
            figure(cell.bytes_per_cycle(winner.name)),
            times(cell.time_ratio(LIBC, winner.name), summary.noise_floor),
            times(cell.time_ratio(LIBC, MEMCPY_AUTO), summary.noise_floor),
        ]);
    }
    format!("<div class=\"left\">{}</div>\n", table.html())
}

/// A range of ratios, as one figure where its ends look alike.
fn from_to(least: f64, most: f64) -> String {
    let (least, most) = (format!("{least:.1}"), format!("{most:.1}"));
    if least == most { least } else { format!("{least} to {most}") }
}
