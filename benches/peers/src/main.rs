//! Other libraries' ways to move a payload between two processes, in the same interleaved run as memcpy-select's own, by
//! the same two processes, with the same producer and consumer.

mod iceoryx;
mod ipc_channel;
mod shmem;

use clap::Parser;
use memcpy_select::lab::Evidence;
use memcpy_select::lab::copies::scope;
use memcpy_select::lab::experiment::{self, Lines, Start};
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::paths::ways::{Mode, Path, paths};
use memcpy_select::lab::paths::{
    Asked, BENCH, PathRecord, Paths, Program, Scope, contenders, serve_if_asked, target_cells,
};
use memcpy_select::lab::show::{print, say};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure other libraries beside memcpy-select's paths, and keep a record.
#[derive(Parser)]
struct Arguments {
    /// quick, default or full
    #[arg(long, default_value = "default")]
    effort: String,
    /// Payloads in bytes, B, KiB, MiB or GiB; A..B is each power of two from A to B
    #[arg(long, value_name = "LIST")]
    sizes: Option<String>,
    /// How the sides wait: polling, blocking, adaptive
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "polling,blocking")]
    modes: Vec<String>,
    /// Only what the table of targets is computed from (`memcpy-select report --targets`)
    #[arg(long, conflicts_with_all = ["sizes", "modes"])]
    targets: bool,
    /// Paths by name; without it, all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    paths: Vec<String>,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
}

fn all() -> Vec<&'static dyn Path> {
    const PEERS: [&dyn Path; 6] = [
        &iceoryx::Iceoryx2,
        &iceoryx::Iceoryx2Request,
        &iceoryx::Iceoryx2Event,
        &shmem::ShmemIpc,
        &ipc_channel::Bytes,
        &ipc_channel::Shared,
    ];
    paths().iter().copied().chain(PEERS).collect()
}

fn main() -> ExitCode {
    // This program runs as the two sides, too.
    if let Some(status) = serve_if_asked(&all()) {
        return status;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(format_args!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    fn text(error: impl ToString) -> String {
        error.to_string()
    }
    let effort = Effort::named(&arguments.effort).map_err(text)?;
    let mode = |word: &String| {
        let found = Mode::ALL.into_iter().find(|mode| mode.name() == word);
        found.ok_or_else(|| format!("there is no mode {word}"))
    };
    let scope = Scope {
        sizes: arguments.sizes.as_deref().map(scope::sizes).transpose().map_err(text)?.unwrap_or_default(),
        modes: arguments.modes.iter().map(mode).collect::<Result<_, _>>()?,
        ..Scope::default()
    };
    let cells = if arguments.targets { target_cells() } else { scope.cells(effort).map_err(text)? };
    let asked = Asked { paths: arguments.paths.clone(), ..Asked::default() };
    let all = all();
    let contenders = contenders(&all, &asked).map_err(text)?;
    let program = Program::current().map_err(text)?;
    let cpus = CpuPair::last_two();
    let start = Start { effort, pinned_to: cpus.near, out: &arguments.out, resume: None, is_json: false };
    let growing = start.open(BENCH, start.environment()?, &format!("effort {}\npeers\n", effort.name()))?;
    let mut paths = Paths::new(program, cpus, effort, cells, contenders).explained(false);
    let (folder, kept) = experiment::run(&mut paths, growing, &Lines::new())?;
    let left_out: String = paths.left_out().iter().map(|part| format!("not measured: {part}\n")).collect();
    print(format_args!("{}{left_out}record: {}\n", PathRecord::of_kept(kept).map_err(text)?.text(), folder.display()))?;
    Ok(())
}
