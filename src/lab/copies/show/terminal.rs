//! Plain text for a terminal of 80 columns, with or without colour, or for a file.

use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::record::Environment;
use crate::lab::show::{count, gb_per_s, hanging, indent, range, size, speed_up, wrap};
use std::borrow::Cow;
use std::fmt::Write;

/// The selection: for each aligned size the kernel to use, and what is won against the installed libc. Where the run goes
/// on, the noise floor is that of the cells so far, which is said.
pub fn selection_table(summary: &Summary, goes_on: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:>8}  {:<18}{:>4} {:>7} {:>8} {:>8} {:>12}",
        "size", "use", "ties", "GB/s", "B/cycle", "vs libc", "memcpy_auto"
    );
    for cell in placed(summary, ALIGNED) {
        let Some(winner) = cell.advice(summary.noise_floor) else {
            continue;
        };
        let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), gb_per_s);
        let _ = writeln!(
            text,
            "{:>8}  {:<18}{:>4} {:>7} {:>8} {:>8} {:>12}",
            size(cell.cell.len_bytes),
            winner.name,
            winner.ties.len(),
            figure(cell.gb_per_s(winner.name)),
            figure(cell.bytes_per_cycle(winner.name)),
            speed_up(cell.time_ratio(LIBC, winner.name), summary.noise_floor),
            speed_up(cell.time_ratio(LIBC, MEMCPY_AUTO), summary.noise_floor),
        );
    }
    let so_far = if goes_on { " so far" } else { "" };
    text.push_str(&hanging(
        2,
        &format!(
            "  \"vs libc\" and \"memcpy_auto\": how many times as fast as the installed libc; \"=\" within the noise floor of \
             {:.1}%{so_far}. \"ties\": further kernels within that floor of the fastest.{}",
            (summary.noise_floor - 1.0) * 100.0,
            if goes_on { " A loop over one pair of buffers: the answer at the end looks at other uses, too." } else { "" }
        ),
    ));
    text
}

/// For each placement, which kernel to use from where to where, and what is won against the installed libc.
pub fn placement_table(summary: &Summary) -> String {
    let mut text = String::new();
    for placement in columns(summary) {
        let ratios = placed(summary, placement).filter_map(|cell| {
            let advice = cell.advice(summary.noise_floor)?;
            cell.time_ratio(LIBC, advice.name)
        });
        let mean = geometric_mean(ratios).map_or_else(|| "-".to_owned(), |mean| format!("{mean:.2}x libc"));
        text.push_str(&hanging(
            4,
            &format!("destination +{}, source +{}{} (best {mean})", placement.0, placement.1, condition(placement)),
        ));
        let parts: Vec<String> = bands(summary, placement, 0)
            .iter()
            .map(|(from, to, name)| format!("{} {name}", range(*from, *to)))
            .collect();
        let _ = write!(text, "{}", indent(&wrap(&parts.join("; "))));
    }
    text
}

/// Every kernel in each level of the memory hierarchy, in bytes per core cycle.
pub fn kernel_table(summary: &Summary, environment: &Environment) -> String {
    let cpu = &environment.cpu;
    // A size that fits with room: source and destination together take half of the level at most.
    let levels = [("L1", cpu.l1d_bytes), ("L2", cpu.l2_bytes), ("L3", cpu.l3_bytes)];
    let mut columns: Vec<(String, &CellSummary)> = Vec::new();
    for (name, bytes) in levels {
        let limit = bytes.unwrap_or(0) as usize / 4;
        let fitting = placed(summary, ALIGNED).filter(|cell| cell.cell.len_bytes <= limit);
        if let Some(cell) = fitting.max_by_key(|cell| cell.cell.len_bytes) {
            columns.push((format!("{name} {}", size(cell.cell.len_bytes)), cell));
        }
    }
    let beyond = placed(summary, ALIGNED).filter(|cell| cell.cell.len_bytes as u64 >= cpu.l3_bytes.unwrap_or(u64::MAX));
    if let Some(cell) = beyond.max_by_key(|cell| cell.cell.len_bytes) {
        columns.push((format!("mem {}", size(cell.cell.len_bytes)), cell));
    }
    let mut text = format!("{:<18}", "bytes per cycle");
    for (name, _) in &columns {
        let _ = write!(text, "{name:>13}");
    }
    text.push('\n');
    let Some((_, first)) = columns.first() else { return text };
    for kernel in first.kernels().chain([MEMCPY_AUTO]) {
        let _ = write!(text, "{kernel:<18}");
        for (_, cell) in &columns {
            let figure = cell.bytes_per_cycle(kernel).map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let _ = write!(text, "{figure:>13}");
        }
        text.push('\n');
    }
    text
}

