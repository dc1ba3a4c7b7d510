//! Measures copy kernels, and turns what was measured into plans. Each verb has a file of its own.

#![forbid(unsafe_code)]

mod calibrate;
mod compare;
mod contribute;
mod doctor;
mod explain;
mod ipc;
mod json;
mod plan;
mod profiles;
mod progress;
mod report;
mod sweep;
mod targets;
#[cfg(target_arch = "x86_64")]
mod xsave;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measure copy kernels on this CPU, and turn what was measured into plans.
#[derive(Parser)]
#[command(name = "memcpy-select", version, max_term_width = 100)]
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
    Plan(plan::Plan),
    #[cfg(target_arch = "x86_64")]
    Xsave(xsave::Xsave),
    Contribute(contribute::Contribute),
    Profiles(profiles::Profiles),
}

fn main() -> ExitCode {
    // The verb `ipc` starts this program again, as the two processes that it measures between.
    if let Some(status) = memcpy_select::measure::ipc::serve_if_asked(memcpy_select::path::paths()) {
        return status;
    }
    let result = match Arguments::parse().verb {
        Verb::Doctor(verb) => verb.run(),
        Verb::Sweep(verb) => verb.run(),
        Verb::Report(verb) => verb.run(),
        Verb::Compare(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Ipc(verb) => verb.run(),
        Verb::Calibrate(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        #[cfg(target_arch = "x86_64")]
        Verb::Xsave(verb) => verb.run(),
        Verb::Contribute(verb) => verb.run(),
        Verb::Profiles(verb) => verb.run(),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}
