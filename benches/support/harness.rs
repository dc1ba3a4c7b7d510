//! What the benches with an interleaved sweep of their own share: criterion's options, verification, progress.

use super::print;
use clap::{Arg, ArgAction, Command};
use indicatif::{ProgressBar, ProgressStyle};
use memcpy_select::measure::cell::Cell;
use memcpy_select::measure::contender::Contender;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::peer;
use memcpy_select::measure::sweep::Failure;
use memcpy_select::measure::verify::verify;
use memcpy_select::record::{Environment, PeerFile, Record, file};
use memcpy_select::report::{self, say};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// Does what the command line asks of the bench of that name: lists, skips or verifies by itself, measures with `measure`.
pub fn main(
    name: &'static str,
    question: &'static str,
    contenders: fn() -> Vec<Contender>,
    measure: fn(Effort) -> ExitCode,
) -> ExitCode {
    let test = || {
        let (right, wrong) = verified(contenders());
        if wrong.is_empty() && !right.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    };
    main_with(name, question, test, measure)
}

/// The same for a bench that does not compare copies, and verifies with `test` what it is about.
pub fn main_with(
    name: &'static str,
    question: &'static str,
    test: impl FnOnce() -> ExitCode,
    measure: fn(Effort) -> ExitCode,
) -> ExitCode {
    // A peer is tried by this program once more.
    if let Some(status) = peer::serve_if_asked() {
        return status;
    }
    super::enter_repository();
    match mode(name, question) {
        Mode::List => {
            print(format_args!("{name}: benchmark\n"));
            ExitCode::SUCCESS
        }
        Mode::Skip => ExitCode::SUCCESS,
        Mode::Test => test(),
        Mode::Measure { quick } => {
            let effort = if quick { Effort::Quick } else { super::effort() };
            if let Err(error) = Record::may_save(Path::new(RESULTS)) {
                say(format_args!("error: {error}"));
                return ExitCode::from(2);
            }
            measure(effort)
        }
    }
}

/// The peers that the environment names, which the record's environment names too; why any of them is left out is printed.
pub fn peers(environment: &mut Environment) -> Vec<Contender> {
    let (peers, errors) = peer::from_environment();
    errors.iter().for_each(|error| say(format_args!("warning: {error}")));
    environment.peers = peers.iter().map(PeerFile::of).collect();
    peers.into_iter().map(|peer| peer.contender).collect()
}

/// Where the records of this machine go: version control ignores them, and `memcpy-select contribute` takes one out.
pub const RESULTS: &str = "results/local";

/// A contender that copies wrongly, and how.
pub type Failed = (String, String);

/// Keeps a run with its page, and says where or why not. A run without a record still has printed its tables.
pub fn save(mut record: Record, failed: &[Failed]) {
    let cells: BTreeSet<Cell> = record.samples.iter().map(|sample| sample.cell).collect();
    let of_cells = |(name, cause): &Failed| Failure::in_all(cells.iter().copied(), name, cause);
    record.failures = failed.iter().flat_map(of_cells).collect();
    match record.save(Path::new(RESULTS)) {
        Ok(folder) => {
            let page = folder.join("report.html");
            let name = folder.strip_prefix(RESULTS).unwrap_or(&folder).display().to_string();
            match file::replace(&page, report::page(&[(name, record)]).as_bytes()) {
                Ok(()) => print(format_args!("page: {}\n", page.display())),
                Err(error) => say(format_args!("no page: {}: {error}", page.display())),
            }
            print(format_args!("record: {}\n", folder.display()));
        }
        Err(error) => say(format_args!("no record: {error}")),
    }
}

/// What to do, from the command line.
enum Mode {
    List,
    Skip,
    Test,
    Measure { quick: bool },
}

/// The contenders that copy rightly, and those that do not.
pub fn verified(contenders: Vec<Contender>) -> (Vec<Contender>, Vec<Failed>) {
    let count = contenders.len();
    let (mut cases, mut failed) = (0, Vec::new());
    let right: Vec<Contender> = contenders
        .into_iter()
        .filter(|contender| match verify(contender) {
            Ok(checked) => {
                cases += checked;
                true
            }
            Err(wrong) => {
                say(format_args!("error: {wrong}"));
                failed.push((contender.name().to_owned(), wrong.to_string()));
                false
            }
        })
        .collect();
    print(format_args!("verified: {} of {count} routines, {cases} copies compared byte by byte\n\n", right.len()));
    (right, failed)
}

/// A bar with what is left to do.
pub fn progress(cells: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cells, {eta} left: {msg}");
    ProgressBar::new(cells as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Understands what criterion's users type. An option that means nothing here is accepted and said to be criterion's.
fn mode(name: &'static str, question: &'static str) -> Mode {
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
    let matches = Command::new(name)
        .about(question)
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
        |filter: &&String| if matches.get_flag("exact") { *filter == name } else { name.contains(filter.as_str()) };
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
        say(format_args!("{name}: baselines are criterion's; this bench keeps every run as a record under results/"));
    }
    Mode::Measure { quick: matches.get_flag("quick") }
}
