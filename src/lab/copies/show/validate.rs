//! How plans do on the cells of records, for a terminal and for a README.

use crate::lab::copies::cell::Residency;
use crate::lab::copies::judge::{Candidate, Choice, Figures, Knows, Validation, Way};
use crate::lab::show::{count, hanging, size};
use std::borrow::Cow;
use std::fmt::Write;

/// The answer in sentences, then for each record and way of use a line for each plan.
pub fn validation_text(validations: &[Validation]) -> String {
    let mut text = answer(validations);
    for validation in validations {
        let Validation { microarchitecture, signature, record, candidates, ways, inlined } = validation;
        text.push('\n');
        text.push_str(&hanging(2, &format!("{microarchitecture} ({signature}), record {record}")));
        let _ = writeln!(text, "{:<23}{:>7}{:>7}{:>7}   worst group", "", "/libc", "/best", "slow");
        for way in ways {
            let (way_name, cells) = (way_name(way.residency), count(way.cells, "cell"));
            let _ = match way.is_held_back {
                true => writeln!(text, "  {way_name}: {cells} that no plan was made from"),
                false => writeln!(text, "  {way_name}: all its {cells}"),
            };
            for (candidate, figures) in candidates.iter().zip(&way.figures) {
                let Some(figures) = figures else { continue };
                let Figures { over_libc, over_best, slow_share, worst, .. } = figures;
                let _ = writeln!(
                    text,
                    "    {:<19}{over_libc:>7.2}{over_best:>7.2}{:>7}   {:.2} {}+ {}",
                    format!("{}{}", candidate.name, mark(candidate.knows, figures)),
                    percent(*slow_share),
                    worst.over_best,
                    size(worst.from_bytes),
                    worst.class.name(),
                );
                if figures.cells < way.cells {
                    let _ = writeln!(text, "      of {}: the others lack its kernel", count(figures.cells, "cell"));
                }
            }
        }
        if let Some((cells, over_libc)) = inlined {
            let cells = count(cells, "cell");
            let _ =
                writeln!(text, "  inlined, up to 64 bytes: memcpy_auto takes {over_libc:.2} of libc's time in {cells}");
        }
    }
    text.push('\n');
    NOTES.iter().for_each(|note| text.push_str(&hanging(2, note)));
    let marks = MARKS.iter().filter(|(mark, _)| text.contains(*mark));
    let marks: String = marks.map(|(mark, note)| hanging(2, &format!("{mark} {note}"))).collect();
    text + &marks
}

const NOTES: [&str; 4] = [
    "/libc, /best: time over that of the installed libc and of the best kernel, geometric means; below 1 is faster. The best \
     kernel is picked from some rounds and compared in others.",
    "slow: cells that take over 1.10 of the best of all that was measured there, libc and other libraries included.",
    "worst group: of the groups of one alignment class and a factor of four in length, from that length on, the one that takes \
     longest over the best kernel. Copies of up to 64 bytes are inlined and go by no plan.",
    "formulas: as if this CPU had no record, so what is said of it with its records left out. profile: the plan of this \
     version for that CPU model; its profile: the same, made from this very record. own record: the plan that the record gives; \
     \"way left out\": without its cells of that way of use. A kernel that a record is older than is judged by the one of its \
     width that the record has.",
];

/// What is behind a plan's name, and what it means.
const MARKS: [(&str, &str); 2] = [
    ("*", "in sample: made from these very cells; the record holds back none."),
    ("†", "what is known of this design was written with a record of this CPU at hand: no blind test."),
];

fn mark(knows: Knows, figures: &Figures) -> &'static str {
    match knows {
        _ if figures.is_in_sample => MARKS[0].0,
        Knows::ItsCpu => MARKS[1].0,
        Knows::Nothing | Knows::TheRecord => "",
    }
}

