//! What vector state costs, for records of bench `xsave`: the answer, the costs, and where sections win as bars.

#![forbid(unsafe_code)]

use crate::lab::sections::LIVE_STATES;
use crate::lab::sections::show::{BreakEven, Effect, Figures, Ring0Figures};
use crate::lab::show::page::{HtmlTable, escape, figure, none};
use crate::lab::show::size;
use std::fmt::Write;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 268.0;
const RIGHT: f64 = 1064.0;
const TOP: f64 = 26.0;
const BAR: f64 = 13.0;
const GAP: f64 = 9.0;
/// The lengths at the ends of the axis: those that are measured, 64 bytes to 1 MiB, as powers of two.
const POWERS: (f64, f64) = (6.0, 20.0);

/// The part of the page.
pub fn section(figures: &Figures) -> String {
    let mut html = String::from("<h2>Does the threshold include saving the registers?</h2>\n<div class=\"answer\">\n");
    for sentence in figures.answer() {
        let _ = writeln!(html, "<p>{}</p>", escape(&sentence));
    }
    html.push_str("</div>\n<h2>Where vector registers win</h2>\n");
    html.push_str(&map(figures));
    html.push_str("<h2>What saving and restoring costs</h2>\n");
    html.push_str(&costs(figures));
    html.push_str(&spills(figures));
    html.push_str(&figures.ring0.as_ref().map_or_else(String::new, Ring0Figures::html));
    html.push_str("<h2>How right the model was</h2>\n");
    html.push_str(&validation(figures));
    html.push_str("<h2>Switches and signals</h2>\n");
    html.push_str(&effects(figures));
    html.push_str("<h2>What kernels leave in use</h2>\n");
    html.push_str(&in_use(figures));
    html
}

/// Who owns the vector registers under each policy, and when they are saved and restored.
const POLICIES: [(&str, &str); 8] = [
    ("user", "a program’s own registers: nothing is saved"),
    ("restore-at-once", "another owner’s, saved when a section begins and restored when it ends"),
    (
        "restore-at-return",
        "another owner’s, saved by the first section after an entry into the kernel and restored on the way back",
    ),
    ("dead-registers", "an owner’s that does not need them any more, as after a system call that may change them"),
    ("lazy-trap", "another owner’s: the first use traps, and so does the owner’s next one"),
    ("interrupt", "an interrupt’s handler, which may use them only where no section was interrupted"),
    (
        "user-from-initial",
        "a program’s own that were in their initial state: from the copy on each switch of threads saves more",
    ),
    ("partial-spill", "only the XMM registers that the copy uses are kept, on the stack"),
];

