//! Promise: the text of a plan reads back as the same plan, and a text that is not one, or not one for this CPU, is
//! refused with its line and its reason.

use crate::suite::cases::Effort;
use crate::suite::rng::Rng;
use memcpy_select::cpu::{Cpu, Features, Vendor};
use memcpy_select::select::{
    Aliasing, Alignment, Band, Class, CpuName, LoadError, MAX_BANDS, MAX_TEXT_BYTES, Plan, PlanError, PlanText, Policy,
    Small, TextError, TextErrorKind, formula, load,
};
use memcpy_select::{Kernel, kernels};
use std::sync::LazyLock;

const POLICIES: [Policy; 3] = [Policy::User, Policy::NoSimd, Policy::Section];
const HEAD: &str = "memcpy-select plan 1\ncpu amd-26-2-1\npolicy user\n";

fn named(name: &str) -> &'static Kernel {
    Kernel::named(name).expect("a kernel of the table")
}

/// The CPU that runs this, by another name.
fn cpu(vendor: Vendor, family: u16, model: u8, stepping: u8) -> Cpu {
    static HERE: LazyLock<Cpu> = LazyLock::new(Cpu::detect);
    let mut cpu = *HERE;
    let signature = &mut cpu.signature;
    (signature.vendor, signature.family, signature.model, signature.stepping) = (vendor, family, model, stepping);
    signature.is_masked = false;
    cpu
}

fn text_of(plan: Plan) -> PlanText {
    PlanText { cpu: CpuName::of(&cpu(Vendor::Amd, 26, 2, 1).signature), policy: Policy::User, plan }
}

fn any_kernel(rng: &mut Rng) -> &'static Kernel {
    &kernels()[rng.below(kernels().len())]
}

/// Up to [`MAX_BANDS`] bands with limits of any size, a few classes of some with another kernel.
fn any_plan(rng: &mut Rng) -> Plan {
    let mut limits: Vec<usize> = (0..rng.below(MAX_BANDS)).map(|_| (rng.next() >> rng.below(64)) as usize).collect();
    limits.push(usize::MAX);
    limits.sort_unstable();
    limits.dedup();
    let bands: Vec<Band> = limits.iter().map(|limit| any_band(*limit, rng)).collect();
    Plan::new(&bands).expect("the limits rise to usize::MAX")
}

fn any_band(limit: usize, rng: &mut Rng) -> Band {
    let mut band = Band::new(limit, any_kernel(rng));
    for _ in 0..rng.below(4) {
        let (class, kernel) = (Class::ALL[rng.below(Class::ALL.len())], any_kernel(rng));
        band = match rng.below(4) {
            0 => band.with_alignment(class.alignment, kernel),
            1 => band.with_aliasing(class.aliasing, kernel),
            _ => band.with(class, kernel),
        };
    }
    band
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    const VENDORS: [Vendor; 5] = [Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin, Vendor::Other];
    let mut rng = Rng::new(0x91A7);
    let plans = if Effort::chosen() < Effort::Full { 3_000 } else { 20_000 };
    for _ in 0..plans {
        let [family, model, stepping, ..] = rng.next().to_le_bytes();
        let cpu = cpu(VENDORS[rng.below(5)], u16::from(family) * 257, model, stepping);
        let policy = POLICIES[rng.below(2)];
        let written = PlanText { cpu: CpuName::of(&cpu.signature), policy, plan: any_plan(&mut rng) };
        let text = written.to_string();
        assert_eq!(PlanText::parse(&text), Ok(written), "{text}");
        assert_eq!(text.parse(), Ok(written), "{text}");
        assert!(text.contains(&format!("\ncpu {}\n", cpu.signature)) && text.ends_with(&written.plan.to_string()));
    }
}

#[test]
fn the_plans_of_the_formulas_read_back_and_load() {
    let here = Cpu::detect();
    for cpu in [here, here.masked(Features::SSE2), here.masked(Features::SSE2.union(Features::ERMS))] {
        for policy in POLICIES {
            let plan = formula::plan(&cpu, policy);
            let text = PlanText { cpu: CpuName::of(&cpu.signature), policy, plan }.to_string();
            assert_eq!(load(&text, &cpu), Ok((policy, plan)), "{text}");
        }
    }
}

