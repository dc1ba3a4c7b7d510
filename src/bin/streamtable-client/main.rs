//! Gets files from a `streamtable-server`, and puts them there, over shared memory. Each verb has a file of its own.

#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod get;
mod progress;
mod put;
mod remove;

use clap::{Args, Parser, Subcommand};
use memcpy_select::lab::show::{outlive_file_limit, say};
use memcpy_select::transport::connect::JoinOptions;
use memcpy_select::transport::{Address, Client, ClientOptions, RegionOptions};
use std::process::ExitCode;
use std::time::Duration;

/// Get files from a streamtable-server on this machine, and put them there, over shared memory.
#[derive(Parser)]
#[command(name = "streamtable-client", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the server is.
#[derive(Args)]
struct Server {
    /// Where the server listens: @name, or the path of a socket, with a slash
    #[arg(long, value_name = "ADDRESS", default_value = "@memcpy-select-files")]
    at: String,
    /// Seconds to wait for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86400))]
    limit: u64,
}

#[derive(Subcommand)]
enum Verb {
    Get(get::Get),
    Cat(get::Cat),
    Put(put::Put),
    Rm(remove::Remove),
}

impl Server {
    fn connect(&self) -> Result<Client, String> {
        let address = self.at.parse::<Address>().map_err(|error| error.to_string())?;
        let regions = RegionOptions::default().prefault(true);
        let options = ClientOptions::default()
            .join(
                JoinOptions::default()
                    .own_region(memcpy_select::transport::connect::OwnRegion::New(regions))
                    .prefault(true),
            )
            .limit(Duration::from_secs(self.limit));
        Client::connect(&address, options).map_err(|error| format!("{address}: {error}"))
    }
}

fn main() -> ExitCode {
    let Arguments { server, verb } = Arguments::parse();
    outlive_file_limit();
    let result = match verb {
        Verb::Get(verb) => verb.run(&server),
        Verb::Cat(verb) => verb.run(&server),
        Verb::Put(verb) => verb.run(&server),
        Verb::Rm(verb) => verb.run(&server),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(format_args!("error: {message}"));
            ExitCode::from(2)
        }
    }
}
