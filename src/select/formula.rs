//! A plan for a CPU that nobody measured: from its features, its family and its cache sizes. Pure.
//!
//! The figures come from what public code and manuals use, named beside each constant; a measured plan is better.

#![forbid(unsafe_code)]

use super::plan::{Band, Origin, Plan};
use super::{Aliasing, CpuName, INLINE_MAX_BYTES, Policy};
use crate::cpu::{Cpu, Features, Vendor};
use crate::kernel::Kernel;

/// Up to here eight-byte moves cost no more than starting a string instruction, which takes 35 cycles and more on
/// processors without fast short strings (Intel Optimization Reference Manual, "REP MOVSB and STOSB operation").
pub const GPR_MAX_BYTES: usize = 256;

/// From here on Intel's `rep movsb` is taken to beat 16-byte vectors; wider vectors push it up in proportion
/// (glibc, `sysdeps/x86/dl-cacheinfo.h`: `rep_movsb_threshold` is 2048 × vector bytes / 16).
const INTEL_MOVSB_FROM_BYTES_PER_16: usize = 2048;

/// What is assumed where no last-level cache is known.
const ASSUMED_LAST_LEVEL_BYTES: u64 = 4 << 20;

/// The plan for a CPU under a policy.
pub fn plan(cpu: &Cpu, policy: Policy) -> Plan {
    let chosen = match policy {
        Policy::User => user(cpu),
        // What a section costs is only known where somebody measured it.
        Policy::NoSimd | Policy::Section => no_simd(cpu),
    };
    // Where nothing was assembled, the kernels above do not exist and the platform's copy is all there is.
    chosen.unwrap_or_else(platform).with_origin(Origin::Formulas)
}

fn platform() -> Plan {
    const PORTABLE: &Kernel = Kernel::named("portable").unwrap();
    const PLATFORM: Plan = match Plan::new(&[Band::new(usize::MAX, PORTABLE)]) {
        Ok(plan) => plan,
        Err(_) => panic!("one band covers every length"),
    };
    PLATFORM
}

/// General-purpose moves, then the string instruction that this CPU has in its faster form.
fn no_simd(cpu: &Cpu) -> Option<Plan> {
    let gpr = Kernel::named("gpr")?;
    let string = if cpu.features.contains(Features::ERMS) { "rep_movsb_aligned" } else { "rep_movsq_aligned" };
    Plan::new(&[Band::new(GPR_MAX_BYTES, gpr), Band::new(usize::MAX, Kernel::named(string)?)]).ok()
}

/// Vectors while the copy fits the caches, a string instruction where it is known to win, non-temporal stores where
/// source and destination outgrow the last-level cache.
fn user(cpu: &Cpu) -> Option<Plan> {
    let width = Width::of(cpu);
    let (vector, non_temporal) = (Kernel::named(width.aligned)?, Kernel::named(width.non_temporal)?);
    if let Some(from) = string_beyond_l1_from_bytes(cpu) {
        let string = Band::new(usize::MAX, Kernel::named("rep_movsb")?);
        return Plan::new(&[Band::new(from - 1, vector), string]).ok();
    }
    let non_temporal_from = non_temporal_from_bytes(cpu);
    let cached = Band::new(non_temporal_from - 1, vector);
    let beyond = Band::new(usize::MAX, non_temporal);
    let Some(string_from) = intel_string_from_bytes(cpu, width.bytes).filter(|from| *from < non_temporal_from) else {
        return Plan::new(&[cached, beyond]).ok();
    };
    let string = Band::new(non_temporal_from - 1, Kernel::named("rep_movsb_aligned")?)
        .with_aliasing(Aliasing::DstAfterSrc, vector);
    Plan::new(&[Band::new(string_from - 1, vector), string, beyond]).ok()
}

/// AMD's family of Zen 5.
const ZEN_5_FAMILY: u16 = 26;

/// A vector width and its kernels.
struct Width {
    bytes: usize,
    aligned: &'static str,
    non_temporal: &'static str,
}

