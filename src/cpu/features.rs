//! Which instruction-set extensions a copy may use: what the CPU has **and** the operating system keeps across context
//! switches. A bit that one of the two lacks is clear here, so that a kernel need only look at one set.

#![forbid(unsafe_code)]

use super::words::Guarded;
use super::xstate::Components;
use core::fmt;
use raw_cpuid::{CpuId, CpuIdReader};

/// A set of instruction-set extensions.
///
/// ```
/// use memcpy_select::cpu::Features;
/// let here = Features::SSE2.union(Features::ERMS);
/// assert!(here.contains(Features::SSE2));
/// assert!(!here.contains(Features::SSE2.union(Features::AVX)));
/// assert_eq!(here.to_string(), "sse2 erms");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Features(u32);

/// Every feature with the name that it has in records, in the order of its bit.
const NAMES: [(Features, &str); 15] = [
    (Features::SSE2, "sse2"),
    (Features::SSE3, "sse3"),
    (Features::SSSE3, "ssse3"),
    (Features::SSE4_1, "sse4.1"),
    (Features::AVX, "avx"),
    (Features::AVX2, "avx2"),
    (Features::AVX512F, "avx512f"),
    (Features::AVX512BW, "avx512bw"),
    (Features::AVX512VL, "avx512vl"),
    (Features::ERMS, "erms"),
    (Features::FSRM, "fsrm"),
    (Features::FZRM, "fzrm"),
    (Features::FSRS, "fsrs"),
    (Features::FSRC, "fsrc"),
    (Features::BMI2, "bmi2"),
];

impl Features {
    /// No feature at all.
    pub const NONE: Self = Self(0);
    /// 128-bit integer vectors. Every x86-64 CPU has them. CPUID leaf 01H EDX\[26\].
    pub const SSE2: Self = Self(1 << 0);
    /// `lddqu`. CPUID leaf 01H ECX\[0\].
    pub const SSE3: Self = Self(1 << 1);
    /// `palignr`, `pshufb`. CPUID leaf 01H ECX\[9\].
    pub const SSSE3: Self = Self(1 << 2);
    /// `movntdqa`. CPUID leaf 01H ECX\[19\].
    pub const SSE4_1: Self = Self(1 << 3);
    /// 256-bit vectors, with their state enabled. CPUID leaf 01H ECX\[28\], XCR0\[2:1\] (Intel SDM vol. 1, 14.3).
    pub const AVX: Self = Self(1 << 4);
    /// 256-bit integer vectors. CPUID leaf 07H.0 EBX\[5\], and all of [`AVX`](Self::AVX) (Intel SDM vol. 1, 14.7.1).
    pub const AVX2: Self = Self(1 << 5);
    /// 512-bit vectors, with their state enabled. CPUID leaf 07H.0 EBX\[16\], XCR0\[7:5\] and all of
    /// [`AVX`](Self::AVX) (Intel SDM vol. 1, 15.2).
    pub const AVX512F: Self = Self(1 << 6);
    /// Byte and word elements of 512-bit vectors. CPUID leaf 07H.0 EBX\[30\] (Intel SDM vol. 1, 15.3).
    pub const AVX512BW: Self = Self(1 << 7);
    /// AVX-512 instructions on 128-bit and 256-bit vectors. CPUID leaf 07H.0 EBX\[31\] (Intel SDM vol. 1, 15.4).
    pub const AVX512VL: Self = Self(1 << 8);
    /// Enhanced `rep movsb` and `rep stosb`. CPUID leaf 07H.0 EBX\[9\] (Intel SDM vol. 1, 7.3.9.3).
    pub const ERMS: Self = Self(1 << 9);
    /// Fast short `rep movsb`. CPUID leaf 07H.0 EDX\[4\] (Intel SDM vol. 1, 7.3.9.3).
    pub const FSRM: Self = Self(1 << 10);
    /// Fast zero-length `rep movsb`. CPUID leaf 07H.1 EAX\[10\].
    pub const FZRM: Self = Self(1 << 11);
    /// Fast short `rep stosb`. CPUID leaf 07H.1 EAX\[11\].
    pub const FSRS: Self = Self(1 << 12);
    /// Fast short `rep cmpsb` and `rep scasb`. CPUID leaf 07H.1 EAX\[12\].
    pub const FSRC: Self = Self(1 << 13);
    /// `bzhi`. CPUID leaf 07H.0 EBX\[8\].
    pub const BMI2: Self = Self(1 << 14);

