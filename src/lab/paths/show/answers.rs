//! What explains the paths' figures, as text: whether the tiered path is as good as its tiers, what the model says of the
//! table's copies, and what transfers do to other data in the cache.

use crate::lab::paths::show::tables::circumstances;
use crate::lab::paths::ways::Way;
use crate::lab::paths::{
    Predicted, Summary, TIERS_TOLERANCE, TOLERANCE, TierCheck, Walked, share_that_holds, tier_checks,
};
use crate::lab::show::{signed_percent, signed_time, size, time};
use std::fmt::Write;

/// The tiered path beside the best of its tiers; nothing if there is none.
pub fn tiers_table(summary: &Summary) -> String {
    let checks = tier_checks(summary);
    if checks.is_empty() {
        return String::new();
    }
    let within = checks.iter().filter(|check| check.ratio() <= TIERS_TOLERANCE).count();
    let mut text = format!(
        "tiered_measured beside the best of its tiers: within {:.0}% at {within} of {} cells\n",
        (TIERS_TOLERANCE - 1.0) * 100.0,
        checks.len()
    );
    let mut known: Option<&TierCheck> = None;
    for check in &checks {
        if known.is_none_or(|known| !known.cell.is_beside(&check.cell)) {
            let _ = writeln!(text, "  {}", circumstances(&check.cell));
        }
        known = Some(check);
        let _ = writeln!(
            text,
            "  {:>10}  {:<17}{:>9}   best {:<17}{:>9}   {:>8}",
            size(check.cell.payload_bytes),
            check.taken,
            time(check.tiered_ns),
            check.best,
            time(check.best_ns),
            signed_percent(check.ratio() - 1.0)
        );
    }
    text + "\n"
}

/// The model's terms, its sum and its error for each row of the table that copies; nothing if there is no prediction.
pub fn model_table(predictions: &[Predicted]) -> String {
    let Some(share) = share_that_holds(predictions) else {
        return String::new();
    };
    let mut text = format!(
        "the model of the table's copies: in place + wake-up + what the copies add; within {:.0}% for {:.0}% of {} rows\n",
        TOLERANCE * 100.0,
        share * 100.0,
        predictions.len()
    );
    text.push_str(
        "  both kernels: their time where the table makes the copies; replaced: accesses to the other core's lines that\n  \
         become accesses to one's own\n",
    );
    let mut known: Option<&Predicted> = None;
    for one in predictions {
        if known.is_none_or(|known| !known.cell.is_beside(&one.cell)) {
            let _ = writeln!(
                text,
                "  {}\n  {:<34}{:>10}{:>10}{:>10}{:>10}{:>13}{:>10}{:>11}{:>10}{:>9}",
                circumstances(&one.cell),
                "",
                "length",
                "in place",
                "wake-up",
                "copies",
                "both kernels",
                "replaced",
                "predicted",
                "measured",
                "error"
            );
        }
        known = Some(one);
        let name = one.kernel.as_ref().map_or_else(|| one.path.clone(), |kernel| format!("{} [{kernel}]", one.path));
        let or_none = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), signed_time);
        let _ = writeln!(
            text,
            "  {name:<34}{:>10}{:>10}{:>10}{:>10}{:>13}{:>10}{:>11}{:>10}{:>9}{}",
            size(one.cell.payload_bytes),
            time(one.in_place_ns),
            signed_time(one.wake_up_ns),
            signed_time(one.added.all_ns),
            or_none(one.added.kernels_ns),
            or_none(one.added.replaced_ns),
            signed_time(one.predicted_ns()),
            time(one.measured_ns),
            signed_percent(one.error()),
            if one.holds() { "" } else { " !" }
        );
    }
    text + "\n"
}

/// How a payload came, for reading.
pub fn way_name(walked: &Walked) -> String {
    let kernel = walked.kernel.as_deref().unwrap_or("memcpy_auto");
    let touch = if walked.touch { ", read" } else { "" };
    match walked.way {
        Way::Apart => "nothing".to_owned(),
        Way::InPlace => format!("in place{touch}"),
        _ => format!("copied out by {kernel}{touch}"),
    }
}

/// The lengths and working sets that were measured, in order.
pub fn walked_lengths(walked: &[Walked]) -> (Vec<usize>, Vec<usize>) {
    let sorted = |of: fn(&Walked) -> usize| {
        let mut all: Vec<usize> = walked.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    (sorted(|one| one.payload_bytes), sorted(|one| one.walk_bytes))
}

/// The kinds of transfer that were measured, each by one of its figures, in the order of measuring.
pub fn walked_kinds(walked: &[Walked]) -> Vec<&Walked> {
    let mut kinds: Vec<&Walked> = Vec::new();
    for one in walked {
        if !kinds.iter().any(|known| way_name(known) == way_name(one)) {
            kinds.push(one);
        }
    }
    kinds
}

/// How many times as long a walk takes after a transfer of this kind and length; nothing if that was not measured.
pub fn slowdown(walked: &[Walked], kind: &Walked, payload_bytes: usize, walk_bytes: usize) -> Option<f64> {
    let of = |one: &&Walked| {
        way_name(one) == way_name(kind) && (one.payload_bytes, one.walk_bytes) == (payload_bytes, walk_bytes)
    };
    walked.iter().find(of)?.slowdown
}

/// How much longer the consumer's own working set takes after each kind of transfer; nothing if that was not measured.
pub fn cache_table(walked: &[Walked]) -> String {
    if walked.is_empty() {
        return String::new();
    }
    let (lengths, sets) = walked_lengths(walked);
    let mut text = String::from(
        "other data in the consumer's cache: the time of a walk through it after each payload, over that after none\n",
    );
    for length in lengths {
        let _ = write!(text, "  {:<44}", format!("after payloads of {}", size(length)));
        for set in &sets {
            let _ = write!(text, "{:>12}", size(*set));
        }
        text.push('\n');
        for kind in walked_kinds(walked) {
            let _ = write!(text, "    {:<42}", way_name(kind));
            for set in &sets {
                let shown =
                    slowdown(walked, kind, length, *set).map_or_else(|| "-".to_owned(), |of| format!("{of:.2}"));
                let _ = write!(text, "{shown:>12}");
            }
            text.push('\n');
        }
    }
    text + "\n"
}