/// For each policy, state and number of copies a bar over the lengths.
pub fn map(figures: &Figures) -> String {
    let rows = &figures.break_even;
    let mut height = TOP;
    let mut bars = String::new();
    let mut group = ("", "");
    for row in rows {
        if group != (row.policy, row.live) {
            height += GAP;
            group = (row.policy, row.live);
            let whose = match row.live {
                "own" => String::new(),
                live => format!(", {live} in use"),
            };
            let label = format!("{}{}{whose}", row.policy, row.source());
            let _ = writeln!(bars, "<text x=\"4\" y=\"{:.1}\">{}</text>", height + 10.5, escape(&label));
        }
        bars.push_str(&bar(row, height));
        height += BAR;
    }
    let mut svg = format!(
        "<div class=\"scroll\"><svg class=\"wins\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"Lengths at which \
         vector registers win, by policy and copies a section\">\n",
        height + 6.0
    );
    for power in (POWERS.0 as u32..=POWERS.1 as u32).step_by(2) {
        let x = x((1_u64 << power) as f64);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height:.1}\"/><text class=\"axis\" \
             x=\"{x:.1}\" y=\"16\" text-anchor=\"middle\">{}</text>",
            size(1 << power)
        );
    }
    svg.push_str(&bars);
    svg.push_str("</svg></div>\n");
    let _ = writeln!(
        svg,
        "<p class=\"note\">Each bar is the range of lengths, 64 bytes to 1 MiB, at which copies with vector registers are \
         faster, their share of the section included; the number is how many copies share one. Thin: still so if saving and \
         restoring cost a fifth less. Noise floor {:.1}%. *: modelled, with a term that user mode cannot measure (entering a \
         section is taken as nothing, a trap as a system call measured in the same run).</p>",
        100.0 * (figures.noise_floor - 1.0)
    );
    svg.push_str("<ul class=\"note\">\n");
    for (name, meaning) in POLICIES.iter().filter(|(name, _)| rows.iter().any(|row| row.policy == *name)) {
        let _ = writeln!(svg, "<li><b>{name}</b>: {meaning}.");
    }
    svg.push_str("</ul>\n");
    let mut table =
        HtmlTable::new(&["policy", "in use", "copies", "cycles a section", "wins at", "20% cheaper", "20% dearer"]);
    for row in rows {
        table.row(&[
            format!("{}{}", row.policy, if row.is_modelled { " (modelled)" } else { row.source() }),
            row.live.to_owned(),
            row.copies.to_string(),
            figure(Some(row.section_cycles)),
            ranges(&row.ranges),
            ranges(&row.ranges_cheaper),
            ranges(&row.ranges_dearer),
        ]);
    }
    let _ = write!(svg, "<details><summary>The figures of this map</summary>\n{}</details>\n", table.html());
    svg
}

fn bar(row: &BreakEven, y: f64) -> String {
    let mut svg = format!(
        "<rect class=\"tie\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/><text class=\"axis\" x=\"{}\" \
         y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
        y + 1.0,
        RIGHT - LEFT,
        BAR - 2.0,
        LEFT - 6.0,
        y + 10.5,
        row.copies
    );
    for (wins, class, inset) in [(&row.ranges_cheaper, "f2", 4.5), (&row.ranges, "f3", 1.0)] {
        for (from, to) in wins {
            let (left, right) = (x(*from as f64), x(*to as f64));
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}, {} copies: {} to \
                 {}</title></rect>",
                left - 1.5,
                y + inset,
                right - left + 3.0,
                BAR - 2.0 * inset,
                row.policy,
                row.copies,
                size(*from),
                size(*to)
            );
        }
    }
    svg
}

