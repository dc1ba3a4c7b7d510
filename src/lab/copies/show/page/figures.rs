//! The tables below the plots: losses, every figure, the environment.

#![forbid(unsafe_code)]

use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::page::series::{contenders, placement};
use crate::lab::copies::show::page::{Shown, against_best, is_slower, speed, times};
use crate::lab::copies::show::terminal::{columns, placed};
use crate::lab::copies::summary::CellSummary;
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::show::page::{HtmlTable, escape, figure, finite, percent};
use crate::lab::show::size;
use std::collections::HashMap;
use std::fmt::Write;

const LOSSES_SHOWN: usize = 12;

/// Where `memcpy_auto` is slower than the best kernel: the worst, and all.
pub(crate) fn losses(shown: &Shown<'_>) -> String {
    let floor = shown.summary.noise_floor;
    let cells = shown.summary.cells.iter();
    let mut speeds: Vec<(&CellSummary, f64)> = cells.filter_map(|cell| Some((cell, against_best(cell)?))).collect();
    let Some(mean) = geometric_mean(speeds.iter().map(|(_, speed)| *speed)) else {
        return "<p>memcpy_auto was not measured beside the kernels in this record.</p>\n".to_owned();
    };
    let count = speeds.len();
    speeds.retain(|(_, speed)| is_slower(*speed, floor));
    speeds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut html = format!(
        "<p>memcpy_auto is {mean:.3} times as fast as the best kernel (geometric mean of {count} cells), and is slower \
         than it beyond the noise floor in {}.</p>\n",
        speeds.len()
    );
    let table = |speeds: &[(&CellSummary, f64)]| {
        let heads = ["size", "placement", "vs best kernel", "best kernel", "memcpy_auto ns", "best ns", "vs libc"];
        let mut table = HtmlTable::new(&heads);
        for (cell, of_best) in speeds {
            let best = cell.fastest().unwrap_or_default();
            table.row(&[
                shown.link(&cell.cell, &size(cell.cell.len_bytes)),
                escape(&placement(&cell.cell)),
                format!("{of_best:.2}×"),
                escape(best),
                figure(cell.copy_ns(MEMCPY_AUTO)),
                figure(cell.copy_ns(best)),
                times(speed(cell, MEMCPY_AUTO, LIBC), floor),
            ]);
        }
        format!("<div class=\"left\">{}</div>", table.html())
    };
    if !speeds.is_empty() {
        html.push_str(&table(&speeds[..speeds.len().min(LOSSES_SHOWN)]));
    }
    if speeds.len() > LOSSES_SHOWN {
        let all = table(&speeds);
        let _ = write!(html, "<details><summary>All {}, worst first</summary>\n{all}</details>\n", speeds.len());
    }
    html
}

/// Every figure: for each placement a table, for each cell a group of rows named as in `samples.csv`.
pub(crate) fn all(shown: &Shown<'_>) -> String {
    let mut rounds: HashMap<(Cell, &str), usize> = HashMap::new();
    for sample in &shown.record.samples {
        *rounds.entry((sample.cell, &sample.contender)).or_default() += 1;
    }
    let heads = ["kernel", "median ns", "GB/s", "B/cycle", "vs libc", "spread", "rounds"];
    // Benches with a placement for each of a few cells have one table for all.
    let is_grid = shown.is_grid();
    let groups: Vec<Vec<&CellSummary>> = if is_grid {
        columns(&shown.summary).into_iter().map(|wanted| placed(&shown.summary, wanted).collect()).collect()
    } else {
        vec![shown.summary.cells.iter().collect()]
    };
    let mut html = String::new();
    for cells in groups {
        let Some(first) = cells.first() else { continue };
        let name = if is_grid { placement(&first.cell) } else { "all cells".to_owned() };
        let mut table = HtmlTable::new(&heads);
        for cell in &cells {
            table.heading(heads.len(), &shown.id(&cell.cell), &samples_name(&shown.record.bench, &cell.cell));
            for contender in contenders(cell) {
                table.row(&[
                    escape(contender),
                    figure(cell.copy_ns(contender)),
                    figure(length(cell).and(cell.gb_per_s(contender))),
                    figure(length(cell).and(cell.bytes_per_cycle(contender))),
                    times(speed(cell, contender, LIBC), shown.summary.noise_floor),
                    cell.spread(contender).map_or_else(crate::lab::show::page::none, |spread| percent(1.0 + spread)),
                    rounds.get(&(cell.cell, contender)).copied().unwrap_or(0).to_string(),
                ]);
            }
        }
        let (name, count) = (escape(&name), cells.len());
        let _ = write!(html, "<details><summary>{name} (cells: {count})</summary>\n{}</details>\n", table.html());
    }
    html
}

/// Where in `samples.csv` the rows of a cell are: its columns but `kernel`.
fn samples_name(bench: &str, cell: &Cell) -> String {
    let Cell { len_bytes, dst_offset, src_offset, residency } = cell;
    format!(
        "bench {bench}, len_bytes {len_bytes} ({}), dst_offset {dst_offset}, src_offset {src_offset}, residency {}",
        size(*len_bytes),
        residency.name()
    )
}

/// The length of a cell's copies; nothing for a sequence of calls.
fn length(cell: &CellSummary) -> Option<usize> {
    Some(cell.cell.len_bytes).filter(|_| !matches!(cell.cell.residency, Residency::Calls(_)))
}

/// Cells by contenders, for records of other benches: nanoseconds, the least of each row in bold.
pub(crate) fn matrix(shown: &Shown<'_>) -> String {
    let summary = &shown.summary;
    let is_measured = |name: &&str| summary.cells.iter().any(|cell| cell.copy_ns(name).is_some());
    let mut names: Vec<&str> = [MEMCPY_AUTO, LIBC].into_iter().filter(is_measured).collect();
    for cell in &summary.cells {
        for name in contenders(cell) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let heads: Vec<&str> = ["cell"].into_iter().chain(names.iter().copied()).collect();
    let mut table = HtmlTable::new(&heads);
    for cell in &summary.cells {
        let name = cell_name(cell);
        let least = names.iter().filter_map(|name| finite(cell.copy_ns(name))).min_by(f64::total_cmp);
        let mut row = vec![shown.link(&cell.cell, &escape(&name))];
        for contender in &names {
            let value = finite(cell.copy_ns(contender));
            let said = figure(value);
            row.push(if value.is_some() && value == least { format!("<b>{said}</b>") } else { said });
        }
        table.row(&row);
    }
    format!(
        "<details><summary>Every contender in every cell</summary>\n{}<p class=\"note\">Median nanoseconds of one copy; in bold \
         the least of the row.</p></details>\n",
        table.html()
    )
}

/// A cell in a few words: length and place, or the kind of calls.
pub(crate) fn cell_name(cell: &CellSummary) -> String {
    match cell.cell.residency {
        Residency::Calls(_) => placement(&cell.cell),
        _ => format!("{}, {}", size(cell.cell.len_bytes), placement(&cell.cell)),
    }
}
