//! The answer of a run: what to use on this CPU and why, what `memcpy_auto` loses, and how to use what was found.

use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::plan::{is_held_back, ratio_of_plans};
use crate::lab::copies::show::terminal::{ALIGNED, placed};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::copies::thread::THREAD;
use crate::lab::instruments::statistics::{geometric_mean, is_tie};
use crate::lab::record::Environment;
use crate::lab::show::{hanging, range, size};
use crate::select::{INLINE_MAX_BYTES, Plan};
use std::fmt::{self, Write};
use std::path::Path;

/// The last screen of a run.
pub struct Answer<'a> {
    /// Where it ran.
    pub environment: &'a Environment,
    /// Copies by length and place.
    pub copies: &'a Summary,
    /// Calls as programs make them, if they were measured.
    pub calls: Option<&'a Summary>,
    /// The plan that `memcpy_auto` followed.
    pub in_force: &'a Plan,
    /// The plan that the copies give.
    pub own: Option<&'a Plan>,
    /// Where that plan was written.
    pub plan_file: Option<&'a Path>,
    /// Where the page was written.
    pub page: Option<&'a Path>,
    /// The folder of the record.
    pub record: &'a Path,
}

/// What a plan must gain where it was not made to be worth a line in a program: less may be where code happens to lie.
const WORTH_IT: f64 = 1.01;

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = &self.environment.cpu;
        writeln!(f, "{}", "=".repeat(78))?;
        f.write_str(&hanging(0, &format!("WHAT TO USE on {} ({})", cpu.microarchitecture, cpu.signature)))?;
        writeln!(f, "\n{}", answer(self.copies, self.environment))?;
        f.write_str(&hanging(0, &self.loss()))?;
        writeln!(f)?;
        self.plan_block(f)?;
        if let Some(page) = self.page {
            writeln!(f, "page:   {}", page.display())?;
        }
        writeln!(f, "record: {}", self.record.display())
    }
}

impl Answer<'_> {
    /// What `memcpy_auto` loses against the best kernel, and how it stands to libc.
    fn loss(&self) -> String {
        let cells = &self.copies.cells;
        let speed = |of: &dyn Fn(&CellSummary) -> Option<f64>| {
            geometric_mean(cells.iter().filter_map(of)).map(|time_ratio| 1.0 / time_ratio)
        };
        let (Some(best), Some(libc)) = (speed(&CellSummary::regret), speed(&|cell| cell.time_ratio(MEMCPY_AUTO, LIBC)))
        else {
            return "memcpy_auto was not measured.".to_owned();
        };
        let is_slower = |cell: &&CellSummary| cell.regret().is_some_and(|ratio| ratio > self.copies.noise_floor);
        let mut text = format!(
            "memcpy_auto as it is (plan: {}) is {best:.2} times as fast as the best kernel of each cell and {libc:.2} times \
             as fast as libc: geometric means of {} cells, in {} of which the best kernel is faster beyond the noise floor of \
             {:.1}%.",
            self.in_force.origin().name(),
            cells.len(),
            cells.iter().filter(is_slower).count(),
            (self.copies.noise_floor - 1.0) * 100.0
        );
        if let Some(ratio) = self.calls.and_then(calls_speed) {
            let _ = write!(text, " In calls as programs make them it is {ratio:.2} times as fast as libc.");
        }
        text
    }

    /// The plan that this run gives, if it is another one, what it gains where it was not made, and the line to write.
    fn plan_block(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(own), Some(path)) = (self.own, self.plan_file) else {
            return writeln!(f, "This run gives no plan: too little was measured.\n");
        };
        if own == self.in_force {
            return writeln!(f, "The plan of this run is the one in force: nothing is to be done.\n");
        }
        let gain = held_back_speed(self.copies, own, self.in_force);
        let measured = |gain: f64| {
            format!("is {gain:.2} times as fast as the plan in force, at lengths that it was not made from")
        };
        f.write_str(&match gain {
            Some(gain) if gain < WORTH_IT => hanging(
                0,
                &format!(
                    "The plan of this run {}: keep the one in force. It is in {}.",
                    measured(gain),
                    path.display()
                ),
            ),
            Some(gain) => {
                let text = format!("The plan of this run {}. To use it, write once in your program:", measured(gain));
                hanging(0, &text) + &line_of_code(path)
            }
            None => hanging(0, "To use the plan of this run, write once in your program:") + &line_of_code(path),
        })?;
        writeln!(f)
    }
}

