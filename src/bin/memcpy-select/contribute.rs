//! `contribute`: a run on this machine becomes a record that others can use.

use clap::Args;
use memcpy_select::lab::copies::profiles::PROFILES_FILE;
use memcpy_select::lab::record::contribute;
use memcpy_select::lab::show;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn a run on this machine into a contribution: move it from results/local to results.
///
/// What was measured on one machine serves every machine with that CPU. Pages and plans beside the record are removed, since
/// they can be made again.
#[derive(Args)]
#[command(after_help = "Example: memcpy-select contribute results/local/amd-26-2-1-kvm/2026-11-23.1")]
pub struct Contribute {
    /// The folder of the record: results/local/<machine>/<date>.<n>
    record: PathBuf,
}

impl Contribute {
    pub fn run(self) -> Result<ExitCode, String> {
        let folder = contribute(&self.record).map_err(|error| error.to_string())?;
        show::print(format_args!(
            "record: {}\nnext: commit it, then `memcpy-select profiles` makes the plans of recorded CPUs anew in\n      \
             {PROFILES_FILE}\n",
            folder.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
