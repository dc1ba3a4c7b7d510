//! What is known of each design, a row each: what the formulas make a plan of. Pure data.
//!
//! A row says what public code, public measurements and the records under `results/` agree on. Cells marked (i) are
//! inferred from designs beside it and wait for a record. The letters of the sources:
//!
//! - G: glibc, `sysdeps/x86/dl-cacheinfo.h`, `cacheinfo.h` and `memmove-vec-unaligned-erms.S`
//! - A: AOCL-LibMem 5.3
//! - U: InstLatx64, bytes of `rep movsb` a cycle and cycles of a store in the first-level cache
//! - P: public reports: golang/go 14630, 38512 and 66959; dotnet/runtime 84577; openucx/ucx 4408 and 11895;
//!   microsoft/STL 5658; glibc bug 30994
//! - Z: the scorecard of fastmem-zig
//! - R: records of this project, by CPU: [`RECORDS`]
//! - T: measured here with a bench of its own, and told in `results/TRIED.md`

#![forbid(unsafe_code)]

use crate::cpu::{Microarch, Vendor};

/// The letters of the records of this project, and the CPU of each.
pub const RECORDS: [(&str, &str); 5] = [
    ("R3", "amd-25-1-1"),
    ("R5", "amd-26-2-1"),
    ("RG", "intel-6-167-1-masked"),
    ("RI", "intel-6-106-6"),
    ("RE", "intel-6-207-2"),
];

/// A vector width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// 16 bytes, SSE2.
    Xmm,
    /// 32 bytes, AVX.
    Ymm,
    /// 64 bytes, AVX-512.
    Zmm,
}

/// Where `rep movsb` takes over from vectors in plans for callers that may use both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringFrom {
    /// Nowhere.
    Never,
    /// From this many bytes on.
    Bytes(usize),
    /// Where source and destination outgrow the first-level cache.
    BeyondL1,
    /// Where they take two thirds of it: from there on vectors push out what they copy.
    BeyondThirdOfL1,
}

/// How the source of a non-temporal copy is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefetch {
    /// By the hardware alone.
    Hardware,
    /// `prefetchnta`. From Skylake-X on it takes twice the time of none (RG, RI, RE).
    NonTemporal,
    /// Four pages side by side, each with `prefetcht0`.
    FourPages,
}

/// Where non-temporal stores take over, at a share of the third level and at this many bytes at most, and how they fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonTemporal {
    /// The share of the third level, in eighths.
    pub eighths_of_l3: u64,
    /// Never above this many bytes: what a core gets of a large third level is some ten times its own slice.
    pub at_most_bytes: u64,
    /// What stands for the third level where its size is not known.
    pub usual_l3_bytes: u64,
    /// How the source is fetched.
    pub prefetch: Prefetch,
}

/// What callers use that must not touch vector registers, beyond the shortest lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSimd {
    /// `rep movsb`, with the destination aligned first where it is not.
    String,
    /// The same, but `gpr` where the destination follows the source closely and they differ modulo a line: there
    /// `rep movsb` is 10 to 60 times slow on Zen 3 and Zen 4.
    StringUnlessAliased,
    /// `rep movsq` where both ends lie alike in a line, else `gpr`.
    Words,
    /// `rep movsq` to an aligned destination.
    WordsAligned,
}

/// What is known of a design.
#[derive(Clone, Copy, Debug)]
pub struct Design {
    /// The widest vector that pays.
    pub vector: Vector,
    /// Where `rep movsb` takes over.
    pub string: StringFrom,
    /// Whether vectors take its place only 64 bytes wide where the destination follows the source closely and the two lie
    /// differently in a line; elsewhere those that pay otherwise do.
    pub is_vector_wide_if_aliased: bool,
    /// Where it gives way to 32-byte vectors again beyond the first-level cache, unless both ends lie alike in a line:
    /// up to this share of the second level, in eighths.
    pub vector_again_eighths_of_l2: u64,
    /// Where non-temporal stores take over, and how.
    pub non_temporal: NonTemporal,
    /// Without vector registers, beyond [`gpr_max_bytes`](Self::gpr_max_bytes).
    pub no_simd: NoSimd,
    /// Up to how many bytes eight-byte moves cost no more than starting a string instruction.
    pub gpr_max_bytes: usize,
    /// Whether unaligned 32-byte accesses are slow (glibc's `AVX_Fast_Unaligned_Load` is not set): 16 bytes then.
    pub is_unaligned_avx_slow: bool,
    /// Where the row is from.
    pub source: &'static str,
}

const MIB: u64 = 1 << 20;

const fn nt(eighths_of_l3: u64, at_most_mib: u64, usual_l3_mib: u64, prefetch: Prefetch) -> NonTemporal {
    NonTemporal { eighths_of_l3, at_most_bytes: at_most_mib * MIB, usual_l3_bytes: usual_l3_mib * MIB, prefetch }
}

