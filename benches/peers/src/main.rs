//! Other libraries' ways to move a payload between two processes, in the same interleaved run as memcpy-select's own, by
//! the same two processes, with the same producer and consumer.

mod iceoryx;
mod ipc_channel;
mod shmem;

use clap::Parser;
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{self, Asked, CopyScope, Program, Scope};
use memcpy_select::measure::scope;
use memcpy_select::path::{Mode, Path, paths};
use memcpy_select::record::{Environment, GrowingIpc};
use memcpy_select::report;
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
    if let Some(status) = ipc::serve_if_asked(&all()) {
        return status;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
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
    let cells = if arguments.targets { ipc::target_cells() } else { scope.cells(effort).map_err(text)? };
    let asked = Asked { paths: arguments.paths.clone(), ..Asked::default() };
    let all = all();
    let contenders = ipc::contenders(&all, &asked).map_err(text)?;
    let program = Program::current().map_err(text)?;
    let cpus = ipc::cpus();
    let environment = Environment::gather(&Cpu::detect(), effort, cpus.0);
    let grid = format!("effort {}\npeers\n", effort.name());
    let mut growing = GrowingIpc::create(&arguments.out, environment, &grid).map_err(text)?;
    eprintln!("record: {}, as it grows", growing.folder().display());
    let mut run = ipc::Run::new(&program, cpus, effort, &cells, &contenders);
    for (done, cell) in cells.iter().enumerate() {
        eprintln!("{done} of {}: {cell}", cells.len());
        let (samples, refusals) = run.measure(cell);
        growing.append(samples, refusals).map_err(text)?;
    }
    if let Some(scope) = CopyScope::of(&cells, &contenders) {
        let (copies, refusals) = ipc::measure_copies(&program, cpus, effort, &scope);
        growing.keep_copies(copies, &refusals).map_err(text)?;
    }
    let (parts, left_out) = ipc::measure_parts(cpus, effort);
    growing.keep_parts(parts).map_err(text)?;
    let (folder, record) = growing.finish().map_err(text)?;
    print!("{}{}", report::ipc_tables(&record.summary()), report::parts(&ipc::part_figures(&record.parts)));
    print!("{}", report::refusals(&record.refusals));
    left_out.iter().for_each(|part| println!("not measured: {part}"));
    println!("record: {}", folder.display());
    Ok(())
}
