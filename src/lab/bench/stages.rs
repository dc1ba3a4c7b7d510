//! The stages: what each measures of its question in the time that it has, and the record that it keeps as it goes.

use super::Options;
use super::time::TimeLimit;
use crate::cpu::Cpu;
use crate::lab::LabError;
use crate::lab::copies::calls::{Calls, Region};
use crate::lab::copies::cell::Cell;
use crate::lab::copies::contender::{Contender, LIBC, MEMCPY_AUTO};
use crate::lab::copies::scope::Scope;
use crate::lab::copies::{self, Copies, CopyRecord, Pass, Verified};
use crate::lab::experiment::Experiment;
use crate::lab::instruments::effort::Effort;
use crate::lab::paths::ways::{Mode, paths};
use crate::lab::paths::{self as between, Asked, PathRecord, Paths, Placement, Program};
use crate::lab::record::{Environment, Growing};
use std::path::PathBuf;

/// The first table is due by this share of the run.
const FIRST_TABLE_BY: f64 = 0.2;
/// Copies end at this share of the run; a grid that was not gone through once by then goes on to the other.
const COPIES_END_BY: f64 = 0.55;
const COPIES_END_AT_LAST: f64 = 0.64;
/// The other stages end at these.
const CALLS_END_BY: f64 = 0.68;
#[cfg(target_arch = "x86_64")]
const SECTIONS_END_BY: f64 = 0.78;
const PATHS_END_BY: f64 = 0.96;

/// Measures the grid of the effort, whose record makes a plan. The table of aligned cells is printed as soon as it is there.
pub(super) fn copies(
    options: &Options,
    verified: &Verified,
    environment: Environment,
    cpu: &Cpu,
    time: &TimeLimit,
) -> Result<(PathBuf, CopyRecord), LabError> {
    let effort = options.effort;
    time.begin("copies", COPIES_END_BY);
    time.next("filling the buffers");
    let mut all = Copies::new(verified, effort.grid(), effort.buffer_bytes(cpu), effort)?;
    let grid = Scope::of(effort).to_string();
    let mut growing = Growing::create(&options.results, copies::BENCH, environment, &grid)?;

    // The column of the first table in all its passes; then one pass over everything else before the second.
    let (first, rest) = all.grid().split_at(1.min(all.grid().len()));
    let (first, mut rest) = (all.passes(first), all.passes(rest));
    rest.sort_by_key(|pass| pass.number);
    for pass in first {
        if pass.number == 0 || !time.is_past(FIRST_TABLE_BY) {
            time.next(pass);
            all.measure(&pass, &mut growing, time)?;
        }
    }
    let summary = CopyRecord::from(growing.kept().clone()).summary();
    time.print(copies::show::selection_table(&summary, true))?;

    let mut left_out = 0;
    for pass in rest {
        if time.is_past(if pass.number == 0 { COPIES_END_AT_LAST } else { COPIES_END_BY }) {
            left_out += u32::from(pass.number == 0);
            continue;
        }
        time.next(pass);
        all.measure(&pass, &mut growing, time)?;
    }
    if left_out > 0 {
        let cells = all.grid().iter().flatten().count();
        time.print(format_args!("{left_out} of {cells} cells were left out for want of time\n"))?;
    }
    let (folder, kept) = growing.finish()?;
    Ok((folder, kept.into()))
}

