//! What explains the paths' figures: the tiered path beside its tiers, the model of the table's copies, and other data in
//! the consumer's cache.

#![forbid(unsafe_code)]

use crate::lab::paths::show::answers::{slowdown, walked_kinds, walked_lengths, way_name};
use crate::lab::paths::show::tables::circumstances;
use crate::lab::paths::ways::Way;
use crate::lab::paths::{Cell, Predicted, Summary, TIERS_TOLERANCE, TOLERANCE, Walked, share_that_holds, tier_checks};
use crate::lab::show::page::{HtmlTable, escape, none};
use crate::lab::show::{signed_percent, signed_time, size, time};
use std::fmt::Write;

/// Each section that the record has figures for.
pub(crate) fn answers(summary: &Summary, predictions: &[Predicted], walked: &[Walked]) -> String {
    [model(predictions), cache(walked), tiers(summary)].concat()
}

/// A caption before the first row of each set of circumstances.
fn caption_if_new(table: &mut HtmlTable, columns: usize, known: &mut Option<Cell>, cell: Cell) {
    if known.is_none_or(|known| !known.is_beside(&cell)) {
        table.caption(columns, &circumstances(&cell));
    }
    *known = Some(cell);
}

fn model(predictions: &[Predicted]) -> String {
    let Some(share) = share_that_holds(predictions) else {
        return String::new();
    };
    let mut html = format!(
        "<h2>What the copies add up to</h2>\n<p>Half a round trip of the table's copying paths, predicted from rows that do not \
         copy and from copies that were measured without the table: within {:.0}% of the measurement for {:.0}% of {} \
         rows.</p>\n",
        TOLERANCE * 100.0,
        share * 100.0,
        predictions.len()
    );
    let mut table = HtmlTable::new(&[
        "path",
        "length",
        "in place",
        "wake-up",
        "copies add",
        "both kernels",
        "replaced",
        "predicted",
        "measured",
        "error",
    ]);
    let mut known = None;
    for one in predictions {
        caption_if_new(&mut table, 10, &mut known, one.cell);
        let name = one.kernel.as_ref().map_or_else(|| one.path.clone(), |kernel| format!("{} [{kernel}]", one.path));
        let error = signed_percent(one.error());
        table.row(&[
            escape(&name),
            size(one.cell.payload_bytes),
            time(one.in_place_ns),
            signed_time(one.wake_up_ns),
            signed_time(one.added.all_ns),
            one.added.kernels_ns.map_or_else(none, signed_time),
            one.added.replaced_ns.map_or_else(none, signed_time),
            signed_time(one.predicted_ns()),
            time(one.measured_ns),
            if one.holds() { error } else { format!("<b>{error}</b>") },
        ]);
    }
    let _ = write!(
        html,
        "<details><summary>Every prediction</summary>\n<p class=\"note\">In place, polling: the request, and what producer and \
         consumer do across cores. Wake-up: what the mode adds to polling at the shortest length. Copies add: both kernels’ \
         time where the table makes the copies, and less for the accesses to the other core’s lines that become accesses \
         to one’s own (“replaced”).</p>\n{}</details>\n",
        table.html()
    );
    html
}

fn cache(walked: &[Walked]) -> String {
    if walked.is_empty() {
        return String::new();
    }
    let (lengths, sets) = walked_lengths(walked);
    let mut head = vec!["transfer between two walks".to_owned()];
    head.extend(sets.iter().map(|set| format!("through {}", size(*set))));
    let mut table = HtmlTable::new(&head.iter().map(String::as_str).collect::<Vec<&str>>());
    let speed = |kind: &Walked, length: usize, set: usize| {
        slowdown(walked, kind, length, set).filter(|of| of.is_finite() && *of > 0.0).map(|of| 1.0 / of)
    };
    for length in &lengths {
        table.caption(head.len(), &format!("payloads of {}", size(*length)));
        for kind in walked_kinds(walked) {
            let cells = sets.iter().map(|set| speed(kind, *length, *set).map_or_else(none, |of| format!("{of:.2}×")));
            table.row(&std::iter::once(escape(&way_name(kind))).chain(cells).collect::<Vec<String>>());
        }
    }
    let of_all = walked.iter().filter(|one| one.way != Way::Apart);
    let speeds = of_all.filter_map(|one| Some((speed(one, one.payload_bytes, one.walk_bytes)?, one)));
    let worst = speeds.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(String::new, |(of, one)| {
        format!(
            " At worst, through {} after a payload of {} {}, the walk is {of:.2} times as fast.",
            size(one.walk_bytes),
            size(one.payload_bytes),
            escape(&way_name(one))
        )
    });
    format!(
        "<h2>Other data in the consumer's cache</h2>\n<p>After each payload the consumer walks through a working set of its own, \
         and only the walk is timed: how many times as fast as a walk after nothing has passed.{worst}</p>\n\
         <details><summary>Every walk</summary>\n{}</details>\n",
        table.html()
    )
}

fn tiers(summary: &Summary) -> String {
    let checks = tier_checks(summary);
    if checks.is_empty() {
        return String::new();
    }
    let within = checks.iter().filter(|check| check.ratio() <= TIERS_TOLERANCE).count();
    let mut table = HtmlTable::new(&["length", "tier", "tiered", "best of the tiers", "by itself", "difference"]);
    let mut known = None;
    for check in &checks {
        caption_if_new(&mut table, 6, &mut known, check.cell);
        table.row(&[
            size(check.cell.payload_bytes),
            escape(check.taken),
            time(check.tiered_ns),
            escape(check.best),
            time(check.best_ns),
            signed_percent(check.ratio() - 1.0),
        ]);
    }
    format!(
        "<h2>The tiered path and its tiers</h2>\n<p>Within {:.0}% of the best of its tiers at {within} of {} \
         cells.</p>\n<details><summary>Every cell</summary>\n{}</details>\n",
        (TIERS_TOLERANCE - 1.0) * 100.0,
        checks.len(),
        table.html()
    )
}
