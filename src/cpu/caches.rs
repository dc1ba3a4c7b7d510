//! How large the caches are that **one core** reaches: where a copy stops being served by each level.
//!
//! CPUID is believed only where it is plausible, and only as far as the operating system agrees. Guests see empty cache
//! leaves, and AMD's old leaf 80000006H gives the third level of the whole package: 384 MiB where a core reaches 32.

#![forbid(unsafe_code)]

use super::words::Guarded;
use super::{Microarch, Signature, Vendor};
use core::fmt;
use raw_cpuid::{Associativity, CacheParameter, CacheType, CpuId, CpuIdReader};

/// Who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// CPUID.
    Cpuid,
    /// The operating system.
    Os,
    /// No source: what this design usually has, because what was said cannot be what one core reaches.
    Assumed,
}

/// One level of cache, as far as one core reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The whole cache, which one core may fill alone.
    pub size_bytes: u64,
    /// The length of a line.
    pub line_bytes: u32,
    /// Ways of associativity; 0 if unknown or fully associative.
    pub ways: u32,
    /// How many threads share it, 0 if unknown. From CPUID it counts identifiers, not threads: an upper bound, often a
    /// power of two.
    pub shared_by_threads: u32,
    /// Who said so.
    pub source: Source,
}

impl Cache {
    /// The part of the cache that is left to each thread when all of them use it.
    pub const fn share_bytes(&self) -> u64 {
        if self.shared_by_threads == 0 { self.size_bytes } else { self.size_bytes / self.shared_by_threads as u64 }
    }
}

/// The caches on a core's way to memory. A level is `None` if the CPU does not have it or no source gives a plausible size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    /// First level, data.
    pub l1d: Option<Cache>,
    /// Second level.
    pub l2: Option<Cache>,
    /// Third level.
    pub l3: Option<Cache>,
    /// What was refused or replaced on the way.
    pub findings: Findings,
}

/// A level of the cache hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// First level, data.
    L1d,
    /// Second level.
    L2,
    /// Third level.
    L3,
}

/// Why a cache is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A size of zero, or one that has no 64-bit number.
    NoSize,
    /// A line that is not a power of two from 16 to 1024 bytes.
    Line,
    /// Smaller than the level before it.
    BelowLevelBefore,
    /// Larger than any CPU's cache of this level, or than this design lets one core reach.
    AboveLimit,
}

/// What was wrong with a cache, and what was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The value is not used.
    Refused {
        /// Which cache.
        level: Level,
        /// Who said it.
        source: Source,
        /// The size that was given.
        size_bytes: u64,
        /// Why it is not used.
        reason: Reason,
    },
    /// CPUID and the operating system differ: the smaller value is used.
    Disagree {
        /// Which cache.
        level: Level,
        /// What CPUID says, or what was assumed instead.
        cpuid_bytes: u64,
        /// What the operating system says.
        os_bytes: u64,
    },
    /// The value is a whole package's: what one core of this design usually reaches is used.
    Assumed {
        /// Which cache.
        level: Level,
        /// Who said it.
        source: Source,
        /// The size that was given.
        size_bytes: u64,
        /// The size that is used.
        assumed_bytes: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn kib(bytes: u64) -> u64 {
            bytes / 1024
        }
        match *self {
            Self::Refused { level, source, size_bytes, reason } => {
                let why = match reason {
                    Reason::NoSize => "that is no size",
                    Reason::Line => "its line length is impossible",
                    Reason::BelowLevelBefore => "that is less than the level before it",
                    Reason::AboveLimit => "no core reaches as much",
                };
                write!(f, "{level:?}: {source:?} says {} KiB; {why}; not used", kib(size_bytes))
            }
            Self::Disagree { level, cpuid_bytes, os_bytes } => {
                let (cpuid, os) = (kib(cpuid_bytes), kib(os_bytes));
                write!(f, "{level:?}: CPUID says {cpuid} KiB, the operating system {os} KiB; the smaller is used")
            }
            Self::Assumed { level, source, size_bytes, assumed_bytes } => {
                let (said, assumed) = (kib(size_bytes), kib(assumed_bytes));
                write!(f, "{level:?}: {source:?} says {said} KiB, which is a whole package's; {assumed} KiB assumed")
            }
        }
    }
}

/// At most as many findings as there can be: two per level and source.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings([Option<Finding>; 12]);

impl Findings {
    /// The findings in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = Finding> {
        self.0.into_iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn push(&mut self, finding: Finding) {
        if let Some(slot) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(finding);
        }
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// How much of the third level one core of a design reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// More than this is not believed.
    pub limit_bytes: u64,
    /// What stands in for a value above the limit, or for a whole package's.
    pub usual_bytes: Option<u64>,
}

