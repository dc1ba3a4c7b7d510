//! Records of other benches: what is fastest on the average, and by how much.

#![forbid(unsafe_code)]

use crate::lab::copies::contender::{LIBC, LIBC_AGAIN};
use crate::lab::copies::show::page::series::contenders;
use crate::lab::copies::show::page::{Shown, is_slower, speed, times};
use crate::lab::copies::summary::CellSummary;
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::show::page::{HtmlTable, escape, percent};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What one contender does over the cells, as speeds against libc.
struct Rank<'a> {
    name: &'a str,
    mean: f64,
    worst: f64,
    best: f64,
    cells: usize,
    /// In how many of them nothing is faster beyond the noise floor.
    unbeaten: usize,
}

/// How the variants of a bench are named, which no kernel of the table is.
const VARIANTS: [(&str, &str); 2] = [
    ("bodies", "&lt;vector&gt;_&lt;vectors a turn&gt;_&lt;order of loads and stores&gt;"),
    ("nontemporal", "&lt;vector&gt;_&lt;pages at once&gt;p_&lt;prefetch hint&gt;&lt;bytes ahead&gt;"),
];

/// The part of the page before the figures of all contenders.
pub(crate) fn section(shown: &Shown<'_>) -> String {
    let bench = escape(&shown.record.bench);
    let mut html = format!("<h2>Fastest in bench <code>{bench}</code></h2>\n<div class=\"answer\">\n");
    let ranks = ranks(shown);
    let count = shown.summary.cells.len();
    let cells = if count == 1 { "the one cell".to_owned() } else { format!("{count} cells") };
    let Some((first, others)) = ranks.split_first() else {
        return html
            + "<p>libc was not measured beside the others, so that there is no ratio to rank them by.</p>\n</div>\n";
    };
    let floor = shown.summary.noise_floor;
    let equal: Vec<String> = others
        .iter()
        .filter(|one| !is_slower(one.mean / first.mean, floor))
        .map(|one| format!("<code>{}</code>", escape(one.name)))
        .collect();
    let _ = write!(html, "<p><b>Fastest over {cells}</b>: ");
    if first.name == LIBC {
        html.push_str("libc itself");
    } else {
        let _ = write!(html, "<code>{}</code>, {:.2} times as fast as libc", escape(first.name), first.mean);
    }
    if count > 1 {
        html.push_str(" in the geometric mean");
    }
    if !equal.is_empty() {
        let _ = write!(html, "; within the noise floor of {} of it: {}", percent(floor), equal.join(", "));
    }
    html.push_str(".</p>\n");
    if let Some(libc) = others.iter().find(|one| one.name == LIBC).filter(|libc| libc.unbeaten > 0 && count > 1) {
        let _ =
            writeln!(html, "<p>Nothing is faster than libc beyond the noise floor in {} of them.</p>", libc.unbeaten);
    }
    html.push_str("</div>\n");
    let mut table = HtmlTable::new(&["contender", "vs libc", "worst", "best", "unbeaten in", "cells"]);
    for Rank { name, mean, worst, best, cells, unbeaten } in &ranks {
        let shown = |speed: f64| times(Some(speed), floor);
        let row = [escape(name), shown(*mean), shown(*worst), shown(*best), unbeaten.to_string(), cells.to_string()];
        table.row(&row);
    }
    let _ = writeln!(
        html,
        "{}<p class=\"note\">“vs libc”: how many times as fast, geometric mean over the cells; “worst” and “best”: in one cell; \
         “=”: within the noise floor. “Unbeaten in”: cells in which no other is faster beyond that floor.{}</p>",
        table.html(),
        VARIANTS.iter().find(|(name, _)| *name == shown.record.bench).map_or_else(String::new, |(_, parts)| {
            format!(" Variants that were considered for the kernels are named <code>{parts}</code>.")
        })
    );
    html
}

/// Every contender that was measured beside libc, fastest first.
fn ranks<'a>(shown: &'a Shown<'_>) -> Vec<Rank<'a>> {
    let cells = &shown.summary.cells;
    let names: BTreeSet<&str> = cells.iter().flat_map(contenders).filter(|name| *name != LIBC_AGAIN).collect();
    let is_unbeaten = |cell: &CellSummary, name: &str| {
        cell.copy_ns(name).is_some()
            && names
                .iter()
                .all(|other| speed(cell, name, other).is_none_or(|speed| !is_slower(speed, shown.summary.noise_floor)))
    };
    let rank = |name: &&'a str| {
        let speeds: Vec<f64> = cells.iter().filter_map(|cell| speed(cell, name, LIBC)).collect();
        Some(Rank {
            name,
            mean: geometric_mean(speeds.iter().copied())?,
            worst: speeds.iter().copied().reduce(f64::min)?,
            best: speeds.iter().copied().reduce(f64::max)?,
            cells: speeds.len(),
            unbeaten: cells.iter().filter(|cell| is_unbeaten(cell, name)).count(),
        })
    };
    let mut ranks: Vec<Rank<'a>> = names.iter().filter_map(rank).collect();
    // A contender without a figure in some cells cannot be compared over all of them, and comes after the others.
    let most = ranks.iter().map(|rank| rank.cells).max().unwrap_or(0);
    ranks.sort_by(|a, b| (a.cells < most).cmp(&(b.cells < most)).then(b.mean.total_cmp(&a.mean)));
    ranks
}
