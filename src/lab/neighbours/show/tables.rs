//! Tables for the terminal and the page.

use crate::lab::instruments::statistics::{median, paired_ratio};
use crate::lab::neighbours::NeighbourRecord;
use crate::lab::neighbours::record::{AT_MOST, SLOW, Seen, Verdict};
use crate::lab::neighbours::roles::{BUSY, IDLE, NEIGHBOURS, Nature, Neighbour, original};
use crate::lab::show::page::none;
use crate::lab::show::{FigureTable, count, signed_percent, size, time};

/// Those that are known in their order, then the others, but for strangers that make the calls of others.
pub(super) fn ordered(record: &NeighbourRecord) -> Vec<Seen<'_>> {
    let mut all = record.seen();
    all.retain(|one| original(one.neighbour).is_none());
    let place = |one: &Seen<'_>| NEIGHBOURS.iter().position(|known| known.name == one.neighbour);
    all.sort_by_key(|one| place(one).unwrap_or(NEIGHBOURS.len()));
    all
}

/// The ways to wait, by name.
pub(super) fn modes<'a>(all: &[Seen<'a>]) -> Vec<&'a str> {
    let mut modes: Vec<&str> = all.iter().map(|one| one.mode).collect();
    modes.sort_unstable();
    modes.dedup();
    modes
}

pub(super) fn is_hostile(one: &Seen<'_>) -> bool {
    Neighbour::named(one.neighbour).is_none_or(|known| known.nature == Nature::Hostile)
}

/// The hostile neighbour that adds most to what an honest busy one costs, and how much that is, as a share.
pub(super) fn worst<'a, 'b>(all: &'b [Seen<'a>], mode: &str) -> Option<(&'b Seen<'a>, f64)> {
    let of_mode = || all.iter().filter(|one| one.mode == mode);
    let busy = of_mode().find(|one| one.neighbour == BUSY)?;
    let hostile = of_mode().filter(|one| is_hostile(one));
    hostile.filter_map(|one| Some((one, one.over(busy)? - 1.0))).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// What a neighbour does, as far as it is known here.
pub(super) fn about(name: &str) -> &'static str {
    Neighbour::named(name).map_or("", |known| known.about)
}

/// Every neighbour while all wait like this.
pub(super) fn every_neighbour(all: &[Seen<'_>], mode: &str) -> FigureTable {
    let of_mode = || all.iter().filter(|one| one.mode == mode);
    let find = |name: &str| of_mode().find(|one| one.neighbour == name);
    let heads = &["neighbour", "requests", "p50", "p99", "p99.9", "slow", "p99 vs idle", "vs busy", "what it does"];
    let slow_ns = find(IDLE).and_then(|idle| idle.at_ns(0.5)).map(|ns| SLOW * ns);
    let mut table = FigureTable::new(heads);
    for one in of_mode() {
        let at = |share| one.at_ns(share).map_or_else(none, time);
        let more = |other: Option<&Seen<'_>>| {
            other.and_then(|other| one.over(other)).map_or_else(none, |ratio| signed_percent(ratio - 1.0))
        };
        let slow = slow_ns.map_or_else(none, |ns| per_mille(one.share_above(ns)));
        let figures = [one.count().to_string(), at(0.5), at(0.99), at(0.999), slow, more(find(IDLE)), more(find(BUSY))];
        table.row(one.neighbour, figures.into_iter().chain([about(one.neighbour).to_owned()]));
    }
    table
}

/// A share, of a thousand.
pub(super) fn per_mille(share: f64) -> String {
    format!("{:.2}‰", 1000.0 * share)
}

/// What a slow request is, in words.
pub(super) fn about_slow() -> String {
    format!("slow: a request that takes more than {SLOW} times the median beside an idle neighbour")
}

