//! `report --targets`: what one record of paths between processes says of the transport's targets.

use crate::{caveats, json, records};
use memcpy_select::cpu::Cpu;
use memcpy_select::record::{IpcRecord, newest_ipc_record};
use memcpy_select::report::print;
use memcpy_select::report::targets::{Bound, Figure, Outcome, Target, Targets};
use memcpy_select::select::CpuName;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where records are looked for.
const RESULTS: &str = "results";

pub fn run(records: &[PathBuf], is_json: bool) -> Result<ExitCode, String> {
    let (folder, record) = match records {
        [] => newest()?,
        [folder] => (folder.clone(), records::read_paths(folder)?),
        _ => return Err("targets are judged by one record: nothing was printed; name one".to_owned()),
    };
    let notes = caveats::of_paths(&folder, &record);
    let targets = Targets::of(&record.summary(), &record.parts, &record.predictions());
    if is_json {
        let [met, missed, absent] = targets.counts();
        json::print(&json!({
            "record": folder.display().to_string(), "notes": notes, "met": met, "missed": missed, "absent": absent,
            "targets": targets.list.iter().map(of_target).collect::<Vec<Value>>(),
        }))?;
    } else {
        print(format_args!("{}{targets}\nrecord: {}\n", caveats::text(&notes), folder.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn newest() -> Result<(PathBuf, IpcRecord), String> {
    let signature = CpuName::of(&Cpu::detect().signature).to_string();
    let newest = newest_ipc_record(RESULTS.as_ref(), &signature).map_err(|error| error.to_string())?;
    newest.ok_or_else(|| {
        format!(
            "{RESULTS}: there is no record of paths of this CPU: `memcpy-select ipc --targets` makes one; or name one"
        )
    })
}

fn of_target(target: &Target) -> Value {
    let (side, number) = match target.bound {
        Bound::AtMost(most) => ("at_most", most),
        Bound::AtLeast(least) => ("at_least", least),
    };
    let (found, against, ratio, missing) = match &target.outcome {
        Outcome::Found { found, against, ratio } => (Some(found), against.as_ref(), Some(ratio), None),
        Outcome::Absent { missing } => (None, None, None, Some(missing)),
    };
    json!({
        "theme": target.theme, "target": target.what, side: number, "verdict": target.verdict(), "ratio": ratio,
        "found": found.map(of_figure), "against": against.map(of_figure), "missing": missing,
    })
}

fn of_figure(figure: &Figure) -> Value {
    let half = figure.half_rtt_ns.map(|half| json!({ "p50": half.p50, "p99": half.p99, "p999": half.p999 }));
    json!({
        "name": figure.name, "at": figure.at, "value": figure.value, "unit": figure.quantity.unit(), "half_rtt_ns": half,
    })
}
