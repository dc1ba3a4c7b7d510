//! Neighbours' part of the page.

#![forbid(unsafe_code)]

use super::tables::{
    about, about_slow, against_strangers, chains, every_neighbour, is_hostile, modes, newcomers, ordered, safety,
    speed_of_own, summary, worst,
};
use crate::lab::neighbours::NeighbourRecord;
use crate::lab::neighbours::record::Seen;
use crate::lab::neighbours::roles::{BUSY, IDLE, STRANGER};
use crate::lab::show::page::{HtmlTable, escape, figure, none};
use crate::lab::show::{signed_percent, time};
use std::fmt::Write;

/// What was seen beside each neighbour, then what safety costs.
pub fn section(record: &NeighbourRecord) -> String {
    let all = ordered(record);
    let modes = modes(&all);
    let mut html =
        String::from("<h2>What an honest client notices of a hostile neighbour</h2>\n<div class=\"answer\">\n");
    let heads = ["how all wait", "idle", "busy", "stranger", "worst hostile", "which", "it adds to busy"];
    let mut table = HtmlTable::new(&heads);
    for mode in &modes {
        let of = |name: &str| all.iter().find(|one| one.mode == *mode && one.neighbour == name);
        let p99 = |one: Option<&Seen<'_>>| one.and_then(|one| one.at_ns(0.99)).map_or_else(none, time);
        let busy = of(BUSY);
        let worst = worst(&all, mode);
        if let Some((one, more)) = &worst {
            let _ = writeln!(
                html,
                "<p><b>{}</b>: beside the worst hostile neighbour, <code>{}</code>, 99 of 100 requests of an honest client take \
                 at most {}; beside an honest busy one {} ({}).</p>",
                escape(mode),
                escape(one.neighbour),
                p99(Some(one)),
                p99(busy),
                signed_percent(*more)
            );
        }
        table.row(&[
            escape(mode),
            p99(of(IDLE)),
            p99(busy),
            p99(of(STRANGER)),
            p99(worst.as_ref().map(|(one, _)| *one)),
            worst.as_ref().map_or_else(none, |(one, _)| format!("<code>{}</code>", escape(one.neighbour))),
            worst.as_ref().map_or_else(none, |(_, more)| signed_percent(*more)),
        ]);
    }
    let _ = writeln!(
        html,
        "</div>\n{}<p class=\"note\">99th percentile of an honest client’s round trips of 64 bytes beside each neighbour, which \
         shares its logical CPU. All wait in the kernel (blocking), look again and again (polling), or look for a while first \
         (adaptive). <b>Idle</b>: {}. <b>Busy</b>: {}. <b>Stranger</b>: {}. A process that uses a CPU costs the others on it; what a hostile client costs beyond an honest busy one is what the server lets it do. Percentages: how much \
         longer, the median over rounds.</p>",
        table.html(),
        about(IDLE),
        about(BUSY),
        about(STRANGER)
    );
    let verdicts = record.verdicts();
    if !verdicts.is_empty() {
        html.push_str("<h3>Hostile, or only busy elsewhere</h3>\n<div class=\"answer\">\n");
        for mode in &modes {
            if let Some(summary) = summary(&verdicts, mode) {
                let _ = writeln!(html, "<p><b>{}</b>: {}.</p>", escape(mode), escape(&summary));
            }
        }
        html.push_str(
            "</div>\n<p class=\"note\">Each hostile neighbour against a stranger that makes the same calls as often, with sockets \
             and memory of its own that no table watches: the 99th percentile beside the one over that beside the other, in \
             the same round; the median over rounds, and where 95% of its resamples lie.</p>\n",
        );
        for mode in &modes {
            let _ = writeln!(
                html,
                "<details><summary>Every hostile neighbour, {}</summary>\n<div class=\"words\">{}</div></details>",
                escape(mode),
                against_strangers(&verdicts, mode).html(true)
            );
        }
    }
    if let Some((mode, svg)) = drawing(&all) {
        let _ = writeln!(
            html,
            "<figure><div class=\"scroll\">{svg}</div><figcaption>Requests of an honest client beside each neighbour, {}: from the median to the 99th \
             percentile. Orange: hostile ones.</figcaption></figure>",
            escape(mode)
        );
    }
    for mode in modes {
        let _ = writeln!(
            html,
            "<details><summary>Every neighbour, {}</summary>\n<div class=\"words\">{}<p class=\"note\">{}.</p></div></details>",
            escape(mode),
            every_neighbour(&all, mode).html(true),
            escape(&about_slow())
        );
    }
    if !record.prices.is_empty() {
        html.push_str(&price_of_safety(record));
    }
    if !record.newcomers.is_empty() {
        let _ = writeln!(
            html,
            "<h2>How long newcomers take to connect</h2>\n{}<p class=\"note\">Beside each neighbour and an honest busy client, \
             while a process that has nothing to do with the server spins on each CPU.</p>",
            newcomers(record).html(true)
        );
    }
    html
}