/// Each hostile neighbour while all wait like this, against a stranger that makes the same calls elsewhere.
pub(super) fn against_strangers(verdicts: &[Verdict<'_>], mode: &str) -> FigureTable {
    let heads =
        &["hostile : the same elsewhere", "p99", "p99 else", "ratio", "95%", "slow", "slow else", "steps/s", "≤ 1.10"];
    let mut table = FigureTable::new(heads);
    for verdict in verdicts.iter().filter(|one| one.hostile.mode == mode) {
        let Verdict { hostile, stranger, ratio, slow } = verdict;
        let p99 = |one: &Seen<'_>| one.at_ns(0.99).map_or_else(none, time);
        let (low, high) = ratio.interval;
        let steps = hostile.steps_per_s().zip(stranger.steps_per_s());
        let steps = steps.map_or_else(none, |(own, other)| format!("{own:.0} : {other:.0}"));
        let ratios = [format!("{:.2}", ratio.median), format!("{low:.2}–{high:.2}")];
        let figures = [p99(hostile), p99(stranger)].into_iter().chain(ratios).chain(slow.map(per_mille));
        table.row(hostile.neighbour, figures.chain([steps, said(verdict).to_owned()]));
    }
    table
}

/// A verdict in a word.
pub(super) fn said(verdict: &Verdict<'_>) -> &'static str {
    match verdict.is_fair() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "open",
    }
}

/// All verdicts of one way to wait in a sentence; nothing where there are none.
pub(super) fn summary(verdicts: &[Verdict<'_>], mode: &str) -> Option<String> {
    let of_mode: Vec<&Verdict<'_>> = verdicts.iter().filter(|one| one.hostile.mode == mode).collect();
    let with = |word: &str| of_mode.iter().filter(|one| said(one) == word).count();
    let worst = of_mode.iter().max_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median))?;
    Some(format!(
        "{} of {} cost at most {AT_MOST:.2} times what the same calls elsewhere cost, {} more, {} open; most: {}, {:.2} times",
        with("yes"),
        count(of_mode.len(), "hostile neighbour"),
        with("no"),
        with("open"),
        worst.hostile.neighbour,
        worst.ratio.median
    ))
}

/// What blocks of one's own cost against one list that both sides write.
pub(super) fn safety(record: &NeighbourRecord) -> FigureTable {
    let mut table = FigureTable::new(&["price of safety", "own blocks", "one shared list", "own vs shared"]);
    for what in ["allocate", "request"] {
        for of_size in record.sizes(what) {
            let name = match what {
                "allocate" => format!("{} taken and given back", count(of_size as usize, "block")),
                _ => format!("{} there and back", size(of_size as usize)),
            };
            let [own, shared] = ["owned", "shared"].map(|allocator| record.turns_ns(what, allocator, of_size));
            let ratio = speed_of_own(&own, &shared).map_or_else(none, |ratio| format!("{ratio:.2}×"));
            table.row(&name, [&own, &shared].map(|ns| median(ns).map_or_else(none, time)).into_iter().chain([ratio]));
        }
    }
    table
}

/// How many times as fast own blocks are.
pub(super) fn speed_of_own(own_ns: &[f64], shared_ns: &[f64]) -> Option<f64> {
    paired_ratio(shared_ns, own_ns).filter(|ratio| ratio.is_finite())
}

/// What looking at every entry of a chain costs.
pub(super) fn chains(record: &NeighbourRecord) -> FigureTable {
    let mut table = FigureTable::new(&["entries of a chain", "checked in", "an entry"]);
    for entries in record.sizes("validate") {
        let whole = median(&record.turns_ns("validate", "", entries));
        let each = whole.map(|whole| whole / f64::from(entries.max(1)));
        table.row(&entries.to_string(), [whole, each].map(|ns| ns.map_or_else(none, time)));
    }
    table
}

/// How long newcomers took to connect.
pub(super) fn newcomers(record: &NeighbourRecord) -> FigureTable {
    let mut table = FigureTable::new(&["newcomers beside", "number", "p50", "p99", "worst"]);
    for (name, number, times_ns) in record.connects() {
        table.row(name, [number.to_string()].into_iter().chain(times_ns.map(time)));
    }
    table
}

/// All of them, for a terminal.
pub fn text(record: &NeighbourRecord) -> String {
    let (all, verdicts) = (ordered(record), record.verdicts());
    let mut text = String::new();
    for mode in modes(&all) {
        text.push_str(&format!("{mode}\n{}", every_neighbour(&all, mode).text(8)));
        if let Some((one, more)) = worst(&all, mode) {
            text.push_str(&format!("  worst: {}, {} beyond an honest busy one\n", one.neighbour, signed_percent(more)));
        }
        if let Some(summary) = summary(&verdicts, mode) {
            text.push_str(&format!("{}  {summary}\n", against_strangers(&verdicts, mode).text(usize::MAX)));
        }
        text.push('\n');
    }
    if !all.is_empty() {
        text.push_str(&format!("{}\n\n", about_slow()));
    }
    for table in [safety(record), chains(record), newcomers(record)].iter().filter(|table| !table.is_empty()) {
        text.push_str(&table.text(usize::MAX));
        text.push('\n');
    }
    text
}
