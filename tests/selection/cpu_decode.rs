//! What the crate believes of a CPU is what the CPU is: nineteen real ones, row by row, and the one that runs this.
//! What guests hide or invent is in `guests.rs`.

use crate::words::{self, Words, XCR0_AVX, XCR0_AVX512};
use memcpy_select::cpu::{self, Caches, Components, CoreKind, Features, Microarch, Source, Vendor, Word};

/// What is publicly known of one CPU.
struct Row {
    file: &'static str,
    brand: &'static str,
    signature: &'static str,
    vendor: Vendor,
    microarch: Microarch,
    /// Above SSE4.1, with everything enabled that the CPU has.
    features: &'static str,
    xcr0: Option<u64>,
    l1d_kib: u64,
    l2_kib: u64,
    l3_kib: Option<u64>,
    /// Components from AVX up: number, offset and size in the standard format.
    components: &'static [(u32, u32, u32)],
    area_bytes_max: u32,
}

const AVX: (u32, u32, u32) = (2, 576, 256);
/// Intel keeps the hole where MPX was (960 to 1087); AMD never had it.
const INTEL_AVX512: [(u32, u32, u32); 5] = [AVX, (5, 1088, 64), (6, 1152, 512), (7, 1664, 1024), (9, 2688, 8)];
const AMD_AVX512: [(u32, u32, u32); 5] = [AVX, (5, 832, 64), (6, 896, 512), (7, 1408, 1024), (9, 2432, 8)];
const INTEL_TILES: [(u32, u32, u32); 7] =
    [AVX, (5, 1088, 64), (6, 1152, 512), (7, 1664, 1024), (9, 2688, 8), (17, 2752, 64), (18, 2816, 8192)];

const AVX512: &str = "avx avx2 avx512f avx512bw avx512vl";

