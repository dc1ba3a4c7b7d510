//! Records of calls as programs make them: an answer, a small table, and what its words mean.

#![forbid(unsafe_code)]

use crate::lab::copies::calls::{Calls, Lengths, Reader, Region, Sequence};
use crate::lab::copies::cell::Residency;
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::page::figures::cell_name;
use crate::lab::copies::show::page::{Shown, is_slower, speed, times};
use crate::lab::copies::summary::CellSummary;
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::show::page::{HtmlTable, escape, figure, none, percent};
use crate::lab::show::size;
use std::fmt::Write;

/// What a program has without this crate, compiled into its loop.
const COPY_FROM_SLICE: &str = "copy_from_slice";

/// The part of the page before the figures of all contenders.
pub(crate) fn section(shown: &Shown<'_>) -> String {
    let mut html = String::from("<h2>Calls as programs make them</h2>\n<div class=\"answer\">\n");
    html.push_str(&against(shown, LIBC, "libc"));
    html.push_str(&against(shown, COPY_FROM_SLICE, "<code>copy_from_slice</code>"));
    html.push_str(&against_kernels(shown));
    html.push_str("</div>\n");
    html.push_str(&table(shown));
    html
}

fn calls_of(cell: &CellSummary) -> Option<Calls> {
    match cell.cell.residency {
        Residency::Calls(calls) => Some(calls),
        _ => None,
    }
}

/// A sentence on `memcpy_auto` against something else, near and far.
fn against(shown: &Shown<'_>, other: &str, said: &str) -> String {
    let floor = shown.summary.noise_floor;
    let cells = shown.summary.cells.iter();
    let speeds: Vec<(&CellSummary, f64)> =
        cells.filter_map(|cell| Some((cell, speed(cell, MEMCPY_AUTO, other)?))).collect();
    let mean = |is_near: bool| {
        let of = speeds
            .iter()
            .filter(|(cell, _)| calls_of(cell).is_some_and(|calls| (calls.region == Region::L1) == is_near));
        geometric_mean(of.map(|(_, speed)| *speed))
    };
    let parts = [(mean(true), "in the first-level cache"), (mean(false), "further out")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter_map(|(mean, place)| Some(format!("{:.2} times as fast as {said} {place}", mean?)))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    let slower = speeds.iter().filter(|(_, speed)| is_slower(*speed, floor)).count();
    let mut html = format!(
        "<p><code>memcpy_auto</code> is {} (geometric means of {} kinds of calls), and slower beyond the noise floor of {} in \
         {} of them",
        parts.join(" and "),
        speeds.len(),
        percent(floor),
        if slower == 0 { "none".to_owned() } else { slower.to_string() }
    );
    if let Some((cell, worst)) = speeds.iter().min_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| slower > 0) {
        let _ = write!(html, ", at worst {worst:.2} times as fast ({})", shown.link(&cell.cell, &name(cell)));
    }
    html.push_str(".</p>\n");
    html
}

/// Where one kernel for all lengths, called, is faster than `memcpy_auto`.
fn against_kernels(shown: &Shown<'_>) -> String {
    let best = |cell: &'_ CellSummary| {
        let kernel = cell.fastest()?.to_owned();
        let speed = speed(cell, MEMCPY_AUTO, &kernel)?;
        is_slower(speed, shown.summary.noise_floor).then_some((speed, kernel))
    };
    let mut lost: Vec<(&CellSummary, f64, String)> =
        shown.summary.cells.iter().filter_map(|cell| best(cell).map(|(speed, kernel)| (cell, speed, kernel))).collect();
    lost.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some((cell, speed, kernel)) = lost.first() else {
        return "<p>No kernel that is called for every length is faster than <code>memcpy_auto</code> beyond the noise \
                floor.</p>\n"
            .to_owned();
    };
    format!(
        "<p>A single kernel that is called for every length is faster than <code>memcpy_auto</code> in {} of {}: the most by \
         <code>{}</code> at {}, where <code>memcpy_auto</code> is {speed:.2} times as fast.</p>\n",
        lost.len(),
        shown.summary.cells.len(),
        escape(kernel),
        shown.link(&cell.cell, &name(cell))
    )
}

/// A row for each kind of calls, by the memory that they are spread over.
fn table(shown: &Shown<'_>) -> String {
    let heads = ["calls", MEMCPY_AUTO, COPY_FROM_SLICE, "libc", "best kernel", "vs libc", "vs best"];
    let mut table = HtmlTable::new(&heads);
    let mut region = None;
    for cell in &shown.summary.cells {
        let Some(calls) = calls_of(cell) else { continue };
        if region != Some(calls.region) {
            table.caption(
                heads.len(),
                &format!("spread over {} each: {}", size(calls.region.bytes()), place(calls.region)),
            );
            region = Some(calls.region);
        }
        let best = cell.fastest().unwrap_or_default();
        table.row(&[
            shown.link(&cell.cell, &name(cell)),
            figure(cell.copy_ns(MEMCPY_AUTO)),
            figure(cell.copy_ns(COPY_FROM_SLICE)),
            figure(cell.copy_ns(LIBC)),
            if best.is_empty() { none() } else { format!("{} {}", escape(best), figure(cell.copy_ns(best))) },
            times(speed(cell, MEMCPY_AUTO, LIBC), shown.summary.noise_floor),
            times(speed(cell, MEMCPY_AUTO, best), shown.summary.noise_floor),
        ]);
    }
    format!(
        "<div class=\"phrases\">{}</div>\n<p class=\"note\">Nanoseconds a call, medians. “vs”: how many times as fast <code>memcpy_auto</code> is, “=” within the noise floor. Lengths and \
         places are drawn from what was recorded in a fleet of servers (google/fleetbench). <b>All programs</b>: half of the \
         calls are for 8 bytes or less; <b>program 0</b>: half are for 513 to 768 bytes; <b>program 3</b>: two thirds are for \
         8 bytes or less. <b>Predictable</b>: the sequence repeats after 1,000 calls, and a branch predictor learns it; \
         <b>random</b>: after 100,000. <b>Read at once</b>: the next call depends on a byte of the copy.</p>\n",
        table.html()
    )
}

const fn place(region: Region) -> &'static str {
    match region {
        Region::L1 => "the first-level cache",
        Region::L2 => "the second-level cache",
        Region::L3 => "the third-level cache",
        Region::Memory => "memory",
    }
}

/// A kind of calls in words.
fn name(cell: &CellSummary) -> String {
    let Some(calls) = calls_of(cell) else {
        return escape(&cell_name(cell));
    };
    let lengths = match calls.lengths {
        Lengths::Fleet => "all programs",
        Lengths::Program0 => "program 0",
        Lengths::Program3 => "program 3",
        Lengths::Workload => "the workload",
    };
    let sequence = match calls.sequence {
        Sequence::Predictable => "predictable",
        Sequence::Random => "random",
    };
    let reader = match calls.reader {
        Reader::None => "",
        Reader::AtOnce => ", read at once",
    };
    format!("{lengths}, {sequence}{reader}")
}
