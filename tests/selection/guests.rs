//! Guests: real CPUs with bits hidden, leaves emptied and sizes invented. Nothing here may be believed too far, and
//! nothing may panic.

use crate::words::{self, Words, XCR0_AVX, XCR0_AVX512};
use memcpy_select::cpu::{
    Cache, Caches, CoreKind, Cpu, Features, Finding, Level, Microarch, Reach, Reason, Source, Vendor, cross_check,
};
use memcpy_select::select::CpuName;
use raw_cpuid::CpuIdResult;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const AMD_CACHES: u32 = 0x8000_001D;

#[test]
fn avx_needs_osxsave_and_its_state() {
    let avx = Features::AVX.union(Features::AVX2);
    let avx512 = Features::AVX512F.union(Features::AVX512BW).union(Features::AVX512VL);
    for file in ["skylake-x", "sapphirerapids", "zen4-genoa", "zen5-turin"] {
        let host = Words::of(file);
        let all = host.decode(XCR0_AVX512).features;
        assert!(all.contains(avx.union(avx512)), "{file}");
        let without_avx = all.difference(avx.union(avx512));

        let no_osxsave = host.clone().with(1, 0, |word| word.ecx &= !(1 << 27));
        assert_eq!(no_osxsave.decode(XCR0_AVX512).features, without_avx, "{file}");
        assert!(no_osxsave.decode(XCR0_AVX512).xstate.enabled.is_empty(), "{file}");

        assert_eq!(host.decode(None).features, without_avx, "{file}");
        // XCR0[2:1] must both be set, even where the bits of AVX-512 are.
        for xcr0 in [0, 0b1, 0b11, 0b101, 0b1110_0011, 0b1110_0101] {
            assert_eq!(host.decode(Some(xcr0)).features, without_avx, "{file} {xcr0:#b}");
        }
        // XCR0[7:5] must all be set.
        for xcr0 in [0b111, 0b0110_0111, 0b1010_0111, 0b1100_0111] {
            assert_eq!(host.decode(Some(xcr0)).features, all.difference(avx512), "{file} {xcr0:#b}");
        }
        // A guest without AVX has none of what stands on it, whatever else its words say.
        let no_avx = host.clone().with(1, 0, |word| word.ecx &= !(1 << 28));
        assert_eq!(no_avx.decode(XCR0_AVX512).features, without_avx, "{file}");
        let no_foundation = host.clone().with(7, 0, |word| word.ebx &= !(1 << 16));
        assert_eq!(no_foundation.decode(XCR0_AVX512).features, all.difference(avx512), "{file}");
    }
}

#[test]
fn hidden_string_bits_do_not_change_which_cpu_it_is() {
    let host = Words::of("zen3-milan");
    let guest = host.clone().with(7, 0, |word| {
        word.ebx &= !(1 << 9);
        word.edx &= !(1 << 4);
    });
    let (host, guest) = (host.decode(XCR0_AVX), guest.decode(XCR0_AVX));
    assert_eq!(guest.features, host.features.difference(Features::ERMS.union(Features::FSRM)));
    assert_eq!(guest.signature, host.signature);
    assert_eq!(guest.signature.microarch(), Microarch::Zen3);
}

#[test]
fn a_model_that_never_had_what_the_cpu_has_is_not_believed() {
    let host = Words::of("graniterapids");
    let real = host.decode(XCR0_AVX512).signature;
    assert!(!real.is_masked && real.to_string().starts_with("intel-6-173-"), "{real}");
    // Family 6, model 167, stepping 1: Rocket Lake, which has no tile registers.
    let guest = host.clone().with(1, 0, |word| word.eax = 0x000A_0671);
    let signature = guest.decode(XCR0_AVX512).signature;
    assert!(signature.is_masked);
    assert_eq!((signature.to_string().as_str(), signature.microarch()), ("intel-6-167-1-masked", Microarch::Unknown));
    let name = CpuName::of(&signature);
    assert_eq!(CpuName::named("intel-6-167-1-masked"), Some(name));
    assert!(!CpuName::named("intel-6-167-1").expect("a CPU").is_same_model(&name));
    // With the tiles hidden too, nothing tells the two apart.
    let hidden = guest.with(7, 0, |word| word.edx &= !(1 << 24)).decode(XCR0_AVX512).signature;
    assert_eq!((hidden.is_masked, hidden.microarch()), (false, Microarch::RocketLake));
}

