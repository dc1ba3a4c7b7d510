//! How long a newcomer takes to connect while another process floods the server with connections, or keeps it busy otherwise,
//! while an honest client is served, and while processes that have nothing to do with it use all of both CPUs.

use crate::neighbours::LONG;
use crate::roles::{BUSY, IDLE, MODES, NEIGHBOURS, Nature, Role, STRANGER};
use memcpy_select::measure::effort::Effort;
use memcpy_select::transport::Address;
use memcpy_select::transport::connect::{JoinOptions, join};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Between the start of a flood and the first newcomer.
const SETTLING: Duration = Duration::from_millis(300);

/// A newcomer that was let in.
#[derive(Clone, Debug, Serialize)]
pub struct Newcomer {
    neighbour: &'static str,
    number: u32,
    connect_ns: u64,
}

pub fn measure(effort: Effort, cpus: (Option<usize>, Option<usize>)) -> Result<Vec<Newcomer>, String> {
    let newcomers = match effort {
        Effort::Quick => 20,
        Effort::Default => 100,
        Effort::Full => 500,
    };
    let adaptive = MODES[1].0;
    let mut all = Vec::new();
    for neighbour in NEIGHBOURS.iter().filter(|one| one.nature == Nature::Hostile || one.name == IDLE) {
        let address = Address::Abstract(format!("memcpy-select-newcomers-{}-{}", std::process::id(), neighbour.name));
        // The server may run anywhere, as most do.
        let _server = Role::start("server", adaptive, &address, None)?;
        let _client = Role::start(BUSY, adaptive, &address, None)?;
        let load = |cpu| Role::start(STRANGER, adaptive, &address, cpu);
        let _loads = [load(cpus.0)?, load(cpus.1)?];
        let _neighbour = Role::start(neighbour.name, adaptive, &address, None)?;
        std::thread::sleep(SETTLING);
        for number in 0..newcomers {
            let start = Instant::now();
            let joined = join(&address, JoinOptions::default().limit(LONG));
            let connect_ns = start.elapsed().as_nanos() as u64;
            drop(joined.map_err(|error| format!("a newcomer beside {}: {error}", neighbour.name))?);
            all.push(Newcomer { neighbour: neighbour.name, number, connect_ns });
        }
    }
    Ok(all)
}

pub fn print(newcomers: &[Newcomer]) {
    crate::support::print(format_args!(
        "{:<20}{:>9}{:>10}{:>10}{:>10}\n",
        "newcomers beside", "number", "p50 ms", "p99 ms", "worst ms"
    ));
    for neighbour in &NEIGHBOURS {
        let times = newcomers.iter().filter(|one| one.neighbour == neighbour.name).map(|one| one.connect_ns);
        let mut times_ns: Vec<u64> = times.collect();
        times_ns.sort_unstable();
        let at = |share: usize| times_ns.get((times_ns.len() * share / 100).min(times_ns.len().saturating_sub(1)));
        if let (Some(p50), Some(p99), Some(worst)) = (at(50), at(99), times_ns.last()) {
            let [p50, p99, worst] = [p50, p99, worst].map(|ns| *ns as f64 / 1e6);
            let (name, number) = (neighbour.name, times_ns.len());
            crate::support::print(format_args!("  {name:<18}{number:>9}{p50:>10.1}{p99:>10.1}{worst:>10.1}\n"));
        }
    }
    crate::support::print("  beside an honest busy client, and with a process that spins on each CPU\n\n");
}
