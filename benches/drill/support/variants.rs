//! What the benches share that compare variants of one loop: an interleaved sweep over a few lengths, a table, a record.

use super::harness;
use memcpy_select::cpu::Cpu;
use memcpy_select::cpu::{Features, features};
use memcpy_select::kernel::CopyFn;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::contender::{Contender, LIBC};
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::statistics::geometric_mean;
use memcpy_select::measure::summary::Summary;
use memcpy_select::measure::sweep::Sweep;
use memcpy_select::record::{Environment, Record};
use memcpy_select::report;
use std::process::ExitCode;

/// One way to write the loop.
pub struct Variant {
    /// Its name in records.
    pub name: &'static str,
    /// What the CPU must have.
    pub needs: Features,
    /// Its code, which keeps the kernel contract.
    pub entry: CopyFn,
}

impl Variant {
    /// As a contender, if this CPU can run it.
    pub fn contender(&self) -> Option<Contender> {
        // SAFETY: each variant copies as the contract says, and this CPU has what it needs.
        let ready = || unsafe { Contender::foreign(self.name, self.entry) };
        features().contains(self.needs).then(ready)
    }
}

/// Measures the contenders at these lengths, prints how they compare, and keeps a record.
pub fn measure(bench: &str, contenders: Vec<Contender>, lengths: &[usize], effort: Effort) -> ExitCode {
    let pinned_to = super::pin();
    let cpu = Cpu::detect();
    let mut environment = Environment::gather(&cpu, effort, pinned_to);
    super::print(format_args!("{}\n", report::machine(&environment, &conditions(&cpu, pinned_to))));

    let (mut contenders, failed) = harness::verified(contenders);
    contenders.extend(Contender::libc_again());
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut sweep = match Sweep::new(contenders, longest, effort) {
        Ok(sweep) => sweep,
        Err(error) => {
            report::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let progress = harness::progress(lengths.len() * effort.passes(0) as usize);
    let mut samples = Vec::new();
    for pass in 0..effort.passes(0) {
        for len_bytes in lengths {
            samples.extend(sweep.measure(Cell::hot(*len_bytes, 0, 0), pass));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    let summary = Summary::of(&samples);
    print_table(&summary);
    environment.noise_floor = summary.noise_floor;
    harness::save(Record::new(bench, environment, samples), &failed);
    ExitCode::SUCCESS
}

/// So many columns of lengths fit a terminal of 80.
const CELLS_SHOWN: usize = 5;

/// Fastest first: time as a multiple of the installed libc's.
fn print_table(summary: &Summary) {
    let mut rows: Vec<(f64, &str, Vec<f64>)> = Vec::new();
    let Some(first) = summary.cells.first() else { return };
    let mut names: Vec<&str> = first.kernels().collect();
    names.extend(first.others());
    for name in names {
        let ratios: Vec<f64> = summary.cells.iter().filter_map(|cell| cell.time_ratio(name, LIBC)).collect();
        if let Some(mean) = geometric_mean(ratios.iter().copied()) {
            rows.push((mean, name, ratios));
        }
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    for at in (0..summary.cells.len()).step_by(CELLS_SHOWN) {
        let shown = at..summary.cells.len().min(at + CELLS_SHOWN);
        super::print(format_args!("{:<24}{:>8}", "time over libc's", "mean"));
        for cell in &summary.cells[shown.clone()] {
            super::print(format_args!("{:>9}", report::size(cell.cell.len_bytes)));
        }
        super::print("\n");
        for (mean, name, ratios) in &rows {
            super::print(format_args!("{name:<24}{mean:>8.3}"));
            let of_shown = ratios.iter().skip(shown.start).take(shown.len());
            of_shown.for_each(|ratio| super::print(format_args!("{ratio:>9.3}")));
            super::print("\n");
        }
    }
    super::print(format_args!("  noise floor {:.1}%\n\n", (summary.noise_floor - 1.0) * 100.0));
}
