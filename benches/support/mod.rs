//! What the benches share that keep records: criterion's options, verification, the record and its page.

#![allow(dead_code, reason = "each bench uses its part")]

use clap::{Arg, ArgAction, Command};
use memcpy_select::lab::copies::contender::Contender;
use memcpy_select::lab::copies::{Verified, peer};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::record::file;
use memcpy_select::lab::show::{print, say};
use memcpy_select::lab::{LabError, page, question};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// Where the records of this machine go: version control ignores them, and `memcpy-select contribute` takes one out.
pub const RESULTS: &str = "results/local";

/// Does what the command line asks of the bench of that name: lists or skips by itself, verifies with `test`, measures with
/// `measure`.
pub fn main(
    name: &'static str,
    question: &'static str,
    test: fn() -> Result<(), LabError>,
    measure: fn(Effort) -> Result<(), LabError>,
) -> ExitCode {
    // A peer is tried by this program once more.
    if let Some(status) = peer::serve_if_asked() {
        return status;
    }
    enter_repository();
    let done = match mode(name, question) {
        Mode::List => print(format_args!("{name}: benchmark\n")).map_err(LabError::from),
        Mode::Skip => Ok(()),
        Mode::Test => test(),
        Mode::Measure { quick: true } => measure(Effort::Quick),
        Mode::Measure { quick: false } => measure(effort()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Verifies contenders, and measures nothing.
pub fn verify(contenders: Vec<Contender>) -> Result<(), LabError> {
    let verified = Verified::of(contenders);
    print(verified.sentence())?;
    match verified.wrong.len() {
        0 => Ok(()),
        wrong => Err(LabError::Asked(format!("{wrong} of them copy wrongly"))),
    }
}

/// Writes the page of a record that is complete beside it, and says where both are.
pub fn keep_page(folder: &Path) -> Result<(), LabError> {
    let path = folder.join("report.html");
    let name = folder.strip_prefix(RESULTS).unwrap_or(folder).display().to_string();
    match file::replace(&path, page(&[(name, question::read(folder)?)]).as_bytes()) {
        Ok(()) => print(format_args!("page: {}\n", path.display()))?,
        Err(error) => say(format_args!("no page: {}: {error}", path.display())),
    }
    Ok(print(format_args!("record: {}\n", folder.display()))?)
}

/// The effort that the environment asks for.
pub fn effort() -> Effort {
    or_end(Effort::from_environment())
}

/// What was asked for, or the end of the program with the reason why it cannot be had.
pub fn or_end<T>(result: Result<T, impl Display>) -> T {
    result.unwrap_or_else(|error| {
        say(format_args!("error: {error}"));
        std::process::exit(2);
    })
}

/// Makes the repository the current folder: cargo starts a bench in that of its package, and records are the repository's.
fn enter_repository() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    if let Some(Err(error)) = repository.map(std::env::set_current_dir) {
        say(format_args!("warning: records go below the current folder: {error}"));
    }
}

/// What to do, from the command line.
enum Mode {
    List,
    Skip,
    Test,
    Measure { quick: bool },
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
    const VALUES: [&str; 17] = [
        "color",
        "colour",
        "save-baseline",
        "baseline",
        "baseline-lenient",
        "load-baseline",
        "format",
        "output-format",
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
    let short_values = ["c", "s", "b"].map(|name| Arg::new(name).short(name.chars().next()).num_args(1));
    let short_flags = ["n", "v"].map(|name| Arg::new(name).short(name.chars().next()).action(ArgAction::SetTrue));
    let matches = Command::new(name)
        .about(question)
        .after_help("MEMCPY_SELECT_EFFORT=quick|default|full says how much is measured; --quick is the same as quick.")
        .args(flags)
        .args(values)
        .args(short_values)
        .args(short_flags)
        .arg(Arg::new("FILTER").num_args(0..))
        .get_matches();

    let filters: Vec<&String> = matches.get_many("FILTER").into_iter().flatten().collect();
    let matched = |filter: &&String| {
        if matches.get_flag("exact") { *filter == name } else { name.contains(filter.as_str()) }
    };
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