#[test]
fn subleaf_1_counts_only_where_subleaf_0_announces_it() {
    let host = Words::of("sapphirerapids");
    let newer = Features::FZRM.union(Features::FSRS).union(Features::FSRC);
    assert!(host.decode(XCR0_AVX512).features.contains(newer));
    let guest = host.with(7, 0, |word| word.eax = 0).decode(XCR0_AVX512).features;
    assert!(guest.intersection(newer).is_empty());
    assert!(guest.contains(Features::ERMS.union(Features::FSRM)));
}

#[test]
fn leaves_above_the_highest_are_not_read() {
    let guest = Words::of("sapphirerapids").with(0, 0, |word| word.eax = 6).decode(XCR0_AVX512);
    assert_eq!(guest.features.to_string(), "sse2 sse3 ssse3 sse4.1 avx");
    assert_eq!(guest.xstate.component(2), None);
    let guest = Words::of("lunarlake").with(0, 0, |word| word.eax = 0x19).decode(XCR0_AVX);
    assert_eq!(guest.signature.core_kind, CoreKind::Unknown);
    let guest = Words::of("zen4-genoa").with(0x8000_0000, 0, |word| word.eax = 0x8000_0000).decode(XCR0_AVX512);
    assert_eq!(guest.signature.brand(), "");
    assert_eq!(guest.caches, Caches::default());
}

#[test]
fn hypervisors() {
    let host = Words::of("zen3-milan");
    let named = |name: &[u8; 12]| {
        let word = |at: usize| u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]);
        let (ebx, ecx, edx) = (word(0), word(4), word(8));
        host.clone().with(0x4000_0000, 0, |word| (word.ebx, word.ecx, word.edx) = (ebx, ecx, edx))
    };
    let present = |words: Words| words.with(1, 0, |word| word.ecx |= 1 << 31).decode(XCR0_AVX).signature;
    assert_eq!(present(named(b"KVMKVMKVM\0\0\0")).hypervisor(), Some("KVMKVMKVM"));
    assert_eq!(present(named(b"Microsoft Hv")).hypervisor(), Some("Microsoft Hv"));
    assert_eq!(present(named(b"<b>\x1b[2J\xff \0\0\0")).hypervisor(), Some("<b>[2J"));
    assert_eq!(present(host.clone()).hypervisor(), Some(""));
    // Without the bit, the leaf holds another one's words.
    assert_eq!(named(b"KVMKVMKVM\0\0\0").decode(XCR0_AVX).signature.hypervisor(), None);
    // The name of the profile stays the CPU's.
    assert_eq!(present(named(b"KVMKVMKVM\0\0\0")).to_string(), "amd-25-1-1");
}