impl Reach {
    /// Of this CPU.
    ///
    /// AMD gives a third level to each core complex, and no core fills another complex's: AMD's processor programming
    /// references for families 17h, 19h and 1Ah; with stacked cache 96 MiB. Elsewhere the third level is one, the
    /// largest about 0.5 GiB.
    pub const fn of(signature: &Signature) -> Self {
        let (limit, usual) = match signature.microarch() {
            Microarch::Bulldozer | Microarch::Piledriver | Microarch::Steamroller | Microarch::Excavator => (8, 8),
            Microarch::Zen1 | Microarch::ZenPlus => (8, 8),
            Microarch::Zen2 => (16, 16),
            _ => match signature.vendor {
                Vendor::Amd => (128, 32),
                Vendor::Hygon => (64, 8),
                Vendor::Intel | Vendor::Zhaoxin | Vendor::Other => {
                    return Self { limit_bytes: 1024 * MIB, usual_bytes: None };
                }
            },
        };
        Self { limit_bytes: limit * MIB, usual_bytes: Some(usual * MIB) }
    }
}

impl Caches {
    /// Decodes the cache leaves: 04H, on AMD 8000001DH, and where a hypervisor hides that, 80000005H and 80000006H.
    /// Pure: `reader` may be another CPU's words.
    pub fn decode<R: CpuIdReader>(reader: R, signature: &Signature) -> Self {
        let cpuid = CpuId::with_cpuid_reader(Guarded::new(reader));
        // AMD: Fn8000_001D is defined only where Fn8000_0001 ECX[22], TopologyExtensions, is set.
        let is_amd = matches!(signature.vendor, Vendor::Amd | Vendor::Hygon);
        let has_leaf = !is_amd
            || cpuid.get_extended_processor_and_feature_identifiers().is_some_and(|id| id.has_topology_extensions());
        let mut said = Self::default();
        if has_leaf && let Some(parameters) = cpuid.get_cache_parameters() {
            // No CPU has as many; the iterator itself goes on for as long as it is answered.
            for cache in parameters.take(8) {
                let slot = match (cache.level(), cache.cache_type()) {
                    (1, CacheType::Data | CacheType::Unified) => &mut said.l1d,
                    (2, CacheType::Data | CacheType::Unified) => &mut said.l2,
                    (3, CacheType::Data | CacheType::Unified) => &mut said.l3,
                    _ => continue,
                };
                slot.get_or_insert(from_parameter(&cache));
            }
        }
        // Level by level: a hypervisor may zero one subleaf.
        let mut package_l3 = None;
        if is_amd {
            let legacy = Self::decode_legacy(&cpuid);
            said.l1d = said.l1d.or(legacy.l1d);
            said.l2 = said.l2.or(legacy.l2);
            if said.l3.is_none() {
                package_l3 = legacy.l3;
            }
        }
        let reach = Reach::of(signature);
        // Above what one complex usually has, a package's third level is several complexes'.
        let package = Self { l3: package_l3, ..said };
        let package_reach = Reach { limit_bytes: reach.usual_bytes.unwrap_or(reach.limit_bytes), ..reach };
        if package_l3.is_some() { cross_check(package, None, package_reach) } else { cross_check(said, None, reach) }
    }

    /// AMD APM vol. 3, appendix E, Fn8000_0005 and Fn8000_0006. The third level is the whole package's.
    fn decode_legacy<R: CpuIdReader>(cpuid: &CpuId<R>) -> Self {
        let cache = |size_bytes: u64, line: u8, ways: Associativity| {
            let present = size_bytes != 0 && ways != Associativity::Disabled;
            present.then_some(Cache {
                size_bytes,
                line_bytes: line.into(),
                ways: match ways {
                    Associativity::DirectMapped => 1,
                    Associativity::NWay(ways) => ways.into(),
                    _ => 0,
                },
                shared_by_threads: 0,
                source: Source::Cpuid,
            })
        };
        let first = cpuid.get_l1_cache_and_tlb_info();
        let others = cpuid.get_l2_l3_cache_and_tlb_info();
        Self {
            // In KiB: Fn8000_0005 ECX[31:24].
            l1d: first.and_then(|l1| {
                cache(u64::from(l1.dcache_size()) * KIB, l1.dcache_line_size(), l1.dcache_associativity())
            }),
            // In KiB: Fn8000_0006 ECX[31:16].
            l2: others.as_ref().and_then(|other| {
                cache(u64::from(other.l2cache_size()) * KIB, other.l2cache_line_size(), other.l2cache_associativity())
            }),
            // In units of 512 KiB: Fn8000_0006 EDX[31:18].
            l3: others.as_ref().and_then(|other| {
                let size_bytes = u64::from(other.l3cache_size()) * 512 * KIB;
                cache(size_bytes, other.l3cache_line_size(), other.l3cache_associativity())
            }),
            findings: Findings::default(),
        }
    }
}

