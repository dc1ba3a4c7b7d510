//! What the first screen says: what the program copies, what that costs, and whether another way to copy would help.

#![forbid(unsafe_code)]

use super::buckets::COPIES;
use crate::lab::calls::CallsRecord;
use crate::lab::calls::estimate::Estimate;
use crate::lab::calls::totals::{Kind, Range, Sum, Totals};
use crate::lab::show::{count, size};

/// A number, exact where it is short, else with its decimal unit: `1203`, `41.2 k`, `3.50 M`.
pub fn many(number: u64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let value = number as f64;
    match UNITS.into_iter().find(|(unit, _)| value >= *unit) {
        _ if number < 10_000 => number.to_string(),
        None => number.to_string(),
        Some((unit, name)) => format!("{} {name}", crate::lab::show::gb_per_s(value / unit)),
    }
}

/// Bytes with their decimal unit.
pub fn bytes(number: u64) -> String {
    match number {
        0..1000 => format!("{number} B"),
        1000..10_000 => format!("{:.2} kB", number as f64 / 1000.0),
        _ => format!("{}B", many(number)),
    }
}

/// A time with its unit.
pub fn seconds(ns: f64) -> String {
    if ns >= 1e9 { format!("{:.2} s", ns / 1e9) } else { crate::lab::show::time(ns) }
}

/// A part of a whole as a percentage.
pub fn part(some: f64, all: f64) -> String {
    match some / all {
        share if !(all > 0.0 && share > 0.0) => "-".to_owned(),
        share if share < 5e-5 => "<0.01%".to_owned(),
        share => percent(share),
    }
}

/// A share as a percentage, with as many digits as there are to tell.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() >= 9.995 { format!("{percent:.1}%") } else { format!("{percent:.2}%") }
}

/// A share with its interval.
pub fn with_interval(share: Estimate) -> String {
    let (low, high) = share.interval();
    format!("{} ({} to {})", percent(share.value), percent(low), percent(high))
}

/// The same of what cannot be below 0.
fn at_least_nothing(share: Estimate) -> String {
    let (low, high) = share.interval();
    let [value, low, high] = [share.value, low, high].map(|share| percent(share.max(0.0)));
    format!("{value} ({low} to {high})")
}

/// What the run was, what was copied, what copying costs, and whether another way would help; a paragraph each.
pub fn paragraphs(record: &CallsRecord, totals: &Totals) -> Vec<String> {
    let mut said = vec![run(record, totals)];
    if !record.processes.is_empty() {
        said.push(copied(totals));
        said.extend(verdict(record, totals));
    }
    said.extend(record.run.as_ref().filter(|run| !run.caveat.is_empty()).map(|run| format!("Note: {}.", run.caveat)));
    said
}

fn run(record: &CallsRecord, totals: &Totals) -> String {
    let processes = record.processes.iter();
    let others = |program: &str| program.split(' ').next().and_then(|word| word.parse::<usize>().ok());
    let number: usize =
        processes.clone().map(|one| if one.pid == 0 { others(&one.program).unwrap_or(1) } else { 1 }).sum();
    let forked: u32 = processes.clone().fold(0, |sum, one| sum.saturating_add(one.forked));
    let threads: u32 = processes.fold(0, |sum, one| sum.saturating_add(one.threads));
    let mut text = record.command.clone();
    if let Some(run) = &record.run {
        text.push_str(&format!(": {} in {}", run.end, seconds(run.elapsed_ns as f64)));
    }
    if totals.cpu_ns > 0 {
        text.push_str(&format!(", {} of processor time", seconds(totals.cpu_ns as f64)));
    }
    text.push_str(&format!("; {} recorded", count(number, "process")));
    if forked > 0 {
        text.push_str(&format!(" and {forked} that they forked"));
    }
    text.push_str(&format!(", {} that copied.", count(threads, "thread")));
    text
}

