//! `run`: a program with the drop-in library in front of its C library.

use clap::Args;
use memcpy_select::lab::instruments::executable::{NotStarted, find, obstacle};
use memcpy_select::lab::instruments::preload::{DROP_IN, plan, put_in_front};
use memcpy_select::lab::show::say;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const AFTER_HELP: &str = "\
Examples:
  memcpy-select run -- sort -o sorted lines
      With the plan that `memcpy-select calibrate --save` has kept for this machine; without one by what is known of the CPU
  memcpy-select run --plan copy.plan -- python3 work.py

The program takes this one's place: its exit status, its signals and its files are its own. Programs that it starts get the \
library too. Where the library cannot be put in front, the program runs unchanged, and one line on the standard error says \
why. If the program cannot be started, the exit status is 127 (there is none) or 126 (it may not be executed), as in a shell.";

/// Run a program with this crate's copies instead of its C library's, without building it anew.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Run {
    /// The plan that copies follow, as `calibrate --save FILE` or `plan --save FILE` writes it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The drop-in library, instead of the one beside this program or the one that MEMCPY_SELECT_LIBRARY names
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

impl Run {
    pub fn run(self) -> Result<ExitCode, String> {
        let [name, arguments @ ..] = &self.program[..] else { return Err("no program was named".to_owned()) };
        let path = match find(name) {
            Ok(path) => path,
            Err(error) => return Ok(not_started(&error)),
        };
        let mut command = Command::new(&path);
        command.arg0(name).args(arguments);
        if let Err(why) = self.prepare(&path, &mut command) {
            say(one_line(&format!("memcpy-select: {}: runs unchanged: {why}", path.display())));
        }
        // Returns only where it fails.
        Ok(not_started(&NotStarted::of(&path, command.exec())))
    }

    fn prepare(&self, path: &Path, command: &mut Command) -> Result<(), String> {
        let (program, obstacle) = obstacle(path);
        if let Some(obstacle) = obstacle {
            let through =
                if program == path { String::new() } else { format!("{}, by which it is run: ", program.display()) };
            return Err(format!("{through}{obstacle}"));
        }
        let library = DROP_IN.find(self.library.as_deref()).map_err(|error| error.to_string())?;
        let plan = plan(self.plan.as_deref()).map_err(|error| error.to_string())?;
        put_in_front(command, &library, plan.as_deref());
        Ok(())
    }
}

fn not_started(error: &NotStarted) -> ExitCode {
    say(one_line(&format!("error: {error}")));
    ExitCode::from(error.status())
}

/// A program's own lines follow, so that there is to be no more than one of ours, whatever a file is called.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}
