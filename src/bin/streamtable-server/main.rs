//! Serves the files of a directory to other processes, as a table in shared memory.
//!
//! Bytes are read from a file straight into the blocks that the client reads, and written from the client's blocks straight
//! to a file: no buffer lies in between.

#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod directory;
mod draft;
mod handles;
mod log;
mod name;
mod publish;
mod refusal;
mod serve;
mod signals;

use clap::Parser;
use directory::Directory;
use log::Log;
use memcpy_select::lab::show::{outlive_file_limit, say};
use memcpy_select::transport::{Address, Blocks, Geometry, Peers, RegionOptions, Table, TableOptions};
use serve::Server;
use signals::Signals;
use std::path::PathBuf;
use std::process::ExitCode;

/// Serve the files of a directory to other processes on this machine, over shared memory.
///
/// SIGINT (Ctrl-C) and SIGTERM end it in order. A file that is put is there as a whole or not at all. When the server starts,
/// it removes files named .streamtable-*.part from the directory, which one that was killed can leave there.
#[derive(Parser)]
#[command(name = "streamtable-server", version, max_term_width = 100)]
struct Arguments {
    /// The directory; nothing outside of it can be reached
    directory: PathBuf,
    /// Where to listen: @name, or the path of a socket, with a slash
    #[arg(long, value_name = "ADDRESS", default_value = "@memcpy-select-files")]
    at: String,
    /// Refuse to create, write and destroy
    #[arg(long)]
    read_only: bool,
    /// Take clients of other users too
    #[arg(long)]
    any_user: bool,
    /// MiB of blocks for each client, in each direction
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    blocks: u32,
    /// Bytes of an entry of the rings: 16, 32, or a multiple of 64 up to 512; what fits above 16 takes no block
    #[arg(long, value_name = "BYTES", default_value_t = TableOptions::GEOMETRY.request_stride_bytes)]
    entry: u16,
    /// Put the blocks into huge pages, where the system has some
    #[arg(long)]
    huge_pages: bool,
}

/// Blocks of 64 KiB: long enough that most chunks of a file are neighbours, short enough for small files.
const BLOCK_BYTES: u32 = 64 << 10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    outlive_file_limit();
    let mut log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            say(format_args!("error: no thread for the log: {error}: nothing is served; raise the limit of processes"));
            return ExitCode::from(2);
        }
    };
    let status = match run(&arguments, &mut log) {
        Ok(last) => {
            log.say(last);
            ExitCode::SUCCESS
        }
        Err(message) => {
            log.say(format_args!("error: {message}"));
            ExitCode::from(2)
        }
    };
    log.end();
    status
}

/// Serves until a signal ends it, which is what it returns, or something does that is an error.
fn run(arguments: &Arguments, log: &mut Log) -> Result<String, String> {
    let signals = Signals::register()
        .map_err(|error| format!("no handler for signals: {error}: nothing is served; see what the system allows"))?;
    let address = arguments.at.parse::<Address>().map_err(|error| error.to_string())?;
    let directory = Directory::open(&arguments.directory, arguments.read_only)?;
    let blocks = Blocks { block_bytes: BLOCK_BYTES, count: arguments.blocks * ((1 << 20) / BLOCK_BYTES) };
    let geometry = Geometry::symmetric(TableOptions::GEOMETRY.capacity, arguments.entry, blocks);
    let options = TableOptions::default()
        .geometry(geometry)
        .peers(if arguments.any_user { Peers::Anyone } else { Peers::SameUser })
        .regions(RegionOptions::default().huge_pages(arguments.huge_pages).prefault(true));
    let table = Table::create(&address, options).map_err(|error| error.to_string())?;
    let removed = directory.remove_parts();
    log.say(format_args!(
        "serving {}{} at {address}; end with Ctrl-C",
        arguments.directory.display(),
        if arguments.read_only { ", to be read only," } else { "" }
    ));
    if removed > 0 {
        log.say(format_args!("{removed} files that never got their names were removed: a server here was killed"));
    }
    Server::new(table, directory, log).run(&signals)
}
