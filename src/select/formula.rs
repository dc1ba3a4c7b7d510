//! A plan for a CPU without a record: its row of what is known of designs, its features and its cache sizes. Pure.
//!
//! The design decides, by family and model, since guests hide feature bits. A design that is not known gets the
//! platform's copy where there is one, for callers who may use vector registers.

#![forbid(unsafe_code)]

use super::band::Band;
use super::knowledge::{Design, NoSimd, Prefetch, RECORDS, StringFrom, Vector};
use super::plan::{Origin, Plan};
use super::{Aliasing, Alignment, Class, CpuName, INLINE_MAX_BYTES, Policy};
use crate::cpu::{Cpu, Features};
use crate::kernel::{Fill, Kernel};

/// No border to non-temporal stores is believed below this, where the design has a third level.
const NON_TEMPORAL_LEAST_BYTES: u64 = 4 << 20;
/// First-level caches outside these are taken for [`USUAL_L1D_BYTES`].
const PLAUSIBLE_L1D_BYTES: core::ops::RangeInclusive<u64> = 16 << 10..=128 << 10;
const USUAL_L1D_BYTES: u64 = 32 << 10;
const USUAL_L2_BYTES: u64 = 1 << 20;

/// The plan for a CPU under a policy.
pub fn plan(cpu: &Cpu, policy: Policy) -> Plan {
    let known = Design::of(cpu.signature.microarch());
    let design = known.unwrap_or(Design::of_unknown(cpu.signature.vendor));
    let chosen = match policy {
        Policy::User if known.is_none() && Kernel::named("libc").is_some() => of_platform(),
        Policy::User => user(cpu, &design),
        // What a section costs is only known where it was measured.
        Policy::NoSimd | Policy::Section => no_simd(cpu, &design),
    };
    // Where nothing was assembled, the kernels above do not exist and the platform's copy is all there is.
    chosen.or_else(of_platform).unwrap_or_else(portable).with_origin(Origin::Formulas)
}

/// Where the row of this CPU's design is from: the letters are explained in the source of the table. Nothing for a design
/// that is not known.
pub fn source(cpu: &Cpu) -> Option<&'static str> {
    Design::of(cpu.signature.microarch()).map(|design| design.source)
}

/// Whether what is known of this CPU's design is, in part, from a record of this CPU model: of such a CPU the formulas do not
/// say what they would without that record.
pub fn is_from_record_of(cpu: &Cpu) -> bool {
    let here = CpuName::of(&cpu.signature);
    let names = |letters: &str| source(cpu).is_some_and(|source| source.contains(letters));
    let is_here = |signature: &str| CpuName::named(signature).is_some_and(|name| name.is_same_model(&here));
    RECORDS.iter().any(|(letters, signature)| names(letters) && is_here(signature))
}

/// A measured plan without what its record cannot have seen: where a design's `rep movsb` is known to collapse at some
/// placements, those take the formulas' kernel (glibc bug 30994: Zen 3, 2113 bytes, 4.4 GB/s instead of 84).
pub(super) fn without_collapse(plan: &Plan, cpu: &Cpu, policy: Policy) -> Plan {
    let Some(design) = Design::of(cpu.signature.microarch()) else { return *plan };
    if design.no_simd != NoSimd::StringUnlessAliased {
        return *plan;
    }
    let formulas = self::plan(cpu, policy);
    let safe = |band: &Band| {
        let classes = Class::ALL.into_iter().filter(|class| class.aliasing == Aliasing::DstAfterSrc);
        classes.fold(*band, |band, class| {
            let collapses = ["rep_movsb", "rep_movsb_aligned"].contains(&band.kernel(class).name());
            if collapses { band.with(class, formulas.kernel(band.up_to_bytes(), class)) } else { band }
        })
    };
    let mut bands = [Band::new(usize::MAX, formulas.kernel(usize::MAX, Class::ALL[0])); super::MAX_BANDS];
    for (to, from) in bands.iter_mut().zip(plan.bands()) {
        *to = safe(from);
    }
    let corrected = Plan::new(&bands[..plan.bands().len()]);
    corrected.map_or(*plan, |corrected| corrected.with_small(plan.small()).with_origin(plan.origin()))
}

