//! Records of bench `neighbour`: what an honest client notices of its neighbours, and what its safety costs.

#![forbid(unsafe_code)]

use super::{Shown, Table, escape, figure, finite, none};
use crate::measure::ipc::{percentile, together};
use crate::measure::statistics::{median, paired_ratio};
use crate::record::round_trips;
use crate::report::format::size;
use crate::report::ipc::time;
use crate::report::ipc_answers::signed_percent;
use serde::Deserialize;
use std::fmt::Write;

const IDLE: &str = "idle";
const BUSY: &str = "busy";
const STRANGER: &str = "stranger";
const CONNECTS_ELSEWHERE: &str = "stranger_connects";

/// What the neighbours do that are known here.
const KNOWN: [(&str, &str); 15] = [
    (IDLE, "an honest client that does nothing"),
    (BUSY, "an honest client that asks as often as it can"),
    (STRANGER, "no client: a process that uses all time it gets"),
    (CONNECTS_ELSEWHERE, "no client: a process that opens connections to itself without end"),
    ("scribbles", "writes random bytes over the memory that it shares with the server"),
    ("floods_descriptors", "passes file descriptors to the server without end"),
    ("floods_requests", "sends requests without end"),
    ("floods_greetings", "opens connections and says nothing"),
    ("greets", "asks for sessions without end, and takes none"),
    ("takes_places", "as greets, and keeps the connections open"),
    ("rings", "signals the server without end and asks for nothing"),
    ("wakes", "takes and posts the wakes of the semaphores that it shares with the server"),
    ("stops", "fills its ring, writes its last request in part, and stands still"),
    ("leaves", "connects and leaves at once, again and again"),
    ("dies", "asks for something and is killed before the answer, again and again"),
];

#[derive(Deserialize)]
struct Row {
    mode: String,
    neighbour: String,
    round: u32,
    round_trips: String,
}

/// What was seen beside one neighbour in one mode.
struct Beside {
    mode: String,
    neighbour: String,
    /// Of each round, in the order of rounds.
    rounds: Vec<(u32, Vec<(u64, u32)>)>,
}

impl Beside {
    fn all(&self) -> Vec<(u64, u32)> {
        together(self.rounds.iter().map(|(_, trips)| trips.as_slice()))
    }

    fn p99_ns(&self) -> Option<f64> {
        percentile(&self.all(), 0.99).map(|ns| ns as f64)
    }

    /// How much longer the 99th percentile is than beside another neighbour, round by round, as a share.
    fn more_than(&self, other: &Self) -> Option<f64> {
        let of = |beside: &Self| -> Vec<f64> {
            beside.rounds.iter().filter_map(|(_, trips)| percentile(trips, 0.99)).map(|ns| ns as f64).collect()
        };
        finite(paired_ratio(&of(self), &of(other))).map(|ratio| ratio - 1.0)
    }
}

/// All that was seen, if the rows can be read.
fn read(table: &crate::record::Table) -> Option<Vec<Beside>> {
    let mut all: Vec<Beside> = Vec::new();
    for Row { mode, neighbour, round, round_trips: trips } in table.rows::<Row>().ok()? {
        let at = all.iter().position(|one| one.mode == mode && one.neighbour == neighbour).unwrap_or_else(|| {
            all.push(Beside { mode, neighbour, rounds: Vec::new() });
            all.len() - 1
        });
        all[at].rounds.push((round, round_trips(&trips).ok()?));
    }
    all.iter_mut().for_each(|one| one.rounds.sort_by_key(|(round, _)| *round));
    // Those that are known in their order, then the others.
    all.sort_by_key(|one| KNOWN.iter().position(|(name, _)| *name == one.neighbour).unwrap_or(KNOWN.len()));
    Some(all)
}