/// What the figures of the cells say that were held back, all records together, a sentence a plan.
fn answer(validations: &[Validation]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for candidate in validations.iter().flat_map(|validation| &validation.candidates) {
        if !names.contains(&candidate.name.as_str()) {
            names.push(&candidate.name);
        }
    }
    let pools: Vec<(&str, Pool)> =
        names.into_iter().filter_map(|name| Some((name, pooled(validations, name)?))).collect();
    let Some(((first, pool), others)) = pools.split_first() else {
        return hanging(0, "No cell of these records was held back from making plans: there is no test to pass.");
    };
    let mut candidates = validations.iter().flat_map(|validation| &validation.candidates);
    let is_known = candidates.any(|candidate| candidate.name == *first && candidate.knows == Knows::ItsCpu);
    let known = if is_known { MARKS[1].0 } else { "" };
    let mean = if pool.cpus > 1 { ", each CPU counting alike" } else { "" };
    let mut text = hanging(
        0,
        &format!(
            "On {} of {} that no plan was made from, the {first}{known} take {:.2} of libc's time and {:.2} of the best kernel's{mean}; \
             {} of the cells take over 1.10 of the best of all that was measured there.",
            count(pool.cells, "cell"),
            count(pool.cpus, "CPU"),
            pool.over_libc,
            pool.over_best,
            percent(pool.slow_share)
        ),
    );
    for (name, pool) in others {
        let Pool { over_libc, over_best, slow_share, .. } = pool;
        let _ = writeln!(text, "  {name:<22}{over_libc:.2} and {over_best:.2}, {}", percent(*slow_share));
    }
    text
}

/// The figures of a candidate over all cells that were held back, each CPU counting alike.
#[derive(Clone, Copy)]
struct Pool {
    cpus: usize,
    cells: usize,
    over_libc: f64,
    over_best: f64,
    slow_share: f64,
}

fn pooled(validations: &[Validation], name: &str) -> Option<Pool> {
    let of_one = |validation: &Validation| -> Vec<Figures> {
        let at = validation.candidates.iter().position(|candidate| candidate.name == name);
        let held_back = validation.ways.iter().filter(|way| way.is_held_back);
        held_back.filter_map(|way| way.figures[at?]).collect()
    };
    let cpus: Vec<Vec<Figures>> = validations.iter().map(of_one).filter(|figures| !figures.is_empty()).collect();
    let cells = |figures: &[Figures]| figures.iter().map(|figures| figures.cells).sum::<usize>();
    let mean_of_one = |figures: &[Figures], of: fn(&Figures) -> f64| {
        figures.iter().map(|figures| of(figures) * figures.cells as f64).sum::<f64>() / cells(figures) as f64
    };
    let mean = |of| cpus.iter().map(|figures| mean_of_one(figures, of)).sum::<f64>() / cpus.len() as f64;
    (!cpus.is_empty()).then(|| Pool {
        cpus: cpus.len(),
        cells: cpus.iter().map(|figures| cells(figures)).sum(),
        over_libc: mean(|figures| figures.over_libc.ln()).exp(),
        over_best: mean(|figures| figures.over_best.ln()).exp(),
        slow_share: mean(|figures| figures.slow_share),
    })
}

/// The same for a README, a line for each CPU and plan.
pub fn validation_markdown(validations: &[Validation]) -> String {
    const COLUMNS: [&[Residency]; 4] =
        [&[Residency::Hot], &[Residency::Used], &[Residency::Read, Residency::Touch], &[Residency::Cold]];
    let mut text = "| CPU | plan | steady | used | read | cold | worst |\n|---|---|---|---|---|---|---|\n".to_owned();
    for Validation { microarchitecture, signature, record, candidates, ways, .. } in validations {
        let shown = merged(candidates);
        for (line, (at, name)) in shown.iter().enumerate() {
            let knows = candidates[*at].knows;
            let of_way = |wanted: &&[Residency]| {
                let found = wanted.iter().find_map(|residency| ways.iter().find(|way| way.residency == *residency));
                found.map_or(Cow::Borrowed("–"), |way| markdown_cell(way, *at, knows))
            };
            let columns: Vec<Cow<'_, str>> = COLUMNS.iter().map(of_way).collect();
            let worst = ways.iter().filter_map(|way| way.figures[*at]).map(|figures| figures.worst.over_best);
            let worst = worst.max_by(f64::total_cmp).map_or_else(|| "–".to_owned(), |worst| format!("{worst:.2}"));
            let cpu = match (line, microarchitecture.as_str()) {
                (0, "unknown") => format!("[{signature}](results/{record})"),
                (0, name) => format!("[{name}](results/{record})"),
                _ => String::new(),
            };
            let known = if knows == Knows::ItsCpu { MARKS[1].0 } else { "" };
            let _ = writeln!(text, "| {cpu} | {name}{known} | {} | {worst} |", columns.join(" | "));
        }
    }
    text
}

