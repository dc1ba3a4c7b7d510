//! The table of programs, and the sentences about it, for the terminal and the page.

#![forbid(unsafe_code)]

use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::programs::ProgramRecord;
use crate::lab::programs::arms::Arm;
use crate::lab::programs::run::not_there;
use crate::lab::programs::summary::{LEAST_GAIN, LEAST_ROUNDS, Measured, Ratio, SLOWEST, Verdict, is_right};
use crate::lab::show::page::none;
use crate::lab::show::{FigureTable, count, hanging, signed_percent, time};

/// A change of time with its interval: `-3.1% (-4.0 to -2.2)`.
pub(super) fn change(ratio: Option<Ratio>) -> String {
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    ratio.map_or_else(none, |ratio| match ratio.interval {
        Some((low, high)) => {
            format!("{} ({:+.1} to {:+.1})", signed_percent(ratio.median - 1.0), percent(low), percent(high))
        }
        None => signed_percent(ratio.median - 1.0),
    })
}

/// Every program that has times.
pub(super) fn programs(record: &ProgramRecord) -> FigureTable {
    let floor = record.noise_floor();
    let mut table = FigureTable::new(&[
        "program",
        "with libc",
        "with the drop-in",
        "is",
        "tuned libc",
        "libc again",
        "processor time",
        "copying",
        "predicted",
        "kind",
    ]);
    for one in record.measured().iter().filter(|one| one.rounds() > 0) {
        let copying = record.copying_of(one.program);
        let kind = record.installed.iter().find(|known| known.program == one.program);
        let drop_in = one.wall(Arm::DropIn);
        table.row(
            one.program,
            [
                one.wall_ns(Arm::Libc).map_or_else(none, time),
                change(drop_in),
                drop_in.map_or_else(none, |ratio| ratio.verdict(floor).name().to_owned()),
                change(one.wall(Arm::Tuned)),
                change(one.wall(Arm::LibcAgain)),
                change(one.cpu(Arm::DropIn)),
                copying.and_then(|one| one.share).map_or_else(none, |share| format!("{:.1}%", share * 100.0)),
                copying.and_then(|one| one.predicted_ratio).map_or_else(none, |ratio| signed_percent(ratio - 1.0)),
                kind.map_or_else(none, |known| known.kind.clone()),
            ],
        );
    }
    table
}

/// The answer, in sentences.
pub(super) fn answer(record: &ProgramRecord) -> Vec<String> {
    let measured = record.measured();
    let ratios: Vec<(&Measured<'_>, Ratio)> =
        measured.iter().filter_map(|one| Some((one, one.wall(Arm::DropIn)?))).collect();
    if ratios.is_empty() {
        return Vec::new();
    }
    let floor = record.noise_floor();
    let named = |is_it: &dyn Fn(&Ratio) -> bool| {
        let names: Vec<&str> = ratios.iter().filter(|(_, ratio)| is_it(ratio)).map(|(one, _)| one.program).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let mean = geometric_mean(ratios.iter().map(|(_, ratio)| ratio.median)).unwrap_or(1.0);
    let mut lines = vec![
        format!(
            "With the drop-in library {} took {} of their time with the installed libc, geometric mean.",
            count(ratios.len(), "program"),
            format_args!("{:.1}%", mean * 100.0)
        ),
        format!("Faster: {}.", named(&|ratio| ratio.verdict(floor) == Verdict::Faster)),
        format!("Slower: {}.", named(&|ratio| ratio.verdict(floor) == Verdict::Slower)),
        format!(
            "More than {:.0}% slower beyond the interval: {}.",
            (SLOWEST - 1.0) * 100.0,
            named(&Ratio::is_too_slow)
        ),
    ];
    let most = ratios.iter().filter_map(|(one, _)| Some(one.wall(Arm::LibcAgain)?.median - 1.0));
    if let Some(most) = most.max_by(|a, b| a.abs().total_cmp(&b.abs())) {
        lines.push(format!("The installed libc against itself: at most {}.", signed_percent(most)));
    }
    let predicted = measured.iter().filter_map(|one| {
        let predicted = record.copying_of(one.program)?.predicted_ratio?;
        Some((one.program, predicted, one.cpu(Arm::DropIn)?.median))
    });
    let predicted: Vec<(&str, f64, f64)> = predicted.collect();
    if !predicted.is_empty() {
        let gains = predicted.iter().filter(|(_, ratio, _)| 1.0 - ratio >= LEAST_GAIN).map(|(name, ..)| *name);
        let gains: Vec<&str> = gains.collect();
        let right = predicted.iter().filter(|(_, predicted, measured)| is_right(*predicted, *measured)).count();
        lines.push(format!(
            "Predicted to save {:.0}% of the processor time or more: {}. Of {}, {right} are within a third of the gain that \
             was measured, or within one percentage point.",
            LEAST_GAIN * 100.0,
            if gains.is_empty() { "none".to_owned() } else { gains.join(", ") },
            count(predicted.len(), "prediction")
        ));
    }
    if ratios.iter().any(|(_, ratio)| ratio.interval.is_none()) {
        lines.push(format!("Fewer than {LEAST_ROUNDS} rounds have no interval: they say nothing of a program."));
    }
    lines
}

/// What was left out, and why.
pub(super) fn left_out(record: &ProgramRecord) -> Vec<String> {
    let missing = record.installed.iter().filter(|one| !one.missing.is_empty());
    let missing = missing.map(|one| format!("{}: {}", one.program, not_there(one)));
    let obstacles = record.installed.iter().filter(|one| one.missing.is_empty() && !one.obstacle.is_empty());
    let obstacles =
        obstacles.map(|one| format!("{}: the drop-in library changes nothing: {}", one.program, one.obstacle));
    let measured = record.measured();
    let failed = measured.iter().flat_map(|one| {
        one.errors.iter().map(|(arm, error)| format!("{} with {arm}: {error}", one.program)).collect::<Vec<_>>()
    });
    missing.chain(obstacles).chain(failed).collect()
}

/// All of it, for a terminal.
pub fn text(record: &ProgramRecord) -> String {
    let mut text = programs(record).text(5);
    if !text.is_empty() {
        text.push_str(
            "Change of the wall time; below 0 is faster. In brackets: 95% of the medians of resampled rounds.\n\n",
        );
    }
    for line in answer(record) {
        text.push_str(&hanging(0, &line));
    }
    for line in left_out(record) {
        text.push_str(&hanging(2, &format!("left out: {line}")));
    }
    if text.is_empty() {
        text.push_str("no program was measured\n");
    }
    text + "\n"
}
