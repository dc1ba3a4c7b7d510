//! The fourth stage: a few ways to another process, short.

use super::error::LabError;
use super::stage::Options;
use super::time::TimeLimit;
use crate::measure::effort::Effort;
use crate::measure::ipc::{self, Asked, Cell, Placement, Program, Row, Summary};
use crate::path::{Mode, paths};
use crate::record::{Environment, GrowingIpc};
use std::path::PathBuf;

/// The ways that stand for their kinds: through the kernel with two copies, with one, and with none.
const PATHS: [&str; 6] = ["pipe", "unix_stream", "process_vm_readv", "byte_ring", "table_copy_copy", "table_in_place"];
/// Payloads in bytes.
const LENGTHS: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];
/// The stage ends at this share of the run.
pub(super) const ENDS_BY: f64 = 0.96;

/// Measures half round trips between two cores (one, if there is no other) that poll, each byte written and checked, and
/// returns the folder of the record and its figures.
pub(super) fn measure(
    options: &Options,
    environment: Environment,
    time: &TimeLimit,
) -> Result<(PathBuf, Vec<Row>), LabError> {
    time.begin("paths between two processes", ENDS_BY);
    let cpus = options.cpus;
    let placement = if cpus.0 == cpus.1 { Placement::OneCore } else { Placement::TwoCores };
    let cells = LENGTHS.map(|payload_bytes| Cell::simple(payload_bytes, Mode::Polling, placement));
    let asked = Asked { paths: PATHS.map(str::to_owned).to_vec(), ..Asked::default() };
    let contenders = ipc::contenders(paths(), &asked).map_err(|error| LabError::Paths(error.to_string()))?;
    let program = Program::current().map_err(|error| LabError::Paths(format!("this program's own file: {error}")))?;
    let grid = format!("effort quick\nsizes 64,4KiB,64KiB,1MiB\npaths {}\n", PATHS.join(","));
    let mut growing = GrowingIpc::create(&options.results, environment, &grid)?;
    let mut run = ipc::Run::new(&program, cpus, Effort::Quick, &cells, &contenders);
    for cell in &cells {
        if time.is_past(ENDS_BY) {
            break;
        }
        time.show(cell);
        let (samples, refusals) = run.measure(cell);
        growing.append(samples, refusals)?;
    }
    let (folder, record) = growing.finish()?;
    Ok((folder, Summary::of(&record.samples).rows))
}
