//! The twelve rows of the osdev.org thread "Avoiding redundant copies with direct user IPC", by name, on this CPU.
//!
//! Same sizes, same offsets, same unit (MB/s, decimal) as the thread's table, which was taken on a Ryzen 2700X;
//! `builtin` is `copy_from_slice`, `rust` is `rep movsq` then `rep movsb`. Further columns: the same with an aligned
//! destination (the thread's "about 40 GB/s" remark), `rep movsb` alone, and `memcpy_auto`.
//!
//! In the thread both buffers stood at the same offset in a page, so that they aliased modulo 4096, which some kernels
//! care about. Here every row runs that way, and with the source half a page away.

mod support;

use criterion::{Criterion, SamplingMode, Throughput};
use memcpy_select::Kernel;
use memcpy_select::lab::copies::contender::Contender;
use memcpy_select::lab::instruments::buffers::Buffers;
use memcpy_select::lab::instruments::statistics::median;
use memcpy_select::lab::show;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use support::Range;

/// A row of the thread: size, suffix, destination and source offset, and its MB/s for `builtin` and `rust`.
struct Row {
    len_bytes: usize,
    suffix: &'static str,
    dst_offset: usize,
    src_offset: usize,
    thread_builtin: u32,
    thread_rust: u32,
}

const fn row(len_bytes: usize, suffix: &'static str, offsets: (usize, usize), thread: (u32, u32)) -> Row {
    let (src_offset, dst_offset) = offsets;
    Row { len_bytes, suffix, dst_offset, src_offset, thread_builtin: thread.0, thread_rust: thread.1 }
}

const ROWS: [Row; 6] = [
    row(1_048_576, "", (0, 0), (36_246, 17_799)),
    row(1_048_576, "_misalign", (65, 66), (36_928, 16_946)),
    row(1_048_576, "_offset", (65, 65), (36_856, 17_153)),
    row(4_096, "", (0, 0), (57_690, 47_080)),
    row(4_096, "_misalign", (65, 66), (53_894, 25_283)),
    row(4_096, "_offset", (65, 65), (56_109, 25_128)),
];

/// A column: its name in benchmark identifiers, and the routine.
const COLUMNS: [(&str, &str); 5] = [
    ("builtin", "portable"),
    ("rust", "rep_movsq"),
    ("rep_movsq_aligned", "rep_movsq_aligned"),
    ("rep_movsb", "rep_movsb"),
    ("auto", "memcpy_auto"),
];

/// Where the buffers stand: both at page + 16 as in the thread, or the source half a page further.
const PLACEMENTS: [(&str, usize); 2] = [("aliased", 0), ("apart", 2048)];
const PAGE_OFFSET: usize = 16;

/// Nanoseconds per copy of every batch, by benchmark identifier.
type Batches = RefCell<HashMap<String, Vec<f64>>>;

fn main() {
    let batches = Batches::default();
    support::with_criterion(|criterion| {
        let buffers = support::buffers(1 << 20);
        PLACEMENTS.iter().for_each(|placement| bench(criterion, &buffers, *placement, &batches));
    });
    for (placement, _) in PLACEMENTS {
        support::or_end(show::print(table(placement, &batches.borrow())));
    }
}

fn contender(routine: &str) -> Option<Contender> {
    match Kernel::named(routine) {
        Some(kernel) => Contender::kernel(kernel),
        None => Some(Contender::memcpy_auto()),
    }
}

fn identifier(column: &str, row: &Row) -> String {
    format!("memcpy_{column}_{}{}", row.len_bytes, row.suffix)
}

fn bench(criterion: &mut Criterion, buffers: &Buffers, (placement, apart): (&str, usize), batches: &Batches) {
    let mut group = criterion.benchmark_group(format!("forum/{placement}"));
    group.sampling_mode(SamplingMode::Flat);
    for row in &ROWS {
        let (dst_offset, src_offset) = (PAGE_OFFSET + row.dst_offset, PAGE_OFFSET + apart + row.src_offset);
        let range = Range::new(buffers, dst_offset, src_offset, row.len_bytes);
        group.throughput(Throughput::BytesDecimal(row.len_bytes as u64));
        for (column, routine) in COLUMNS {
            let Some(contender) = contender(routine) else { continue };
            let identifier = identifier(column, row);
            range.verify(&identifier, |dst, src| contender.copy(dst, src));
            group.bench_function(&identifier, |bencher| {
                bencher.iter_custom(|iterations| {
                    let passed = range.time(&contender, iterations);
                    let per_copy_ns = passed.as_nanos() as f64 / iterations as f64;
                    batches.borrow_mut().entry(format!("{placement}/{identifier}")).or_default().push(per_copy_ns);
                    passed
                });
            });
        }
    }
    group.finish();
}

/// The thread's table with this CPU beside it, from the same batches that criterion saw.
fn table(placement: &str, batches: &HashMap<String, Vec<f64>>) -> String {
    // In test mode each routine ran once, and a filter may have left nothing: there is no table then.
    let is_measured = |(name, batches): (&String, &Vec<f64>)| name.starts_with(placement) && batches.len() > 2;
    if !batches.iter().any(is_measured) {
        return String::new();
    }
    let mut text = format!(
        "MB/s, buffers {placement} modulo 4096 (in the thread: aliased)\n{:<18}{:>15}   this CPU\n\
         {:<18}{:>8}{:>7}{:>10}{:>7}{:>10}{:>10}{:>8}\n",
        "", "Ryzen 2700X", "", "builtin", "rust", "builtin", "rust", "r.movsq_a", "rep_movsb", "auto"
    );
    for row in &ROWS {
        let [builtin, rust, aligned, movsb, auto] = COLUMNS.map(|(column, _)| {
            let batches = batches.get(&format!("{placement}/{}", identifier(column, row)));
            let mb_per_s = batches.and_then(|batches| median(batches)).map(|ns| row.len_bytes as f64 * 1e3 / ns);
            mb_per_s.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
        });
        let _ = writeln!(
            text,
            "{:<18}{:>8}{:>7}{builtin:>10}{rust:>7}{aligned:>10}{movsb:>10}{auto:>8}",
            format!("{}{}", row.len_bytes, row.suffix),
            row.thread_builtin,
            row.thread_rust,
        );
    }
    text + "\n"
}
