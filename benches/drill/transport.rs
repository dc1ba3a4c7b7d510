//! What does each way to move a payload from one process to another cost?
//!
//! A short look, two sizes, polling where a path can: half a round trip and the time of a message one way, both with every
//! byte written and checked. The record, more sizes and every circumstance are the verb `ipc`'s.

mod support;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::paths::ways::{Mode, Tiers, paths};
use memcpy_select::lab::paths::{Cell, Contender, Pair, Pattern, Placement, Program, serve_if_asked};
use memcpy_select::lab::show;
use std::process::ExitCode;
use support::or_end;

const LENGTHS: [usize; 2] = [64, 64 << 10];

fn main() -> ExitCode {
    // This bench runs as the two sides, too.
    if let Some(status) = serve_if_asked(paths()) {
        return status;
    }
    // Once this thread is pinned, it has no other CPU for the second process of a path.
    let cpus = CpuPair::last_two();
    support::with_criterion(|criterion| bench(criterion, cpus));
    ExitCode::SUCCESS
}

fn bench(criterion: &mut Criterion, cpus: CpuPair) {
    let placement = if cpus.is_single() { Placement::OneCore } else { Placement::TwoCores };
    for payload_bytes in LENGTHS {
        let cell = Cell::simple(payload_bytes, Mode::Polling, placement);
        for pattern in Pattern::ALL {
            let name = format!("transport/{}/{}", pattern.name(), support::size(payload_bytes));
            let mut group = criterion.benchmark_group(&name);
            group.sampling_mode(SamplingMode::Flat);
            group.throughput(Throughput::BytesDecimal(payload_bytes as u64));
            for path in paths() {
                let contender = Contender::plain(*path);
                let mut pair = match verified(&contender, &cell, cpus) {
                    Ok(pair) => pair,
                    Err(reason) => {
                        or_end(show::print(format_args!("{name}/{}: not measured: {reason}\n", path.name())));
                        continue;
                    }
                };
                // That many messages; there and back is two, of which one is counted.
                let mut timed = |messages| {
                    let time = pair.time(0, &contender, &cell, pattern, messages);
                    let time = or_end(time.map_err(|failure| format!("{}: {failure}", path.name())));
                    if pattern == Pattern::PingPong { time / 2 } else { time }
                };
                group.bench_function(BenchmarkId::from_parameter(path.name()), |bencher| {
                    bencher.iter_custom(&mut timed);
                });
            }
            group.finish();
        }
    }
}

/// Two processes with the path between them, once every byte arrived as it was sent.
fn verified(contender: &Contender<'_>, cell: &Cell, cpus: CpuPair) -> Result<Pair, String> {
    if let Some(reason) = contender.refuses(cell) {
        return Err(reason);
    }
    let program = Program::current().map_err(|error| error.to_string())?;
    let mut pair = Pair::start(&program, cpus.near, cpus.far).map_err(|failure| failure.to_string())?;
    let connected = pair.connect(0, contender.path, &cell.config(contender, Tiers::GIVEN));
    connected
        .and_then(|_| pair.time(0, contender, cell, Pattern::PingPong, 3))
        .map_err(|failure| failure.to_string())?;
    Ok(pair)
}
