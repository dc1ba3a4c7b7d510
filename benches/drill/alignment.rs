//! What does alignment cost each kernel?
//!
//! One group a placement of destination and source modulo a cache line, and whether the two alias modulo 4096. The
//! length, 4096 bytes, stays in the first-level cache, where a split line shows most.

mod support;

use criterion::{Criterion, SamplingMode, Throughput};
use memcpy_select::measure::cell::APART_BYTES;
use memcpy_select::measure::contender::Contender;
use support::Range;

const LEN_BYTES: usize = 4096;

/// Name, destination and source offset in a page.
const PLACEMENTS: [(&str, usize, usize); 8] = [
    ("aligned", 0, APART_BYTES),
    ("src+1", 0, APART_BYTES + 1),
    ("dst+1", 1, APART_BYTES),
    ("both+1", 1, APART_BYTES + 1),
    ("dst+32", 32, APART_BYTES),
    ("aliased", 0, 0),
    ("aliased dst+1", 1, 0),
    ("aliased src+1", 0, 1),
];

fn main() {
    support::pin();
    let mut criterion = support::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let buffers = support::buffers(LEN_BYTES);
    for (name, dst_offset, src_offset) in PLACEMENTS {
        let range = Range { dst: buffers.dst(dst_offset), src: buffers.src(src_offset), len_bytes: LEN_BYTES };
        let mut group = criterion.benchmark_group(format!("alignment/{name}"));
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::BytesDecimal(LEN_BYTES as u64));
        for contender in Contender::all_available() {
            range.verify(contender.name(), |dst, src| contender.copy(dst, src));
            group.bench_function(contender.name(), |bencher| {
                bencher.iter_custom(|iterations| {
                    // SAFETY: the range lies in `buffers`, source and destination apart.
                    unsafe { contender.time(range.dst, range.src, LEN_BYTES, iterations) }
                });
            });
        }
        group.finish();
    }
}