/// Measures sequences of calls in the first-level cache, as `memcpy_auto`, `copy_from_slice`, libc and the peers make them.
pub(super) fn calls(
    options: &Options,
    verified: &Verified,
    environment: Environment,
    time: &TimeLimit,
) -> Result<CopyRecord, LabError> {
    time.begin("calls as programs make them", CALLS_END_BY);
    let is_peer = |contender: &Contender| environment.peers.iter().any(|peer| peer.name == contender.name());
    let mut some = verified.clone();
    some.right.retain(|contender| [LIBC, MEMCPY_AUTO].contains(&contender.name()) || is_peer(contender));
    some.right.push(Contender::copy_from_slice());
    let cells: Vec<Cell> = Calls::all().filter(|calls| calls.region == Region::L1).map(Cell::calls).collect();
    let mut all = Copies::new(&some, vec![cells], Region::L1.bytes() + 4096, options.effort)?;
    let grid = Scope::of(options.effort).to_string();
    let mut growing = Growing::create(&options.results, "distributions", environment, &grid)?;
    let passes: Vec<Pass> = all.passes(all.grid());
    for pass in passes {
        // One pass is a matter of seconds, and the last screen needs it.
        if pass.number == 0 || !time.is_past(CALLS_END_BY) {
            time.next(pass);
            all.measure(&pass, &mut growing, time)?;
        }
    }
    Ok(growing.finish()?.1.into())
}

/// What saving and restoring vector registers costs; in two sentences.
#[cfg(target_arch = "x86_64")]
pub(super) fn sections(options: &Options, environment: Environment, time: &TimeLimit) -> Result<String, LabError> {
    use crate::lab::experiment::{grid_of, run};
    use crate::lab::instruments::buffers::Buffers;
    use crate::lab::sections::show::{Figures, Parameters};
    use crate::lab::sections::{BENCH, SectionRecord, Sections};
    use crate::lab::show::hanging;

    time.begin("sections", SECTIONS_END_BY);
    if time.is_past(SECTIONS_END_BY) {
        return Ok("sections: no time was left; `memcpy-select xsave` measures them\n".to_owned());
    }
    let effort = if options.effort == Effort::Full { Effort::Default } else { Effort::Quick };
    let environment = Environment { effort: effort.name().to_owned(), ..environment };
    let buffers = Buffers::new(Sections::MAX_LEN_BYTES)?;
    let mut all = Sections::new(effort, options.pinned_to, &buffers)?;
    let growing = Growing::create(&options.results, BENCH, environment, &grid_of(effort))?;
    let (_, kept) = run(&mut all, growing, time)?;
    let figures = Figures::of(&SectionRecord::of_kept(kept)?, &Parameters::default());
    Ok(figures.answer().map(|sentence| hanging(0, &sentence)).concat())
}

/// The ways that stand for their kinds: through the kernel with two copies, with one, and with none.
const PATHS: [&str; 6] = ["pipe", "unix_stream", "process_vm_readv", "byte_ring", "table_copy_copy", "table_in_place"];
/// Payloads in bytes.
const PAYLOADS: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];

/// Measures half round trips between two cores (one, if there is no other) that poll, each byte written and checked.
pub(super) fn between_processes(
    options: &Options,
    environment: Environment,
    time: &TimeLimit,
) -> Result<PathRecord, LabError> {
    time.begin("paths between two processes", PATHS_END_BY);
    let placement = if options.cpus.is_single() { Placement::OneCore } else { Placement::TwoCores };
    let cells = PAYLOADS.map(|payload_bytes| between::Cell::simple(payload_bytes, Mode::Polling, placement));
    let asked = Asked { paths: PATHS.map(str::to_owned).to_vec(), ..Asked::default() };
    let refused = |error: &dyn std::fmt::Display| LabError::Asked(format!("{error}: no path was measured"));
    let contenders = between::contenders(paths(), &asked).map_err(|error| refused(&error))?;
    let program = Program::current().map_err(|error| refused(&error))?;
    let grid = format!("effort quick\nsizes 64,4KiB,64KiB,1MiB\npaths {}\n", PATHS.join(","));
    let environment = Environment { effort: Effort::Quick.name().to_owned(), ..environment };
    let mut growing = Growing::create(&options.results, between::BENCH, environment, &grid)?;
    let mut all = Paths::new(program, options.cpus, Effort::Quick, cells.to_vec(), contenders);
    for (step, _) in all.steps(&growing) {
        if time.is_past(PATHS_END_BY) {
            break;
        }
        time.next(&step);
        all.measure(&step, &mut growing, time)?;
    }
    Ok(PathRecord::of_kept(growing.finish()?.1)?)
}
