//! Which kernel wins at which size and alignment on this CPU?
//!
//! An interleaved sweep of its own, not criterion's: contenders of one cell run in turns, so that drift of a shared
//! machine falls on all of them alike. It prints what to use, saves a record under `results/`, and ends with the
//! record's folder. Criterion's options are understood, as far as they mean something here.

mod support;

use clap::{Arg, ArgAction, Command};
use indicatif::{ProgressBar, ProgressStyle};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::summary::Summary;
use memcpy_select::measure::sweep::{Contender, Sample, Sweep};
use memcpy_select::measure::verify::verify;
use memcpy_select::record::{Environment, Record};
use memcpy_select::report;
use std::path::Path;
use std::process::ExitCode;

/// The name that filters and `--list` know this bench by.
const NAME: &str = "select";

/// What to do, from the command line.
enum Mode {
    List,
    Skip,
    Test,
    Measure { quick: bool },
}

fn main() -> ExitCode {
    match mode() {
        Mode::List => {
            println!("{NAME}: benchmark");
            ExitCode::SUCCESS
        }
        Mode::Skip => ExitCode::SUCCESS,
        Mode::Test => {
            let (right, wrong) = verified(Contender::all_available());
            if wrong == 0 && !right.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Mode::Measure { quick } => measure(if quick { Effort::Quick } else { support::effort() }),
    }
}

fn measure(effort: Effort) -> ExitCode {
    let pinned_to = support::pin();
    let cpu = Cpu::detect();
    let mut environment = Environment::gather(&cpu, effort, pinned_to);
    println!("{}", report::machine(&environment, &conditions(&cpu, pinned_to)));

    let (mut contenders, _) = verified(Contender::all_available());
    contenders.extend(Contender::libc_again());
    let grid = effort.grid();
    let longest = effort.lengths().into_iter().max().unwrap_or(0);
    let mut sweep = match Sweep::new(contenders, longest, effort) {
        Ok(sweep) => sweep,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };

    let progress = progress(grid.iter().map(Vec::len).sum());
    let mut samples: Vec<Sample> = Vec::new();
    for (at, column) in grid.iter().enumerate() {
        for cell in column {
            progress.set_message(cell.to_string());
            samples.extend(sweep.measure(*cell));
            progress.inc(1);
        }
        if at == 0 {
            let summary = Summary::of(&samples);
            progress.suspend(|| {
                println!("{}\n{}", report::answer(&summary), report::selection_table(&summary));
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
    match (Record { environment, samples }).save(Path::new("results")) {
        Ok(folder) => println!("record: {}", folder.display()),
        Err(error) => eprintln!("no record: {error}"),
    }
    ExitCode::SUCCESS
}

/// The contenders that copy rightly, and how many do not.
fn verified(contenders: Vec<Contender>) -> (Vec<Contender>, usize) {
    let count = contenders.len();
    let mut cases = 0;
    let right: Vec<Contender> = contenders
        .into_iter()
        .filter(|contender| match verify(contender) {
            Ok(checked) => {
                cases += checked;
                true
            }
            Err(wrong) => {
                eprintln!("error: {wrong}");
                false
            }
        })
        .collect();
    println!("verified: {} of {count} routines, {cases} copies compared byte by byte\n", right.len());
    let wrong = count - right.len();
    (right, wrong)
}

fn progress(cells: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cells, {eta} left: {msg}");
    ProgressBar::new(cells as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Understands what criterion's users type. An option that means nothing here is accepted and said to be criterion's.
fn mode() -> Mode {
    const FLAGS: [&str; 12] = [
        "bench",
        "list",
        "test",
        "quick",
        "exact",
        "noplot",
        "verbose",
        "quiet",
        "discard-baseline",
        "ignored",
        "nocapture",
        "include-ignored",
    ];
    const VALUES: [&str; 16] = [
        "color",
        "colour",
        "save-baseline",
        "baseline",
        "baseline-lenient",
        "load-baseline",
        "format",
        "profile-time",
        "sample-size",
        "warm-up-time",
        "measurement-time",
        "nresamples",
        "noise-threshold",
        "confidence-level",
        "significance-level",
        "plotting-backend",
    ];
    let flags = FLAGS.map(|name| Arg::new(name).long(name).action(ArgAction::SetTrue));
    let values = VALUES.map(|name| Arg::new(name).long(name).num_args(1));
    let shorts = [("c", 'c'), ("s", 's'), ("b", 'b')].map(|(id, short)| Arg::new(id).short(short).num_args(1));
    let short_flags = [("n", 'n'), ("v", 'v')].map(|(id, short)| Arg::new(id).short(short).action(ArgAction::SetTrue));
    let matches = Command::new(NAME)
        .about("Which kernel wins at which size and alignment on this CPU?")
        .after_help("MEMCPY_SELECT_EFFORT=quick|default|full says how much is measured; --quick is the same as quick.")
        .args(flags)
        .args(values)
        .args(shorts)
        .args(short_flags)
        .arg(Arg::new("output-format").long("output-format").num_args(1))
        .arg(Arg::new("FILTER").num_args(0..))
        .get_matches();

    let filters: Vec<&String> = matches.get_many("FILTER").into_iter().flatten().collect();
    let matched =
        |filter: &&String| if matches.get_flag("exact") { *filter == NAME } else { NAME.contains(filter.as_str()) };
    if !(filters.is_empty() || filters.iter().any(matched)) || matches.get_flag("ignored") {
        return Mode::Skip;
    }
    if matches.get_flag("list") {
        return Mode::List;
    }
    // As criterion: without `--bench`, which `cargo bench` passes, this is `cargo test`.
    if matches.get_flag("test") || !matches.get_flag("bench") {
        return Mode::Test;
    }
    if ["save-baseline", "s", "baseline", "b", "load-baseline"].iter().any(|option| matches.contains_id(option)) {
        eprintln!("{NAME}: baselines are criterion's; this bench keeps every run as a record under results/");
    }
    Mode::Measure { quick: matches.get_flag("quick") }
}
