//! Programs' part of the page.

#![forbid(unsafe_code)]

use super::tables::{answer, change, left_out, programs};
use crate::lab::programs::ProgramRecord;
use crate::lab::programs::arms::Arm;
use crate::lab::programs::summary::{Ratio, Verdict};
use crate::lab::show::page::escape;
use crate::lab::show::signed_percent;
use std::fmt::Write;

/// The answer, the drawing, every program, and what was left out.
pub fn section(record: &ProgramRecord) -> String {
    let mut html = String::from("<h2>Where a better copy moves a whole program</h2>\n");
    let lines = answer(record);
    if !lines.is_empty() {
        let _ = writeln!(html, "<div class=\"answer\">\n<p>{}</p>\n</div>", escape(&lines.join(" ")));
    }
    if let Some(svg) = plot(record) {
        let _ = writeln!(
            html,
            "<figure><div class=\"scroll\">{svg}</div><figcaption>Change of each program’s wall time with the drop-in library \
             (bar: interval, line: median) and with a tuned libc (circle). Left of 0 is faster. Orange bars: slower beyond its \
             interval and the noise floor.</figcaption></figure>"
        );
    }
    let table = programs(record);
    if !table.is_empty() {
        let _ = writeln!(
            html,
            "{}<p class=\"note\">Wall time of the installed libc; change of it, the median over rounds, and in brackets between \
             what 95% of the medians of resampled rounds lie. “libc again” is the installed libc a second time. The time of a \
             server is that of its clients, which keep the installed libc; its processor time is of its whole life. “copying” is the share of its processor time, and \
             “predicted” the change of that, both by a recorder, where there was one.</p>",
            table.html(true)
        );
    }
    let left_out = left_out(record);
    if !left_out.is_empty() {
        let lines: String = left_out.iter().map(|line| format!("<li>{}", escape(line))).collect();
        let _ = writeln!(html, "<details><summary>What was left out</summary>\n<ul>{lines}</ul></details>");
    }
    let lines: String = record.grid.lines().map(|line| format!("<li><code>{}</code>", escape(line))).collect();
    let _ = writeln!(html, "<details><summary>How it was asked for</summary>\n<ul>{lines}</ul></details>");
    html
}

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 1040.0;
const TOP: f64 = 30.0;
const ROW: f64 = 22.0;
/// The axis reaches at least so far to both sides, as a share.
const LEAST_REACH: f64 = 0.02;

/// The change of each program's time as a drawing; nothing where there is none.
pub fn plot(record: &ProgramRecord) -> Option<String> {
    let measured = record.measured();
    let rows: Vec<(&str, Ratio, Option<Ratio>)> =
        measured.iter().filter_map(|one| Some((one.program, one.wall(Arm::DropIn)?, one.wall(Arm::Tuned)))).collect();
    if rows.is_empty() {
        return None;
    }
    let ends = rows.iter().flat_map(|(_, own, tuned)| {
        let (low, high) = own.interval.unwrap_or((own.median, own.median));
        [low, high, own.median, tuned.map_or(1.0, |tuned| tuned.median)]
    });
    let reach = ends.map(|ratio| (ratio - 1.0).abs()).fold(LEAST_REACH, f64::max);
    // A step that gives three to six lines on each side: 1, 2 or 5 times a power of ten.
    let power = 10_f64.powf((reach / 3.0).log10().floor());
    let step = [5.0, 2.0, 1.0].map(|of| of * power).into_iter().find(|step| *step <= reach / 3.0).unwrap_or(power);
    let lines = (reach / step).ceil() as i32;
    let reach = f64::from(lines) * step;
    let x = |ratio: f64| LEFT + ((ratio - 1.0) / reach + 1.0) / 2.0 * (RIGHT - LEFT);
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg class=\"wins\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Change of each program’s time\">\n"
    );
    for line in -lines..=lines {
        let change = f64::from(line) * step;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{height}\"/><text class=\"axis\" x=\"{0:.1}\" \
             y=\"18\" text-anchor=\"middle\">{1}</text>",
            x(1.0 + change),
            signed_percent(change)
        );
    }
    let floor = record.noise_floor();
    for (at, (name, own, tuned)) in rows.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let (class, mark) = if own.verdict(floor) == Verdict::Slower { ("s2", "s4") } else { ("f2", "f3") };
        let (low, high) = own.interval.unwrap_or((own.median, own.median));
        let middle = y + ROW / 2.0;
        let _ = writeln!(
            svg,
            "<text class=\"axis\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text><rect class=\"{class}\" x=\"{:.1}\" \
             y=\"{:.1}\" width=\"{:.1}\" height=\"{}\"><title>{name}: {}; tuned libc {}</title></rect><rect class=\"{mark}\" \
             x=\"{:.1}\" y=\"{:.1}\" width=\"2\" height=\"{}\"/>",
            LEFT - 8.0,
            y + 15.0,
            x(low),
            y + 6.0,
            (x(high) - x(low)).max(2.0),
            ROW - 12.0,
            escape(&change(Some(*own))),
            escape(&change(*tuned)),
            x(own.median) - 1.0,
            y + 3.0,
            ROW - 6.0,
            name = escape(name),
        );
        if let Some(tuned) = tuned {
            let _ = writeln!(svg, "<circle class=\"s3\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"4\"/>", x(tuned.median));
        }
    }
    Some(svg + "</svg>\n")
}