fn copied(totals: &Totals) -> String {
    let (copies, fills) = (totals.calls(&COPIES), totals.calls(&[Kind::Fill]));
    let mut text = format!("It copied {}, {}", count(many(copies.calls), "time"), bytes(copies.bytes));
    if totals.cpu_ns > 0 {
        let rate = copies.calls as f64 / totals.cpu_ns as f64 * 1e9;
        text.push_str(&format!(" ({} calls in a second of processor time)", many(rate as u64)));
    }
    let overlapping = totals.calls(&[Kind::MoveDown, Kind::MoveUp, Kind::Same]);
    if overlapping.calls > 0 {
        text.push_str(&format!("; {} of the calls overlap", part(overlapping.calls as f64, copies.calls as f64)));
    }
    text.push_str(&format!("; it filled {}, {}.", count(many(fills.calls), "time"), bytes(fills.bytes)));
    let middle = |weigh: fn(&Sum) -> u64| totals.quantile(&COPIES, 0.5, weigh);
    if let (Some(by_calls), Some(by_bytes)) = (middle(|sum| sum.calls), middle(|sum| sum.bytes)) {
        text.push_str(&format!(
            " Half of the copies are of {} or less; half of the bytes are in copies of {} or more.",
            length(by_calls, false),
            length(by_bytes, true)
        ));
    }
    text
}

/// An end of a range of lengths.
fn length((from, up_to): Range, is_start: bool) -> String {
    let end = if is_start { from } else { up_to };
    usize::try_from(end).map_or_else(|_| "any length".to_owned(), size)
}

/// What copying costs, and whether another way to copy would help.
pub fn verdict(record: &CallsRecord, totals: &Totals) -> Vec<String> {
    let less = (record.processes.first().map_or(1, |process| process.period) / 16).max(1);
    let costs = totals.costs();
    let Some(all) = costs.all() else {
        return vec![format!(
            "Too few calls were timed to say what copying costs; --every {less}, or a longer run, times more."
        )];
    };
    let (Some(share), Some(saved)) = (totals.share(all), totals.share(costs.saved)) else {
        return vec!["The processor time of the program is not known, so that copying is no share of it.".to_owned()];
    };
    vec![
        answer(saved, costs.covered_share(), less),
        format!(
            "All copying and filling is {} of the processor time. Each call is timed by itself: short ones overlap with what the \
             program does around them, so that this is the most it can be.",
            at_least_nothing(share)
        ),
    ]
}

/// Whether another way to copy would help: it saves such a share of the processor time, as far as that is known.
fn answer(saved: Estimate, covered: Option<f64>, less: u32) -> String {
    let question = "Would a better copy help?";
    let Some(covered) = covered else {
        return format!("{question} Not known: one routine alone was timed; --under both compares two.");
    };
    let (low, high) = saved.interval();
    let (low, high) = (percent(low), percent(high));
    let what = "memcpy-select's plan instead of libc";
    let of = "of the processor time";
    let answer = match saved.is_sure() {
        false => format!("Nothing beyond the noise: {what} would save {low} to {high} {of}."),
        true if saved.value > 0.0 => format!("Yes: {what} would save {} ({low} to {high}) {of}.", percent(saved.value)),
        true => format!("No: {what} would cost {} {of} more.", with_interval(saved.times(-1.0))),
    };
    let rest = percent(1.0 - covered);
    match covered {
        all if all > 0.995 => format!("{question} {answer}"),
        most if most > 0.5 => {
            format!("{question} {answer} Of lengths with {rest} of the copying time too few calls were timed.")
        }
        _ => format!(
            "{question} Not known: too few calls were timed of lengths with {rest} of the copying time; --every {less}, or a longer \
             run, times more. Of the others alone: {answer}"
        ),
    }
}

/// What recording cost.
pub fn overhead(record: &CallsRecord, totals: &Totals) -> String {
    let period = record.processes.first().map_or(0, |process| process.period);
    let share = part(totals.recording_ns, totals.cpu_ns as f64);
    format!(
        "Recording took {} ({share} of the processor time), by what a call costs more in an empty loop; one call in {period} \
         was sampled.",
        seconds(totals.recording_ns)
    )
}
