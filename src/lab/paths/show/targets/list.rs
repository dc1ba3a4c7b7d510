//! The targets, theme by theme.

use crate::lab::paths::show::targets::ask::{Ask, Found, Quantity, is_peer};
use crate::lab::paths::show::targets::{Bound, Figure, Targets};
use crate::lab::paths::ways::Mode;
use crate::lab::paths::{Cell, Part, Placement, Predicted, Row, TOLERANCE};
use crate::lab::show::size;
use Bound::{AtLeast, AtMost};

/// What a bare request carries.
const REQUEST_BYTES: usize = 8;
/// The path of bare requests.
const REQUEST: &str = "table_request";
/// The table's plainest way for payloads, and what all its ways without a copy begin with.
const IN_PLACE: &str = "table_in_place";
const ALL_IN_PLACE: &str = "table_in_p";
/// The path whose payloads travel in the entries, the longest that it is judged by, and what the names of all ways through
/// the table begin with.
const PUSH: &str = "table_push";
const MAX_SHORT_BYTES: usize = 256;
const TABLE: &str = "table_";
/// Messages under way where many are, and how many of them are published at once: half a window.
const DEPTH: usize = 32;
const BATCH: f64 = DEPTH as f64 / 2.0;
/// From where on payloads are long: no entry has room for them.
const LONG_BYTES: usize = 4 << 10;
/// The length by which the cost of a request with a payload is known.
const SHORT_BYTES: usize = 64;
/// The table's copying ways, and the floor with the same copies, of memory that is mapped alike: where a side maps what it receives
/// for reading only, string instructions take longer on some CPUs.
const COPYING: [(&str, &str); 4] = [
    ("table_copy_read", "bare_copy_in_read_only"),
    ("table_write_copy", "bare_copy_out_read_only"),
    ("table_copy_copy", "bare_copy_copy_read_only"),
    ("table_copy_copy_shared", "bare_copy_copy"),
];

const fn polling(bytes: usize) -> Cell {
    Cell::simple(bytes, Mode::Polling, Placement::TwoCores)
}

/// A bare request against the floor and against other libraries'.
pub(crate) fn requests(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "a bare request and its answer, polling, 8 bytes each way: half round trip, p50";
    let at = polling(REQUEST_BYTES);
    let over = |other: &str| Ok(Found::over(ask.ns(REQUEST, at)?, ask.ns(other, at)?));
    targets.add(THEME, "over a bare cache line", AtMost(1.7), over("bare"));
    targets.add(THEME, "over publish-subscribe", AtMost(0.25), over("iceoryx2"));
    targets.add(THEME, "over request-response", AtMost(0.25), over("iceoryx2_request"));
    let steady = || {
        let own = ask.ns(REQUEST, at)?;
        let half = own.half_rtt_ns.ok_or_else(|| format!("round trips of {REQUEST}"))?;
        let late = Figure { value: half.p99, ..own.clone() };
        Ok(Found::over(late, own))
    };
    targets.add(THEME, "its own p99 over p50", AtMost(1.5), steady());
}

/// Payloads that travel in the entries, against a ring of bytes and against everything else.
pub(crate) fn short(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "payloads to 256 B, in the entries, polling: half round trip, p50";
    let mut sizes = ask.sizes(polling(0), REQUEST_BYTES);
    sizes.retain(|bytes| *bytes <= MAX_SHORT_BYTES);
    let others = |row: &Row| !row.path.starts_with(TABLE);
    let over_ring = |bytes| Ok(Found::over(ask.ns(PUSH, polling(bytes))?, ask.ns("byte_ring", polling(bytes))?));
    let over_best = |bytes| {
        let best = ask.best("another path", polling(bytes), Quantity::Ns, others)?;
        Ok(Found::over(ask.ns(PUSH, polling(bytes))?, best))
    };
    let over_blocks =
        |bytes| Ok(Found::over(ask.ns("table_copy_copy", polling(bytes))?, ask.ns("table_in_blocks", polling(bytes))?));
    let what = |over: &str| format!("over {over}, worst of {} sizes", sizes.len());
    targets.add(THEME, what("the ring of bytes"), AtMost(1.05), worst(&sizes, over_ring));
    targets.add(THEME, what("the best other"), AtMost(1.05), worst(&sizes, over_best));
    targets.add(THEME, what("blocks"), AtMost(1.05), worst(&sizes, over_blocks));
}

