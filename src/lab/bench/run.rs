//! The stages in turn, and the answer.

use super::time::TimeLimit;
use super::{Options, stages};
use crate::cpu::Cpu;
use crate::lab::copies::contender::Contender;
use crate::lab::copies::show::Answer;
use crate::lab::copies::{self, Verified, plan};
use crate::lab::instruments::conditions::conditions;
use crate::lab::instruments::effort::Effort;
use crate::lab::record::{Environment, file};
use crate::lab::{LabError, page, paths, show};
use crate::select::{CpuName, PlanText, Policy, plan_in_force};
use std::path::PathBuf;
use std::time::Duration;

/// How long a run takes at most with default effort: four minutes.
const DEFAULT_LIMIT: Duration = Duration::from_secs(240);
const QUICK_LIMIT: Duration = Duration::from_secs(60);
/// The plan of a run, in the folder of its record.
const PLAN_FILE: &str = "user.plan";

/// Measures all stages, prints what each says, and the answer last.
///
/// # Errors
///
/// [`LabError`] if nothing could be measured, kept or printed. A stage other than the first that has no figures says why,
/// and the run goes on.
pub fn run(options: &Options) -> Result<(), LabError> {
    let limit = match options.effort {
        Effort::Quick => Some(QUICK_LIMIT),
        Effort::Default => Some(DEFAULT_LIMIT),
        Effort::Full => None,
    };
    let time = TimeLimit::starts_now(limit);
    let cpu = Cpu::detect();
    let mut environment = Environment::gather(&cpu, options.effort, options.pinned_to);
    time.print(show::machine(&environment, &conditions(&cpu, options.pinned_to)))?;
    let takes =
        limit.map_or_else(|| "as long as it takes".to_owned(), |limit| format!("{} s at most", limit.as_secs()));
    time.print(format_args!(
        "This run: copies, calls as programs make them, sections, paths; {takes}.\nThe answer is its last screen; the \
         first table comes within a minute.\n"
    ))?;
    let verified = Verified::of(Contender::all_available());
    time.print(verified.sentence())?;
    let verified = verified.with_peers(&mut environment);

    let (folder, copied) = stages::copies(options, &verified, environment.clone(), &cpu, &time)?;
    let summary = copied.summary();
    time.print(copies::show::thread_table(&summary))?;
    let calls = stages::calls(options, &verified, environment.clone(), &time)?.summary();
    time.print(copies::show::calls_table(&calls))?;
    #[cfg(target_arch = "x86_64")]
    match stages::sections(options, environment.clone(), &time) {
        Ok(text) => time.print(text)?,
        Err(error) => time.print(format_args!("sections: {error}\n"))?,
    }
    match stages::between_processes(options, environment, &time) {
        Ok(record) => time.print(paths::show::paths_in_short(&record.summary().rows))?,
        Err(error) => time.print(format_args!("paths between processes: {error}\n"))?,
    }
    time.end();

    let own = plan([&copied].into_iter(), Policy::User);
    let plan_file = own.and_then(|plan| {
        let text = PlanText { cpu: CpuName::of(&cpu.signature), policy: Policy::User, plan }.to_string();
        keep(folder.join(PLAN_FILE), &text)
    });
    let name = folder.strip_prefix(&options.results).unwrap_or(&folder).display().to_string();
    let page = keep(folder.join("report.html"), &page(&[(name, Box::new(copied.clone()))]));
    let answer = Answer {
        environment: &copied.environment,
        copies: &summary,
        calls: Some(&calls),
        in_force: plan_in_force(Policy::User),
        own: own.as_ref(),
        plan_file: plan_file.as_deref(),
        page: page.as_deref(),
        record: &folder,
    };
    show::print(answer)?;
    Ok(())
}

/// Writes a file beside the record, for the reader. A run without it has still measured what it has.
fn keep(path: PathBuf, text: &str) -> Option<PathBuf> {
    let kept = file::replace(&path, text.as_bytes());
    kept.inspect_err(|error| show::say(format_args!("{}: {error}: it is not kept", path.display()))).ok()?;
    Some(path)
}
