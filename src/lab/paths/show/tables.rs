//! Paths between processes, as text: a table for each set of circumstances, lengths across.

use crate::lab::paths::{Cell, Part, PartFigure, Refusal, Row, Summary};
use crate::lab::show::{count, gb_per_s, size, time};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Whether a path is no way for programs but a floor, which others are compared with: it is never the best.
pub fn is_floor(path: &str) -> bool {
    path.starts_with("bare")
}

/// How a row of the table is called: the path, and the kernel where one was chosen.
pub fn path_name(row: &Row) -> String {
    match &row.kernel {
        Some(kernel) => format!("{} [{kernel}]", row.path),
        None => row.path.clone(),
    }
}

/// The circumstances of a cell, without its length.
pub fn circumstances(cell: &Cell) -> String {
    let mut words = vec![
        cell.mode.name().to_owned(),
        cell.placement.name().replace('_', " "),
        if cell.touch { "touched" } else { "untouched" }.to_owned(),
        format!("depth {}", cell.depth),
    ];
    if cell.connections > 1 {
        words.push(format!("{} connections", cell.connections));
    }
    if (cell.src_offset, cell.dst_offset) != (0, 0) {
        words.push(format!("offset {} to {}", cell.src_offset, cell.dst_offset));
    }
    words.join(", ")
}

/// The circumstances that were measured, each by one of its cells, in the order of measuring.
pub fn groups(summary: &Summary) -> Vec<Cell> {
    let mut groups: Vec<Cell> = Vec::new();
    for row in &summary.rows {
        if !groups.iter().any(|known| known.is_beside(&row.cell)) {
            groups.push(row.cell);
        }
    }
    groups
}

/// Two tables for each set of circumstances: half round trips (p50) and throughput. The best of a length, and what ties
/// with it, is marked.
pub fn ipc_tables(summary: &Summary) -> String {
    let mut text = String::new();
    for group in groups(summary) {
        let _ = writeln!(text, "{}", circumstances(&group));
        let half = if group.depth == 1 { "half round trip, p50" } else { "half of the time to a credit, p50" };
        table(&mut text, summary, &group, half, false, &|row| Some(row.half_rtt_ns?.p50), &time);
        table(&mut text, summary, &group, "one way, GB/s", true, &|row| row.gb_per_s, &gb_per_s);
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "*: the best of its column, or not to be told from it (noise floor {:.1}%)",
        (summary.noise_floor - 1.0) * 100.0
    );
    text
}

fn table(
    text: &mut String,
    summary: &Summary,
    group: &Cell,
    title: &str,
    is_more_better: bool,
    figure: &dyn Fn(&Row) -> Option<f64>,
    shown: &dyn Fn(f64) -> String,
) {
    const NAME: usize = 34;
    const COLUMN: usize = 10;
    let rows: Vec<&Row> = summary.beside(group).collect();
    let sizes: BTreeSet<usize> = rows.iter().map(|row| row.cell.payload_bytes).collect();
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().map(|row| path_name(row)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let at = |name: &str, bytes: usize| {
        let of = |row: &&&Row| row.cell.payload_bytes == bytes && path_name(row) == name;
        rows.iter().find(of).and_then(|row| figure(row))
    };
    let best = |bytes: usize| {
        let figures = names.iter().filter(|name| !is_floor(name)).filter_map(|name| at(name, bytes));
        figures.reduce(|a, b| if (a > b) == is_more_better { a } else { b })
    };
    let _ = write!(text, "  {title:<NAME$}");
    for bytes in &sizes {
        let _ = write!(text, "{:>COLUMN$} ", size(*bytes));
    }
    text.push('\n');
    for name in &names {
        let _ = write!(text, "  {name:<NAME$}");
        for bytes in &sizes {
            let (own, best) = (at(name, *bytes), best(*bytes));
            let is_best = !is_floor(name)
                && own.zip(best).is_some_and(|(own, best)| {
                    crate::lab::instruments::statistics::is_tie(own / best, summary.noise_floor.max(1.0))
                });
            let word = own.map_or_else(|| "-".to_owned(), shown);
            let _ = write!(text, "{word:>COLUMN$}{}", if is_best { '*' } else { ' ' });
        }
        text.push('\n');
    }
}

/// What could not be measured: each path and reason once.
pub fn refusals(refusals: &[Refusal]) -> String {
    let mut text = String::new();
    let once: BTreeSet<(&str, &str)> =
        refusals.iter().map(|refusal| (refusal.path.as_str(), refusal.reason.as_str())).collect();
    for (path, reason) in once {
        let cells = refusals.iter().filter(|refusal| refusal.path == path && refusal.reason == reason).count();
        let _ = writeln!(text, "not measured: {path}, {}: {reason}", count(cells, "cell"));
    }
    text
}

/// Parts of the transport by themselves: a line each.
pub fn parts(figures: &[PartFigure]) -> String {
    let mut text = String::new();
    if !figures.is_empty() {
        let _ = writeln!(text, "parts by themselves, in one process");
    }
    for figure in figures {
        let PartFigure { part, subject, members, ns, quartiles_ns: (lower, upper), .. } = figure;
        let (what, of) = match part {
            Part::Block => ("block taken and given back", format!("{members} held")),
            Part::ChainEntry => ("chain entry checked", format!("of {members}")),
            Part::WaitSetAny => ("post and wait_set_any", format!("of {members}")),
            Part::Idle => ("idle for a second", count(members, "client")),
        };
        let cost = match part {
            Part::Idle => format!("{:.2}% of a CPU", figure.cpu_share * 100.0),
            _ => format!("{} ({} to {})", time(*ns), time(*lower), time(*upper)),
        };
        let _ = writeln!(text, "  {what:<27}{subject:<16}{of:>9}  {cost}");
    }
    text
}

/// Half round trips of a few paths, lengths across.
pub fn paths_in_short(rows: &[Row]) -> String {
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.cell.payload_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut names: Vec<&str> = Vec::new();
    rows.iter().for_each(|row| {
        if !names.contains(&row.path.as_str()) {
            names.push(&row.path);
        }
    });
    let mut text = format!("{:<34}", "to another process, half round trip");
    sizes.iter().for_each(|bytes| {
        let _ = write!(text, "{:>11}", size(*bytes));
    });
    text.push('\n');
    for name in names {
        let _ = write!(text, "{name:<34}");
        for bytes in &sizes {
            let row = rows.iter().find(|row| row.path == name && row.cell.payload_bytes == *bytes);
            let p50 = row.and_then(|row| row.half_rtt_ns).map(|half| time(half.p50));
            let _ = write!(text, "{:>11}", p50.unwrap_or_else(|| "-".to_owned()));
        }
        text.push('\n');
    }
    text
}