/// The platform's `memcpy` for every length, where there is one.
fn of_platform() -> Option<Plan> {
    Plan::new(&[Band::new(usize::MAX, Kernel::named("libc")?)]).ok()
}

fn portable() -> Plan {
    const PORTABLE: &Kernel = Kernel::named("portable").unwrap();
    const PLAN: Plan = match Plan::new(&[Band::new(usize::MAX, PORTABLE)]) {
        Ok(plan) => plan,
        Err(_) => panic!("one band covers every length"),
    };
    PLAN
}

/// What callers use before the CPU is known that must not touch vector registers: at no alignment slow on any design.
pub(super) const fn no_simd_start() -> Option<Plan> {
    let (Some(gpr), Some(words)) = (Kernel::named("gpr"), Kernel::named("rep_movsq_aligned")) else { return None };
    let Some(above) = string_unless_aliased(words) else { return None };
    match Plan::new(&[Band::new(Design::UNKNOWN_GPR_MAX_BYTES, gpr), above]) {
        Ok(plan) => Some(plan.with_origin(Origin::Start)),
        Err(_) => None,
    }
}

/// `alike` where both ends lie alike in a line, else `rep movsb`, but `gpr` where it collapses on Zen 3 and Zen 4.
const fn string_unless_aliased(alike: &'static Kernel) -> Option<Band> {
    let (Some(gpr), Some(string)) = (Kernel::named("gpr"), Kernel::named("rep_movsb")) else { return None };
    let Some(aligned) = Kernel::named("rep_movsb_aligned") else { return None };
    let band = Band::new(usize::MAX, alike)
        .with_alignment(Alignment::DstAligned, string)
        .with_alignment(Alignment::Unequal, aligned)
        .with(Class::new(Alignment::DstAligned, Aliasing::DstAfterSrc), gpr)
        .with(Class::new(Alignment::Unequal, Aliasing::DstAfterSrc), gpr);
    Some(band)
}

/// General-purpose moves, then what the design has beyond them.
fn no_simd(cpu: &Cpu, design: &Design) -> Option<Plan> {
    let named = Kernel::named;
    let gpr = named("gpr")?;
    let has_string = design.string != StringFrom::Never || cpu.features.contains(Features::ERMS);
    let above = match design.no_simd {
        NoSimd::String if has_string => string(usize::MAX)?,
        // Without ERMS `rep movsb` may go byte by byte.
        NoSimd::String | NoSimd::Words => Band::new(usize::MAX, gpr)
            .with_alignment(Alignment::BothAligned, named("rep_movsq")?)
            .with_alignment(Alignment::Equal, named("rep_movsq_aligned")?),
        NoSimd::StringUnlessAliased => {
            let band = string_unless_aliased(named("rep_movsb_aligned")?)?;
            band.with_alignment(Alignment::BothAligned, named("rep_movsb")?)
        }
        NoSimd::WordsAligned => Band::new(usize::MAX, named("rep_movsq_aligned")?),
    };
    Plan::new(&[Band::new(design.gpr_max_bytes, gpr), above]).ok()
}

/// `rep movsb`, with the destination aligned first where it is not.
fn string(up_to_bytes: usize) -> Option<Band> {
    let aligned = Kernel::named("rep_movsb_aligned")?;
    let band = Band::new(up_to_bytes, Kernel::named("rep_movsb")?);
    Some(band.with_alignment(Alignment::Equal, aligned).with_alignment(Alignment::Unequal, aligned))
}