/// Sides that sleep, and sides that have nothing to do.
pub(crate) fn waiting(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "waiting: the same request, half round trip, p50";
    for (placement, word) in [(Placement::TwoCores, "two cores"), (Placement::OneCore, "one core")] {
        let at = Cell::simple(REQUEST_BYTES, Mode::Blocking, placement);
        for (other, bound) in [("unix_stream", 0.95), ("iceoryx2_event", 0.9)] {
            let over = || Ok(Found::over(ask.ns(REQUEST, at)?, ask.ns(other, at)?));
            targets.add(THEME, format!("blocking, {word}"), AtMost(bound), over());
        }
    }
    let busy = || {
        let at = |mode| Cell::simple(REQUEST_BYTES, mode, Placement::TwoCores);
        Ok(Found::over(ask.ns(REQUEST, at(Mode::Adaptive))?, ask.ns(REQUEST, at(Mode::Polling))?))
    };
    targets.add(THEME, "adaptive over polling, busy", AtMost(1.1), busy());
    let idle = ask.part(Part::Idle, "adaptive_server", 1).map(Found::alone);
    targets.add(THEME, "adaptive, idle for a second", AtMost(1.0), idle);
}

/// Many requests under way, and the system calls of both sides.
pub(crate) fn many(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "many requests: polling, 32 under way, requests a second";
    let (one, many) = (polling(REQUEST_BYTES), Cell { depth: DEPTH, ..polling(REQUEST_BYTES) });
    let rate = |path, at| ask.path(path, at, Quantity::PerSecond);
    let batched = || Ok(Found::over(rate(REQUEST, many)?, rate(REQUEST, one)?));
    targets.add(THEME, "over one by one", AtLeast(3.0), batched());
    let peer = || Ok(Found::over(rate(REQUEST, many)?, ask.best("a peer", many, Quantity::PerSecond, is_peer)?));
    targets.add(THEME, "over the best peer", AtLeast(2.0), peer());
    let calls = |at| ask.path(REQUEST, at, Quantity::Calls);
    targets.add(THEME, "calls a message, polling", AtMost(0.0), calls(one).map(Found::alone));
    // A batch of requests and a batch of answers.
    let loaded = calls(Cell { mode: Mode::Adaptive, ..many });
    let of_a_batch = |figure: Figure| Figure { value: figure.value * BATCH / 2.0, ..figure };
    targets.add(THEME, "calls a batch, adaptive", AtMost(1.0), loaded.map(of_a_batch).map(Found::alone));
}

/// Blocks and sets.
pub(crate) fn parts(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "parts by themselves, over their floor; sets of 4096 over 1";
    // So much more than the floor, or so many nanoseconds if that is more.
    let mut floored = |what: String, ns: f64, part: (Part, &str, u32), floor: (Part, &str, u32)| {
        let found = |(part, subject, members)| ask.part(part, subject, members);
        let bound = found(floor).map_or(1.2, |floor| f64::max(1.2, ns / floor.value));
        let over = || Ok(Found::over(found(part)?, found(floor)?));
        targets.add(THEME, what, AtMost(bound), over());
    };
    for held in [1, 32] {
        for subject in ["owned", "shared"] {
            let what = format!("a block taken and given back, {held} held");
            floored(what, 10.0, (Part::Block, subject, held), (Part::Block, "two_exchanges", 1));
        }
    }
    for entries in [16, 1024] {
        let what = format!("a chain's entry checked, of {entries}");
        floored(what, 2.0, (Part::ChainEntry, "resolve", entries), (Part::ChainEntry, "bare_walk", entries));
    }
    for subject in ["asleep", "quiet", "one_busy", "all_busy"] {
        let set = |members| ask.part(Part::WaitSetAny, subject, members);
        let over = || Ok(Found::over(set(4096)?, set(1)?));
        targets.add(THEME, format!("wait_set_any, {subject}"), AtMost(1.5), over());
    }
}

/// The floor with the copies of a copying way, and what a request with a short payload takes more than the floor.
fn with_request(ask: &Ask<'_>, floor: &str, bytes: usize) -> Result<Figure, String> {
    let request_ns = ask.ns(IN_PLACE, polling(SHORT_BYTES))?.value - ask.ns("bare", polling(SHORT_BYTES))?.value;
    let bare = ask.ns(floor, polling(bytes))?;
    Ok(Figure { name: format!("{floor} + request"), value: bare.value + request_ns, half_rtt_ns: None, ..bare })
}

/// The copying form against the kernel alone.
pub(crate) fn copying(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "copying forms over the same copies without a table, plus a request";
    for bytes in [64 << 10, 1 << 20] {
        for (path, floor) in COPYING {
            let over = || {
                let own = ask.ns(path, polling(bytes))?;
                Ok(Found::over(own, with_request(ask, floor, bytes)?))
            };
            targets.add(THEME, size(bytes), AtMost(1.05), over());
        }
    }
}