/// Where `memcpy_auto` is slower than the best kernel, worst first.
pub fn losses(summary: &Summary) -> String {
    let mut text = String::new();
    let mut regrets: Vec<(&CellSummary, f64)> =
        summary.cells.iter().filter_map(|cell| Some((cell, cell.regret()?))).collect();
    let mean = geometric_mean(regrets.iter().map(|(_, regret)| *regret)).unwrap_or(1.0);
    let cells = count(regrets.len(), "cell");
    regrets.retain(|(_, regret)| *regret > summary.noise_floor);
    regrets.sort_by(|a, b| b.1.total_cmp(&a.1));
    text.push_str(&wrap(&format!(
        "memcpy_auto is {:.3} times as fast as the best kernel (geometric mean of {cells}); slower than it beyond the noise \
         floor in {}{}",
        1.0 / mean,
        regrets.len(),
        if regrets.is_empty() { "." } else { ", the worst, each with its best kernel:" }
    )));
    for (cell, regret) in regrets.iter().take(LOSSES_SHOWN) {
        let libc = speed_up(cell.time_ratio(LIBC, MEMCPY_AUTO), summary.noise_floor);
        let _ = writeln!(
            text,
            "  {:>11}  {:<22}{:>5.2} {:<18} libc {libc}",
            size(cell.cell.len_bytes),
            place(&cell.cell),
            1.0 / regret,
            cell.fastest().unwrap_or("-"),
        );
    }
    if regrets.len() > LOSSES_SHOWN {
        let _ = writeln!(text, "  and {} more, in the record", regrets.len() - LOSSES_SHOWN);
    }
    if regrets.iter().take(LOSSES_SHOWN).any(|(cell, _)| cell.cell.distance_bytes().is_some()) {
        text.push_str("  D: from source to destination, in bytes, modulo 4096\n");
    }
    text
}

const LOSSES_SHOWN: usize = 12;

/// Where source and destination lie in their lines, the distance between them where it matters, and where the data is: all cells
/// of a column share it.
pub(crate) type Column = (usize, usize, Option<usize>, Residency);

/// The column that the first tables show.
pub(crate) const ALIGNED: Column = (0, 0, None, Residency::Hot);

pub(crate) fn column(cell: &Cell) -> Column {
    let (dst, src) = cell.line_offsets();
    (dst, src, cell.distance_bytes(), cell.residency)
}

pub(crate) fn placed(summary: &Summary, wanted: Column) -> impl Iterator<Item = &CellSummary> {
    summary.cells.iter().filter(move |cell| column(&cell.cell) == wanted)
}

pub(crate) fn columns(summary: &Summary) -> Vec<Column> {
    let mut seen = Vec::new();
    for cell in &summary.cells {
        let column = column(&cell.cell);
        if !seen.contains(&column) {
            seen.push(column);
        }
    }
    seen
}

/// What a column is called beside its offsets.
fn condition((_, _, distance, residency): Column) -> String {
    let residency = match residency {
        Residency::Hot => Cow::Borrowed(""),
        Residency::Touch => Cow::Borrowed(", read afterwards"),
        Residency::Used => Cow::Borrowed(", in use"),
        Residency::Read => Cow::Borrowed(", in use and read"),
        Residency::Cold => Cow::Borrowed(", cold"),
        Residency::Crowd => Cow::Borrowed(", all cores at once"),
        Residency::Threads(count) => Cow::Owned(format!(", {count} threads at once")),
        Residency::Calls(_) => Cow::Borrowed(", random calls"),
    };
    match distance {
        None => residency.into_owned(),
        Some(bytes) => format!(", {} in the page{residency}", relation(bytes)),
    }
}

/// How two places of a page follow each other.
pub(crate) fn relation(distance_bytes: usize) -> String {
    match distance_bytes {
        0 => "dst where src is".to_owned(),
        bytes if bytes < 2048 => format!("dst {bytes} after src"),
        bytes => format!("src {} after dst", 4096 - bytes),
    }
}

/// Neighbouring sizes with the same advice, from a size on: first size, last size, what to call.
pub(crate) fn bands(summary: &Summary, wanted: Column, from_bytes: usize) -> Vec<(usize, usize, &str)> {
    let mut bands: Vec<(usize, usize, &str)> = Vec::new();
    for cell in placed(summary, wanted).filter(|cell| cell.cell.len_bytes >= from_bytes) {
        let Some(winner) = cell.advice(summary.noise_floor) else {
            continue;
        };
        let len_bytes = cell.cell.len_bytes;
        match bands.last_mut() {
            // What is as good as the advice here goes on: a plan with fewer bands.
            Some((_, to, name)) if winner.name == *name || winner.ties.contains(name) => *to = len_bytes,
            _ => bands.push((len_bytes, len_bytes, winner.name)),
        }
    }
    bands
}

fn place(cell: &Cell) -> String {
    let (dst, src, distance, residency) = column(cell);
    let distance = distance.map_or(String::new(), |bytes| format!(" D={bytes}"));
    let residency = if residency == Residency::Hot { String::new() } else { format!(" {}", residency.name()) };
    format!("dst+{dst} src+{src}{distance}{residency}")
}