fn line_of_code(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("\n    memcpy_select::select::install_file({:?})?;\n", path.display().to_string())
}

/// The text of a plan and how a program uses it. `file` is where it was saved.
pub fn use_this_plan(text: &str, file: Option<&Path>) -> String {
    let mut shown = format!("{text}\n");
    match file {
        Some(file) => {
            let _ = write!(shown, "To use this plan, write once at the start of your program:\n{}", line_of_code(file));
        }
        None => shown.push_str("To use this plan, keep it with --save FILE, and call install_file(FILE) once.\n"),
    }
    shown
}

/// How many times as fast copies are under one plan as under another at the lengths that no plan is made from: those
/// between powers of two. Kernels alone are compared; what is inlined is left out.
pub fn held_back_speed(summary: &Summary, own: &Plan, other: &Plan) -> Option<f64> {
    let held_back = summary.cells.iter().filter(|cell| is_held_back(&cell.cell));
    geometric_mean(held_back.filter_map(|cell| ratio_of_plans(cell, other, own)))
}

/// From where to where which routine is the one to use, against libc, and what limits it.
pub fn answer(summary: &Summary, environment: &Environment) -> String {
    let mut text = format!("  {:<20}{:<22}{:<18}limited by\n", "length", "use", "speed over libc");
    for (at, band) in bands(summary).into_iter().enumerate() {
        let (least, most) = (band.least, band.most);
        let times = |gain: f64| {
            if is_tie(gain, summary.noise_floor) { "=".to_owned() } else { format!("{gain:.2}x") }
        };
        let (least, most) = (times(least), times(most));
        let gain = if least == most { most } else { format!("{least} to {most}") };
        let limits = [band.from_bytes, band.to_bytes].map(|len_bytes| limit(environment, len_bytes));
        let limit =
            if limits[0] == limits[1] { limits[1].to_owned() } else { format!("{} to {}", limits[0], limits[1]) };
        let name = if band.is_inlined { format!("{}, inlined", band.name) } else { band.name.to_owned() };
        let length = if band.is_inlined && at == 0 {
            format!("up to {}", size(band.to_bytes))
        } else {
            range(band.from_bytes, band.to_bytes)
        };
        let _ = writeln!(text, "  {length:<20}{name:<22}{gain:<18}{limit}");
    }
    text.push_str(&hanging(
        2,
        "  Both ends aligned to a line, data in cache as far as it fits. \"1.50x\": 1.5 times as fast as the installed libc; \
         \"=\": within the noise floor. L1 limits by its stores, the others by the lines that they move. Where non-temporal \
         stores win in a loop and lose when the copy is read, they are not named.",
    ));
    text
}

struct UseBand<'a> {
    from_bytes: usize,
    to_bytes: usize,
    name: &'a str,
    is_inlined: bool,
    /// How many times as fast as libc, at its worst and its best length.
    least: f64,
    most: f64,
}

