//! Measures copy kernels, and turns what was measured into plans. Each verb has a file of its own.

#![forbid(unsafe_code)]
// They panic where the output is closed or full: `show::print` and `show::say` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod calibrate;
mod caveats;
mod compare;
mod contribute;
mod doctor;
mod explain;
mod ipc;
mod json;
mod measuring;
mod neighbour;
mod plan;
mod policy;
mod profile;
mod profiles;
mod programs;
mod records;
mod report;
mod run;
mod sweep;
mod targets;
mod validate;
#[cfg(target_arch = "x86_64")]
mod xsave;

use clap::{Parser, Subcommand};
use memcpy_select::lab::show::{outlive_file_limit, print, say};
use memcpy_select::lab::{copies, neighbours, paths};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Lengths are bytes, or have a unit, in either case: K, KB or KiB (1024 bytes), M, MB or MiB, G, GB or GiB. So 4096, 4k, 4KB \
and 4KiB are one length. Throughput is in decimal GB/s.

With --json a verb prints one document on the standard output; all else goes to the standard error.

Exit status, of every verb but profile, whose is that of the program it runs:
  0  done; a reader that closes the standard output early (`| head -1`) changes nothing about it
  1  compare --fail-over: a contender is slower; profiles --check: the source is another one
  2  something could not be read, measured, kept or printed, or the command line was not
     understood: the message says what, why and what helps; what could be measured is kept";

/// Measure copy kernels on this CPU, and turn what was measured into plans.
#[derive(Parser)]
#[command(name = "memcpy-select", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Doctor(doctor::Doctor),
    Sweep(sweep::Sweep),
    Report(report::Report),
    Compare(compare::Compare),
    Explain(explain::Explain),
    Ipc(ipc::Ipc),
    Calibrate(calibrate::Calibrate),
    Validate(validate::Validate),
    Plan(plan::Plan),
    Run(run::Run),
    #[cfg(target_arch = "x86_64")]
    Xsave(xsave::Xsave),
    Neighbour(neighbour::NeighbourVerb),
    Profile(profile::Profile),
    Programs(programs::ProgramsVerb),
    Contribute(contribute::Contribute),
    Profiles(profiles::Profiles),
}

fn main() -> ExitCode {
    outlive_file_limit();
    // Some verbs start this program again: as the sides that they measure between, as a server and its clients, to try a peer.
    let served = paths::serve_if_asked(paths::ways::paths());
    if let Some(status) = served.or_else(neighbours::serve_if_asked).or_else(copies::peer::serve_if_asked) {
        return status;
    }
    let result = match Arguments::try_parse() {
        Ok(arguments) => run(arguments.verb),
        Err(error) if error.use_stderr() => {
            say(error.to_string().trim_end());
            return ExitCode::from(2);
        }
        // What --help and --version ask for.
        Err(text) => print(&text).map(|()| ExitCode::SUCCESS).map_err(String::from),
    };
    result.unwrap_or_else(|message| {
        say(format_args!("error: {message}"));
        ExitCode::from(2)
    })
}

fn run(verb: Verb) -> Result<ExitCode, String> {
    match verb {
        Verb::Doctor(verb) => verb.run(),
        Verb::Sweep(verb) => verb.run(),
        Verb::Report(verb) => verb.run(),
        Verb::Compare(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Ipc(verb) => verb.run(),
        Verb::Calibrate(verb) => verb.run(),
        Verb::Validate(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        #[cfg(target_arch = "x86_64")]
        Verb::Xsave(verb) => verb.run(),
        Verb::Neighbour(verb) => verb.run(),
        Verb::Profile(verb) => verb.run(),
        Verb::Programs(verb) => verb.run(),
        Verb::Contribute(verb) => verb.run(),
        Verb::Profiles(verb) => verb.run(),
    }
}
