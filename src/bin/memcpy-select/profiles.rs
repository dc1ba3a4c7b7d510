//! `profiles`: the generated source of the profiles, written or checked.

use clap::Args;
use memcpy_select::record::{PROFILES_FILE, profiles_source};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Generate the profiles of measured CPUs from the records, in the folder of the crate's source.
#[derive(Args)]
pub struct Profiles {
    /// Change nothing; fail if the source is not what the records give
    #[arg(long)]
    check: bool,
    /// Where the records are
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

impl Profiles {
    pub fn run(self) -> Result<ExitCode, String> {
        let generated = profiles_source(&self.results).map_err(|error| error.to_string())?;
        let current = fs::read_to_string(PROFILES_FILE)
            .map_err(|error| format!("{PROFILES_FILE}: {error}: run this in the folder of the crate's source"))?;
        let profiles = generated.matches("memcpy-select plan ").count();
        if generated == current {
            println!("{PROFILES_FILE}: {profiles} profiles, as the records give them");
        } else if self.check {
            println!("{PROFILES_FILE}: not what the records give; run `memcpy-select profiles` and commit the file");
            return Ok(ExitCode::FAILURE);
        } else {
            fs::write(PROFILES_FILE, generated).map_err(|error| format!("{PROFILES_FILE}: {error}"))?;
            println!("{PROFILES_FILE}: {profiles} profiles written");
        }
        Ok(ExitCode::SUCCESS)
    }
}