/// Intel SDM vol. 2A, CPUID, leaf 04H: the size is the product of ways, partitions, line size and sets.
fn from_parameter(cache: &CacheParameter) -> Cache {
    let factors = [cache.associativity(), cache.physical_line_partitions(), cache.coherency_line_size(), cache.sets()];
    let size = factors.iter().try_fold(1_u64, |product, &factor| product.checked_mul(factor as u64));
    Cache {
        size_bytes: size.unwrap_or(0),
        line_bytes: cache.coherency_line_size() as u32,
        ways: if cache.is_fully_associative() { 0 } else { cache.associativity() as u32 },
        shared_by_threads: cache.max_cores_for_cache() as u32,
        source: Source::Cpuid,
    }
}

/// Joins what CPUID says with what the operating system says. Each level takes the only plausible value, or the smaller
/// of two that differ; what was refused or replaced is among the findings. Pure.
///
/// Where both agree on the size, the number of threads is the operating system's, which counts those that run.
pub fn cross_check(cpuid: Caches, os: Option<Caches>, reach: Reach) -> Caches {
    let os = os.unwrap_or_default();
    let mut findings = cpuid.findings;
    for finding in os.findings.iter() {
        findings.push(finding);
    }
    // Real extremes are 4 and 192 KiB for the first level, 64 KiB and 12 MiB for the second.
    let first = Bounds { level: Level::L1d, at_least: KIB, at_most: MIB, instead: None };
    let l1d = first.join(cpuid.l1d, os.l1d, &mut findings);
    let size_of = |cache: Option<Cache>| cache.map_or(0, |cache| cache.size_bytes);
    let second = Bounds { level: Level::L2, at_least: size_of(l1d), at_most: 64 * MIB, instead: None };
    let l2 = second.join(cpuid.l2, os.l2, &mut findings);
    let third = Bounds {
        level: Level::L3,
        at_least: size_of(l2.or(l1d)),
        at_most: reach.limit_bytes,
        instead: reach.usual_bytes,
    };
    let l3 = third.join(cpuid.l3, os.l3, &mut findings);
    Caches { l1d, l2, l3, findings }
}

/// Between which sizes a level is plausible, and what stands in for a size above them.
struct Bounds {
    level: Level,
    at_least: u64,
    at_most: u64,
    instead: Option<u64>,
}

impl Bounds {
    /// The plausible one of two, or the smaller.
    fn join(&self, cpuid: Option<Cache>, os: Option<Cache>, findings: &mut Findings) -> Option<Cache> {
        let (cpuid, os) = (self.plausible(cpuid, findings), self.plausible(os, findings));
        let (Some(ours), Some(theirs)) = (cpuid, os) else { return cpuid.or(os) };
        if ours.size_bytes == theirs.size_bytes {
            let known = if theirs.shared_by_threads == 0 { ours } else { theirs };
            // One that says so is better than an assumption.
            let source = if ours.source == Source::Assumed { theirs.source } else { ours.source };
            return Some(Cache { shared_by_threads: known.shared_by_threads, source, ..ours });
        }
        let (cpuid_bytes, os_bytes) = (ours.size_bytes, theirs.size_bytes);
        findings.push(Finding::Disagree { level: self.level, cpuid_bytes, os_bytes });
        Some(if cpuid_bytes < os_bytes { ours } else { theirs })
    }

    /// The cache if it may be true, or what is assumed instead.
    fn plausible(&self, cache: Option<Cache>, findings: &mut Findings) -> Option<Cache> {
        let cache = cache?;
        let Cache { size_bytes, line_bytes, source, .. } = cache;
        let level = self.level;
        let reason = if size_bytes == 0 {
            Reason::NoSize
        } else if !(line_bytes.is_power_of_two() && (16..=1024).contains(&line_bytes)) {
            Reason::Line
        } else if size_bytes < self.at_least {
            Reason::BelowLevelBefore
        } else if size_bytes <= self.at_most {
            return Some(cache);
        } else if let Some(assumed_bytes) = self.instead {
            findings.push(Finding::Assumed { level, source, size_bytes, assumed_bytes });
            return Some(Cache {
                size_bytes: assumed_bytes,
                ways: 0,
                shared_by_threads: 0,
                source: Source::Assumed,
                ..cache
            });
        } else {
            Reason::AboveLimit
        };
        findings.push(Finding::Refused { level, source, size_bytes, reason });
        None
    }
}