/// Vectors while the copy fits the first-level cache, the string instruction where it is known to win, non-temporal stores
/// where source and destination outgrow the last-level cache.
fn user(cpu: &Cpu, design: &Design) -> Option<Plan> {
    let width = self::width(cpu, design, design.vector);
    let vector = self::vector(cpu, width)?;
    let non_temporal = self::non_temporal(cpu, width, design.non_temporal.prefetch)?;
    let border = non_temporal_from_bytes(cpu, design).map_or(usize::MAX, |from| from - 1);
    let mut bands = Bands::new(vector);
    if let Some(from) = string_from_bytes(cpu, design).filter(|from| *from <= border) {
        bands.push(Band::new(from - 1, vector));
        // Where loads look as if they depended on the stores just before, and lines lie differently, vectors are faster.
        let unlike = [Alignment::DstAligned, Alignment::Unequal];
        let with = |band: Band, aliasing, vector| {
            unlike.iter().fold(band, |band, alignment| band.with(Class::new(*alignment, aliasing), vector))
        };
        let wanted = if design.is_vector_wide_if_aliased { Vector::Zmm } else { width };
        let aliased = if self::width(cpu, design, wanted) == wanted { self::vector(cpu, wanted) } else { None };
        let with_aliased = |band| aliased.map_or(band, |vector| with(band, Aliasing::DstAfterSrc, vector));
        let again = design.vector_again_eighths_of_l2;
        if again > 0 {
            let l1 = l1d_limit_bytes(l1d_bytes(cpu));
            let l2 =
                usize::try_from(cpu.caches.l2.map_or(USUAL_L2_BYTES, |cache| cache.size_bytes) / 8 * again).ok()?;
            bands.push(with_aliased(string(l1)?));
            let all = Aliasing::ALL.into_iter();
            bands.push(all.fold(string(l2.min(border))?, |band, aliasing| with(band, aliasing, vector)));
        }
        bands.push(with_aliased(string(border)?));
    } else {
        bands.push(Band::new(border, vector));
    }
    bands.push(Band::new(usize::MAX, non_temporal));
    Plan::new(bands.as_slice()).ok()
}

/// Vectors of this width, in registers 16 to 31 where there are some: measured on Emerald Rapids (results/TRIED.md), inferred
/// elsewhere.
fn vector(cpu: &Cpu, width: Vector) -> Option<&'static Kernel> {
    let has_hi16 = cpu.features.contains(Features::AVX512VL);
    Kernel::named(match width {
        Vector::Zmm if has_hi16 => "avx512_hi16",
        Vector::Zmm => "avx512_aligned",
        Vector::Ymm if has_hi16 => "avx512vl_hi16",
        Vector::Ymm => "avx_aligned",
        Vector::Xmm => "sse2_aligned",
    })
}

/// What this CPU moves ranges with that overlap: forward, and backward. Nothing where nothing was assembled.
pub(super) fn moves(cpu: &Cpu) -> Option<[&'static Kernel; 2]> {
    let [forward, backward] = match narrow(cpu) {
        (Vector::Xmm, _) => ["sse2_forward", "sse2_backward"],
        (_, true) => ["avx512vl_hi16_forward", "avx512vl_hi16_backward"],
        (_, false) => ["avx_forward", "avx_backward"],
    };
    Some([Kernel::named(forward)?, Kernel::named(backward)?])
}

/// What this CPU fills short ranges with. Nothing where nothing was assembled.
pub(super) fn fill(cpu: &Cpu) -> Option<&'static Fill> {
    Fill::named(match narrow(cpu) {
        (Vector::Xmm, _) => "sse2_fill",
        (_, true) => "avx512vl_hi16_fill",
        (_, false) => "avx_fill",
    })
}

/// Whether this CPU has good use for vectors of 32 bytes.
#[cfg(memcpy_select_interposed)]
pub(crate) fn has_good_ymm(cpu: &Cpu) -> bool {
    narrow(cpu).0 == Vector::Ymm
}

/// The widest vector of up to 32 bytes that this CPU has good use for, and whether there are registers 16 to 31.
fn narrow(cpu: &Cpu) -> (Vector, bool) {
    let design = Design::of(cpu.signature.microarch()).unwrap_or(Design::of_unknown(cpu.signature.vendor));
    (self::width(cpu, &design, Vector::Ymm), cpu.features.contains(Features::AVX512VL))
}

/// Non-temporal stores as wide as the vectors that pay, or wider: they leave in whole lines either way.
fn non_temporal(cpu: &Cpu, width: Vector, prefetch: Prefetch) -> Option<&'static Kernel> {
    let has_zmm = cpu.features.contains(Features::AVX512F);
    Kernel::named(match (width, prefetch) {
        (Vector::Xmm, Prefetch::NonTemporal) => "sse2_nt",
        (Vector::Xmm, Prefetch::Hardware | Prefetch::FourPages) => "sse2_nt_plain",
        (_, Prefetch::NonTemporal) => "avx_nt",
        (_, Prefetch::FourPages) => "avx_nt_4pages",
        (_, Prefetch::Hardware) if has_zmm => "avx512_nt",
        (_, Prefetch::Hardware) => "avx_nt_plain",
    })
}

