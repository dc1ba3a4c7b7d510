//! Tables for the terminal and the page.

#![forbid(unsafe_code)]

use super::buckets::{Bucket, COPIES};
use super::sentences::{bytes, many, part, seconds};
use crate::lab::calls::estimate::costs;
use crate::lab::calls::record::{Figure, Process, Site};
use crate::lab::calls::run::Choice;
use crate::lab::calls::totals::{Kind, Sum, Totals};
use crate::lab::show::{FigureTable, signed_time, size, time};
use std::collections::BTreeMap;

/// How long the longest bar is, in characters.
const BAR: usize = 20;

/// So much of the whole as a bar.
fn bar(some: f64, most: f64) -> String {
    let length = if most > 0.0 { (some / most * BAR as f64).round() as usize } else { 0 };
    let shown = if some > 0.0 { length.max(1) } else { 0 };
    format!("{:<BAR$}", "#".repeat(shown.min(BAR)))
}

/// Calls and bytes by length, as bars.
pub fn lengths(buckets: &[Bucket]) -> FigureTable {
    let mut table = FigureTable::new(&["length", "", "calls", "", "bytes", "fills"]);
    let all = Sum::of(buckets.iter().map(|bucket| bucket.copies));
    let fills = Sum::of(buckets.iter().map(|bucket| bucket.fills));
    let most = |of: fn(&Sum) -> u64| buckets.iter().map(|bucket| of(&bucket.copies)).max().unwrap_or(0) as f64;
    let (most_calls, most_bytes) = (most(|sum| sum.calls), most(|sum| sum.bytes));
    for bucket in buckets {
        let Sum { calls, bytes } = bucket.copies;
        let (calls, bytes) = (calls as f64, bytes as f64);
        let row = [
            bar(calls, most_calls),
            part(calls, all.calls as f64),
            bar(bytes, most_bytes),
            part(bytes, all.bytes as f64),
            part(bucket.fills.calls as f64, fills.calls as f64),
        ];
        table.row(&bucket.name(), row);
    }
    table
}

/// What each length costs: the two routines at each octave.
pub fn timed(totals: &Totals) -> FigureTable {
    let mut table = FigureTable::new(&["copies of", "calls", "libc", "plan", "plan saves a call", "of all copying"]);
    let Some(all) = totals.costs().libc else { return table };
    for ((from, up_to), bins) in totals.octaves(Figure::TimedCopies) {
        let costs = costs(&bins);
        let (Some(libc), Some(plan)) = (costs.libc, costs.plan) else { continue };
        let calls = bins.iter().map(|bin| bin.calls).fold(0, u64::saturating_add);
        let each = |ticks: f64| ticks / calls.max(1) as f64 / totals.ticks_per_ns;
        let name =
            Bucket { from_bytes: from, up_to_bytes: up_to, copies: Sum::default(), fills: Sum::default() }.name();
        let saved = costs.saved.interval();
        let figures = [
            many(calls),
            time(each(libc.value).max(0.0)),
            time(each(plan.value).max(0.0)),
            match costs.saved.is_sure() {
                true => signed_time(each(costs.saved.value)),
                false => format!("= ({} to {})", signed_time(each(saved.0)), signed_time(each(saved.1))),
            },
            part(libc.value.max(0.0), all.value),
        ];
        table.row(&name, figures);
    }
    table
}

/// Where sampled copies are: alignment, distance, overlap.
pub fn places(totals: &Totals) -> FigureTable {
    let mut table = FigureTable::new(&["where copies are", "calls", "bytes"]);
    let mut row = |name: &str, some: Sum, all: Sum| {
        if all.calls > 0 {
            table.row(name, [part(some.calls as f64, all.calls as f64), part(some.bytes as f64, all.bytes as f64)]);
        }
    };
    let sum = |figure: Figure, test: &dyn Fn(u64, u64) -> bool| {
        Sum::of(totals.figure(figure).filter(|(_, (from, up_to), _)| test(*from, *up_to)).map(|(_, _, sum)| sum))
    };
    for (figure, name) in
        [(Figure::DstOffset, "destination"), (Figure::SrcOffset, "source"), (Figure::FillOffset, "fill")]
    {
        let all = sum(figure, &|_, _| true);
        row(&format!("{name} on a cache line"), sum(figure, &|at, _| at == 0), all);
        row(&format!("{name} on 16 bytes, no line"), sum(figure, &|at, _| at != 0 && at % 16 == 0), all);
        row(&format!("{name} on 8 bytes, no 16"), sum(figure, &|at, _| at % 16 == 8), all);
        row(&format!("{name} elsewhere"), sum(figure, &|at, _| at % 8 != 0), all);
    }
    let all = sum(Figure::Distance, &|_, _| true);
    let after = sum(Figure::Distance, &|_, up_to| up_to < 256);
    row("destination 0 to 255 bytes after the source modulo 4096", after, all);
    row("source 1 to 256 bytes after the destination modulo 4096", sum(Figure::Distance, &|from, _| from >= 3840), all);
    let all = totals.calls(&COPIES);
    row("overlapping, destination lower", totals.calls(&[Kind::MoveDown]), all);
    row("overlapping, destination higher", totals.calls(&[Kind::MoveUp]), all);
    row("onto itself", totals.calls(&[Kind::Same]), all);
    table
}

