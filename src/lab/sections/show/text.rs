//! The figures in eighty columns.

use crate::cpu::Components;
use crate::lab::sections::LIVE_STATES;
use crate::lab::sections::show::wins::TOLD_COPIES;
use crate::lab::sections::show::{BreakEven, CostRow, Effect, Figures};
use std::fmt::{self, Display, Formatter};

/// What the columns of the cost table are called, in the order of [`LIVE_STATES`].
const STATE_NAMES: [&str; 6] = ["initial", "xmm", "ymm", "zmm0-15", "xmm16-31", "all"];

const WIDTH: usize = 80;

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for sentence in self.answer() {
            wrapped(f, &sentence, "")?;
        }
        writeln!(f)?;
        self.write_costs(f)?;
        self.write_spills(f)?;
        self.write_break_even(f)?;
        self.ring0.as_ref().map_or(Ok(()), |ring0| ring0.write(f))?;
        self.write_validation(f)?;
        self.write_effects(f)
    }
}

impl Figures {
    /// Whether the threshold includes saving the registers: two sentences.
    pub fn answer(&self) -> [String; 2] {
        let find = |policy: &str, live: &str, copies: u32| {
            self.break_even.iter().find(|row| row.policy == policy && row.live == live && row.copies == copies)
        };
        let at = |policy: &str, live: &str, copies: u32| {
            find(policy, live, copies).map_or_else(|| "not measured".to_owned(), |row| mainly(&row.ranges))
        };
        let at_once = find("restore-at-once", "everything", 1);
        let section = at_once.map_or(0.0, |row| row.section_cycles);
        let how = if at_once.is_some_and(|row| row.is_ring0) { " (measured in ring 0)" } else { "" };
        let first = self.first_copy.iter().find(|row| row.kernel == "sse2_spill4").map_or(0.0, |row| row.cycles);
        let spilled = self.spill.iter().find(|row| row.registers == 4).map_or(0.0, |row| row.cycles);
        [
            format!(
                "In user mode vector kernels beat the best copy without vector registers at {} on this CPU; with everything \
                 in use that other code owns, saving and restoring it costs {section:.0} core cycles{how}, and then a single \
                 copy wins at {}, one of 4 that share a section at {}, one of 16 at {}, and one of 64 at {}.",
                at("user", "own", 1),
                at("restore-at-once", "everything", 1),
                at("restore-at-once", "everything", 4),
                at("restore-at-once", "everything", 16),
                at("restore-at-once", "everything", 64),
            ),
            format!(
                "Keeping four XMM registers on the stack instead costs {spilled:.1} cycles a copy, which wins at {}{}.",
                at("partial-spill", "xmm", 1),
                if first > 10.0 {
                    format!(
                        " while only XMM registers are in use; while upper halves are, the first SSE instruction and the \
                         way back cost {first:.0} cycles more, and it wins at {}",
                        at("partial-spill", "everything", 1)
                    )
                } else {
                    String::new()
                }
            ),
        ]
    }

