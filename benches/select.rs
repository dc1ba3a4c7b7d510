//! Which kernel wins at which size and alignment on this CPU?
//!
//! An interleaved sweep of its own, not criterion's: contenders of one cell run in turns, so that drift of a shared
//! machine falls on all of them alike. It prints what to use, saves a record under `results/`, and ends with the
//! record's folder. Criterion's options are understood, as far as they mean something here.

mod support;

use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::summary::Summary;
use memcpy_select::measure::sweep::{Contender, Sample, Sweep};
use memcpy_select::record::{Environment, Record};
use memcpy_select::report;
use std::process::ExitCode;
use support::harness;

fn main() -> ExitCode {
    let question = "Which kernel wins at which size and alignment on this CPU?";
    harness::main("select", question, Contender::all_available, measure)
}

fn measure(effort: Effort) -> ExitCode {
    let pinned_to = support::pin();
    let cpu = Cpu::detect();
    let mut environment = Environment::gather(&cpu, effort, pinned_to);
    println!("{}", report::machine(&environment, &conditions(&cpu, pinned_to)));

    let (mut contenders, failed) = harness::verified(Contender::all_available());
    contenders.extend(harness::peers(&mut environment));
    contenders.extend(Contender::libc_again());
    let grid = effort.grid();
    let mut sweep = match Sweep::new(contenders, effort.buffer_bytes(&cpu), effort) {
        Ok(sweep) => sweep,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };

    let passes = |cell: &Cell| effort.passes(cell.len_bytes);
    let progress = harness::progress(grid.iter().flatten().map(|cell| passes(cell) as usize).sum());
    let mut samples: Vec<Sample> = Vec::new();
    for (at, column) in grid.iter().enumerate() {
        for pass in 0..column.iter().map(passes).max().unwrap_or(0) {
            for cell in column.iter().filter(|cell| pass < passes(cell)) {
                progress.set_message(cell.to_string());
                samples.extend(sweep.measure(*cell, pass));
                progress.inc(1);
            }
        }
        if at == 0 {
            let summary = Summary::of(&samples);
            progress.suspend(|| {
                println!("{}\n{}", report::answer(&summary), report::selection_table(&summary, true));
            });
        }
    }
    progress.finish_and_clear();

    let summary = Summary::of(&samples);
    println!(
        "{}\n{}\n{}",
        report::placement_table(&summary),
        report::kernel_table(&summary, &environment),
        report::losses(&summary)
    );

    environment.noise_floor = summary.noise_floor;
    harness::save(Record::new("select", environment, samples), &failed);
    ExitCode::SUCCESS
}