/// What the rows start from.
const PLAIN: Design = Design {
    vector: Vector::Xmm,
    string: StringFrom::Never,
    is_vector_wide_if_aliased: false,
    vector_again_eighths_of_l2: 0,
    non_temporal: nt(6, 64, 8, Prefetch::NonTemporal),
    no_simd: NoSimd::Words,
    gpr_max_bytes: Design::UNKNOWN_GPR_MAX_BYTES,
    is_unaligned_avx_slow: false,
    source: "(i)",
};

impl Design {
    /// [`gpr_max_bytes`](Self::gpr_max_bytes) where nothing else is known: a string instruction takes 35 cycles and more to start
    /// on processors without fast short strings (Intel Optimization Reference Manual, "REP MOVSB and STOSB operation"; RI,
    /// RG, R5, R3: better or tied to here).
    pub const UNKNOWN_GPR_MAX_BYTES: usize = 512;

    /// The row of a design; nothing for one that is not known, where the platform's copy does no harm.
    pub const fn of(microarch: Microarch) -> Option<Self> {
        use Microarch as M;
        use StringFrom::{BeyondL1, BeyondThirdOfL1, Bytes, Never};
        use Vector::{Ymm, Zmm};
        Some(match microarch {
            M::NetBurst | M::Merom | M::Penryn | M::Nehalem | M::Westmere | M::K8 | M::K10 | M::Bobcat | M::Jaguar => {
                Self { source: "vector (i); no string P; NT G", ..PLAIN }
            }
            M::SandyBridge => Self {
                // 32-byte loads that are not aligned are split in two: 16 bytes serve it better.
                is_unaligned_avx_slow: true,
                no_simd: NoSimd::String,
                source: "vector U, P; string never: 12.7 bytes a cycle, U; no-SIMD (i)",
                ..PLAIN
            },
            M::IvyBridge => Self {
                string: Bytes(2048),
                is_unaligned_avx_slow: true,
                no_simd: NoSimd::String,
                source: "vector (i); string G",
                ..PLAIN
            },
            M::Haswell | M::Broadwell => Self {
                vector: Ymm,
                string: Bytes(8192),
                non_temporal: nt(6, 32, 8, Prefetch::NonTemporal),
                no_simd: NoSimd::String,
                source: "vector, string and NT G; prefetch P, (i); no-SIMD P",
                ..PLAIN
            },
            M::Skylake | M::CannonLake => Self {
                vector: Ymm,
                string: Bytes(8192),
                non_temporal: nt(4, 16, 8, Prefetch::NonTemporal),
                no_simd: NoSimd::String,
                source: "G; prefetch P; no-SIMD (i)",
                ..PLAIN
            },
            // 64-byte vectors lower the clock of whole programs (dotnet/runtime 84577).
            M::SkylakeX | M::CascadeLake | M::CooperLake => Self {
                vector: Ymm,
                string: Bytes(8192),
                non_temporal: nt(4, 14, 28, Prefetch::Hardware),
                no_simd: NoSimd::String,
                source: "vector G, P; string G; NT (i), prefetch P; no-SIMD (i)",
                ..PLAIN
            },
            M::IceLakeSp => Self {
                vector: Ymm,
                string: Bytes(2048),
                is_vector_wide_if_aliased: true,
                vector_again_eighths_of_l2: 4,
                non_temporal: nt(4, 15, 48, Prefetch::FourPages),
                no_simd: NoSimd::String,
                source: "RI",
                ..PLAIN
            },
            M::IceLake | M::TigerLake | M::RocketLake => Self {
                vector: Ymm,
                string: Bytes(2048),
                is_vector_wide_if_aliased: true,
                vector_again_eighths_of_l2: 4,
                non_temporal: nt(4, 16, 8, Prefetch::Hardware),
                no_simd: NoSimd::String,
                source: "vector G; string U, the rest (i) after Ice Lake-SP",
                ..PLAIN
            },
            M::SapphireRapids => {
                Self { non_temporal: nt(4, 19, 60, Prefetch::FourPages), source: "RG, Z, G; NT (i) after RE", ..GOLDEN }
            }
            M::EmeraldRapids => Self { non_temporal: nt(4, 24, 160, Prefetch::FourPages), source: "RE", ..GOLDEN },
            M::GraniteRapids | M::DiamondRapids => Self {
                non_temporal: nt(4, 40, 160, Prefetch::FourPages),
                source: "RG; prefetch (i) after RE",
                ..GOLDEN
            },
            M::GoldenCove | M::RaptorCove | M::RedwoodCove | M::LionCove | M::CougarCove | M::NovaLake => Self {
                vector: Ymm,
                string: BeyondThirdOfL1,
                non_temporal: nt(4, 16, 24, Prefetch::Hardware),
                no_simd: NoSimd::String,
                source: "vector U, G; string U, (i); NT G",
                ..PLAIN
            },
            M::Gracemont | M::Crestmont | M::Skymont | M::Darkmont => Self {
                vector: Ymm,
                string: BeyondL1,
                non_temporal: nt(4, 16, 8, Prefetch::Hardware),
                no_simd: NoSimd::String,
                source: "vector U; string not in L1 U, beyond (i); NT (i)",
                ..PLAIN
            },
            M::Silvermont | M::Airmont | M::Goldmont | M::GoldmontPlus | M::Tremont => Self {
                string: Bytes(2048),
                source: "vector G; string only with ERMS G; NT (i)",
                no_simd: NoSimd::String,
                ..PLAIN
            },
            M::Bonnell | M::Isaiah | M::Cns => PLAIN,
            M::KnightsLanding | M::KnightsMill => {
                Self { vector: Zmm, string: Never, no_simd: NoSimd::String, source: "(i)", ..PLAIN }
            }
            M::Zen1 | M::ZenPlus | M::Zen2 => Self {
                vector: Ymm,
                non_temporal: nt(4, 16, 8, Prefetch::NonTemporal),
                no_simd: NoSimd::WordsAligned,
                source: "vector A; string never G; NT A, G; no-SIMD U",
                ..PLAIN
            },
            M::Dhyana | M::Bulldozer | M::Piledriver | M::Steamroller | M::Excavator => Self {
                is_unaligned_avx_slow: true,
                no_simd: NoSimd::WordsAligned,
                source: "vector G; string never G; the rest (i) after Zen 1",
                ..PLAIN
            },
            // `rep movsb` collapses where the destination follows the source by 1 to 63 bytes modulo 4096 (glibc bug 30994).
            M::Zen3 => Self {
                vector: Ymm,
                non_temporal: nt(4, 64, 32, Prefetch::NonTemporal),
                no_simd: NoSimd::StringUnlessAliased,
                source: "vector R3, A; string never, no-SIMD by rule: glibc bug 30994; NT R3, A",
                ..PLAIN
            },
            M::Zen4 => Self {
                vector: Zmm,
                non_temporal: nt(4, 64, 32, Prefetch::NonTemporal),
                no_simd: NoSimd::StringUnlessAliased,
                source: "vector A, G, U; string never G, A; NT A, G; no-SIMD (i) after Zen 3",
                ..PLAIN
            },
            M::Zen5 | M::Zen6 => Self {
                vector: Zmm,
                string: BeyondL1,
                // Up to the end of memory: `rep movsb` has no read for ownership either, and leaves the copy in the caches.
                non_temporal: nt(0, 0, 32, Prefetch::Hardware),
                no_simd: NoSimd::String,
                gpr_max_bytes: 768,
                source: "R5, A; no-SIMD R5, of whose distances 63 is the only one that collapses on Zen 3; words to 768: T",
                ..PLAIN
            },
            M::Zhangjiang | M::Wudaokou | M::Lujiazui => {
                Self { string: Bytes(2048), non_temporal: nt(2, 16, 8, Prefetch::NonTemporal), source: "G", ..PLAIN }
            }
            M::Yongfeng => Self {
                string: Bytes(2048),
                is_unaligned_avx_slow: true,
                non_temporal: nt(4, 16, 8, Prefetch::NonTemporal),
                source: "G",
                ..PLAIN
            },
            M::Unknown => return None,
        })
    }

    /// What stands for a design that this version does not know, by its maker: for callers without SIMD, and for all
    /// where there is no platform's copy.
    pub const fn of_unknown(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Intel => Self {
                vector: Vector::Ymm,
                string: StringFrom::BeyondL1,
                non_temporal: nt(4, 16, 16, Prefetch::Hardware),
                no_simd: NoSimd::String,
                source: "(i) after its neighbours",
                ..PLAIN
            },
            Vendor::Amd | Vendor::Hygon | Vendor::Zhaoxin | Vendor::Other => Self {
                vector: Vector::Ymm,
                non_temporal: nt(4, 16, 16, Prefetch::Hardware),
                no_simd: NoSimd::StringUnlessAliased,
                source: "(i) after its neighbours",
                ..PLAIN
            },
        }
    }
}

/// Golden Cove in servers: clouds hide FSRM on them, so that the bits say nothing.
const GOLDEN: Design = Design {
    vector: Vector::Zmm,
    string: StringFrom::BeyondThirdOfL1,
    no_simd: NoSimd::String,
    gpr_max_bytes: 768,
    ..PLAIN
};