fn x(len_bytes: f64) -> f64 {
    let share = (len_bytes.log2() - POWERS.0) / (POWERS.1 - POWERS.0);
    LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

fn ranges(ranges: &[(usize, usize)]) -> String {
    if ranges.is_empty() {
        return none();
    }
    ranges.iter().map(|(from, to)| format!("{from}–{to} B")).collect::<Vec<_>>().join(", ")
}

fn costs(figures: &Figures) -> String {
    let mut keys: Vec<(&str, &str, &str, &str)> = Vec::new();
    for row in &figures.costs {
        let condition = if row.condition == "initial" { "dirtied" } else { row.condition };
        let key = (row.instruction.as_str(), condition, row.area, row.mask.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let heads: Vec<&str> = ["instruction", "state", "area", "saved"].into_iter().chain(STATE_NAMES).collect();
    let mut table = HtmlTable::new(&heads);
    for (instruction, condition, area, mask) in keys {
        let saved = if figures.is_whole(mask) { "everything".to_owned() } else { escape(mask) };
        let mut cells = vec![escape(instruction), condition.to_owned(), area.to_owned(), saved];
        for live in LIVE_STATES {
            let condition = if live.is_empty() && condition == "dirtied" { "initial" } else { condition };
            let name = live.to_string();
            let found = figures.costs.iter().find(|row| {
                (row.instruction.as_str(), row.condition, row.area, row.mask.as_str(), row.live.as_str())
                    == (instruction, condition, area, mask, name.as_str())
            });
            cells.push(found.map_or_else(none, |row| {
                format!(
                    "<span title=\"quartiles {:.0} to {:.0} cycles; {:.1} ns\">{:.0}</span>",
                    row.lower_cycles, row.upper_cycles, row.ns, row.cycles
                )
            }));
        }
        table.row(&cells);
    }
    format!(
        "{}<p class=\"note\">Core cycles, medians; {:.2} cycles are a nanosecond. Columns: what is in use. “Dirtied”: a register \
         of each component was written since it was restored; “unmodified”: none was. What the CPU lacks is absent.</p>\n",
        table.html(),
        figures.core_cycles_per_ns
    )
}

/// What the columns are called, in the order of [`LIVE_STATES`].
const STATE_NAMES: [&str; 6] = ["initial", "XMM", "YMM", "ZMM 0–15, masks", "XMM, 16–31", "all"];

fn spills(figures: &Figures) -> String {
    let mut table = HtmlTable::new(&["XMM registers kept on the stack", "cycles a copy", "times as fast as XSAVE"]);
    for row in &figures.spill {
        table.row(&[row.registers.to_string(), figure(Some(row.cycles)), figure(row.times_cheaper)]);
    }
    let mut html = table.html();
    for row in figures.first_copy.iter().filter(|row| row.cycles > 10.0) {
        let _ = writeln!(
            html,
            "<p><code>{}</code>: {:.0} cycles more for the first copy while the owner’s upper halves are in use.</p>",
            escape(&row.kernel),
            row.cycles
        );
    }
    html
}

fn validation(figures: &Figures) -> String {
    let row = &figures.validation;
    let percent = |value: f64| format!("{:.1}%", 100.0 * value);
    let mut html = format!(
        "<p>Predicted before they were measured: {} sections of held-back lengths, states and numbers of copies. Error {} \
         (median), {} (95th percentile); {} of {} break-evens right within one length; choosing by the model costs {} on the \
         average, at worst {}.</p>\n",
        row.points,
        percent(row.median_abs_error),
        percent(row.p95_abs_error),
        row.crossings_right,
        row.crossings,
        percent(row.regret_mean.unwrap_or(1.0) - 1.0),
        percent(row.regret_worst.unwrap_or(1.0) - 1.0)
    );
    if let (Some(worst), Some(error)) = (&row.worst, row.worst_abs_error) {
        let _ = writeln!(html, "<p class=\"note\">The largest error, {}: {}.</p>", percent(error), escape(worst));
    }
    html
}

fn effects(figures: &Figures) -> String {
    let mut table = HtmlTable::new(&[
        "",
        "cycles, clean",
        "more with dirty state",
        "95% interval",
        "MDE",
        "the same again",
        "control: pair of",
        "found as",
        "round trips",
    ]);
    for (name, effect) in [("switch there and back", &figures.switch), ("signal", &figures.signal)] {
        let Some(Effect { interval_cycles: (low, high), .. }) = effect else {
            continue;
        };
        let Some(effect) = effect else { continue };
        let found = if effect.is_resolved { figure(Some(effect.effect_cycles)) } else { "not resolved".to_owned() };
        table.row(&[
            name.to_owned(),
            figure(Some(effect.whole_cycles)),
            found,
            format!("{low:.0} to {high:.0}"),
            figure(Some(effect.mde_cycles)),
            format!("{:.1}", effect.same_again_cycles),
            figure(Some(effect.control_known_cycles)),
            figure(Some(effect.control_found_cycles)),
            effect.trips.to_string(),
        ]);
    }
    format!(
        "{}<p class=\"note\">Between two threads on one CPU, and to the own thread; core cycles. MDE: a smaller effect would \
         not have been seen.</p>\n",
        table.html()
    )
}

fn in_use(figures: &Figures) -> String {
    let mut table = HtmlTable::new(&["kernel", "in use afterwards, of what was in its initial state (XINUSE)"]);
    for row in &figures.xinuse {
        table.row(&[escape(&row.kernel), escape(&row.in_use)]);
    }
    table.html()
}