/// Neighbouring aligned lengths with the same advice. What ties with the advice at one length goes on from the length before.
fn bands(summary: &Summary) -> Vec<UseBand<'_>> {
    let mut bands: Vec<UseBand<'_>> = Vec::new();
    for cell in placed(summary, ALIGNED) {
        let Some(advice) = cell.advice(summary.noise_floor) else {
            continue;
        };
        let len_bytes = cell.cell.len_bytes;
        let is_inlined = len_bytes <= INLINE_MAX_BYTES && advice.name == MEMCPY_AUTO;
        let goes_on = |band: &UseBand<'_>| {
            band.is_inlined == is_inlined && (band.name == advice.name || advice.ties.contains(&band.name))
        };
        let last = bands.last_mut().filter(|band| goes_on(band));
        let name = last.as_ref().map_or(advice.name, |band| band.name);
        let gain = cell.time_ratio(LIBC, name).unwrap_or(1.0);
        match last {
            Some(band) => {
                band.to_bytes = len_bytes;
                band.least = band.least.min(gain);
                band.most = band.most.max(gain);
            }
            None => bands.push(UseBand {
                from_bytes: len_bytes,
                to_bytes: len_bytes,
                name: advice.name,
                is_inlined,
                least: gain,
                most: gain,
            }),
        }
    }
    bands
}

/// What limits a copy of that length, in a few words.
fn limit(environment: &Environment, len_bytes: usize) -> &'static str {
    let both = 2 * len_bytes as u64;
    let fits = |bytes: Option<u64>| bytes.is_some_and(|bytes| both <= bytes);
    let cpu = &environment.cpu;
    if len_bytes <= INLINE_MAX_BYTES {
        "the call"
    } else if fits(cpu.l1d_bytes) {
        "L1"
    } else if fits(cpu.l2_bytes) {
        "L2"
    } else if fits(cpu.l3_bytes) {
        "L3"
    } else {
        "memory"
    }
}

/// The thread's table beside this CPU's figures: `builtin` is `copy_from_slice`, `rust` is `rep movsq`.
pub fn thread_table(summary: &Summary) -> String {
    let mut text = format!(
        "{:<20}{:>16}    this CPU, MB/s, buffers as in the thread\n{:<20}{:>8}{:>8}{:>10}{:>10}{:>11}{:>13}\n",
        "osdev.org thread", "Ryzen 2700X", "", "builtin", "rust", "builtin", "rust", "rep_movsb", "memcpy_auto"
    );
    for row in THREAD {
        let cell = summary.cells.iter().find(|cell| cell.cell == row.cell());
        let [here, here_rust, movsb, auto] = ["portable", "rep_movsq", "rep_movsb", MEMCPY_AUTO].map(|contender| {
            let gb_per_s = cell.and_then(|cell| cell.gb_per_s(contender));
            gb_per_s.map_or_else(|| "-".to_owned(), |gb_per_s| format!("{:.0}", gb_per_s * 1e3))
        });
        let (builtin, rust) = (row.builtin_mb_per_s, row.rust_mb_per_s);
        let _ = writeln!(text, "{:<20}{builtin:>8}{rust:>8}{here:>10}{here_rust:>10}{movsb:>11}{auto:>13}", row.name);
    }
    text
}

/// How many times as fast as libc `memcpy_auto` is in sequences of calls.
fn calls_speed(calls: &Summary) -> Option<f64> {
    geometric_mean(calls.cells.iter().filter_map(|cell| cell.time_ratio(LIBC, MEMCPY_AUTO)))
}

/// Core cycles for one call, sequence by sequence.
pub fn calls_table(calls: &Summary) -> String {
    const OTHERS: [&str; 3] = [MEMCPY_AUTO, "copy_from_slice", LIBC];
    let mut text = format!("{:<32}", "core cycles a call");
    OTHERS.iter().for_each(|name| {
        let _ = write!(text, "{name:>16}");
    });
    text.push('\n');
    for cell in &calls.cells {
        let _ = write!(text, "{:<32}", cell.cell.to_string());
        for name in OTHERS {
            let cycles = cell.copy_ns(name).zip(cell.core_cycles_per_ns).map(|(ns, per_ns)| ns * per_ns);
            let _ = write!(text, "{:>16}", cycles.map_or_else(|| "-".to_owned(), |cycles| format!("{cycles:.1}")));
        }
        text.push('\n');
    }
    if let Some(speed) = calls_speed(calls) {
        let _ = writeln!(text, "memcpy_auto is {speed:.2} times as fast as libc, geometric mean");
    }
    text
}