#[test]
fn a_line_names_only_the_classes_that_differ() {
    let (gpr, sse2) = (named("gpr"), named("sse2_aligned"));
    let equal = Class::new(Alignment::Equal, Aliasing::Apart);
    for (band, line) in [
        (Band::new(100, gpr), "100 gpr"),
        (Band::new(usize::MAX, gpr).with(equal, sse2), "above gpr equal=sse2_aligned"),
        (Band::new(0, gpr).with(equal, sse2).with(equal, gpr), "0 gpr"),
        (
            Band::new(7, gpr).with_aliasing(Aliasing::Apart, sse2).with_aliasing(Aliasing::SrcAfterDst, sse2),
            "7 sse2_aligned both-aligned+dst-after=gpr dst-aligned+dst-after=gpr equal+dst-after=gpr \
             unequal+dst-after=gpr",
        ),
        (
            Band::new(7, gpr).with_alignment(Alignment::DstAligned, sse2),
            "7 gpr dst-aligned=sse2_aligned dst-aligned+dst-after=sse2_aligned dst-aligned+src-after=sse2_aligned",
        ),
    ] {
        assert_eq!(band.to_string(), line);
    }
}

#[test]
fn comments_blank_lines_and_spacing_do_not_count() {
    let text = "# made by hand\r\n\r\n  memcpy-select\tplan 1 # the format\r\ncpu amd-26-2-1#here\r\n\tpolicy   user\r\n\
                #\r\n0026623  avx512_aligned\r\n   16777215 rep_movsb dst-aligned=avx512_aligned  #\r\n\
                above gpr unequal+src-after=gpr # the last\r\n\r\n# the end";
    let plan = Plan::new(&[
        Band::new(26_623, named("avx512_aligned")),
        Band::new(16_777_215, named("rep_movsb"))
            .with(Class::new(Alignment::DstAligned, Aliasing::Apart), named("avx512_aligned")),
        Band::new(usize::MAX, named("gpr")),
    ]);
    assert_eq!(PlanText::parse(text), Ok(text_of(plan.expect("the limits rise"))));
}

/// What a text is refused for: its line, how the kind prints, and what the message has to say.
fn refused(text: &str, line: usize, kind: &str) {
    let error = PlanText::parse(text).expect_err(text);
    assert_eq!((error.line, format!("{:?}", error.kind).as_str()), (line, kind), "{text}");
    let message = error.to_string();
    assert!(message.starts_with(&format!("line {line}: ")) && message.contains("refused; "), "{message}");
    let effects = message.matches("refused").count();
    assert!(effects == 1 && message.is_ascii() && !message.contains('\n'), "{message}");
    println!("{message}");
}

#[test]
fn a_wrong_head_is_refused() {
    for (text, line, kind) in [
        ("", 1, "NotAPlan"),
        ("# nothing\n\n", 3, "NotAPlan"),
        ("cpu amd-26-2-1\n", 1, "NotAPlan"),
        ("\nmemcpy-select plan\n", 2, "NotAPlan"),
        ("\u{feff}memcpy-select plan 1\n", 1, "NotAPlan"),
        ("memcpy-select plan 2\n", 1, "UnknownVersion(\"2\")"),
        ("memcpy-select plan 01\n", 1, "UnknownVersion(\"01\")"),
        ("memcpy-select plan 1 2\n", 1, "ExtraWord(\"2\")"),
        ("memcpy-select plan 1", 2, "MissingCpu"),
        ("memcpy-select plan 1\npolicy user\ncpu amd-26-2-1", 2, "MissingCpu"),
        ("memcpy-select plan 1\ncpu # none\n", 2, "MissingCpu"),
        ("memcpy-select plan 1\ncpu amd-26-2-1 x\n", 2, "ExtraWord(\"x\")"),
        ("memcpy-select plan 1\ncpu amd-26-2-1\n", 3, "MissingPolicy"),
        ("memcpy-select plan 1\ncpu amd-26-2-1\n\npolicy\n", 4, "MissingPolicy"),
        ("memcpy-select plan 1\ncpu amd-26-2-1\nabove gpr\n", 3, "MissingPolicy"),
        ("memcpy-select plan 1\ncpu amd-26-2-1\npolicy User\n", 3, "UnknownPolicy(\"User\")"),
        ("memcpy-select plan 1\ncpu amd-26-2-1\npolicy user no-simd\n", 3, "ExtraWord(\"no-simd\")"),
    ] {
        refused(text, line, kind);
    }
    for name in
        ["amd", "AMD-26-2-1", "amd-26-2", "amd-26-2-1-kvm", "amd-65536-2-1", "amd-26-256-1", "amd-26--1", "amd-26-+2-1"]
    {
        assert_eq!(CpuName::named(name), None);
        refused(&format!("memcpy-select plan 1\ncpu {name}\n"), 2, &format!("UnknownCpu({name:?})"));
    }
}

