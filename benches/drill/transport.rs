//! What does each way to move a payload from one process to another cost?
//!
//! A short look, two sizes, polling where a path can: half a round trip and the time of a message one way, both with every
//! byte written and checked. The record, more sizes and every circumstance are the verb `ipc`'s.

mod support;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use memcpy_select::measure::ipc::{self, Cell, Contender, Failure, Pair, Pattern, Placement, Program};
use memcpy_select::path::{Mode, Tiers, paths};
use memcpy_select::report;
use std::process::ExitCode;
use std::time::Duration;

const LENGTHS: [usize; 2] = [64, 64 << 10];

fn main() -> ExitCode {
    // This bench runs as the two sides, too.
    if let Some(status) = ipc::serve_if_asked(paths()) {
        return status;
    }
    let mut criterion = support::criterion();
    bench(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn bench(criterion: &mut Criterion) {
    let cpus = ipc::cpus();
    let placement = if cpus.0 == cpus.1 { Placement::OneCore } else { Placement::TwoCores };
    for payload_bytes in LENGTHS {
        let cell = Cell::simple(payload_bytes, Mode::Polling, placement);
        let size = report::size(payload_bytes).replace(' ', "");
        for pattern in Pattern::ALL {
            let mut group = criterion.benchmark_group(format!("transport/{}/{size}", pattern.name()));
            group.sampling_mode(SamplingMode::Flat);
            group.throughput(Throughput::BytesDecimal(payload_bytes as u64));
            for path in paths() {
                let contender = Contender::plain(*path);
                let mut pair = match verified(&contender, &cell, cpus) {
                    Ok(pair) => pair,
                    Err(reason) => {
                        support::print(format_args!(
                            "transport/{}/{size}/{}: not measured: {reason}\n",
                            pattern.name(),
                            path.name()
                        ));
                        continue;
                    }
                };
                group.bench_function(BenchmarkId::from_parameter(path.name()), |bencher| {
                    bencher.iter_custom(|iterations| timed(&mut pair, &contender, &cell, pattern, iterations));
                });
            }
            group.finish();
        }
    }
}

/// Two processes with the path between them, once every byte arrived as it was sent.
fn verified(contender: &Contender<'_>, cell: &Cell, cpus: (Option<usize>, Option<usize>)) -> Result<Pair, String> {
    if let Some(reason) = contender.refuses(cell) {
        return Err(reason);
    }
    let program = Program::current().map_err(|error| error.to_string())?;
    let mut pair = Pair::start(&program, cpus.0, cpus.1).map_err(|failure| failure.to_string())?;
    let connected = pair.connect(0, contender.path, &cell.config(contender, Tiers::GIVEN));
    connected
        .and_then(|_| pair.time(0, contender, cell, Pattern::PingPong, 3))
        .map_err(|failure| failure.to_string())?;
    Ok(pair)
}

/// That many messages; there and back is two, of which one is counted.
fn timed(pair: &mut Pair, contender: &Contender<'_>, cell: &Cell, pattern: Pattern, messages: u64) -> Duration {
    let time: Result<Duration, Failure> = pair.time(0, contender, cell, pattern, messages);
    let time = time.unwrap_or_else(|failure| {
        memcpy_select::report::say(format_args!("error: {}: {failure}", contender.path.name()));
        std::process::exit(1);
    });
    if pattern == Pattern::PingPong { time / 2 } else { time }
}
