//! `env.toml`: what a reader must know to judge the figures, or to repeat them.

use super::FORMAT_VERSION;
use crate::cpu::{Cache, Components, Cpu, Source, Word};
use crate::kernel::kernels;
use crate::lab::instruments::clock;
use crate::lab::instruments::clock::Rates;
use crate::lab::instruments::conditions::{conditions, read};
use crate::lab::instruments::effort::Effort;
use crate::select::{Policy, plan_in_force};
use raw_cpuid::{CpuIdReader, CpuIdResult};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::process::Command;
use std::time::SystemTime;

/// Everything about a run but its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub format: u32,
    /// The folder of the machine: CPU signature and hypervisor.
    pub machine: String,
    /// The day of the run, UTC, `YYYY-MM-DD`.
    pub date: String,
    /// How much was measured.
    pub effort: String,
    /// The logical CPU that the run was pinned to.
    pub pinned_to: Option<usize>,
    /// The noise floor: a ratio above 1, under which a difference is a tie.
    pub noise_floor: f64,
    /// The plan that `memcpy_auto` followed, a band a line.
    pub plan: String,
    /// What was built, and with what.
    pub build: Build,
    /// The CPU as this crate sees it.
    pub cpu: CpuFacts,
    /// The clocks.
    pub clock: Clock,
    /// The operating system.
    pub system: System,
    /// The conditions, a line each: state, name, finding.
    pub conditions: Vec<String>,
    /// The kernels of the build.
    pub kernels: Vec<KernelSource>,
    /// The peers of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerFile>,
}

/// What was built, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// This crate's version.
    pub version: String,
    /// The revision of the sources, where they are a git checkout.
    pub git_revision: Option<String>,
    /// Whether files differed from that revision.
    pub git_dirty: Option<bool>,
    /// The compiler.
    pub rustc: String,
    /// The C compiler that assembled the kernels.
    pub cc: String,
}

/// The CPU as this crate sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuFacts {
    /// Vendor, family, model, stepping.
    pub signature: String,
    /// The brand string.
    pub name: String,
    /// The microarchitecture.
    pub microarchitecture: String,
    /// The hypervisor's name, if the CPU shows one.
    pub hypervisor: Option<String>,
    /// The microcode's version.
    pub microcode: Option<String>,
    /// The features that matter to copying.
    pub features: String,
    /// First-level data cache of a core, in bytes.
    pub l1d_bytes: Option<u64>,
    /// Second-level cache of a core, in bytes.
    pub l2_bytes: Option<u64>,
    /// Last-level cache that a core reaches, in bytes.
    pub l3_bytes: Option<u64>,
    /// Raw CPUID words: leaf, subleaf, EAX, EBX, ECX, EDX, hexadecimal.
    pub cpuid: Vec<String>,
}

/// The clocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The smallest step of the clock, in nanoseconds.
    pub precision_ns: u64,
    /// Core cycles per nanosecond at the start of the run.
    pub core_cycles_per_ns: f64,
    /// Time-stamp counter ticks per nanosecond.
    pub tsc_ticks_per_ns: f64,
}

/// The operating system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Kernel name and release.
    pub kernel: Option<String>,
    /// The libc whose `memcpy` is the baseline: the installed one, or the one linked into the program.
    pub libc: Option<String>,
    /// `GLIBC_TUNABLES`, which changes what the installed libc does.
    pub libc_tunables: Option<String>,
    /// The logical CPUs that are on, as ranges.
    pub online_cpus: Option<String>,
    /// Transparent huge pages.
    pub huge_pages: Option<String>,
}

/// A kernel and the state of its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSource {
    /// The kernel's name.
    pub name: String,
    /// FNV-1a over its file and `common.h`; nothing for routines that are not ours.
    pub source_hash: Option<String>,
    /// Whether this CPU can run it.
    pub available: bool,
}

/// A shared object whose `memcpy` was measured beside ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerFile {
    /// The name in the rows.
    pub name: String,
    /// The file that the routine lies in.
    pub file: Option<String>,
    /// FNV-1a, 64 bits, over its contents.
    pub hash: Option<String>,
}

impl PeerFile {
    /// What is known of its contents, in words.
    pub fn contents(&self) -> String {
        let file = self.file.as_deref().unwrap_or("of an unknown file");
        self.hash.as_ref().map_or_else(|| file.to_owned(), |hash| format!("{file} with contents {hash}"))
    }
}