    /// The bits of the set. Their meaning may change between versions: records hold the names.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set of those bits; bits without a name are dropped.
    pub const fn from_bits_truncate(bits: u32) -> Self {
        Self(bits & ((1 << NAMES.len()) - 1))
    }

    /// What is in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The features one by one, each a set of one.
    pub fn iter(self) -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(feature, _)| feature).filter(move |&feature| self.contains(feature))
    }

    /// The names that records use, one per feature.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |&(feature, _)| self.contains(feature)).map(|(_, name)| name)
    }

    /// Decodes the features from CPUID, and XCR0 where the operating system lets it be read. Pure: `reader` may be
    /// another CPU's words.
    pub fn decode<R: CpuIdReader>(reader: R, xcr0: Option<u64>) -> Self {
        let reader = Guarded::new(reader);
        let cpuid = CpuId::with_cpuid_reader(reader.clone());
        let mut found = Self::NONE;
        let mut add = |present: bool, feature: Self| {
            if present {
                found = found.union(feature);
            }
        };

        // Intel SDM vol. 2A, CPUID, leaf 01H; AMD APM vol. 3, appendix E, Fn0000_0001.
        let Some(basic) = cpuid.get_feature_info() else { return found };
        add(basic.has_sse2(), Self::SSE2); // EDX[26]
        add(basic.has_sse3(), Self::SSE3); // ECX[0]
        add(basic.has_ssse3(), Self::SSSE3); // ECX[9]
        add(basic.has_sse41(), Self::SSE4_1); // ECX[19]

        // XCR0 counts only where CR4.OSXSAVE is set, which leaf 01H ECX[27] mirrors. Intel SDM vol. 1, 13.3 and 14.3.
        let enabled = match xcr0 {
            Some(bits) if basic.has_oxsave() => Components::from_bits(bits),
            _ => Components::NONE,
        };
        let has_avx = basic.has_avx() && enabled.contains(Components::SSE.union(Components::AVX)); // ECX[28]
        add(has_avx, Self::AVX);

        // Intel SDM vol. 2A, CPUID, leaf 07H; AMD APM vol. 3, appendix E, Fn0000_0007.
        let Some(extended) = cpuid.get_extended_feature_info() else { return found };
        add(extended.has_rep_movsb_stosb(), Self::ERMS); // 07H.0 EBX[9]
        add(has_avx && extended.has_avx2(), Self::AVX2); // 07H.0 EBX[5]
        add(extended.has_bmi2(), Self::BMI2); // 07H.0 EBX[8]
        if has_avx && enabled.contains(Components::AVX512) && extended.has_avx512f() {
            add(true, Self::AVX512F); // 07H.0 EBX[16]
            add(extended.has_avx512bw(), Self::AVX512BW); // 07H.0 EBX[30]
            add(extended.has_avx512vl(), Self::AVX512VL); // 07H.0 EBX[31]
        }
        // `raw_cpuid` has no accessor for EDX[4], and does not look at EAX, the highest subleaf: where a hypervisor
        // ignores ECX, subleaf 1 would be subleaf 0 again.
        let leaf_7 = reader.cpuid2(7, 0);
        add(leaf_7.edx & 1 << 4 != 0, Self::FSRM); // 07H.0 EDX[4]
        if leaf_7.eax >= 1 {
            add(extended.has_fzrm(), Self::FZRM); // 07H.1 EAX[10]
            add(extended.has_fsrs(), Self::FSRS); // 07H.1 EAX[11]
            add(extended.has_fsrcrs(), Self::FSRC); // 07H.1 EAX[12]
        }
        found
    }
}

/// The names, in ascending order of their bits, with a space between; `none` for the empty set.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::spaced(f, self.names())
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({self})")
    }
}