/// In place against every other way.
pub(crate) fn in_place(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "in place, both sides touching, polling";
    let is_own = |row: &Row| row.path.starts_with(ALL_IN_PLACE);
    let own = |bytes, quantity| ask.best(IN_PLACE, polling(bytes), quantity, is_own);
    let fastest = |bytes| {
        let is_other = |row: &Row| !is_own(row) && row.path != PUSH;
        let best = ask.best("another path", polling(bytes), Quantity::Ns, is_other)?;
        Ok(Found::over(own(bytes, Quantity::Ns)?, best))
    };
    let sizes = ask.sizes(polling(0), SHORT_BYTES);
    let count = sizes.len();
    let what = format!("over the best other, worst of {count} sizes");
    targets.add(THEME, what, AtMost(ask.noise_floor()), worst(&sizes, fastest));
    let rate = own(1 << 20, Quantity::GbPerSecond);
    let over = |other| Ok(Found::over(rate.clone()?, ask.path(other, polling(1 << 20), Quantity::GbPerSecond)?));
    targets.add(THEME, "1 MiB one way", AtLeast(3.0), over("unix_stream"));
    targets.add(THEME, "1 MiB one way", AtLeast(2.0), over("pipe"));
    let best = |bytes, quantity| ask.best("a peer", polling(bytes), quantity, is_peer);
    let peer = || Ok(Found::over(rate.clone()?, best(1 << 20, Quantity::GbPerSecond)?));
    targets.add(THEME, "1 MiB one way, best peer", AtLeast(1.0), peer());
    let peer = || Ok(Found::over(own(SHORT_BYTES, Quantity::Ns)?, best(SHORT_BYTES, Quantity::Ns)?));
    targets.add(THEME, "64 B latency, best peer", AtMost(0.25), peer());
}

/// Long payloads, by whatever way through the table is the best, against every other way.
pub(crate) fn long(ask: &Ask<'_>, targets: &mut Targets) {
    const THEME: &str = "payloads from 4 KiB on, the table's best way against every other, polling";
    let sizes = ask.sizes(polling(0), LONG_BYTES);
    let is_own = |row: &Row| row.path.starts_with(TABLE);
    let best = |bytes, quantity| {
        let own = ask.best("a way through the table", polling(bytes), quantity, is_own)?;
        Ok::<_, String>((own, ask.best("another path", polling(bytes), quantity, |row| !is_own(row))?))
    };
    let slower = |bytes| best(bytes, Quantity::Ns).map(|(own, other)| Found::over(own, other));
    let faster = |bytes| best(bytes, Quantity::GbPerSecond).map(|(own, other)| Found::over(other, own));
    let noise_floor = ask.noise_floor();
    let count = sizes.len();
    targets.add(THEME, format!("half round trip, worst of {count} sizes"), AtMost(noise_floor), worst(&sizes, slower));
    targets.add(
        THEME,
        format!("one way, the other over it, worst of {count} sizes"),
        AtMost(noise_floor),
        worst(&sizes, faster),
    );
}

/// The tiered path against its tiers, and the model against what was measured.
pub(crate) fn tiers_and_model(ask: &Ask<'_>, targets: &mut Targets) {
    const TIERED: &str = "tiers: measured limits over the best tier, polling";
    let tiered = |bytes| {
        let tiers = ["inline", "process_vm_readv", "cow_handover"];
        let best = ask.best("a tier", polling(bytes), Quantity::Ns, |row| tiers.contains(&row.path.as_str()))?;
        Ok(Found::over(ask.ns("tiered_measured", polling(bytes))?, best))
    };
    let sizes = ask.sizes(polling(0), SHORT_BYTES);
    targets.add(TIERED, format!("worst of {} sizes", sizes.len()), AtMost(1.05), worst(&sizes, tiered));

    const MODEL: &str = "model: in place + copies + wake-up, error of the prediction";
    for mode in [Mode::Polling, Mode::Blocking] {
        let of_mode: Vec<&Predicted> = ask.predictions.iter().filter(|one| one.cell.mode == mode).collect();
        // One row in twenty may be farther off.
        let mut by_error: Vec<&Predicted> = of_mode.clone();
        by_error.sort_by(|a, b| a.error().abs().total_cmp(&b.error().abs()));
        by_error.truncate((0.95 * of_mode.len() as f64).ceil() as usize);
        let what = format!("{mode}, 95% of {} rows", of_mode.len());
        targets.add(MODEL, what, AtMost(TOLERANCE), worst(&by_error, |one| Ok(ask.predicted(one))));
    }
}

/// The largest ratio of several cases; nothing missing may hide behind those that are there.
fn worst<T: Copy>(cases: &[T], found: impl Fn(T) -> Result<Found, String>) -> Result<Found, String> {
    let all: Vec<Found> = cases.iter().map(|case| found(*case)).collect::<Result<_, _>>()?;
    let worst = all.into_iter().reduce(|a, b| if b.ratio > a.ratio { b } else { a });
    worst.ok_or_else(|| "any such row".to_owned())
}