impl Environment {
    /// Looks at this machine.
    pub fn gather(cpu: &Cpu, effort: Effort, pinned_to: Option<usize>) -> Self {
        let rates = Rates::measure();
        Self {
            format: FORMAT_VERSION,
            machine: machine(cpu),
            date: today(),
            effort: effort.name().to_owned(),
            pinned_to,
            noise_floor: 1.0,
            plan: plan_in_force(Policy::User).to_string(),
            build: Build {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                git_revision: output("git", &["rev-parse", "HEAD"]),
                git_dirty: output("git", &["status", "--porcelain"]).map(|changes| !changes.is_empty()),
                rustc: env!("MEMCPY_SELECT_RUSTC").to_owned(),
                cc: env!("MEMCPY_SELECT_CC").to_owned(),
            },
            cpu: CpuFacts::gather(cpu),
            clock: Clock {
                precision_ns: clock::precision_ns(),
                core_cycles_per_ns: rounded(rates.core_cycles_per_ns),
                tsc_ticks_per_ns: rounded(rates.tsc_ticks_per_ns),
            },
            system: System {
                kernel: output("uname", &["-sr"]),
                libc: libc(),
                libc_tunables: std::env::var("GLIBC_TUNABLES").ok(),
                online_cpus: read("/sys/devices/system/cpu/online"),
                huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled"),
            },
            conditions: conditions(cpu, pinned_to).iter().map(ToString::to_string).collect(),
            kernels: kernels()
                .iter()
                .map(|kernel| KernelSource {
                    name: kernel.name().to_owned(),
                    source_hash: source_hash(kernel.name()).map(str::to_owned),
                    available: kernel.is_available(),
                })
                .collect(),
            peers: Vec::new(),
        }
    }

    /// Whether figures count where there are others: a run that was not quick, with the libc as it is installed.
    pub fn is_first_rate(&self) -> bool {
        self.effort != Effort::Quick.name() && self.system.libc_tunables.is_none()
    }

    /// The hash of each kernel that has one, by name.
    pub(crate) fn source_hashes(&self) -> HashMap<String, String> {
        let hash = |kernel: &KernelSource| Some((kernel.name.clone(), kernel.source_hash.clone()?));
        self.kernels.iter().filter_map(hash).collect()
    }

    /// The first key whose figure no machine has, and what is wrong with it.
    pub(super) fn absurdity(&self) -> Option<(&'static str, String)> {
        let Clock { precision_ns, core_cycles_per_ns, tsc_ticks_per_ns } = self.clock;
        let figures = [
            ("noise_floor", self.noise_floor, 1.0..=MOST_NOISE, "is no ratio from 1 to a million"),
            ("precision_ns", precision_ns as f64, 1.0..=1e9, "ns are no step of a clock"),
            ("core_cycles_per_ns", core_cycles_per_ns, 0.01..=MOST_CYCLES_PER_NS, "GHz is no clock of a core"),
            ("tsc_ticks_per_ns", tsc_ticks_per_ns, 0.0001..=MOST_CYCLES_PER_NS, "GHz is no clock of time stamps"),
        ];
        let absurd = figures.into_iter().find(|(_, value, range, _)| !range.contains(value));
        absurd.map(|(key, value, _, cause)| (key, format!("{value} {cause}")))
    }
}

/// More than any two medians of one and the same thing differ, as a ratio.
pub(super) const MOST_NOISE: f64 = 1e6;
/// More than any core's clock, in cycles a nanosecond.
pub(crate) const MOST_CYCLES_PER_NS: f64 = 16.0;

impl CpuFacts {
    fn gather(cpu: &Cpu) -> Self {
        let bytes = |cache: Option<Cache>| cache.map(|cache| cache.size_bytes);
        Self {
            signature: cpu.signature.to_string(),
            name: cpu.signature.brand().to_owned(),
            microarchitecture: cpu.signature.microarch().to_string(),
            hypervisor: cpu.signature.hypervisor().map(str::to_owned),
            microcode: read("/proc/cpuinfo").and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("microcode"))?;
                Some(line.split(':').nth(1)?.trim().to_owned())
            }),
            features: cpu.features.to_string(),
            l1d_bytes: bytes(cpu.caches.l1d),
            l2_bytes: bytes(cpu.caches.l2),
            l3_bytes: bytes(cpu.caches.l3),
            cpuid: crate::cpu::raw_words().map(|word| word.to_string()).collect(),
        }
    }
}