#[rustfmt::skip]
const ROWS: [Row; 19] = [
    Row { file: "nehalem-ep", brand: "Genuine Intel(R) CPU           @ 0000 @ 2.67GHz", signature: "intel-6-26-2",
        vendor: Vendor::Intel, microarch: Microarch::Nehalem, features: "", xcr0: None,
        l1d_kib: 32, l2_kib: 256, l3_kib: Some(8 << 10), components: &[], area_bytes_max: 0 },
    Row { file: "sandybridge", brand: "Intel(R) Core(TM) i7-2600 CPU @ 3.40GHz", signature: "intel-6-42-7",
        vendor: Vendor::Intel, microarch: Microarch::SandyBridge, features: "avx", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 256, l3_kib: Some(8 << 10), components: &[AVX], area_bytes_max: 832 },
    Row { file: "haswell-ep", brand: "Intel(R) Xeon(R) CPU E5-2699 v3 @ 2.30GHz", signature: "intel-6-63-2",
        vendor: Vendor::Intel, microarch: Microarch::Haswell, features: "avx avx2 erms bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 256, l3_kib: Some(45 << 10), components: &[AVX], area_bytes_max: 832 },
    Row { file: "skylake-x", brand: "Intel(R) Core(TM) i9-7900X CPU @ 3.30GHz", signature: "intel-6-85-4",
        vendor: Vendor::Intel, microarch: Microarch::SkylakeX, features: "AVX512 erms bmi2", xcr0: XCR0_AVX512,
        l1d_kib: 32, l2_kib: 1024, l3_kib: Some(13 * 1024 + 768),
        components: &[AVX, (3, 960, 64), (4, 1024, 64), (5, 1088, 64), (6, 1152, 512), (7, 1664, 1024)],
        area_bytes_max: 2688 },
    Row { file: "icelake-sp", brand: "Intel(R) Xeon(R) Gold 6336Y CPU @ 2.40GHz", signature: "intel-6-106-6",
        vendor: Vendor::Intel, microarch: Microarch::IceLakeSp, features: "AVX512 erms fsrm bmi2", xcr0: XCR0_AVX512,
        l1d_kib: 48, l2_kib: 1280, l3_kib: Some(36 << 10), components: &[AVX], area_bytes_max: 2696 },
    Row { file: "sapphirerapids", brand: "Intel(R) Xeon(R) w7-2475X", signature: "intel-6-143-8",
        vendor: Vendor::Intel, microarch: Microarch::SapphireRapids, features: "AVX512 erms fsrm fzrm fsrs fsrc bmi2",
        xcr0: XCR0_AVX512, l1d_kib: 48, l2_kib: 2048, l3_kib: Some(37 * 1024 + 512),
        components: &INTEL_TILES, area_bytes_max: 11008 },
    Row { file: "emeraldrapids", brand: "INTEL(R) XEON(R) GOLD 5520+", signature: "intel-6-207-2",
        vendor: Vendor::Intel, microarch: Microarch::EmeraldRapids, features: "AVX512 erms fsrm fzrm fsrs fsrc bmi2",
        xcr0: XCR0_AVX512, l1d_kib: 48, l2_kib: 2048, l3_kib: Some(52 * 1024 + 512),
        components: &INTEL_TILES, area_bytes_max: 11008 },
    Row { file: "graniterapids", brand: "Intel(R) Xeon(R) 658X", signature: "intel-6-173-1",
        vendor: Vendor::Intel, microarch: Microarch::GraniteRapids, features: "AVX512 erms fsrm fzrm fsrs fsrc bmi2",
        xcr0: XCR0_AVX512, l1d_kib: 48, l2_kib: 2048, l3_kib: Some(144 << 10),
        components: &INTEL_TILES, area_bytes_max: 11008 },
    // An early board: AVX-512 on, the small cores off.
    Row { file: "alderlake", brand: "12th Gen Intel(R) Core(TM) i5-12400", signature: "intel-6-151-2",
        vendor: Vendor::Intel, microarch: Microarch::GoldenCove, features: "AVX512 erms fsrm fzrm fsrs fsrc bmi2",
        xcr0: XCR0_AVX512, l1d_kib: 48, l2_kib: 1280, l3_kib: Some(18 << 10),
        components: &INTEL_AVX512, area_bytes_max: 2696 },
    Row { file: "lunarlake", brand: "Intel(R) Core(TM) Ultra 9 288V", signature: "intel-6-189-1",
        vendor: Vendor::Intel, microarch: Microarch::LionCove, features: "avx avx2 erms fsrm fsrs bmi2", xcr0: XCR0_AVX,
        l1d_kib: 48, l2_kib: 2560, l3_kib: Some(12 << 10), components: &[AVX, (9, 2688, 8)], area_bytes_max: 2696 },
    Row { file: "gracemont-n", brand: "Intel(R) N95", signature: "intel-6-190-0",
        vendor: Vendor::Intel, microarch: Microarch::Gracemont, features: "avx avx2 erms fsrm fsrs bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 2048, l3_kib: Some(6 << 10), components: &[AVX, (9, 2688, 8)], area_bytes_max: 2696 },
    Row { file: "zen1", brand: "AMD Ryzen 7 1700X Eight-Core Processor", signature: "amd-23-1-1",
        vendor: Vendor::Amd, microarch: Microarch::Zen1, features: "avx avx2 bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 512, l3_kib: Some(8 << 10), components: &[AVX], area_bytes_max: 832 },
    Row { file: "zen2-rome", brand: "AMD EPYC 7742 64-Core Processor", signature: "amd-23-49-0",
        vendor: Vendor::Amd, microarch: Microarch::Zen2, features: "avx avx2 bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 512, l3_kib: Some(16 << 10), components: &[AVX, (9, 832, 64)], area_bytes_max: 896 },
    Row { file: "zen3-milan", brand: "AMD EPYC 7763 64-Core Processor", signature: "amd-25-1-1",
        vendor: Vendor::Amd, microarch: Microarch::Zen3, features: "avx avx2 erms fsrm bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 512, l3_kib: Some(32 << 10), components: &[AVX, (9, 2432, 8)], area_bytes_max: 2440 },
    Row { file: "zen4-genoa", brand: "AMD EPYC 9654 96-Core Processor", signature: "amd-25-17-1",
        vendor: Vendor::Amd, microarch: Microarch::Zen4, features: "AVX512 erms fsrm bmi2", xcr0: XCR0_AVX512,
        l1d_kib: 32, l2_kib: 1024, l3_kib: Some(32 << 10), components: &AMD_AVX512, area_bytes_max: 2440 },
    Row { file: "zen5-turin", brand: "AMD EPYC 9655 96-Core Processor", signature: "amd-26-2-1",
        vendor: Vendor::Amd, microarch: Microarch::Zen5, features: "AVX512 erms fsrm bmi2", xcr0: XCR0_AVX512,
        l1d_kib: 48, l2_kib: 1024, l3_kib: Some(32 << 10), components: &AMD_AVX512, area_bytes_max: 2440 },
    Row { file: "zen5-graniteridge", brand: "AMD Ryzen 9 9950X 16-Core Processor", signature: "amd-26-68-0",
        vendor: Vendor::Amd, microarch: Microarch::Zen5, features: "AVX512 erms fsrm bmi2", xcr0: XCR0_AVX512,
        l1d_kib: 48, l2_kib: 1024, l3_kib: Some(32 << 10), components: &AMD_AVX512, area_bytes_max: 2440 },
    Row { file: "bulldozer", brand: "AMD Eng Sample, ZD302046W4K43_36/30/20_2/8_A", signature: "amd-21-0-1",
        vendor: Vendor::Amd, microarch: Microarch::Bulldozer, features: "avx", xcr0: XCR0_AVX,
        l1d_kib: 16, l2_kib: 2048, l3_kib: Some(8 << 10), components: &[AVX], area_bytes_max: 960 },
    // Two clusters of four cores, each with 4 MiB of second-level cache, and no third level.
    Row { file: "zhaoxin", brand: "ZHAOXIN KaiXian KX-U6780A@2.7GHz", signature: "zhaoxin-7-59-1",
        vendor: Vendor::Zhaoxin, microarch: Microarch::Lujiazui, features: "avx bmi2", xcr0: XCR0_AVX,
        l1d_kib: 32, l2_kib: 4096, l3_kib: None, components: &[AVX], area_bytes_max: 832 },
];

#[test]
fn every_row_has_its_file_and_every_file_its_row() {
    let mut rows: Vec<_> = ROWS.iter().map(|row| format!("{}.txt", row.file)).collect();
    rows.sort_unstable();
    assert_eq!(words::files(), rows);
}

#[test]
fn signatures() {
    for row in &ROWS {
        let signature = Words::of(row.file).decode(row.xcr0).signature;
        assert_eq!(signature.to_string(), row.signature, "{}", row.file);
        assert_eq!(signature.vendor, row.vendor, "{}", row.file);
        assert_eq!(signature.microarch(), row.microarch, "{}", row.file);
        assert_eq!(signature.brand(), row.brand, "{}", row.file);
        assert_eq!(signature.hypervisor(), None, "{}", row.file);
        let kind = match row.file {
            "graniterapids" | "lunarlake" => CoreKind::Performance,
            "gracemont-n" => CoreKind::Efficient,
            _ => CoreKind::Unknown,
        };
        assert_eq!(signature.core_kind, kind, "{}", row.file);
    }
}

#[test]
fn features() {
    for row in &ROWS {
        let features = Words::of(row.file).decode(row.xcr0).features;
        let expected = format!("sse2 sse3 ssse3 sse4.1 {}", row.features.replace("AVX512", AVX512));
        assert_eq!(features.to_string(), expected.trim(), "{}", row.file);
    }
}

#[test]
fn caches() {
    for row in &ROWS {
        let caches = Words::of(row.file).decode(row.xcr0).caches;
        let kib = |cache: Option<cpu::Cache>| cache.map(|cache| cache.size_bytes >> 10);
        assert_eq!(kib(caches.l1d), Some(row.l1d_kib), "{}", row.file);
        assert_eq!(kib(caches.l2), Some(row.l2_kib), "{}", row.file);
        assert_eq!(kib(caches.l3), row.l3_kib, "{}", row.file);
        for cache in [caches.l1d, caches.l2, caches.l3].into_iter().flatten() {
            assert_eq!((cache.line_bytes, cache.source), (64, Source::Cpuid), "{}", row.file);
        }
        assert!(caches.findings.is_empty(), "{}: {:?}", row.file, caches.findings);
    }
}

#[test]
fn ways_and_sharing() {
    let of = |file| -> Caches { Words::of(file).decode(None).caches };
    let ways = |cache: Option<cpu::Cache>| cache.map(|cache| (cache.ways, cache.shared_by_threads));
    // One complex of Zen 1: four cores, eight threads, 16 ways.
    assert_eq!(ways(of("zen1").l3), Some((16, 8)));
    assert_eq!(of("zen1").l3.map(|cache| cache.share_bytes()), Some(1 << 20));
    // Zen 4: eight cores, sixteen threads.
    assert_eq!(ways(of("zen4-genoa").l3), Some((16, 16)));
    // Four small cores share a second level. Identifiers are counted, not threads: eight for the four.
    assert_eq!(ways(of("gracemont-n").l2), Some((16, 8)));
    assert_eq!(ways(of("sapphirerapids").l1d), Some((12, 2)));
    // A module of Bulldozer: two cores, one second level.
    assert_eq!(ways(of("bulldozer").l2), Some((16, 2)));
    assert_eq!(ways(of("zhaoxin").l2), Some((16, 4)));
}

#[test]
fn state_components() {
    for row in &ROWS {
        let state = Words::of(row.file).decode(row.xcr0).xstate;
        assert_eq!(state.enabled.bits(), row.xcr0.unwrap_or(0), "{}", row.file);
        assert_eq!(state.area_bytes_max, row.area_bytes_max, "{}", row.file);
        let user = (2..32).filter_map(|index| {
            let component = state.component(index).filter(|component| !component.supervisor)?;
            Some((index, component.offset_bytes, component.size_bytes))
        });
        assert_eq!(user.collect::<Vec<_>>(), row.components, "{}", row.file);
        let has_xsave = row.xcr0.is_some();
        assert_eq!(state.component(0).is_some(), has_xsave, "{}", row.file);
        assert_eq!(state.area_bytes_enabled == 0, !has_xsave, "{}", row.file);
    }
}

#[test]
fn state_instructions() {
    let of = |file| {
        let state = Words::of(file).decode(XCR0_AVX).xstate;
        [state.xsaveopt, state.xsavec, state.xgetbv1, state.xsaves]
    };
    assert_eq!(of("nehalem-ep"), [false; 4]);
    assert_eq!(of("haswell-ep"), [true, false, false, false]);
    assert_eq!(of("skylake-x"), [true; 4]);
    assert_eq!(of("zen1"), [true; 4]);
}

#[test]
fn save_area_layout() {
    let vector = Components::SSE.union(Components::AVX).union(Components::AVX512);
    for (file, standard) in [("sapphirerapids", 2688), ("zen4-genoa", 2432)] {
        let state = Words::of(file).decode(XCR0_AVX512).xstate;
        assert_eq!(state.standard_area_bytes(Components::NONE), 576, "{file}");
        assert_eq!(state.standard_area_bytes(Components::SSE.union(Components::AVX)), 832, "{file}");
        assert_eq!(state.standard_area_bytes(vector), standard, "{file}");
        // The compacted format has no holes: both makers' areas are the same.
        assert_eq!(state.compacted_area_bytes(vector), 2432, "{file}");
        assert_eq!(state.compacted_area_bytes(Components::HI16_ZMM), 1600, "{file}");
        assert_eq!(state.compacted_offset_bytes(vector, 1), Some(160), "{file}");
        assert_eq!(state.compacted_offset_bytes(vector, 7), Some(1408), "{file}");
        assert_eq!(state.compacted_offset_bytes(Components::HI16_ZMM, 7), Some(576), "{file}");
        assert_eq!(state.compacted_offset_bytes(vector, 9), None, "{file}");
    }
    // Tiles are aligned to 64 bytes, behind the eight bytes of PKRU.
    let state = Words::of("sapphirerapids").decode(XCR0_AVX512).xstate;
    let held = Components::PKRU.union(Components::TILECFG).union(Components::TILEDATA);
    assert_eq!(state.compacted_offset_bytes(held, 17), Some(640));
    assert_eq!(state.compacted_offset_bytes(held, 18), Some(704));
    assert_eq!(state.compacted_area_bytes(held), 8896);
    // Shadow stacks' state is the supervisor's, and no part of the standard format.
    let cet = state.component(11).expect("Sapphire Rapids has shadow stacks");
    assert!(cet.supervisor);
    assert_eq!((cet.offset_bytes, cet.size_bytes), (0, 16));
    assert_eq!(state.standard_area_bytes(Components::CET_U.union(Components::LBR)), 576);
    assert_eq!(state.compacted_area_bytes(Components::LBR), 576 + 808);
}

#[test]
fn sets_of_features_and_components() {
    let some = Features::SSE2.union(Features::AVX);
    assert_eq!(some.difference(Features::AVX), Features::SSE2);
    assert_eq!(some.intersection(Features::ERMS), Features::NONE);
    assert!(Features::NONE.is_empty() && some.contains(Features::NONE));
    assert_eq!(some.iter().collect::<Vec<_>>(), [Features::SSE2, Features::AVX]);
    assert_eq!(Features::NONE.to_string(), "none");
    assert_eq!(Features::from_bits_truncate(u32::MAX).names().count(), 15);
    assert_eq!(Features::from_bits_truncate(some.bits()), some);
    assert_eq!(Components::from_bits(1 << 62 | 0b111).to_string(), "x87 sse avx 62");
    assert_eq!(Components::NONE.to_string(), "none");
}

#[test]
fn a_masked_cpu_differs_in_its_features_alone() {
    let cpu = Words::of("zen4-genoa").decode(XCR0_AVX512);
    let keep = Features::SSE2.union(Features::AVX);
    let masked = cpu.masked(keep);
    assert_eq!(masked.features, keep);
    assert_eq!((masked.signature, masked.caches, masked.xstate), (cpu.signature, cpu.caches, cpu.xstate));
    assert_eq!(cpu.masked(Features::NONE).features, Features::NONE);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn this_machine_agrees_with_the_standard_library() {
    let features = cpu::Cpu::detect().features;
    assert_eq!(features, cpu::features());
    assert_eq!(cpu::features(), cpu::features());
    assert!(features.contains(Features::SSE2));
    for (feature, std_says) in [
        (Features::SSE3, is_x86_feature_detected!("sse3")),
        (Features::SSSE3, is_x86_feature_detected!("ssse3")),
        (Features::SSE4_1, is_x86_feature_detected!("sse4.1")),
        (Features::AVX, is_x86_feature_detected!("avx")),
        (Features::AVX2, is_x86_feature_detected!("avx2")),
        (Features::AVX512F, is_x86_feature_detected!("avx512f")),
        (Features::AVX512BW, is_x86_feature_detected!("avx512bw")),
        (Features::AVX512VL, is_x86_feature_detected!("avx512vl")),
    ] {
        assert_eq!(features.contains(feature), std_says, "{feature}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn this_machine_can_be_decoded_again_from_its_words() {
    let words: Words = cpu::raw_words().map(|word| word.to_string().parse::<Word>().expect("its own form")).collect();
    let (again, now) = (words.decode(cpu::xcr0().map(Components::bits)), cpu::Cpu::detect());
    assert_eq!(again.features, now.features);
    assert_eq!(again.signature.to_string(), now.signature.to_string());
    assert_eq!(again.signature.brand(), now.signature.brand());
    assert_eq!(again.signature.hypervisor(), now.signature.hypervisor());
    assert_eq!(again.xstate.enabled, now.xstate.enabled);
    assert_eq!(again.xstate.components, now.xstate.components);
    println!("{now:#?}");
}

#[test]
fn what_is_in_use_is_enabled() {
    if let (Some(in_use), Some(enabled)) = (cpu::xinuse(), cpu::xcr0()) {
        // Intel SDM vol. 1, 13.6: XINUSE[i] is 0 for a component that XCR0 does not enable.
        assert!(enabled.contains(in_use), "{in_use} of {enabled}");
    }
}

#[test]
fn words_refuse_what_is_not_one() {
    for line in ["", "1", "00000001 0 0 0 0", "1.0 1 2 3", "1.0 1 2 3 4 5", "1.x 1 2 3 4", "1.0 1 2 3 123456789"] {
        assert!(line.parse::<Word>().is_err(), "{line}");
    }
}
