//! Its part of the page: the answer, lengths as a picture, tables.

#![forbid(unsafe_code)]

use super::buckets::{Bucket, buckets};
use super::sentences::{overhead, paragraphs, part};
use super::tables::{kernels, lengths, places, processes, repetition, reuse, sites, timed};
use crate::lab::calls::CallsRecord;
use crate::lab::calls::totals::Sum;
use crate::lab::show::page::escape;
use std::fmt::Write;

/// The answer and the tables.
pub fn section(record: &CallsRecord) -> String {
    let totals = record.totals();
    let buckets = buckets(&totals);
    let mut html = String::from("<h2>What the program copies</h2>\n<div class=\"answer\">\n");
    for said in paragraphs(record, &totals) {
        let _ = writeln!(html, "<p>{}</p>", escape(&said));
    }
    html.push_str("</div>\n");
    if let Some(svg) = plot(record) {
        let _ = writeln!(
            html,
            "<figure><div class=\"scroll\">{svg}</div><figcaption>Copies by length, each octave’s share: of all calls above, of all \
             bytes below. Every call is counted.</figcaption></figure>"
        );
    }
    let mut details = |head: &str, note: &str, table: String| {
        let _ = writeln!(html, "<h2>{head}</h2>\n{table}<p class=\"note\">{}</p>", escape(note));
    };
    let timed = timed(&totals);
    if !timed.is_empty() {
        details(
            "What copies take",
            "Means of a call, from copies chosen at random, each timed by itself. The two routines carry out the program’s calls in turns \
             of random order. “=”: the 95% interval holds 0.",
            timed.html(false),
        );
    }
    let kernels = kernels(&record.choices);
    if !kernels.is_empty() {
        let note = "Of the sampled copies, by alignment class and octave of length. “inlined”: so short that no plan is asked.";
        details("What the plan chooses", note, kernels.html(true));
    }
    let places = places(&totals);
    if !places.is_empty() {
        details("Where copies are", "Of sampled calls; overlap of all calls.", places.html(false));
    }
    let sites_table = sites(&record.sites, usize::MAX);
    if !sites_table.is_empty() {
        let note = repetition(&record.sites).unwrap_or_default();
        details("Where calls come from", &note, sites_table.html(true));
    }
    let reuse = reuse(&totals);
    let unwatched = record.unwatched().unwrap_or_default();
    if !reuse.is_empty() {
        let note = format!(
            "A hardware breakpoint inside the first or the last line of a copy, set right after it: how long it takes until the same \
             thread reads or writes there. What the system and other threads do is not seen. {unwatched}"
        );
        details("How soon copies are accessed again", &note, reuse.html(false));
    } else if !unwatched.is_empty() {
        details("How soon copies are accessed again", &unwatched, String::new());
    }
    details(
        "Processes",
        &overhead(record, &totals),
        processes(&record.processes, &record.of_each(), usize::MAX).html(false),
    );
    let _ = writeln!(
        html,
        "<details><summary>Calls and bytes by length</summary>\n{}</details>",
        lengths(&buckets).html(false)
    );
    html
}

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 1060.0;
const TOP: f64 = 26.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 34.0;
/// So many lengths have room for their names beside each other.
const LABELS: usize = 16;

/// Calls and bytes by length, as a drawing; nothing where nothing was copied.
pub fn plot(record: &CallsRecord) -> Option<String> {
    let buckets = buckets(&record.totals());
    let all = Sum::of(buckets.iter().map(|bucket| bucket.copies));
    if all.calls == 0 {
        return None;
    }
    let height = TOP + 2.0 * PANEL + GAP + 44.0;
    let mut svg = format!(
        "<svg class=\"wins\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Copies of {} by length\">\n",
        escape(&record.command)
    );
    let share_of = |of: u64, all: u64| if all > 0 { of as f64 / all as f64 } else { 0.0 };
    let calls: Vec<f64> = buckets.iter().map(|bucket| share_of(bucket.copies.calls, all.calls)).collect();
    let bytes: Vec<f64> = buckets.iter().map(|bucket| share_of(bucket.copies.bytes, all.bytes)).collect();
    panel(&mut svg, TOP, ("calls", "f3"), &buckets, &calls);
    panel(&mut svg, TOP + PANEL + GAP, ("bytes", "s2"), &buckets, &bytes);
    let step = (RIGHT - LEFT) / buckets.len() as f64;
    for (at, bucket) in buckets.iter().enumerate() {
        let x = LEFT + step * (at as f64 + 0.5);
        if buckets.len() > LABELS && at % 2 == 1 {
            continue;
        }
        let from = usize::try_from(bucket.from_bytes).map_or_else(|_| "more".to_owned(), crate::lab::show::size);
        let y = TOP + 2.0 * PANEL + GAP + 16.0;
        let _ = writeln!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{from}</text>");
    }
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{RIGHT}\" y=\"{}\" text-anchor=\"end\">length of a copy, from</text>",
        TOP + 2.0 * PANEL + GAP + 36.0
    );
    Some(svg + "</svg>\n")
}

/// One share each octave, as bars.
fn panel(svg: &mut String, top: f64, (name, class): (&str, &str), buckets: &[Bucket], shares: &[f64]) {
    let most = shares.iter().copied().fold(0.0, f64::max).max(1e-9);
    let bottom = top + PANEL;
    let step = (RIGHT - LEFT) / buckets.len() as f64;
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{LEFT}\" y=\"{:.1}\">share of all {name}</text><line class=\"frame\" x1=\"{LEFT}\" x2=\"{RIGHT}\" \
         y1=\"{bottom}\" y2=\"{bottom}\"/>",
        top - 8.0
    );
    for (at, (bucket, share)) in buckets.iter().zip(shares).enumerate() {
        let (x, height) = (LEFT + step * at as f64, share / most * (PANEL - 18.0));
        let said = part(*share, 1.0);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}: {said} of all \
             {name}</title></rect>",
            x + step * 0.1,
            bottom - height,
            step * 0.8,
            height,
            escape(&bucket.name())
        );
        if *share >= 0.005 {
            let _ = writeln!(
                svg,
                "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0}%</text>",
                x + step * 0.5,
                bottom - height - 4.0,
                share * 100.0
            );
        }
    }
}