    fn write_costs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "core cycles, by what is in use (saving everything; {:.2} cycles a ns):", self.core_cycles_per_ns)?;
        write!(f, "{:<26}", "")?;
        STATE_NAMES.iter().try_for_each(|name| write!(f, "{name:>9}"))?;
        writeln!(f)?;
        let mut names: Vec<&str> = self.costs.iter().map(|row| row.instruction.as_str()).collect();
        names.dedup();
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        for (label, condition, area) in
            [("", "dirtied", "hot"), (", unmodified", "unmodified", "hot"), (", cold", "dirtied", "cold")]
        {
            for name in &seen {
                let cells: Vec<Option<&CostRow>> = LIVE_STATES
                    .iter()
                    .map(|live| {
                        let condition = if live.is_empty() && condition == "dirtied" { "initial" } else { condition };
                        self.cost_in(name, *live, condition, area)
                    })
                    .collect();
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                write!(f, "{:<26}", format!("{name}{label}"))?;
                for cell in cells {
                    match cell {
                        Some(row) => write!(f, "{:>9.0}", row.cycles)?,
                        None => write!(f, "{:>9}", "-")?,
                    }
                }
                writeln!(f)?;
            }
        }
        let narrow = |mask: &str| {
            let row = self.costs.iter().rev().find(|row| row.mask == mask && row.instruction.contains('+'))?;
            Some(format!("{} {:.0} ({mask})", row.instruction, row.cycles))
        };
        let narrow: Vec<String> = ["sse", "sse avx"].into_iter().filter_map(narrow).collect();
        if !narrow.is_empty() {
            wrapped(f, &format!("less saved while all is in use: {}", narrow.join(", ")), "")?;
        }
        writeln!(f)
    }

    fn cost_in(&self, instruction: &str, live: Components, condition: &str, area: &str) -> Option<&CostRow> {
        let name = live.to_string();
        self.costs.iter().find(|row| {
            row.instruction == instruction
                && row.live == name
                && row.condition == condition
                && row.area == area
                && self.is_whole(&row.mask)
        })
    }

    fn write_spills(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "XMM registers kept on the stack around a copy, core cycles:")?;
        for row in &self.spill {
            let times =
                row.times_cheaper.map_or_else(String::new, |times| format!("  {times:.0} times cheaper than XSAVE"));
            writeln!(f, "  {} {:>6.1}{times}", row.registers, row.cycles)?;
        }
        let dear: Vec<String> = self
            .first_copy
            .iter()
            .filter(|row| row.cycles > 10.0)
            .map(|row| format!("{} {:.0}", row.kernel, row.cycles))
            .collect();
        if !dear.is_empty() {
            let note =
                format!("more for the first copy while the owner's upper halves are in use: {}", dear.join(", "));
            wrapped(f, &note, "")?;
        }
        writeln!(f)
    }

    fn write_break_even(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "where vector registers win, by their owner, what is in use, and how many")?;
        writeln!(f, "copies share a section (*: modelled, with a term that user mode cannot measure):")?;
        let mut done: Vec<(&str, &str)> = Vec::new();
        for row in &self.break_even {
            if done.contains(&(row.policy, row.live)) {
                continue;
            }
            done.push((row.policy, row.live));
            let source = row.source();
            writeln!(f, "  {}{source}, {}: {:.0} cycles a section", row.policy, row.live, row.section_cycles)?;
            let same = |other: &&BreakEven| (other.policy, other.live) == (row.policy, row.live);
            let of: Vec<&BreakEven> = self.break_even.iter().filter(same).collect();
            if of.iter().all(|other| other.ranges == row.ranges) {
                wrapped(f, &said(row), "    ")?;
                continue;
            }
            for copies in TOLD_COPIES {
                let Some(row) = of.iter().find(|row| row.copies == copies) else {
                    continue;
                };
                let mut text = format!("{copies:>2}: {}", said(row));
                let is_asked = row.policy == "restore-at-once";
                if is_asked && (row.ranges_cheaper != row.ranges || row.ranges_dearer != row.ranges) {
                    text += &format!(
                        " (if it cost 20% less: {}; more: {})",
                        ranges(&row.ranges_cheaper),
                        ranges(&row.ranges_dearer)
                    );
                }
                wrapped(f, &text, "    ")?;
            }
        }
        writeln!(f)
    }

    fn write_validation(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let row = &self.validation;
        let percent = |value: f64| 100.0 * value;
        let text = format!(
            "predicted before they were measured: {} sections; error {:.1}% (median), {:.1}% (95th percentile); {} of {} \
             break-evens right within one length; choosing by the model takes {:.1}% more time than the best choice \
             (mean), at worst {:.0}%; noise floor {:.1}%",
            row.points,
            percent(row.median_abs_error),
            percent(row.p95_abs_error),
            row.crossings_right,
            row.crossings,
            percent(row.regret_mean.unwrap_or(1.0) - 1.0),
            percent(row.regret_worst.unwrap_or(1.0) - 1.0),
            percent(self.noise_floor - 1.0),
        );
        wrapped(f, &text, "")?;
        writeln!(f)
    }

    fn write_effects(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, effect) in [("a switch there and back", &self.switch), ("a signal", &self.signal)] {
            let Some(effect) = effect else { continue };
            wrapped(f, &format!("{name}: {}", effect_text(effect)), "")?;
        }
        Ok(())
    }
}

/// An effect, or that there is none to be seen.
fn effect_text(effect: &Effect) -> String {
    let Effect { trips, whole_cycles, effect_cycles, interval_cycles: (low, high), mde_cycles, .. } = effect;
    let dirty = if effect.is_resolved {
        format!("{effect_cycles:.0} cycles more with dirty state (95%: {low:.0} to {high:.0}; MDE {mde_cycles:.0})")
    } else {
        format!("dirty state not resolved (MDE {mde_cycles:.0} cycles)")
    };
    let same = if effect.is_same_again_nothing { "none" } else { "a difference, which there should not be" };
    let control = if effect.is_control_found { "found" } else { "NOT found" };
    format!(
        "{whole_cycles:.0} cycles; {dirty}; {trips} trips each. Controls: the same again: {same}; a pair of {:.0} cycles \
         more: {control} as {:.0}",
        effect.control_known_cycles, effect.control_found_cycles
    )
}

fn said(row: &BreakEven) -> String {
    ranges(&row.ranges)
}

/// The widest of the ranges, and how many more there are.
fn mainly(ranges: &[(usize, usize)]) -> String {
    let width = |(from, to): &&(usize, usize)| *to as f64 / *from as f64;
    let Some(widest) = ranges.iter().max_by(|a, b| width(a).total_cmp(&width(b))) else {
        return self::ranges(&[]);
    };
    let text = self::ranges(std::slice::from_ref(widest));
    if ranges.len() > 1 { format!("mainly {text}") } else { text }
}

/// Ranges as text; `no length measured` where there is none.
pub(crate) fn ranges(ranges: &[(usize, usize)]) -> String {
    if ranges.is_empty() {
        return "no length measured".to_owned();
    }
    let one = |(from, to): &(usize, usize)| {
        if from == to { about(*from) } else { format!("{} to {}", about(*from), about(*to)) }
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A length as people say it: the grid is no finer than three digits.
pub(crate) fn about(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} KiB", three(bytes as f64 / 1024.0)),
        _ => format!("{} MiB", three(bytes as f64 / 1_048_576.0)),
    }
}

fn three(value: f64) -> String {
    let text = if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Writes a text in lines of eighty columns.
pub(super) fn wrapped(f: &mut Formatter<'_>, text: &str, indent: &str) -> fmt::Result {
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH && line.len() > indent.len() {
            writeln!(f, "{}", line.trim_end())?;
            line = format!("{indent}{}", if indent.is_empty() { "" } else { "  " });
        }
        line += word;
        line.push(' ');
    }
    writeln!(f, "{}", line.trim_end())
}