impl CpuFacts {
    /// The CPU again, from the words that the record keeps and the cache sizes that were believed; nothing if there are no
    /// words.
    pub fn cpu(&self) -> Option<Cpu> {
        let words: Result<Vec<Word>, _> = self.cpuid.iter().map(|word| word.parse()).collect();
        let words = words.ok().filter(|words| !words.is_empty())?;
        // What the operating system had enabled shows in the features alone.
        let has = |feature: &str| self.features.split(' ').any(|name| name == feature);
        let xcr0 = match (has("avx512f"), has("avx")) {
            (true, _) => Components::X87.union(Components::SSE).union(Components::AVX).union(Components::AVX512),
            (false, true) => Components::X87.union(Components::SSE).union(Components::AVX),
            (false, false) => Components::X87.union(Components::SSE),
        };
        let mut cpu = Cpu::decode(&Kept(words), Some(xcr0.bits()));
        let sized = |cache: Option<Cache>, bytes: Option<u64>| {
            let like = Cache { size_bytes: 0, line_bytes: 64, ways: 0, shared_by_threads: 0, source: Source::Os };
            bytes.map(|size_bytes| Cache { size_bytes, ..cache.unwrap_or(like) })
        };
        cpu.caches.l1d = sized(cpu.caches.l1d, self.l1d_bytes);
        cpu.caches.l2 = sized(cpu.caches.l2, self.l2_bytes);
        cpu.caches.l3 = sized(cpu.caches.l3, self.l3_bytes);
        Some(cpu)
    }
}

/// The words of a record, as a CPU that can be asked. What is not there answers zero.
#[derive(Clone)]
struct Kept(Vec<Word>);

impl CpuIdReader for &Kept {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let of = |word: &&Word| (word.leaf, word.subleaf) == (leaf, subleaf);
        let none = CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
        self.0.iter().find(of).map_or(none, |word| CpuIdResult {
            eax: word.eax,
            ebx: word.ebx,
            ecx: word.ecx,
            edx: word.edx,
        })
    }
}

/// Which libc's `memcpy` a program of this build calls.
fn libc() -> Option<String> {
    if cfg!(target_env = "musl") {
        Some("musl, linked into the program".to_owned())
    } else if cfg!(target_feature = "crt-static") {
        Some("glibc of the machine that built it, linked into the program".to_owned())
    } else {
        output("getconf", &["GNU_LIBC_VERSION"])
    }
}

/// The folder's name: the signature, and the hypervisor where there is one.
fn machine(cpu: &Cpu) -> String {
    match cpu.signature.hypervisor() {
        Some(name) => format!("{}-{}", cpu.signature, hypervisor_word(name)),
        None => cpu.signature.to_string(),
    }
}

/// A hypervisor's name as one word. They fill twelve bytes by repeating themselves: `KVMKVMKVM` is `kvm`.
fn hypervisor_word(name: &str) -> String {
    let word: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let once = (1..word.len()).find(|period| word[*period..] == word[..word.len() - period]);
    match once {
        Some(period) => word[..period].to_owned(),
        None if word.is_empty() => "vm".to_owned(),
        None => word,
    }
}

/// Today, UTC, `YYYY-MM-DD`.
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// What a program prints, if it is there and succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The hash that the build script took of a kernel's source.
fn source_hash(kernel: &str) -> Option<&'static str> {
    let mut hashes = env!("MEMCPY_SELECT_SOURCE_HASHES").split(' ').filter_map(|pair| pair.split_once('='));
    hashes.find(|(name, _)| *name == kernel).map(|(_, hash)| hash)
}

/// Four decimals: more than the clock can tell.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypervisors_are_named_once() {
        let pairs = [("KVMKVMKVM", "kvm"), ("VMwareVMware", "vmware"), ("Microsoft Hv", "microsofthv"), ("", "vm")];
        for (name, word) in pairs {
            assert_eq!(hypervisor_word(name), word);
        }
    }

    #[test]
    fn today_is_a_date() {
        let today = today();
        let parts: Vec<u32> = today.split('-').map(|part| part.parse().unwrap()).collect();
        assert!(today.len() == 10 && parts[0] >= 2026 && (1..=12).contains(&parts[1]) && (1..=31).contains(&parts[2]));
    }
}
