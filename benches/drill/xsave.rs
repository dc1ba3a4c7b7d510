//! What does a section cost, and from which length on is it worth it?
//!
//! Sections as the crate offers them: by each instruction that saves, everything that a kernel's vector registers are
//! part of; empty, and around copies. `memcpy-select xsave` measures the same state by state, and says what it means.

mod support;

#[cfg(target_arch = "x86_64")]
fn main() {
    support::with_criterion(sections::bench);
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {}

#[cfg(target_arch = "x86_64")]
mod sections {
    use crate::support::{Range, buffers, size};
    use criterion::{Criterion, SamplingMode, Throughput};
    use memcpy_select::Kernel;
    use memcpy_select::cpu::{Components, Cpu};
    use memcpy_select::kernel::ReadyKernel;
    use memcpy_select::lab::copies::cell::APART_BYTES;
    use memcpy_select::xsave::{Save, SavedState, Section, StateArea};
    use std::hint::black_box;

    const ALL: Components = Components::X87.union(Components::SSE).union(Components::AVX).union(Components::AVX512);
    const LENGTHS: [usize; 4] = [64, 512, 4 << 10, 32 << 10];
    /// What a section may use, what needs none, and what keeps its registers by hand.
    const KERNELS: [&str; 7] =
        ["sse2_aligned", "avx_aligned", "avx512_aligned", "gpr", "rep_movsb", "rep_movsb_aligned", "sse2_spill4"];

    pub fn bench(criterion: &mut Criterion) {
        let cpu = Cpu::detect();
        let mut group = criterion.benchmark_group("xsave/section");
        for save in Save::ALL {
            let mut area = Box::new(StateArea::<4096>::new());
            let Ok(mut section) = SavedState::with(&mut area, save, ALL, &cpu.xstate) else {
                continue;
            };
            group.bench_function(save.name(), |bencher| {
                bencher.iter(|| {
                    section.begin();
                    section.end();
                });
            });
        }
        group.finish();
        let buffers = buffers(LENGTHS[LENGTHS.len() - 1]);
        for len_bytes in LENGTHS {
            let range = Range::new(&buffers, 0, APART_BYTES, len_bytes);
            let mut group = criterion.benchmark_group(format!("xsave/{}", size(len_bytes)));
            group.sampling_mode(SamplingMode::Flat);
            group.throughput(Throughput::BytesDecimal(len_bytes as u64));
            for kernel in KERNELS.into_iter().filter_map(Kernel::named).filter_map(Kernel::ready) {
                copies(&mut group, kernel, &range, &cpu);
            }
            group.finish();
        }
    }

    fn copies(
        group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
        kernel: ReadyKernel,
        range: &Range<'_>,
        cpu: &Cpu,
    ) {
        let row = kernel.kernel();
        range.verify(row.name(), |dst, src| kernel.copy(dst, src).expect("ranges of one length"));
        let needs_section = !row.writes().is_empty() && !row.restores();
        let mut area = Box::new(StateArea::<4096>::new());
        let Ok(mut section) = SavedState::new(&mut area, ALL, cpu) else {
            return;
        };
        let name = if needs_section { format!("{} in a section", row.name()) } else { row.name().to_owned() };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if needs_section {
                    section.begin();
                }
                // SAFETY: the kernel is available; the range lies in buffers that outlive the bench, source and destination
                // apart.
                unsafe { row.copy(black_box(range.dst), black_box(range.src), range.len_bytes) };
                if needs_section {
                    section.end();
                }
            });
        });
    }
}
