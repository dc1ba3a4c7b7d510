//! The stages in turn, and the answer.

use super::error::LabError;
use super::stage::{Options, Verified};
use super::time::TimeLimit;
use super::{calls, copies, paths};
use crate::cpu::Cpu;
use crate::measure::conditions::conditions;
use crate::measure::contender::Contender;
use crate::measure::effort::Effort;
use crate::measure::peer;
use crate::measure::summary::Summary;
use crate::measure::verify::verify;
use crate::record::{Environment, PeerFile, Record, file, plan};
use crate::report::{self, Answer};
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
    time.print(report::machine(&environment, &conditions(&cpu, options.pinned_to)))?;
    let takes =
        limit.map_or_else(|| "as long as it takes".to_owned(), |limit| format!("{} s at most", limit.as_secs()));
    time.print(format_args!(
        "This run: copies, calls as programs make them, sections, paths; {takes}.\nThe answer is its last screen; the \
         first table comes within a minute.\n"
    ))?;
    let verified = verified(&mut environment, &time)?;

    let copied = copies::measure(options, &verified, environment.clone(), &cpu, &time)?;
    let folder = copied.save(&options.results)?;
    let summary = Summary::of(&copied.samples);
    time.print(report::thread_table(&summary))?;

    let called = calls::measure(options, &verified, environment.clone(), &time)?;
    let call_summary = called.as_ref().map(|record| Summary::of(&record.samples));
    if let (Some(record), Some(summary)) = (&called, &call_summary) {
        record.save(&options.results)?;
        time.print(report::calls_table(summary))?;
    }

    #[cfg(target_arch = "x86_64")]
    sections(options, &time)?;
    match paths::measure(options, environment, &time) {
        Ok((_, rows)) => time.print(report::paths_in_short(&rows))?,
        Err(error) => time.print(format_args!("paths between processes: {error}\n"))?,
    }
    time.end();

    let own = plan([&copied].into_iter(), Policy::User);
    let plan_file = own.and_then(|plan| {
        let text = PlanText { cpu: CpuName::of(&cpu.signature), policy: Policy::User, plan }.to_string();
        keep(folder.join(PLAN_FILE), &text)
    });
    let name = folder.strip_prefix(&options.results).unwrap_or(&folder).display().to_string();
    let page = keep(folder.join("report.html"), &report::page(&[(name, copied.clone())]));
    let answer = Answer {
        environment: &copied.environment,
        copies: &summary,
        calls: call_summary.as_ref(),
        in_force: plan_in_force(Policy::User),
        own: own.as_ref(),
        plan_file: plan_file.as_deref(),
        page: page.as_deref(),
        record: &folder,
    };
    report::print(answer)?;
    Ok(())
}

/// What saving and restoring vector registers costs, in two sentences.
#[cfg(target_arch = "x86_64")]
fn sections(options: &Options, time: &TimeLimit) -> Result<(), LabError> {
    use super::sections;
    time.begin("sections", sections::ENDS_BY);
    if time.is_past(sections::ENDS_BY) {
        time.print("sections: no time was left; `cargo bench --bench xsave` measures them\n")?;
        return Ok(());
    }
    let say = |what: &str| time.show(what);
    let effort = if options.effort == Effort::Full { Effort::Default } else { Effort::Quick };
    let text = match sections::measure(&options.results, effort, options.pinned_to, &say) {
        Ok(folder) => {
            let figures = report::xsave::Figures::of(&Record::read(&folder)?, &report::xsave::Parameters::default())?;
            figures.answer().map(|sentence| report::hanging(0, &sentence)).concat()
        }
        Err(error) => format!("sections: {error}\n"),
    };
    time.print(text)?;
    Ok(())
}

/// Everything that can run here, verified, and the peers that the environment names.
fn verified(environment: &mut Environment, time: &TimeLimit) -> Result<Verified, LabError> {
    let all = Contender::all_available();
    let count = all.len();
    let (mut cases, mut failed) = (0, Vec::new());
    let mut contenders: Vec<Contender> = Vec::new();
    for contender in all {
        match verify(&contender) {
            Ok(checked) => {
                cases += checked;
                contenders.push(contender);
            }
            Err(wrong) => {
                time.print(format_args!("error: {wrong}"))?;
                failed.push((contender.name().to_owned(), wrong.to_string()));
            }
        }
    }
    let right = contenders.len();
    time.print(format_args!("verified: {right} of {count} routines, {cases} copies compared byte by byte\n"))?;
    if contenders.is_empty() {
        return Err(LabError::NothingVerified);
    }
    let (peers, errors) = peer::from_environment();
    for error in &errors {
        time.print(format_args!("warning: {error}"))?;
    }
    environment.peers = peers.iter().map(PeerFile::of).collect();
    let names = peers.iter().map(|peer| peer.contender.name().to_owned()).collect();
    contenders.extend(peers.into_iter().map(|peer| peer.contender));
    Ok(Verified { contenders, peers: names, failed })
}

/// Writes a file beside the record, for the reader. A run without it has still measured what it has.
fn keep(path: PathBuf, text: &str) -> Option<PathBuf> {
    let kept = file::replace(&path, text.as_bytes());
    kept.inspect_err(|error| report::say(format_args!("{}: {error}: it is not kept", path.display()))).ok()?;
    Some(path)
}
