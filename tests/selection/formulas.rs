//! The promise: for CPUs that nobody measured with this crate, the formulas take kernels that public figures do not rule
//! out, and stay within what the CPU has.
//!
//! The figures are what the InstLatx64 collection measured in the first-level cache (http://users.atw.hu/instlatx64):
//! bytes that `rep movsb` copies in a cycle, and cycles for one aligned store of each width. They say nothing about
//! where a plan changes kernels further out: on CPUs without a record in `results/` those limits are unverified.

use crate::words::{self, Words, XCR0_AVX, XCR0_AVX512};
use memcpy_select::cpu::{Cpu, Features};
use memcpy_select::select::{Aliasing, Alignment, Class, Policy, formula};

/// A CPU's words, its XCR0, bytes a cycle by `rep movsb`, and cycles of a store of 16, 32 and 64 bytes.
type Figures = (&'static str, Option<u64>, f64, [Option<f64>; 3]);

const FIGURES: [Figures; 8] = [
    ("sandybridge", XCR0_AVX, 12.7, [Some(1.0), None, None]),
    ("haswell-ep", XCR0_AVX, 27.7, [Some(1.0), Some(1.0), None]),
    // Its 64-byte stores lower the clock, which figures in cycles do not show: they are left out.
    ("skylake-x", XCR0_AVX512, 28.9, [Some(1.0), Some(1.0), None]),
    ("icelake-sp", XCR0_AVX512, 59.2, [Some(0.5), Some(1.0), Some(1.0)]),
    ("zen1", XCR0_AVX, 14.6, [Some(1.0), Some(2.0), None]),
    ("zen2-rome", XCR0_AVX, 27.9, [Some(1.0), Some(1.0), None]),
    ("zen3-milan", XCR0_AVX, 29.7, [Some(1.0), Some(1.0), None]),
    ("zen4-genoa", XCR0_AVX512, 28.5, [Some(1.0), Some(1.0), Some(2.0)]),
];

/// A kernel at less than this share of the best figure is one that the figures rule out.
const RULED_OUT: f64 = 0.75;

fn bytes_per_cycle((_, _, movsb, stores): &Figures, kernel: &str) -> f64 {
    let store = |at: usize, bytes: f64| stores[at].map_or(0.0, |cycles| bytes / cycles);
    match kernel {
        name if name.starts_with("rep_movs") => *movsb,
        "sse2_aligned" => store(0, 16.0),
        "avx_aligned" => store(1, 32.0),
        "avx512_aligned" => store(2, 64.0),
        other => panic!("{other} has no figure"),
    }
}

#[test]
fn what_the_formulas_take_in_the_first_level_cache_is_not_ruled_out() {
    let class = Class::new(Alignment::BothAligned, Aliasing::Apart);
    for figures in &FIGURES {
        let cpu = Words::of(figures.0).decode(figures.1);
        let plan = formula::plan(&cpu, Policy::User);
        let taken = plan.kernel(4096, class).name();
        let runs = |name: &&str| {
            let kernel = memcpy_select::Kernel::named(name).expect("a kernel of the table");
            cpu.features.contains(kernel.needs())
        };
        let all = ["rep_movsb", "sse2_aligned", "avx_aligned", "avx512_aligned"];
        let best = all.into_iter().filter(runs).map(|name| bytes_per_cycle(figures, name)).fold(0.0, f64::max);
        println!(
            "{:<12} {taken:<15} {:.0}% of the best figure\n{plan}",
            figures.0,
            bytes_per_cycle(figures, taken) / best * 100.0
        );
        assert!(bytes_per_cycle(figures, taken) >= RULED_OUT * best, "{}: {taken}", figures.0);
    }
}

#[test]
fn every_cpu_gets_a_plan_that_it_can_follow() {
    for file in words::files() {
        let words = Words::of(file.trim_end_matches(".txt"));
        for xcr0 in [None, XCR0_AVX, XCR0_AVX512] {
            let cpu = words.clone().decode(xcr0);
            for policy in [Policy::User, Policy::NoSimd] {
                assert_eq!(formula::plan(&cpu, policy).check(policy, cpu.features), Ok(()), "{file}, {xcr0:?}");
            }
        }
    }
}

/// A guest from which all but the architecture's minimum is hidden.
#[test]
fn hidden_features_lead_to_a_plainer_plan() {
    for figures in &FIGURES {
        let cpu: Cpu = Words::of(figures.0).decode(figures.1).masked(Features::SSE2);
        let plan = formula::plan(&cpu, Policy::User);
        assert!(plan.kernels().all(|kernel| kernel.name().starts_with("sse2_")), "{}: {plan}", figures.0);
    }
}
