//! How fast is each kernel, from the smallest calls to memory?
//!
//! One group a size; the buffers are hot and their offsets in a page stated: destination +0, source +2048.

mod support;

use criterion::{Criterion, SamplingMode, Throughput};
use memcpy_select::measure::cell::APART_BYTES;
use memcpy_select::measure::contender::Contender;
use memcpy_select::report;
use std::hint::black_box;
use support::Range;

const LENGTHS: [usize; 6] = [64, 512, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

fn main() {
    support::pin();
    let mut criterion = support::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let buffers = support::buffers(LENGTHS.into_iter().max().unwrap_or(0));
    for len_bytes in LENGTHS {
        let range = Range { dst: buffers.dst(0), src: buffers.src(APART_BYTES), len_bytes };
        let mut group = criterion.benchmark_group(format!("kernels/{}", report::size(len_bytes).replace(' ', "")));
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::BytesDecimal(len_bytes as u64));
        for contender in Contender::all_available() {
            range.verify(contender.name(), |dst, src| contender.copy(dst, src));
            group.bench_function(contender.name(), |bencher| {
                bencher.iter_custom(|iterations| {
                    // SAFETY: the range lies in `buffers`, source and destination apart.
                    unsafe { contender.time(black_box(range.dst), black_box(range.src), len_bytes, iterations) }
                });
            });
        }
        group.finish();
    }
}