#[test]
fn wrong_bands_are_refused() {
    for (bands, line, kind) in [
        ("", 4, "MissingAbove"),
        ("100 gpr\n\n", 6, "MissingAbove"),
        ("above", 4, "MissingKernel"),
        ("100 # gpr\n", 4, "MissingKernel"),
        ("below gpr", 4, "UnknownLimit(\"below\")"),
        ("+100 gpr", 4, "UnknownLimit(\"+100\")"),
        ("-1 gpr", 4, "UnknownLimit(\"-1\")"),
        ("0x10 gpr", 4, "UnknownLimit(\"0x10\")"),
        ("4KiB gpr", 4, "UnknownLimit(\"4KiB\")"),
        ("\u{661} gpr", 4, "UnknownLimit(\"??\")"),
        ("99999999999999999999 gpr", 4, "LimitTooLarge(\"99999999999999999999\")"),
        ("100 fastest", 4, "UnknownKernel(\"fastest\")"),
        ("100 gpr\nabove GPR", 5, "UnknownKernel(\"GPR\")"),
        ("100 \u{1b}[2J", 4, "UnknownKernel(\"?[2J\")"),
        ("100 gpr dst-aligned", 4, "NotAnOverride(\"dst-aligned\")"),
        ("100 gpr dst-aligned = gpr", 4, "NotAnOverride(\"dst-aligned\")"),
        ("100 gpr aligned=gpr", 4, "UnknownClass(\"aligned\")"),
        ("100 gpr =gpr", 4, "UnknownClass(\"\")"),
        ("100 gpr equal=", 4, "UnknownKernel(\"\")"),
        ("100 gpr equal=gpr=gpr", 4, "UnknownKernel(\"gpr=gpr\")"),
        ("100 gpr equal=fastest", 4, "UnknownKernel(\"fastest\")"),
        (
            "100 gpr equal=gpr unequal=gpr equal=sse2_aligned",
            4,
            "DuplicateClass(Class { alignment: Equal, aliasing: Apart })",
        ),
        (
            "100 gpr\n\n100 gpr\nabove gpr",
            6,
            "Refused(NotAscending { band: 1, limit_bytes: 100, previous_bytes: 100 })",
        ),
        ("100 gpr\n99 gpr\nnonsense", 5, "Refused(NotAscending { band: 1, limit_bytes: 99, previous_bytes: 100 })"),
        ("above gpr\n# more\nabove gpr", 6, "AfterAbove(\"above\")"),
        ("above gpr\n100 gpr", 5, "AfterAbove(\"100\")"),
    ] {
        refused(&format!("{HEAD}{bands}"), line, kind);
    }
    let largest = usize::MAX;
    refused(&format!("{HEAD}{largest} gpr"), 4, &format!("LimitTooLarge(\"{largest}\")"));
    let text = format!("{HEAD}{} gpr\nabove gpr", largest - 1);
    assert_eq!(PlanText::parse(&text).map(|text| text.plan.bands()[0].up_to_bytes()), Ok(largest - 1));
    refused(&format!("{HEAD}{}", "x".repeat(50)), 4, &format!("UnknownLimit(\"{}\")", "x".repeat(40)));
}

#[test]
fn as_many_bands_as_a_plan_may_have_and_no_more() {
    let bands = |count: usize| (1..count).map(|limit| format!("{limit} gpr\n")).collect::<String>() + "above gpr\n";
    let most = PlanText::parse(&format!("{HEAD}{}", bands(MAX_BANDS)));
    assert_eq!(most.map(|text| text.plan.bands().len()), Ok(MAX_BANDS));
    let kind = format!("Refused(BandCount {{ bands: {} }})", MAX_BANDS + 1);
    refused(&format!("{HEAD}{}", bands(MAX_BANDS + 1)), 4 + MAX_BANDS, &kind);
}

#[test]
fn a_text_of_any_plan_is_read_and_a_longer_one_is_not() {
    let longest_name = |kernel: &&Kernel| kernel.name().len();
    let longest = kernels().iter().max_by_key(longest_name).expect("there are kernels");
    let other = kernels().iter().filter(|kernel| *kernel != longest).max_by_key(longest_name).expect("there are more");
    let bands: Vec<Band> = (0..MAX_BANDS)
        .map(|at| {
            let band = Band::new(usize::MAX - (MAX_BANDS - 1 - at), longest);
            band.with(Class::ALL[0], other)
        })
        .collect();
    let longest_text = text_of(Plan::new(&bands).expect("the limits rise")).to_string();
    assert!(longest_text.len() < MAX_TEXT_BYTES / 2, "{} bytes", longest_text.len());

    let text = format!("{HEAD}above gpr\n");
    for padding in [MAX_TEXT_BYTES - 1, MAX_TEXT_BYTES, MAX_TEXT_BYTES + 1] {
        let padded = format!("{text}{}", " ".repeat(padding - text.len()));
        match PlanText::parse(&padded) {
            Ok(_) => assert!(padding <= MAX_TEXT_BYTES),
            Err(error) => {
                assert_eq!(error, TextError { line: 5, kind: TextErrorKind::TooLong(MAX_TEXT_BYTES + 1) });
                assert_eq!(padding, MAX_TEXT_BYTES + 1, "{error}");
            }
        }
    }
}

