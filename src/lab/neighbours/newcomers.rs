//! How long a newcomer takes to connect while another process floods the server with connections, or keeps it busy otherwise,
//! while an honest client is served, and while processes that have nothing to do with it use all of both CPUs.

use super::LONG;
use super::roles::{BUSY, IDLE, MODES, NEIGHBOURS, Nature, Neighbour, Role, STRANGER};
use crate::lab::instruments::affinity::CpuPair;
use crate::lab::instruments::effort::Effort;
use crate::transport::Address;
use crate::transport::connect::{JoinOptions, join};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Between the start of a flood and the first newcomer.
const SETTLING: Duration = Duration::from_millis(300);

/// A newcomer that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newcomer {
    /// Beside which neighbour.
    pub neighbour: String,
    /// Its number.
    pub number: u32,
    /// How long it took to connect, in nanoseconds.
    pub connect_ns: u64,
}

/// The neighbours beside which newcomers connect.
pub(super) fn neighbours() -> impl Iterator<Item = &'static Neighbour> {
    NEIGHBOURS.iter().filter(|one| one.nature == Nature::Hostile || one.name == IDLE)
}

/// Lets newcomers connect beside one neighbour.
pub(super) fn measure(neighbour: &Neighbour, effort: Effort, cpus: CpuPair) -> Result<Vec<Newcomer>, String> {
    let newcomers = match effort {
        Effort::Quick => 20,
        Effort::Default => 100,
        Effort::Full => 500,
    };
    let adaptive = MODES[1].0;
    let address = Address::Abstract(format!("memcpy-select-newcomers-{}-{}", std::process::id(), neighbour.name));
    // The server may run anywhere, as most do.
    let _server = Role::start("server", adaptive, &address, None)?;
    let _client = Role::start(BUSY, adaptive, &address, None)?;
    let load = |cpu| Role::start(STRANGER, adaptive, &address, cpu);
    let _loads = [load(cpus.near)?, load(cpus.far)?];
    let _neighbour = Role::start(neighbour.name, adaptive, &address, None)?;
    std::thread::sleep(SETTLING);
    let connect = |number| {
        let start = Instant::now();
        let joined = join(&address, JoinOptions::default().limit(LONG));
        let connect_ns = start.elapsed().as_nanos() as u64;
        drop(joined.map_err(|error| format!("a newcomer beside {}: {error}", neighbour.name))?);
        Ok(Newcomer { neighbour: neighbour.name.to_owned(), number, connect_ns })
    };
    (0..newcomers).map(connect).collect()
}
