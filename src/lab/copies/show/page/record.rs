//! The section of one record, in the order in which it is read.

#![forbid(unsafe_code)]

use crate::lab::copies::SWEEP;
use crate::lab::copies::cell::Residency;
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::page::{
    Shown, against_best, answer, calls, figures, heat, plan, ranking, series, speed, tables,
};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::evidence::Section;
use crate::lab::record::Environment;
use crate::lab::show::page::plot::{Plot, Segment};
use crate::lab::show::page::{bare, percent};
use crate::lab::show::size;
use crate::select::INLINE_MAX_BYTES;
use std::fmt::Write;

/// A record from its answer to how it was measured.
pub(super) fn section(shown: &Shown<'_>) -> Section {
    let has_samples = !shown.summary.cells.is_empty();
    let mut answer = tables::left_out(shown);
    let mut appendix = String::new();
    if shown.is_grid() && has_samples {
        answer.push_str(&grid(shown));
    } else if has_samples {
        let is_of_calls = |cell: &CellSummary| matches!(cell.cell.residency, Residency::Calls(_));
        let is_of_calls = shown.summary.cells.iter().all(is_of_calls);
        answer.push_str(&if is_of_calls { calls::section(shown) } else { ranking::section(shown) });
        answer.push_str(&figures::matrix(shown));
    }
    shown.record.tables.iter().for_each(|table| answer.push_str(&bare(table)));
    if has_samples {
        appendix.push_str(&measured(shown));
        let _ = write!(
            appendix,
            "<h2>Every figure</h2>\n<p class=\"note\">Each heading names the rows of the record’s \
             <code>samples.csv</code> that the figures below it are medians of.</p>\n<div class=\"bulk\">\n{}</div>\n",
            figures::all(shown)
        );
    }
    Section { answer, appendix }
}

/// Answer, plots, maps and losses of a record that covers the grid.
fn grid<'a>(shown: &'a Shown<'_>) -> String {
    let summary = &shown.summary;
    let lengths = series::lengths(summary);
    let mut html = answer::answer(shown);
    html.push_str(&plan::blocks(shown));
    html.push_str("<h2>What to use at each size</h2>\n");
    html.push_str(&answer::selection(shown));
    html.push_str("<h2>By condition</h2>\n");
    html.push_str(&answer::by_condition(shown));

    let throughput = throughput(shown);
    html.push_str("<h2>Throughput</h2>\n<figure>\n");
    html.push_str(&throughput.svg());
    html.push_str(
        "<figcaption>Destination and source at the start of a cache line, data in cache; decimal gigabytes per second, the payload counted once. \
         Colour is the family of a kernel, dashes tell its members apart. Left of a vertical line source and destination \
         fit that cache together. Point at a curve for its figures; a point leads to those of its cell.",
    );
    if !lengths.iter().all(|len_bytes| series::is_drawn(summary)(*len_bytes)) {
        html.push_str(" Of its many sizes the curves of this record go through the multiples of 16 bytes.");
    }
    html.push_str("</figcaption>\n</figure>\n");

    html.push_str("<h2>memcpy_auto by size and placement</h2>\n");
    html.push_str(&heat::legend());
    html.push_str("<h3>Times as fast as the best kernel</h3>\n<figure>\n");
    let best = |cell: &'a CellSummary| Some((against_best(cell)?, cell.fastest()?));
    html.push_str(&heat::svg("memcpy_auto against the best kernel", shown, &lengths, best));
    html.push_str("</figure>\n");
    html.push_str(&heat::table(shown, &lengths, best));
    html.push_str("<h3>Times as fast as libc</h3>\n<figure>\n");
    let libc = |cell: &'a CellSummary| Some((speed(cell, MEMCPY_AUTO, LIBC)?, LIBC));
    html.push_str(&heat::svg("memcpy_auto against libc", shown, &lengths, libc));
    html.push_str(
        "<figcaption>Rows: where in a cache line destination and source begin, and the condition. Above 1: memcpy_auto is \
         faster. A field leads to the figures of its cell.</figcaption>\n</figure>\n",
    );
    html.push_str(&heat::table(shown, &lengths, libc));

    let floor = summary.noise_floor;
    let plot = Plot {
        title: "How many times as fast as the best kernel memcpy_auto is, against size",
        unit: "times as fast as the best kernel",
        series: series::against_best(shown),
        span: span(summary),
        marks: Vec::new(),
        strip: Vec::new(),
        shade: Some((1.0 / floor, floor)),
    };
    html.push_str("<h2>memcpy_auto against the best kernel</h2>\n<figure>\n");
    html.push_str(&plot.svg());
    let _ = writeln!(
        html,
        "<figcaption>1: as fast as the best kernel of the cell, which is another from cell to cell; the shaded band is the \
         noise floor of {}. The inverse is called regret elsewhere. Up to {} memcpy_auto may be above 1, for no kernel is \
         inlined. All but the thick curve are geometric means over placements.</figcaption>\n</figure>",
        percent(floor),
        size(INLINE_MAX_BYTES)
    );
    html.push_str("<h2>Where memcpy_auto loses</h2>\n");
    html.push_str(&figures::losses(shown));
    html
}