/// The bands of a formula by rising limits, as many as it makes at most. One that does not rise is empty, and left out.
struct Bands {
    bands: [Band; 5],
    count: usize,
}

impl Bands {
    fn new(unused: &'static Kernel) -> Self {
        Self { bands: [Band::new(usize::MAX, unused); 5], count: 0 }
    }

    fn push(&mut self, band: Band) {
        let rises = self.as_slice().last().is_none_or(|last| last.up_to_bytes() < band.up_to_bytes());
        if let (true, Some(slot)) = (rises && band.up_to_bytes() > 0, self.bands.get_mut(self.count)) {
            *slot = band;
            self.count += 1;
        }
    }

    fn as_slice(&self) -> &[Band] {
        &self.bands[..self.count]
    }
}

/// The widest vector up to `most` that this CPU has and the design has good use for.
fn width(cpu: &Cpu, design: &Design, most: Vector) -> Vector {
    let has = |features| cpu.features.contains(features);
    // Without AVX2 the CPU splits unaligned 32-byte loads.
    let has_ymm = has(Features::AVX.union(Features::AVX2)) && !design.is_unaligned_avx_slow;
    match most {
        Vector::Zmm if has(Features::AVX512F) => Vector::Zmm,
        Vector::Zmm | Vector::Ymm if has_ymm => Vector::Ymm,
        _ => Vector::Xmm,
    }
}

/// Where `rep movsb` takes over from vectors. The design decides; the bit that a CPU shows only where designs differ in it
/// that share a row.
fn string_from_bytes(cpu: &Cpu, design: &Design) -> Option<usize> {
    match design.string {
        StringFrom::Never => None,
        StringFrom::BeyondL1 => Some(l1d_limit_bytes(l1d_bytes(cpu)) + 1),
        StringFrom::BeyondThirdOfL1 => usize::try_from(l1d_bytes(cpu) / 3 + 1).ok(),
        StringFrom::Bytes(from) => cpu.features.contains(Features::ERMS).then_some(from),
    }
}

fn l1d_bytes(cpu: &Cpu) -> u64 {
    let size = cpu.caches.l1d.map(|cache| cache.size_bytes);
    size.filter(|bytes| PLAUSIBLE_L1D_BYTES.contains(bytes)).unwrap_or(USUAL_L1D_BYTES)
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

/// Where ordinary stores evict what the copy still has to read: a share of the third level that one core reaches; nothing
/// where non-temporal stores win nowhere.
fn non_temporal_from_bytes(cpu: &Cpu, design: &Design) -> Option<usize> {
    let from = design.non_temporal;
    if from.eighths_of_l3 == 0 {
        return None;
    }
    let l3_bytes = cpu.caches.l3.map_or(from.usual_l3_bytes, |cache| cache.size_bytes);
    let share = l3_bytes.saturating_mul(from.eighths_of_l3) / 8;
    let bytes = share.min(from.at_most_bytes).max(NON_TEMPORAL_LEAST_BYTES);
    Some(usize::try_from(bytes).unwrap_or(usize::MAX).max(2 * INLINE_MAX_BYTES))
}

#[cfg(test)]
#[cfg(memcpy_select_asm)]
mod tests {
    use super::*;

    /// Before detection it may be a Zen 3 or an Intel CPU, where `rep movsq` to a source
    /// that lies differently is four to eight times as slow as `rep movsb`.
    #[test]
    fn the_plan_of_the_start_is_slow_at_no_alignment() {
        let plan = no_simd_start().unwrap();
        for (distance, src) in (0..4096_usize).flat_map(|distance| [0, 1, 16, 63].map(move |src| (distance, src))) {
            let class = Class::of(0x10_0000 + src + distance, 0x10_0000 + src);
            let kernel = plan.kernel(2113, class).name();
            let is_alike = distance % 64 == 0;
            assert!(is_alike || !kernel.starts_with("rep_movsq"), "D {distance}, source +{src}: {kernel}");
            assert!(!(1..64).contains(&distance) || kernel == "gpr", "D {distance}, source +{src}: {kernel}");
        }
    }
}