/// Candidates by their place and name, those with one and the same plan in one line; none that has a plan for each way.
fn merged(candidates: &[Candidate]) -> Vec<(usize, String)> {
    let mut shown: Vec<(usize, String)> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let Choice::Plan(plan) = &candidate.choice else {
            continue;
        };
        let is_same = |earlier: &Candidate| {
            earlier.knows == candidate.knows && matches!(&earlier.choice, Choice::Plan(other) if other == plan)
        };
        match shown.iter_mut().find(|(earlier, _)| is_same(&candidates[*earlier])) {
            Some((_, name)) => *name = format!("{name}; {}", candidate.name),
            None => shown.push((at, candidate.name.clone())),
        }
    }
    shown
}

/// Time over libc's and the best kernel's, and the share of slow cells.
fn markdown_cell(way: &Way, at: usize, knows: Knows) -> Cow<'static, str> {
    let Some(figures) = way.figures[at] else {
        return Cow::Borrowed("–");
    };
    let in_sample = if figures.is_in_sample { mark(knows, &figures) } else { "" };
    // The asterisk is no emphasis.
    let in_sample = in_sample.replace('*', "\\*");
    let held_back = |text: String| if way.is_held_back { format!("**{text}**") } else { text };
    let Figures { over_libc, over_best, slow_share, .. } = figures;
    Cow::Owned(held_back(format!("{over_libc:.2} / {over_best:.2} / {}", percent(slow_share))) + &in_sample)
}

fn way_name(residency: Residency) -> &'static str {
    match residency {
        Residency::Used => "used",
        Residency::Read => "read",
        Residency::Touch => "read in a loop",
        Residency::Cold => "cold",
        _ => "steady",
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::copies::judge::{FORMULAS, Group};
    use crate::select::{Class, formula};

    fn figures(over_best: f64) -> Figures {
        let worst = Group { class: Class::ALL[7], from_bytes: 256 << 20, cells: 2, over_best: 2.0 };
        Figures { cells: 10, over_libc: 0.5, over_best, slow_share: 1.0, worst, is_in_sample: false }
    }

    fn validation(names: &[&str], is_held_back: bool) -> Validation {
        let plan = formula::plan(&crate::cpu::Cpu::detect(), crate::select::Policy::User);
        let figures = (0..names.len()).map(|at| Some(figures(1.0 + at as f64 / 10.0))).collect();
        Validation {
            record: "machine/day.1".to_owned(),
            microarchitecture: "Zen 9".to_owned(),
            signature: "amd-99-1-1".to_owned(),
            candidates: names.iter().map(|name| Candidate::new(*name, plan, Knows::Nothing)).collect(),
            ways: vec![Way { residency: Residency::Hot, cells: 12, is_held_back, figures }],
            inlined: None,
        }
    }

    #[test]
    fn the_answer_comes_first_and_every_other_plan_has_a_line() {
        let names = [FORMULAS, "calibration 1, 2 of 3", "calibration 2, 1 of 3"];
        let text = validation_text(&[validation(&names, true)]);
        assert!(
            text.starts_with("On 10 cells of 1 CPU that no plan was made from, the formulas take 0.50 of"),
            "{text}"
        );
        assert!(text.contains("calibration 1, 2 of 3 0.50 and 1.10, 100%"), "{text}");
        assert!(text.contains("calibration 2, 1 of 3 0.50 and 1.20, 100%"), "{text}");
        assert!(text.contains("of 10 cells: the others lack its kernel"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn records_that_hold_nothing_back_are_no_test() {
        let text = validation_text(&[validation(&[FORMULAS], false)]);
        assert!(text.starts_with("No cell of these records was held back"), "{text}");
    }

    #[test]
    fn what_follows_one_plan_is_one_line_of_a_readme() {
        let table = validation_markdown(&[validation(&[FORMULAS, "profile"], true)]);
        let line = "| [Zen 9](results/machine/day.1) | formulas; profile | **0.50 / 1.00 / 100%** | – | – | – | 2.00 |";
        assert_eq!(table.lines().skip(2).collect::<Vec<_>>(), [line]);
    }
}
