//! `report --targets`: what one record of paths between processes says of the transport's targets.

use crate::records::RESULTS;
use crate::{caveats, json, records};
use memcpy_select::lab::paths::show::targets::{Bound, Figure, Outcome, Target, Targets};
use memcpy_select::lab::paths::{BENCH, PathRecord};
use memcpy_select::lab::record::newest;
use memcpy_select::lab::show::print;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

pub fn run(records: &[PathBuf], is_json: bool) -> Result<ExitCode, String> {
    let folder = match records {
        [] => newest_here()?,
        [folder] => folder.clone(),
        _ => return Err("targets are judged by one record: nothing was printed; name one".to_owned()),
    };
    let record = records::read(&folder, BENCH, PathRecord::of)?;
    let notes = caveats::of(&folder, &record);
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

fn newest_here() -> Result<PathBuf, String> {
    let newest = newest(RESULTS.as_ref(), &records::here(), BENCH).map_err(|error| error.to_string())?;
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