/// A text cut or changed anywhere is refused or is a plan that reads back: no panic.
#[test]
fn damaged_texts_do_no_harm() {
    let mut rng = Rng::new(0xDA3A);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let text = text_of(any_plan(&mut rng)).to_string();
        let mut bytes = text.into_bytes();
        bytes.truncate(rng.below(bytes.len()) + 1);
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] = b" \n#=-+019az\0"[rng.below(12)];
        }
        let damaged = String::from_utf8(bytes).expect("only ASCII was put in");
        match PlanText::parse(&damaged) {
            Ok(plan) => {
                assert_eq!(PlanText::parse(&plan.to_string()), Ok(plan));
                read += 1;
            }
            Err(error) => {
                assert!((1..=damaged.lines().count() + 1).contains(&error.line), "{error}");
                refused += 1;
            }
        }
    }
    println!("{read} damaged texts were plans, {refused} were refused");
}

#[test]
fn a_plan_for_another_cpu_is_refused_and_both_are_named() {
    let text = format!("{HEAD}above gpr\n");
    let plan = Plan::new(&[Band::new(usize::MAX, named("gpr"))]).expect("one band covers every length");
    assert_eq!(load(&text, &cpu(Vendor::Amd, 26, 2, 1)), Ok((Policy::User, plan)));
    let others = [(Vendor::Hygon, 26, 2, 1), (Vendor::Amd, 25, 2, 1), (Vendor::Amd, 26, 1, 1), (Vendor::Amd, 26, 2, 0)];
    for (vendor, family, model, stepping) in others {
        let other = cpu(vendor, family, model, stepping);
        let error = load(&text, &other).expect_err("it is for another CPU");
        let (made_for, here) = (CpuName::named("amd-26-2-1").expect("a CPU"), CpuName::of(&other.signature));
        assert_eq!(error, LoadError::OtherCpu { made_for, here });
        let message = error.to_string();
        assert!(message.contains("amd-26-2-1") && message.contains(&other.signature.to_string()), "{message}");
    }
}

#[test]
fn a_plan_that_this_cpu_or_the_policy_cannot_follow_is_refused() {
    let all = cpu(Vendor::Amd, 26, 2, 1);
    for kernel in kernels() {
        // One class of one band is enough to refuse it.
        let text = format!("{HEAD}100 gpr unequal+src-after={}\nabove gpr\n", kernel.name());
        let none = all.masked(Features::NONE);
        match load(&text, &none) {
            Ok(_) => assert_eq!(kernel.needs(), Features::NONE, "{}", kernel.name()),
            Err(error) => {
                assert_eq!(error, LoadError::Plan(PlanError::Unavailable { kernel: kernel.name() }));
                assert!(error.to_string().contains(kernel.name()));
            }
        }
        let text = text.replace("policy user", "policy no-simd");
        let loaded = load(&text, &all);
        if !kernel.is_available() {
            assert_eq!(loaded, Err(LoadError::Plan(PlanError::Unavailable { kernel: kernel.name() })));
        } else if kernel.writes().is_empty() {
            assert_eq!(loaded.map(|(policy, _)| policy), Ok(Policy::NoSimd));
        } else {
            assert_eq!(loaded, Err(LoadError::Plan(PlanError::TouchesVectorState { kernel: kernel.name() })));
        }
    }
    let error = load("nonsense", &all);
    assert_eq!(error, Err(LoadError::Text(TextError { line: 1, kind: TextErrorKind::NotAPlan })));
}

#[test]
fn words_of_plans_are_read_as_they_are_written() {
    for class in Class::ALL {
        assert_eq!(class.name().parse(), Ok(class));
    }
    assert_eq!("no-simd".parse(), Ok(Policy::NoSimd));
    assert_eq!("masked".parse(), Ok(Small::Masked));
    let cpu: CpuName = "intel-6-167-1-masked".parse().unwrap();
    assert_eq!(cpu.to_string(), "intel-6-167-1-masked");
    let error = "both".parse::<Class>().unwrap_err();
    assert!(error.to_string().contains("`both`"), "{error}");
    assert!(
        "no_simd".parse::<Policy>().is_err()
            && "piece".parse::<Small>().is_err()
            && "amd-26".parse::<CpuName>().is_err()
    );
}