/// Every kernel's speed, with the caches and the plan.
pub(crate) fn throughput<'a>(shown: &Shown<'_>) -> Plot<'a> {
    let environment = &shown.record.environment;
    Plot {
        title: "Throughput of every kernel against size",
        unit: "GB/s",
        series: series::throughput(shown),
        span: span(&shown.summary),
        marks: marks(environment),
        strip: strip(&environment.plan),
        shade: None,
    }
}

/// The first and the last length.
fn span(summary: &Summary) -> (usize, usize) {
    let lengths = series::lengths(summary);
    (lengths.first().copied().unwrap_or(1), lengths.last().copied().unwrap_or(1))
}

/// Lengths up to which a level holds source and destination.
fn marks(environment: &Environment) -> Vec<(u64, String)> {
    let cpu = &environment.cpu;
    let levels = [("L1d", cpu.l1d_bytes), ("L2", cpu.l2_bytes), ("L3", cpu.l3_bytes)];
    let both_fit = |(name, bytes): (&str, Option<u64>)| {
        let half = bytes.filter(|bytes| *bytes > 1)? / 2;
        Some((half, format!("half of {name}: {}", size(half as usize))))
    };
    levels.into_iter().filter_map(both_fit).collect()
}

/// The bands of a plan's text, `<last length, or above> <kernel> <class>=<kernel> ...`; lines that are no band are passed
/// over. Lengths that are inlined come first.
fn strip(plan: &str) -> Vec<Segment> {
    let inlined = Segment {
        to_bytes: Some(INLINE_MAX_BYTES as u64),
        name: "inlined".to_owned(),
        family: series::look("inlined", 0).family,
        said: format!("up to {}: inlined into the caller", size(INLINE_MAX_BYTES)),
    };
    let mut segments = vec![inlined];
    for line in plan.lines() {
        let mut words = line.split_whitespace();
        let (Some(limit), Some(kernel)) = (words.next(), words.next()) else {
            continue;
        };
        let to_bytes = limit.parse::<u64>().ok();
        if to_bytes.is_none() && limit != "above" {
            continue;
        }
        let until = to_bytes.map_or_else(|| "above".to_owned(), |bytes| format!("up to {}", size(bytes as usize)));
        let classes: Vec<&str> = words.collect();
        let others = if classes.is_empty() { String::new() } else { format!("; {}", classes.join(" ")) };
        segments.push(Segment {
            to_bytes,
            name: kernel.to_owned(),
            family: series::look(kernel, 0).family,
            said: format!("{until}: {kernel}{others}"),
        });
    }
    if segments.len() > 1 { segments } else { Vec::new() }
}

/// What is else to be said of what `memcpy-select sweep` measured.
const OF_A_SWEEP: &str = " Sizes, places and kernels were chosen by hand, so this record makes no profile of a CPU; \
                          records of <code>cargo bench</code> do.";

/// Four sentences.
fn measured(shown: &Shown<'_>) -> String {
    let environment = &shown.record.environment;
    let pinned = match environment.pinned_to {
        Some(cpu) => format!("One thread, pinned to logical CPU {cpu},"),
        None => "One thread, which could not be pinned,".to_owned(),
    };
    format!(
        "<h2>How it was measured</h2>\n<p>{pinned} copied between buffers of its own at named offsets, after every routine’s \
         bytes had been verified. The contenders of a cell took turns in shuffled order, round by round, and each timing \
         covers as many copies as the clock’s steps of {} ns call for. Figures are medians over rounds, comparisons medians of \
         ratios within a round, and core cycles were counted by a chain of dependent instructions beside each cell. The \
         installed libc ran twice under two names, and what the two differ by is the noise floor ({}) under which a \
         difference is a tie.{}</p>\n",
        environment.clock.precision_ns,
        percent(shown.summary.noise_floor),
        if shown.record.bench == SWEEP { OF_A_SWEEP } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_of_old_and_new_plans_are_read() {
        let plan =
            "small masked\n    26623  avx512_aligned\n47453120 rep_movsb equal+dst-after=avx_nt\nabove avx512_nt\n";
        let read: Vec<(Option<u64>, String)> =
            strip(plan).into_iter().map(|segment| (segment.to_bytes, segment.name)).collect();
        let expected = [(Some(64), "inlined"), (Some(26623), "avx512_aligned"), (Some(47_453_120), "rep_movsb")];
        assert_eq!(read[..3], expected.map(|(bytes, name)| (bytes, name.to_owned())));
        assert_eq!(read[3], (None, "avx512_nt".to_owned()));
        assert!(strip("nothing to read").is_empty());
    }
}