/// The part of the page; nothing where the rows cannot be read.
pub(super) fn section(shown: &Shown<'_>) -> Option<String> {
    let all = read(shown.record.table("neighbour")?)?;
    let mut modes: Vec<&str> = Vec::new();
    for one in &all {
        if !modes.contains(&one.mode.as_str()) {
            modes.push(&one.mode);
        }
    }
    modes.sort_unstable();
    let mut html =
        String::from("<h2>What an honest client notices of a hostile neighbour</h2>\n<div class=\"answer\">\n");
    let heads = ["how all wait", "idle", "busy", "stranger", "worst hostile", "which", "it adds to busy"];
    let mut table = Table::new(&heads);
    for mode in &modes {
        let of = |name: &str| all.iter().find(|one| one.mode == *mode && one.neighbour == name);
        let p99 = |one: Option<&Beside>| one.and_then(Beside::p99_ns).map_or_else(none, time);
        let busy = of(BUSY);
        let hostile = all
            .iter()
            .filter(|one| one.mode == *mode && ![IDLE, BUSY, STRANGER, CONNECTS_ELSEWHERE].contains(&&*one.neighbour));
        let more = hostile.filter_map(|one| Some((one, one.more_than(busy?)?)));
        let worst = more.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((one, more)) = &worst {
            let _ = writeln!(
                html,
                "<p><b>{}</b>: beside the worst hostile neighbour, <code>{}</code>, 99 of 100 requests of an honest client take \
                 at most {}; beside an honest busy one {} ({}).</p>",
                escape(mode),
                escape(&one.neighbour),
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
            worst.as_ref().map_or_else(none, |(one, _)| format!("<code>{}</code>", escape(&one.neighbour))),
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
        KNOWN[0].1,
        KNOWN[1].1,
        KNOWN[2].1
    );
    for mode in modes {
        html.push_str(&every_neighbour(&all, mode));
    }
    Some(html)
}

fn every_neighbour(all: &[Beside], mode: &str) -> String {
    let of_mode = || all.iter().filter(|one| one.mode == mode);
    let find = |name: &str| of_mode().find(|one| one.neighbour == name);
    let mut table = Table::new(&[
        "neighbour",
        "requests",
        "p50",
        "p99",
        "p99.9",
        "p99, more than idle",
        "than busy",
        "what it does",
    ]);
    for one in of_mode() {
        let trips = one.all();
        let at = |share| percentile(&trips, share).map_or_else(none, |ns| time(ns as f64));
        let over =
            |other: Option<&Beside>| other.and_then(|other| one.more_than(other)).map_or_else(none, signed_percent);
        let does = KNOWN.iter().find(|(name, _)| *name == one.neighbour).map_or("", |(_, does)| does);
        table.row(&[
            format!("<code>{}</code>", escape(&one.neighbour)),
            trips.iter().map(|(_, count)| u64::from(*count)).sum::<u64>().to_string(),
            at(0.5),
            at(0.99),
            at(0.999),
            over(find(IDLE)),
            over(find(BUSY)),
            does.to_owned(),
        ]);
    }
    format!(
        "<details><summary>Every neighbour, {}</summary>\n<div class=\"words\">{}</div></details>\n",
        escape(mode),
        table.html()
    )
}

#[derive(Deserialize)]
struct Price {
    what: String,
    allocator: String,
    size: u32,
    #[allow(dead_code, reason = "rows are in the order of rounds")]
    round: u32,
    turns: u64,
    total_ns: u64,
}

/// What blocks of one's own and looking at every entry of a chain cost; nothing where the rows cannot be read.
pub(super) fn safety(shown: &Shown<'_>) -> Option<String> {
    let prices: Vec<Price> = shown.record.table("safety")?.rows().ok()?;
    let turns_ns = |what: &str, allocator: &str, of_size: u32| -> Vec<f64> {
        let is_it = |one: &&Price| one.what == what && one.allocator == allocator && one.size == of_size;
        prices.iter().filter(is_it).map(|one| one.total_ns as f64 / one.turns.max(1) as f64).collect()
    };
    let sizes = |what: &str| {
        let mut sizes: Vec<u32> = prices.iter().filter(|one| one.what == what).map(|one| one.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    };
    let mut table = Table::new(&["", "own blocks", "one shared list", "own vs shared"]);
    let mut ratios = Vec::new();
    let rows = sizes("allocate").into_iter().map(|count| ("allocate", count));
    for (what, of_size) in rows.chain(sizes("request").into_iter().map(|bytes| ("request", bytes))) {
        let [own, shared] = ["owned", "shared"].map(|allocator| turns_ns(what, allocator, of_size));
        // The time of the shared one over that of the own one: how many times as fast the own one is.
        let ratio = finite(paired_ratio(&shared, &own));
        ratios.extend(ratio.filter(|_| what == "request"));
        table.row(&[
            if what == "allocate" {
                format!("{of_size} block{} taken and given back", if of_size == 1 { "" } else { "s" })
            } else {
                format!("{} there and back", size(of_size as usize))
            },
            median(&own).map_or_else(none, time),
            median(&shared).map_or_else(none, time),
            ratio.map_or_else(none, |ratio| format!("{ratio:.2}×")),
        ]);
    }
    let mut chains = Table::new(&["entries of a chain", "checked in", "an entry"]);
    for entries in sizes("validate") {
        let whole = median(&turns_ns("validate", "", entries));
        let each = whole.map(|whole| whole / f64::from(entries.max(1)));
        chains.row(&[entries.to_string(), whole.map_or_else(none, time), each.map_or_else(none, time)]);
    }
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
        "<div class=\"phrases\">{}</div>\n<p class=\"note\">Both sides in one thread, so that nothing but the code is timed; medians of a turn. “vs”: how many \
         times as fast.</p>\n{}<p class=\"note\">A payload longer than a block comes as a chain of blocks, which the receiver \
         checks entry by entry.</p>",
        table.html(),
        chains.html()
    );
    Some(html)
}