impl Width {
    fn of(cpu: &Cpu) -> Self {
        let has = |features| cpu.features.contains(features);
        // The first server generation with AVX-512 lowers its clock for it (Intel Optimization Reference Manual,
        // "Skylake server power management"); it is model 85, with Cascade Lake and Cooper Lake.
        let pays_for_512 =
            cpu.signature.vendor == Vendor::Intel && (cpu.signature.family, cpu.signature.model) == (6, 85);
        if has(Features::AVX512F) && !pays_for_512 {
            Self { bytes: 64, aligned: "avx512_aligned", non_temporal: "avx512_nt" }
        } else if has(Features::AVX.union(Features::AVX2)) {
            // Without AVX2 the CPU splits unaligned 32-byte loads (Sandy Bridge, Bulldozer): 16 bytes serve it better.
            Self { bytes: 32, aligned: "avx_aligned", non_temporal: "avx_nt" }
        } else {
            Self { bytes: 16, aligned: "sse2_aligned", non_temporal: "sse2_nt" }
        }
    }
}

/// Where the string instruction takes over from vectors for good, on CPUs where it does.
///
/// From Zen 5 on `rep movsb` is the fastest or within noise of it as soon as source and destination leave the
/// first-level cache, up to copies from and to memory, aliased or not (results/amd-26-2-1-kvm; AOCL-LibMem takes it
/// from half of that cache too). Before, it collapses at some placements (glibc bug 30994).
fn string_beyond_l1_from_bytes(cpu: &Cpu) -> Option<usize> {
    let is_zen_5_or_later = CpuName::of(&cpu.signature).is_amd_from_family(ZEN_5_FAMILY);
    if !is_zen_5_or_later || !cpu.features.contains(Features::ERMS) {
        return None;
    }
    let l1d_bytes = cpu.caches.l1d.map_or(32 << 10, |cache| cache.size_bytes);
    Some(l1d_limit_bytes(l1d_bytes) + 1)
}

/// The longest copy whose source and destination fit a first-level cache, or nearly: what does not fit is too little to
/// matter (AOCL-LibMem allows 2 KiB too).
const fn l1d_limit_bytes(l1d_bytes: u64) -> usize {
    (l1d_bytes / 2) as usize + 2048
}

/// The lengths at which source and destination outgrow the first, second and last level of the caches.
#[cfg(feature = "std")]
pub fn natural_limits(l1d_bytes: Option<u64>, l2_bytes: Option<u64>, l3_bytes: Option<u64>) -> std::vec::Vec<usize> {
    let half = |bytes: u64| usize::try_from(bytes / 2).ok();
    let limits = [l1d_bytes.map(l1d_limit_bytes), l2_bytes.and_then(half), l3_bytes.and_then(half)];
    limits.into_iter().flatten().collect()
}

/// Where Intel's string instruction takes over from vectors while the copy fits the caches.
fn intel_string_from_bytes(cpu: &Cpu, vector_bytes: usize) -> Option<usize> {
    let is_fast = cpu.signature.vendor == Vendor::Intel && cpu.features.contains(Features::ERMS);
    is_fast.then_some(INTEL_MOVSB_FROM_BYTES_PER_16 * vector_bytes / 16)
}

/// Half of the last-level cache that one core reaches: from there on source and destination together do not fit it, and
/// ordinary stores evict what the copy still has to read (results/amd-25-1-1-kvm: at half, half as fast again; at a
/// quarter, a tie).
fn non_temporal_from_bytes(cpu: &Cpu) -> usize {
    let last_level = [cpu.caches.l3, cpu.caches.l2].into_iter().flatten().next();
    let bytes = last_level.map_or(ASSUMED_LAST_LEVEL_BYTES, |cache| cache.size_bytes) / 2;
    usize::try_from(bytes).unwrap_or(usize::MAX).max(2 * INLINE_MAX_BYTES)
}