#[test]
fn vendors() {
    let of = |vendor: &[u8; 12]| {
        let word = |at: usize| u32::from_le_bytes([vendor[at], vendor[at + 1], vendor[at + 2], vendor[at + 3]]);
        let (ebx, edx, ecx) = (word(0), word(4), word(8));
        let words = Words::of("zen1").with(0, 0, |word| (word.ebx, word.edx, word.ecx) = (ebx, edx, ecx));
        words.decode(XCR0_AVX).signature
    };
    assert_eq!(of(b"GenuineIntel").vendor, Vendor::Intel);
    assert_eq!(of(b"AuthenticAMD").vendor, Vendor::Amd);
    assert_eq!(of(b"HygonGenuine").vendor, Vendor::Hygon);
    assert_eq!(of(b"CentaurHauls").vendor, Vendor::Zhaoxin);
    assert_eq!(of(b"  Shanghai  ").vendor, Vendor::Zhaoxin);
    assert_eq!(of(b"GenuineIotel").to_string(), "other-23-1-1");
    assert_eq!(of(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").vendor, Vendor::Other);
}

#[test]
fn families_and_models_beyond_the_files() {
    use CoreKind::{Efficient, Performance, Unknown};
    use Vendor::{Amd, Hygon, Intel, Other};
    for (vendor, family, model, stepping, kind, expected) in [
        (Intel, 6, 0x55, 4, Unknown, Microarch::SkylakeX),
        (Intel, 6, 0x55, 7, Unknown, Microarch::CascadeLake),
        (Intel, 6, 0x55, 11, Unknown, Microarch::CooperLake),
        (Intel, 6, 0x97, 2, Performance, Microarch::GoldenCove),
        (Intel, 6, 0x97, 2, Efficient, Microarch::Gracemont),
        (Intel, 6, 0xB7, 1, Unknown, Microarch::RaptorCove),
        (Intel, 6, 0xC6, 2, Efficient, Microarch::Skymont),
        (Intel, 6, 0xFF, 0, Unknown, Microarch::Unknown),
        (Intel, 15, 4, 1, Unknown, Microarch::NetBurst),
        (Amd, 0x17, 0x08, 2, Unknown, Microarch::ZenPlus),
        (Amd, 0x17, 0x71, 0, Unknown, Microarch::Zen2),
        (Amd, 0x19, 0x21, 2, Unknown, Microarch::Zen3),
        (Amd, 0x19, 0x61, 2, Unknown, Microarch::Zen4),
        (Amd, 0x15, 0x02, 0, Unknown, Microarch::Piledriver),
        (Amd, 0xFFFF, 0xFF, 0xFF, Unknown, Microarch::Unknown),
        (Hygon, 0x18, 1, 1, Unknown, Microarch::Dhyana),
        (Hygon, 0x18, 4, 1, Unknown, Microarch::Unknown),
        (Other, 6, 0x8F, 8, Unknown, Microarch::Unknown),
    ] {
        assert_eq!(Microarch::of(vendor, family, model, stepping, kind), expected, "{vendor} {family} {model:#x}");
    }
    assert_eq!(Microarch::Zen3.to_string(), "Zen 3");
    assert_eq!(Microarch::default().to_string(), "unknown");
    // The largest family that fits the two fields does not fit eight bits.
    let largest = Words::of("zen1").with(1, 0, |word| word.eax = u32::MAX).decode(None).signature;
    assert_eq!(largest.to_string(), "amd-270-255-15");
}

fn size(cache: Option<Cache>) -> Option<(u64, Source)> {
    cache.map(|cache| (cache.size_bytes, cache.source))
}

#[test]
fn without_topology_extensions_amd_gives_a_whole_packages_third_level() {
    for (file, l1d, l2, package, reached) in [
        ("zen1", 32 * KIB, 512 * KIB, 16 * MIB, 8 * MIB),
        ("zen2-rome", 32 * KIB, 512 * KIB, 256 * MIB, 16 * MIB),
        ("zen3-milan", 32 * KIB, 512 * KIB, 256 * MIB, 32 * MIB),
        ("zen4-genoa", 32 * KIB, 1024 * KIB, 384 * MIB, 32 * MIB),
        ("zen5-turin", 48 * KIB, 1024 * KIB, 256 * MIB, 32 * MIB),
        ("zen5-graniteridge", 48 * KIB, 1024 * KIB, 64 * MIB, 32 * MIB),
    ] {
        let hidden = Words::of(file).with(0x8000_0001, 0, |word| word.ecx &= !(1 << 22));
        let emptied = Words::of(file).without(AMD_CACHES);
        for guest in [hidden, emptied] {
            let caches = guest.decode(XCR0_AVX).caches;
            assert_eq!(size(caches.l1d), Some((l1d, Source::Cpuid)), "{file}");
            assert_eq!(size(caches.l2), Some((l2, Source::Cpuid)), "{file}");
            assert_eq!(size(caches.l3), Some((reached, Source::Assumed)), "{file}");
            let finding = Finding::Assumed {
                level: Level::L3,
                source: Source::Cpuid,
                size_bytes: package,
                assumed_bytes: reached,
            };
            assert_eq!(caches.findings.iter().collect::<Vec<_>>(), [finding], "{file}");
        }
    }
    // One die, one third level: the whole package's is the core's.
    let caches = Words::of("bulldozer").without(AMD_CACHES).decode(XCR0_AVX).caches;
    assert_eq!(size(caches.l1d), Some((16 * KIB, Source::Cpuid)));
    assert_eq!(size(caches.l2), Some((2 * MIB, Source::Cpuid)));
    assert_eq!(size(caches.l3), Some((8 * MIB, Source::Cpuid)));
    assert!(caches.findings.is_empty());
}

#[test]
fn emptied_cache_leaves_are_no_caches() {
    let intel = Words::of("sapphirerapids").without(4).decode(XCR0_AVX512).caches;
    assert_eq!(intel, Caches::default());
    let amd = Words::of("zen4-genoa").without(AMD_CACHES).without(0x8000_0005).without(0x8000_0006);
    assert_eq!(amd.decode(XCR0_AVX512).caches, Caches::default());
}

#[test]
fn absurd_sizes_are_not_used() {
    // 384 MiB that one core of Milan seems to reach: 12 times the sets.
    let milan = Words::of("zen3-milan").with(AMD_CACHES, 3, |word| word.ecx = 12 * 0x8000 - 1);
    let caches = milan.decode(XCR0_AVX).caches;
    assert_eq!(size(caches.l3), Some((32 * MIB, Source::Assumed)));
    let said = "L3: Cpuid says 393216 KiB, which is a whole package's; 32768 KiB assumed";
    assert_eq!(caches.findings.iter().map(|finding| finding.to_string()).collect::<Vec<_>>(), [said]);
    // Stacked cache is no absurdity.
    let stacked = Words::of("zen3-milan").with(AMD_CACHES, 3, |word| word.ecx = 3 * 0x8000 - 1).decode(XCR0_AVX);
    assert_eq!(size(stacked.caches.l3), Some((96 * MIB, Source::Cpuid)));

    let skylake = |subleaf, sets: u32| {
        let words = Words::of("skylake-x").with(4, subleaf, |word| word.ecx = sets - 1);
        words.decode(XCR0_AVX512).caches
    };
    let reason = |caches: Caches| match caches.findings.iter().collect::<Vec<_>>()[..] {
        [Finding::Refused { level, reason, .. }] => (level, reason),
        ref other => panic!("{other:?}"),
    };
    // 11 ways of 64-byte lines: 704 bytes to a set. 8 ways: 512. 16 ways: 1024.
    let huge = skylake(3, 1 << 21);
    assert_eq!((huge.l3, reason(huge)), (None, (Level::L3, Reason::AboveLimit)));
    let tiny = skylake(3, 1024);
    assert_eq!((tiny.l3, reason(tiny)), (None, (Level::L3, Reason::BelowLevelBefore)));
    let first = skylake(0, 4096);
    assert_eq!((first.l1d, reason(first)), (None, (Level::L1d, Reason::AboveLimit)));
    assert_eq!(size(first.l2), Some((MIB, Source::Cpuid)));
    let second = skylake(2, 16);
    assert_eq!((second.l2, reason(second)), (None, (Level::L2, Reason::BelowLevelBefore)));
    // The last number of sets has no successor, and ends the list as an empty subleaf does.
    let endless = Words::of("skylake-x").with(4, 3, |word| word.ecx = u32::MAX).decode(XCR0_AVX512).caches;
    assert_eq!((endless.l3, endless.l2.is_some()), (None, true));
    let line = Words::of("skylake-x").with(4, 0, |word| word.ebx = word.ebx & !0xFFF | 62).decode(XCR0_AVX512).caches;
    assert_eq!((line.l1d, reason(line)), (None, (Level::L1d, Reason::Line)));
}

#[test]
fn cpuid_and_the_operating_system_are_joined() {
    let cache = |size_bytes, shared_by_threads, source| {
        Some(Cache { size_bytes, line_bytes: 64, ways: 16, shared_by_threads, source })
    };
    let three = |l1d, l2, l3, source| Caches {
        l1d: cache(l1d, 2, source),
        l2: cache(l2, 2, source),
        l3: cache(l3, 16, source),
        ..Caches::default()
    };
    let reach = Reach::of(&Words::of("zen4-genoa").decode(None).signature);
    let cpuid = three(32 * KIB, MIB, 32 * MIB, Source::Cpuid);
    assert_eq!(cross_check(cpuid, None, reach), cpuid);
    assert_eq!(cross_check(Caches::default(), None, reach), Caches::default());

    // They agree on the size: the operating system counts the threads.
    let os = Caches { l3: cache(32 * MIB, 4, Source::Os), ..three(32 * KIB, MIB, 0, Source::Os) };
    let joined = cross_check(cpuid, Some(os), reach);
    assert_eq!(joined.l3, cache(32 * MIB, 4, Source::Cpuid));
    assert!(joined.findings.is_empty());

    // One is silent.
    let joined = cross_check(Caches::default(), Some(os), reach);
    assert_eq!(size(joined.l2), Some((MIB, Source::Os)));
    assert!(joined.findings.is_empty());

    // They differ: the smaller, on either side.
    let os = three(48 * KIB, 512 * KIB, 32 * MIB, Source::Os);
    let joined = cross_check(cpuid, Some(os), reach);
    assert_eq!(size(joined.l1d), Some((32 * KIB, Source::Cpuid)));
    assert_eq!(size(joined.l2), Some((512 * KIB, Source::Os)));
    let l1d = Finding::Disagree { level: Level::L1d, cpuid_bytes: 32 * KIB, os_bytes: 48 * KIB };
    let l2 = Finding::Disagree { level: Level::L2, cpuid_bytes: MIB, os_bytes: 512 * KIB };
    assert_eq!(joined.findings.iter().collect::<Vec<_>>(), [l1d, l2]);
    let text = "L1d: CPUID says 32 KiB, the operating system 48 KiB; the smaller is used";
    assert_eq!(l1d.to_string(), text);

    // The smaller is implausible: the other.
    let os = three(0, 16 * KIB, 384 * MIB, Source::Os);
    let joined = cross_check(cpuid, Some(os), reach);
    assert_eq!((joined.l1d, joined.l2, joined.l3.map(|l3| l3.size_bytes)), (cpuid.l1d, cpuid.l2, Some(32 * MIB)));
    let reasons: Vec<_> = joined.findings.iter().map(|finding| finding.to_string()).collect();
    assert_eq!(
        reasons,
        [
            "L1d: Os says 0 KiB; that is no size; not used",
            "L2: Os says 16 KiB; that is less than the level before it; not used",
            "L3: Os says 393216 KiB, which is a whole package's; 32768 KiB assumed",
        ],
    );
}

#[test]
fn each_level_is_at_least_the_level_before_it() {
    let reach = Reach::of(&Words::of("zen4-genoa").decode(None).signature);
    let cache =
        |size_bytes| Some(Cache { size_bytes, line_bytes: 64, ways: 8, shared_by_threads: 2, source: Source::Cpuid });
    for (size_bytes, kept) in [(32 * KIB - 1, false), (32 * KIB, true), (32 * KIB + 1, true)] {
        let second = Caches { l1d: cache(32 * KIB), l2: cache(size_bytes), ..Caches::default() };
        assert_eq!(cross_check(second, None, reach).l2.is_some(), kept, "{size_bytes}");
        // Without a second level, the third is held against the first.
        let third = Caches { l1d: cache(32 * KIB), l3: cache(size_bytes), ..Caches::default() };
        assert_eq!(cross_check(third, None, reach).l3.is_some(), kept, "{size_bytes}");
    }
}

#[test]
fn the_limit_of_the_third_level_is_taken_as_it_stands() {
    let reach = Reach::of(&Words::of("zen2-rome").decode(None).signature);
    assert_eq!(reach, Reach { limit_bytes: 16 * MIB, usual_bytes: Some(16 * MIB) });
    for (size_bytes, source) in
        [(16 * MIB - 1, Source::Cpuid), (16 * MIB, Source::Cpuid), (16 * MIB + 1, Source::Assumed)]
    {
        let l3 = Cache { size_bytes, line_bytes: 64, ways: 16, shared_by_threads: 8, source: Source::Cpuid };
        let joined = cross_check(Caches { l3: Some(l3), ..Caches::default() }, None, reach);
        assert_eq!(size(joined.l3), Some((size_bytes.min(16 * MIB), source)));
    }
    // Intel has one third level, and the large ones are real: 504 MiB in the largest Granite Rapids.
    let reach = Reach::of(&Words::of("graniterapids").decode(None).signature);
    assert!(reach.limit_bytes > 504 * MIB && reach.usual_bytes.is_none());
}

#[test]
fn a_hypervisor_may_hide_a_state_component_and_leave_its_words() {
    let guest = Words::of("sapphirerapids").with(0xD, 0, |word| word.eax = 0b111).decode(XCR0_AVX);
    assert!(guest.xstate.component(2).is_some());
    assert_eq!(guest.xstate.component(18), None);
    // Sizes and offsets past belief are no components.
    for (eax, ebx) in [(0, 576), (u32::MAX, 576), (256, u32::MAX), (256, 575)] {
        let words = Words::of("haswell-ep").with(0xD, 2, |word| (word.eax, word.ebx) = (eax, ebx));
        assert_eq!(words.decode(XCR0_AVX).xstate.component(2), None, "{eax} {ebx}");
    }
}

/// Uses everything that a decoded CPU offers.
fn exercise(cpu: &Cpu) {
    let held = cpu.xstate.enabled;
    let area = cpu.xstate.compacted_area_bytes(held).max(cpu.xstate.standard_area_bytes(held));
    let offsets = (0..64).filter_map(|index| cpu.xstate.compacted_offset_bytes(held, index));
    assert!(offsets.max().unwrap_or(0) <= area);
    assert!(cpu.signature.brand().len() <= 48 && cpu.signature.hypervisor().unwrap_or("").len() <= 12);
    assert!(cpu.caches.l1d.is_none_or(|cache| cache.size_bytes <= MIB));
    assert!(!format!("{cpu:?} {} {}", cpu.signature, cpu.features).is_empty());
    let joined = cross_check(cpu.caches, Some(cpu.caches), Reach::of(&cpu.signature));
    assert_eq!(size(joined.l1d), size(cpu.caches.l1d));
}

#[test]
fn no_words_panic() {
    // Every leaf answers the same, whatever the subleaf: lists must end all the same.
    for value in [0, 1, 0x21, 0x43, 0x63, 0x7FFF_FFFF, 0x8000_0000, 0x8000_001F, 0xFFFF_FFFE, u32::MAX] {
        let reader = |_: u32, _: u32| CpuIdResult { eax: value, ebx: value, ecx: value, edx: value };
        for xcr0 in [None, Some(0), XCR0_AVX512, Some(u64::MAX)] {
            exercise(&Cpu::decode(reader, xcr0));
        }
    }
    // Noise that depends on leaf and subleaf, with and without a vendor that is known.
    let noise = |seed: u64, leaf: u32, subleaf: u32| {
        let mut state = seed ^ (u64::from(leaf) << 32 | u64::from(subleaf)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        [(); 4].map(|()| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as u32
        })
    };
    let files = words::files();
    for seed in 1..4000_u64 {
        let file = &files[seed as usize % files.len()];
        let host = Words::of(file.trim_end_matches(".txt"));
        let first = raw_cpuid::CpuIdReader::cpuid2(&&host, 0, 0);
        let reader = |leaf: u32, subleaf: u32| {
            if leaf == 0 && seed % 4 != 0 {
                return CpuIdResult { eax: 0x20, ..first };
            }
            if leaf == 0x8000_0000 && seed % 4 != 0 {
                return CpuIdResult { eax: 0x8000_0020, ebx: 0, ecx: 0, edx: 0 };
            }
            let [eax, ebx, ecx, edx] = noise(seed, leaf, subleaf);
            CpuIdResult { eax, ebx, ecx, edx }
        };
        exercise(&Cpu::decode(reader, Some(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
    }
}
