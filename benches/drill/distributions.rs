//! Who is fastest where programs really copy: random lengths and places, from the call distributions of a fleet?
//!
//! Twelve sequences in the first-level cache (three distributions, predictable or not, the copy read at once or not),
//! then the fleet's further out. `memcpy_auto` and `copy_from_slice` are inlined into the loop as a program has them,
//! libc, the kernels and the peers (`MEMCPY_SELECT_PEER=name=/path/lib.so`) are called. The same interleaved sweep and
//! the same kind of record as `select`.

mod support;

use memcpy_select::cpu::Cpu;
use memcpy_select::measure::calls::{Calls, Reader, Region};
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::contender::{Contender, LIBC, MEMCPY_AUTO};
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::statistics::geometric_mean;
use memcpy_select::measure::summary::{CellSummary, Summary};
use memcpy_select::measure::sweep::Sweep;
use memcpy_select::record::{Environment, Record};
use memcpy_select::report;
use memcpy_select::select::Small;
use std::process::ExitCode;
use support::harness;

fn main() -> ExitCode {
    let question = "Who is fastest where programs really copy: random lengths and places?";
    harness::main("distributions", question, Contender::all_available, measure)
}

/// All of the first-level cache; further out, where the caches decide and not the branches, the fleet's calls.
fn cells() -> Vec<Cell> {
    let wanted =
        |calls: &Calls| calls.region == Region::L1 || (calls.lengths.name() == "fleet" && calls.reader == Reader::None);
    Calls::all().filter(wanted).map(Cell::calls).collect()
}

fn measure(effort: Effort) -> ExitCode {
    let pinned_to = support::pin();
    let cpu = Cpu::detect();
    let mut environment = Environment::gather(&cpu, effort, pinned_to);
    support::print(format_args!("{}\n", report::machine(&environment, &conditions(&cpu, pinned_to))));

    let (mut contenders, failed) = harness::verified(Contender::all_available());
    contenders.push(Contender::copy_from_slice());
    contenders.extend([Small::Pieces, Small::Masked].into_iter().filter_map(Contender::small));
    contenders.extend(harness::peers(&mut environment));
    contenders.extend(Contender::libc_again());
    let mut sweep = match Sweep::new(contenders, Region::Memory.bytes() + 4096, effort) {
        Ok(sweep) => sweep,
        Err(error) => {
            report::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let cells = cells();
    let progress = harness::progress(cells.len() * effort.passes(0) as usize);
    let mut samples = Vec::new();
    for pass in 0..effort.passes(0) {
        for cell in &cells {
            progress.set_message(cell.to_string());
            samples.extend(sweep.measure(*cell, pass));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    let summary = Summary::of(&samples);
    print_table(&summary);
    environment.noise_floor = summary.noise_floor;
    harness::save(Record::new("distributions", environment, samples), &failed);
    ExitCode::SUCCESS
}

/// Core cycles for one call; then how `memcpy_auto` compares with each of the others. In 80 columns: the page has them all.
fn print_table(summary: &Summary) {
    support::print(format_args!(
        "{:<32} {:>11} {:>7} {:>7}  best kernel\n",
        "core cycles a call", MEMCPY_AUTO, LIBC, "best"
    ));
    for cell in &summary.cells {
        let best = cell.fastest().unwrap_or("-");
        let [auto, libc, least] = [MEMCPY_AUTO, LIBC, best].map(|name| cycles(cell, name));
        support::print(format_args!("{:<32} {auto:>11} {libc:>7} {least:>7}  {best}\n", cell.cell.to_string()));
    }
    support::print(format_args!("\n{:<32} {:>11} {:>15}\n", "time of memcpy_auto over that of", "L1", "further out"));
    let mut others = vec![LIBC];
    others.extend(summary.cells.first().into_iter().flat_map(CellSummary::others));
    for name in others {
        let [near, far] = [true, false].map(|in_l1| {
            let cells = summary.cells.iter().filter(|cell| is_in_l1(cell) == in_l1);
            let mean = geometric_mean(cells.filter_map(|cell| cell.time_ratio(MEMCPY_AUTO, name)));
            mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.3}"))
        });
        support::print(format_args!("{name:<32} {near:>11} {far:>15}\n"));
    }
    let worst = summary.cells.iter().filter_map(|cell| Some((cell.time_ratio(MEMCPY_AUTO, LIBC)?, cell)));
    if let Some((ratio, cell)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
        support::print(format_args!(
            "  worst against libc: {ratio:.2} in {}; noise floor {:.1}%\n\n",
            cell.cell,
            (summary.noise_floor - 1.0) * 100.0
        ));
    }
}

fn is_in_l1(cell: &CellSummary) -> bool {
    cell.cell.residency.name().ends_with("l1")
}

fn cycles(cell: &CellSummary, contender: &str) -> String {
    let cycles = cell.copy_ns(contender).zip(cell.core_cycles_per_ns).map(|(ns, per_ns)| ns * per_ns);
    cycles.map_or_else(|| "-".to_owned(), |cycles| format!("{cycles:.1}"))
}