/// What blocks of one's own and looking at every entry of a chain cost.
fn price_of_safety(record: &NeighbourRecord) -> String {
    let turns = |bytes: u32, allocator: &str| record.turns_ns("request", allocator, bytes);
    let ratio = |bytes: u32| speed_of_own(&turns(bytes, "owned"), &turns(bytes, "shared"));
    let ratios: Vec<f64> = record.sizes("request").into_iter().filter_map(ratio).collect();
    let mut html = String::from("<h2>What safety costs</h2>\n");
    let ends = ratios.iter().copied().reduce(f64::min).zip(ratios.iter().copied().reduce(f64::max));
    if let Some((least, most)) = ends {
        let _ = writeln!(
            html,
            "<div class=\"answer\">\n<p>With blocks on each side’s own account, which a hostile peer cannot spoil, a request is \
             {}–{} times as fast as with one list of free blocks that both sides write.</p>\n</div>",
            figure(Some(least)),
            figure(Some(most))
        );
    }
    let _ = writeln!(
        html,
        "<div class=\"phrases\">{}</div>\n<p class=\"note\">Both sides in one thread, so that nothing but the code is timed; \
         medians of a turn. “vs”: how many times as fast.</p>\n{}<p class=\"note\">A payload longer than a block comes as a chain \
         of blocks, which the receiver checks entry by entry.</p>",
        safety(record).html(false),
        chains(record).html(false)
    );
    html
}

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 1040.0;
const TOP: f64 = 30.0;
const ROW: f64 = 22.0;

/// From the median to the 99th percentile of an honest client's requests beside each neighbour, while all look for a while and then
/// sleep, as a drawing; nothing where nothing was seen.
pub fn plot(record: &NeighbourRecord) -> Option<String> {
    drawing(&ordered(record)).map(|(_, svg)| svg)
}

fn drawing<'a>(all: &[Seen<'a>]) -> Option<(&'a str, String)> {
    let mode = all.iter().find(|one| one.mode == "adaptive").or(all.first())?.mode;
    let bars: Vec<(&Seen<'_>, f64, f64)> = all
        .iter()
        .filter(|one| one.mode == mode)
        .filter_map(|one| Some((one, one.at_ns(0.5)?.max(1.0), one.at_ns(0.99)?.max(1.0))))
        .collect();
    let ends = bars.iter().flat_map(|(_, p50, p99)| [p50.log10(), p99.log10()]);
    let (least, most) = ends.fold((f64::INFINITY, 0.0_f64), |(least, most), at| (least.min(at), most.max(at)));
    let (least, most) = (least.floor(), most.ceil().max(least.floor() + 1.0));
    let x = |ns: f64| LEFT + (ns.log10() - least) / (most - least) * (RIGHT - LEFT);
    let height = TOP + ROW * bars.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg class=\"wins\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Requests of an honest client beside each \
         neighbour, {}\">\n",
        escape(mode)
    );
    for decade in least as i32..=most as i32 {
        let ns = 10_f64.powi(decade);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{height}\"/><text class=\"axis\" x=\"{0:.1}\" \
             y=\"18\" text-anchor=\"middle\">{1}</text>",
            x(ns),
            time(ns)
        );
    }
    for (at, (one, p50, p99)) in bars.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let class = if is_hostile(one) { "s2" } else { "f2" };
        let _ = writeln!(
            svg,
            "<text class=\"axis\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text><rect class=\"{class}\" x=\"{:.1}\" \
             y=\"{:.1}\" width=\"{:.1}\" height=\"{}\"><title>{name}: p50 {}, p99 {}</title></rect>",
            LEFT - 8.0,
            y + 15.0,
            x(*p50),
            y + 4.0,
            (x(*p99) - x(*p50)).max(2.0),
            ROW - 8.0,
            time(*p50),
            time(*p99),
            name = escape(one.neighbour)
        );
    }
    Some((mode, svg + "</svg>\n"))
}