/// Which kernels the plan chooses for the sampled copies.
pub fn kernels(choices: &[Choice]) -> FigureTable {
    let mut table = FigureTable::new(&["the plan chooses", "calls", "bytes"]);
    let mut kernels: BTreeMap<&str, Sum> = BTreeMap::new();
    for one in choices {
        let sum = kernels.entry(&one.kernel).or_default();
        *sum = Sum::of([*sum, Sum { calls: one.samples, bytes: one.bytes }]);
    }
    let all = Sum::of(kernels.values().copied());
    let mut kernels: Vec<(&str, Sum)> = kernels.into_iter().collect();
    kernels.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
    for (name, sum) in kernels {
        table.row(name, [part(sum.calls as f64, all.calls as f64), part(sum.bytes as f64, all.bytes as f64)]);
    }
    table
}

/// The call sites with most time.
pub fn sites(sites: &[Site], most: usize) -> FigureTable {
    let mut table =
        FigureTable::new(&["call site", "time", "calls", "bytes", "mean length", "same length", "calls to"]);
    let all = Sum::of(sites.iter().map(|site| Sum { calls: site.samples, bytes: site.bytes }));
    let ticks: f64 = sites.iter().map(|site| site.ticks).sum();
    for site in sites.iter().take(most) {
        let mean = site.bytes / site.samples.max(1);
        let figures = [
            part(site.ticks, ticks),
            part(site.samples as f64, all.calls as f64),
            part(site.bytes as f64, all.bytes as f64),
            usize::try_from(mean).map_or_else(|_| "-".to_owned(), size),
            if site.compared > 0 { part(site.repeats as f64, site.compared as f64) } else { "-".to_owned() },
            site.calls_to.clone(),
        ];
        table.row(&site_name(site), figures);
    }
    table
}

/// A call site in words: the file, the function and the place in it.
pub fn site_name(site: &Site) -> String {
    let module = site.module.rsplit('/').next().unwrap_or_default();
    match (module, &*site.symbol) {
        ("", "") => format!("{:#x}, in no file", site.address),
        (module, "") => format!("{module}+{:#x}", site.address),
        (module, symbol) => format!("{module} {symbol}+{:#x}", site.offset),
    }
}

/// How predictable the lengths at call sites are.
pub fn repetition(sites: &[Site]) -> Option<String> {
    let sum = |of: fn(&Site) -> u64| sites.iter().map(of).fold(0, u64::saturating_add) as f64;
    let (repeats, compared, samples) = (sum(|site| site.repeats), sum(|site| site.compared), sum(|site| site.samples));
    let is_steady = |site: &&Site| site.compared >= 8 && site.repeats as f64 >= 0.9 * site.compared as f64;
    let steady = sites.iter().filter(is_steady).fold(0, |sum: u64, site| sum.saturating_add(site.samples)) as f64;
    (compared > 0.0).then(|| {
        format!(
            "Of sampled calls, {} have the length of the sample before from the same call site; {} come from sites where nine of \
             ten do, so that a branch predictor can learn them.",
            part(repeats, compared),
            part(steady, samples)
        )
    })
}

/// How soon copies are accessed again, by length and line.
pub fn reuse(totals: &Totals) -> FigureTable {
    let mut table =
        FigureTable::new(&["copies watched", "number", "within 1 us", "100 us", "10 ms", "later", "not seen"]);
    let mut whats: Vec<&str> =
        totals.figure(Figure::Reuse).chain(totals.figure(Figure::Unused)).map(|(what, ..)| what).collect();
    whats.sort_unstable();
    whats.dedup();
    for what in whats {
        let of = |figure| totals.figure(figure).filter(move |(one, ..)| *one == what);
        let unused = Sum::of(of(Figure::Unused).map(|(_, _, sum)| sum)).calls;
        let within = |from_ns: u64, to_ns: u64| {
            let some = of(Figure::Reuse).filter(|(_, (from, _), _)| (from_ns..to_ns).contains(from));
            Sum::of(some.map(|(_, _, sum)| sum)).calls as f64
        };
        let all = within(0, u64::MAX) + unused as f64;
        let parts = [(0, 1 << 10), (1 << 10, 1 << 17), (1 << 17, 1 << 23), (1 << 23, u64::MAX)];
        let parts = parts.map(|(from, to)| part(within(from, to), all));
        let figures = [many(all as u64)].into_iter().chain(parts).chain([part(unused as f64, all)]);
        let (line, length) = what.split_once(' ').unwrap_or((what, ""));
        let length =
            length.parse().map_or_else(|_| "longer".to_owned(), |bytes: usize| format!("up to {}", size(bytes)));
        table.row(&format!("{length}, {line} line"), figures);
    }
    table
}

/// The processes.
pub fn processes(all: &[Process], totals: &[Totals], most: usize) -> FigureTable {
    let mut table = FigureTable::new(&["process", "pid", "end", "CPU time", "threads", "copies", "bytes", "fills"]);
    for (process, totals) in all.iter().zip(totals).take(most) {
        let (copies, fills) = (totals.calls(&COPIES), totals.calls(&[Kind::Fill]));
        let name = process.program.rsplit('/').next().unwrap_or_default();
        let figures = [
            if process.pid == 0 { "-".to_owned() } else { process.pid.to_string() },
            process.end.clone(),
            if process.cpu_ns == 0 { "-".to_owned() } else { seconds(process.cpu_ns as f64) },
            process.threads.to_string(),
            many(copies.calls),
            bytes(copies.bytes),
            many(fills.calls),
        ];
        table.row(name, figures);
    }
    table
}
