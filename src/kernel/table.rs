//! THE table. A new kernel is one file in `asm/` and one row here; tests, benches, fuzzing, selection and reports
//! iterate over it.

use super::{Kernel, Overlap, Stores, portable};
use crate::cpu::{Components, Features};

/// What kernels of each encoding write.
#[cfg(memcpy_select_asm)]
pub(super) mod encoding {
    use crate::cpu::Components;

    pub(in crate::kernel) const NONE: Components = Components::NONE;
    pub(in crate::kernel) const LEGACY: Components = Components::SSE;
    /// A write of an XMM or YMM register by VEX clears the rest of it, whatever its width, as does `vzeroupper`: where
    /// there is AVX-512, kernels that never name a ZMM register write them too.
    pub(in crate::kernel) const VEX: Components = LEGACY.union(Components::AVX).union(Components::ZMM_HI256);
    /// Registers 16 to 31, which are a component of their own as a whole.
    pub(in crate::kernel) const HI16: Components = Components::HI16_ZMM;
}

/// A row for `asm/<stem>.S`.
#[cfg(memcpy_select_asm)]
macro_rules! row {
    ($stem:literal, $needs:ident, $writes:ident, $stores:ident) => {
        row!($stem, $needs, $writes, $stores, restores: false, overlap: Never)
    };
    ($stem:literal, $needs:ident, $writes:ident, overlap: $overlap:ident) => {
        row!($stem, $needs, $writes, Temporal, restores: false, overlap: $overlap)
    };
    ($stem:literal, $needs:ident, $writes:ident, $stores:ident, restores: true) => {
        row!($stem, $needs, $writes, $stores, restores: true, overlap: Never)
    };
    ($stem:literal, $needs:ident, $writes:ident, $stores:ident, restores: $restores:literal, overlap: $overlap:ident) => {
        Kernel {
            name: $stem,
            needs: Features::$needs,
            writes: encoding::$writes,
            restores: $restores,
            stores: Stores::$stores,
            overlap: Overlap::$overlap,
            entry: {
                unsafe extern "sysv64" {
                    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), $stem)]
                    fn entry(dst: *mut u8, src: *const u8, len: usize);
                }
                entry
            },
        }
    };
}

/// Simplest first: where two kernels tie, selection takes the earlier one.
#[cfg(memcpy_select_asm)]
static KERNELS: &[Kernel] = &[
    row!("rep_movsb", NONE, NONE, Temporal),
    row!("rep_movsb_aligned", NONE, NONE, Temporal),
    row!("rep_movsq", NONE, NONE, Temporal),
    row!("rep_movsq_aligned", NONE, NONE, Temporal),
    row!("gpr", NONE, NONE, Temporal),
    row!("sse2_aligned", SSE2, LEGACY, Temporal),
    row!("sse2_hybrid", SSE2, LEGACY, Temporal),
    row!("sse2_nt_plain", SSE2, LEGACY, NonTemporal),
    row!("sse2_nt", SSE2, LEGACY, NonTemporal),
    row!("avx_aligned", AVX, VEX, Temporal),
    row!("avx_nt_plain", AVX, VEX, NonTemporal),
    row!("avx_nt", AVX, VEX, NonTemporal),
    row!("avx_nt_4pages", AVX, VEX, NonTemporal),
    row!("avx512vl_hi16", AVX512VL, HI16, Temporal),
    row!("avx512_aligned", AVX512F, VEX, Temporal),
    row!("avx512_hi16", AVX512VL, HI16, Temporal),
    row!("avx512_nt", AVX512F, VEX, NonTemporal),
    row!("sse2_spill1", SSE2, LEGACY, Temporal, restores: true),
    row!("sse2_spill2", SSE2, LEGACY, Temporal, restores: true),
    row!("sse2_spill4", SSE2, LEGACY, Temporal, restores: true),
    row!("sse2_spill8", SSE2, LEGACY, Temporal, restores: true),
    row!("gpr_forward", NONE, NONE, overlap: DstBelow),
    row!("gpr_backward", NONE, NONE, overlap: DstAbove),
    row!("sse2_forward", SSE2, LEGACY, overlap: DstBelow),
    row!("sse2_backward", SSE2, LEGACY, overlap: DstAbove),
    row!("avx_forward", AVX, VEX, overlap: DstBelow),
    row!("avx_backward", AVX, VEX, overlap: DstAbove),
    row!("avx512vl_hi16_forward", AVX512VL, HI16, overlap: DstBelow),
    row!("avx512vl_hi16_backward", AVX512VL, HI16, overlap: DstAbove),
    #[cfg(any(feature = "std", memcpy_select_interposed))]
    LIBC,
    PORTABLE,
];

/// Where nothing was assembled, the platform's copies are all there is.
#[cfg(not(memcpy_select_asm))]
static KERNELS: &[Kernel] = &[
    #[cfg(feature = "std")]
    LIBC,
    PORTABLE,
];

/// Every vector component: what a routine that is not ours may write.
const ANY: Components = Components::SSE
    .union(Components::AVX)
    .union(Components::OPMASK)
    .union(Components::ZMM_HI256)
    .union(Components::HI16_ZMM);

#[cfg(any(feature = "std", memcpy_select_interposed))]
const LIBC: Kernel = Kernel {
    name: "libc",
    needs: Features::NONE,
    writes: ANY,
    restores: false,
    stores: Stores::Unknown,
    overlap: Overlap::Never,
    entry: portable::libc,
};

const PORTABLE: Kernel = Kernel {
    name: "portable",
    needs: Features::NONE,
    writes: ANY,
    restores: false,
    stores: Stores::Unknown,
    overlap: Overlap::Never,
    entry: portable::portable,
};

/// Every kernel that this build holds, available here or not, simplest first.
pub fn kernels() -> &'static [Kernel] {
    KERNELS
}

/// The kernel of that name, if this build holds it.
pub(super) const fn named(name: &str) -> Option<&'static Kernel> {
    let mut row = 0;
    while row < KERNELS.len() {
        if same(KERNELS[row].name, name) {
            return Some(&KERNELS[row]);
        }
        row += 1;
    }
    None
}

/// `a == b`, in constants too.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
