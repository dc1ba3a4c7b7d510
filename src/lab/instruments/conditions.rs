//! What speaks for and against trusting figures taken here: each condition is ok, a warning, or unknown.
//!
//! Nothing is changed; where something can be done, the finding says what.

#![forbid(unsafe_code)]

use crate::cpu::{Caches, Cpu};
use crate::lab::instruments::clock;
use std::{fmt, fs};

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing speaks against the figures.
    Ok,
    /// Figures may be wrong or may not repeat.
    Warn,
    /// The system does not tell.
    Unknown,
}

impl State {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
        }
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What was looked at.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, and where it is a warning, what it does to the figures.
    pub finding: String,
    /// The command that helps, where there is one. Nothing here runs it.
    pub fix: Option<&'static str>,
}

impl Condition {
    fn new(name: &'static str, state: State, finding: impl Into<String>) -> Self {
        Self { name, state, finding: finding.into(), fix: None }
    }

    fn fix(mut self, command: &'static str) -> Self {
        self.fix = Some(command);
        self
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8}{:<14}{}", self.state.name(), self.name, self.finding)?;
        self.fix.map_or(Ok(()), |command| write!(f, "; `{command}`"))
    }
}

/// All conditions, for a thread that runs on logical CPU `pinned_to`.
pub fn conditions(cpu: &Cpu, pinned_to: Option<usize>) -> Vec<Condition> {
    let logical = pinned_to.unwrap_or(0);
    let of_cpu = |file: &str| read(&format!("/sys/devices/system/cpu/cpu{logical}/{file}"));
    vec![
        build(cfg!(debug_assertions)),
        kernels(cfg!(memcpy_select_asm), std::env::consts::ARCH),
        pinning(pinned_to),
        hypervisor(cpu.signature.hypervisor().is_some()),
        caches(&cpu.caches),
        governor(of_cpu("cpufreq/scaling_governor").as_deref()),
        boost(
            read("/sys/devices/system/cpu/cpufreq/boost").as_deref(),
            read("/sys/devices/system/cpu/intel_pstate/no_turbo").as_deref(),
        ),
        sibling(of_cpu("topology/thread_siblings_list").as_deref()),
        load(read("/proc/loadavg").as_deref()),
        steal(read("/proc/stat").as_deref()),
        huge_pages(read("/sys/kernel/mm/transparent_hugepage/enabled").as_deref()),
        libc(IS_LIBC_LINKED_IN, std::env::var("GLIBC_TUNABLES").ok().as_deref()),
        clock(clock::precision_ns()),
    ]
}

/// The contents of a small system file, without the line's end.
pub(crate) fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn build(has_debug_assertions: bool) -> Condition {
    if has_debug_assertions {
        let finding = "built with debug assertions: figures of memcpy_auto are too slow";
        Condition::new("build", State::Warn, finding).fix("cargo bench")
    } else {
        Condition::new("build", State::Ok, "optimised")
    }
}

fn kernels(has_ours: bool, architecture: &str) -> Condition {
    let finding = match (has_ours, architecture) {
        (true, _) => return Condition::new("kernels", State::Ok, "those of this crate are part of the build"),
        (false, "x86_64") => "built without this crate's kernels: the platform's copy is the only one".to_owned(),
        (false, other) => format!("this crate's are for x86-64: on {other} the platform's copy is the only one"),
    };
    Condition::new("kernels", State::Warn, finding)
}

fn pinning(pinned_to: Option<usize>) -> Condition {
    match pinned_to {
        Some(logical) => Condition::new("pinning", State::Ok, format!("pinned to logical CPU {logical}")),
        None => {
            let finding = "not pinned: the scheduler may move the run between cores";
            Condition::new("pinning", State::Warn, finding).fix("taskset -c 1 cargo bench")
        }
    }
}

fn hypervisor(is_guest: bool) -> Condition {
    if is_guest {
        let finding = "a virtual machine: neighbours share caches and memory; compare ratios, not absolute figures";
        Condition::new("hypervisor", State::Warn, finding)
    } else {
        Condition::new("hypervisor", State::Ok, "none seen")
    }
}

/// What the CPU or the system says of its caches and is not believed: the formulas go by these sizes.
fn caches(caches: &Caches) -> Condition {
    let levels = [("L1d", caches.l1d), ("L2", caches.l2), ("L3", caches.l3)];
    let unknown: Vec<&str> = levels.iter().filter(|(_, cache)| cache.is_none()).map(|(level, _)| *level).collect();
    let mut findings: Vec<String> = caches.findings.iter().map(|finding| finding.to_string()).collect();
    if !unknown.is_empty() {
        findings.push(format!("no size is known of {}: what its design usually has stands for it", unknown.join(", ")));
    }
    if findings.is_empty() {
        Condition::new("caches", State::Ok, "each level has a size that one core may reach")
    } else {
        let finding = format!("{}; `memcpy-select calibrate` measures where they end", findings.join("; "));
        Condition::new("caches", State::Warn, finding)
    }
}

fn governor(governor: Option<&str>) -> Condition {
    match governor {
        Some("performance") => Condition::new("governor", State::Ok, "performance"),
        Some(other) => {
            let finding = format!("{other}: the clock may change while measuring");
            Condition::new("governor", State::Warn, finding).fix("cpupower frequency-set -g performance")
        }
        None => Condition::new("governor", State::Unknown, "the system does not show one"),
    }
}

fn boost(boost: Option<&str>, no_turbo: Option<&str>) -> Condition {
    match (boost, no_turbo) {
        (Some("0"), _) | (_, Some("1")) => Condition::new("boost", State::Ok, "off"),
        (Some(_), _) | (_, Some(_)) => {
            let finding = "on: the clock follows temperature and load; cycles are counted beside every figure";
            let fix = match boost {
                Some(_) => "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
                None => "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo",
            };
            Condition::new("boost", State::Warn, finding).fix(fix)
        }
        (None, None) => Condition::new("boost", State::Unknown, "the system does not show it; cycles are counted"),
    }
}

fn sibling(list: Option<&str>) -> Condition {
    match list {
        Some(list) if list.contains([',', '-']) => {
            let finding = format!("CPUs {list} share one core and its caches: leave the other idle, or switch it off");
            Condition::new("SMT sibling", State::Warn, finding).fix("echo off > /sys/devices/system/cpu/smt/control")
        }
        Some(_) => Condition::new("SMT sibling", State::Ok, "none that this system shows"),
        None => Condition::new("SMT sibling", State::Unknown, "the system does not show the topology"),
    }
}

fn load(loadavg: Option<&str>) -> Condition {
    let runnable = loadavg.and_then(|text| text.split(['/', ' ']).nth(3)?.parse::<u32>().ok());
    match runnable {
        Some(0 | 1) => Condition::new("load", State::Ok, "nothing else is running"),
        Some(more) => {
            let finding = format!("{} other threads want to run: close them and measure again", more - 1);
            Condition::new("load", State::Warn, finding)
        }
        None => Condition::new("load", State::Unknown, "the system does not show it"),
    }
}

/// The share of time since the start of the system that the hypervisor gave to others.
fn steal(stat: Option<&str>) -> Condition {
    let shares: Option<Vec<u64>> = stat.and_then(|text| {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        line.split_whitespace().map(|field| field.parse().ok()).collect()
    });
    match shares.as_deref() {
        Some([user, nice, system, idle, io_wait, irq, soft_irq, steal, ..]) => {
            let total = user + nice + system + idle + io_wait + irq + soft_irq + steal;
            let percent = *steal as f64 * 100.0 / total.max(1) as f64;
            if percent < 0.1 {
                Condition::new("steal time", State::Ok, format!("{percent:.2}% since the system started"))
            } else {
                let finding = format!("{percent:.1}% went to other guests: medians hide it, worst cases do not");
                Condition::new("steal time", State::Warn, finding)
            }
        }
        _ => Condition::new("steal time", State::Unknown, "the system does not show it"),
    }
}

fn huge_pages(enabled: Option<&str>) -> Condition {
    match enabled {
        Some(text) if text.contains("[never]") => {
            Condition::new("huge pages", State::Warn, "off: large copies pay for small pages")
                .fix("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
        }
        Some(_) => Condition::new("huge pages", State::Ok, "given on request; the buffers ask for them"),
        None => Condition::new("huge pages", State::Unknown, "the system does not show it"),
    }
}

/// Settings under which the installed libc is not what other programs have.
/// Whether the program has a libc of its own and not the installed one.
const IS_LIBC_LINKED_IN: bool = cfg!(any(target_env = "musl", target_feature = "crt-static"));

fn libc(is_linked_in: bool, tunables: Option<&str>) -> Condition {
    match tunables.filter(|text| !text.is_empty()) {
        _ if is_linked_in => {
            let finding = "linked into this static program: what is called libc is not the installed one";
            Condition::new("libc", State::Warn, finding)
        }
        Some(text) => {
            let finding = format!("GLIBC_TUNABLES={text}: libc is not what others have");
            Condition::new("libc", State::Warn, finding).fix("unset GLIBC_TUNABLES")
        }
        None => Condition::new("libc", State::Ok, "as installed"),
    }
}

/// A clock that is too coarse for timings of a twentieth of a millisecond.
fn clock(precision_ns: u64) -> Condition {
    let finding = format!("steps of {precision_ns} ns");
    if precision_ns <= 500 {
        Condition::new("clock", State::Ok, finding)
    } else {
        let finding = finding + ": short timings are coarse; the system does not use the time-stamp counter";
        Condition::new("clock", State::Warn, finding)
            .fix("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(conditions: &[Condition]) -> Vec<State> {
        conditions.iter().map(|condition| condition.state).collect()
    }

    #[test]
    fn each_condition_knows_all_three_states() {
        use State::{Ok, Unknown, Warn};
        assert_eq!(states(&[build(false), build(true)]), [Ok, Warn]);
        assert_eq!(
            states(&[kernels(true, "x86_64"), kernels(false, "x86_64"), kernels(false, "aarch64")]),
            [Ok, Warn, Warn]
        );
        assert_eq!(states(&[pinning(Some(1)), pinning(None)]), [Ok, Warn]);
        assert_eq!(states(&[hypervisor(false), hypervisor(true)]), [Ok, Warn]);
        assert_eq!(
            states(&[governor(Some("performance")), governor(Some("powersave")), governor(None)]),
            [Ok, Warn, Unknown]
        );
        assert_eq!(states(&[boost(Some("0"), None), boost(None, Some("1"))]), [Ok, Ok]);
        assert_eq!(states(&[boost(Some("1"), None), boost(None, Some("0")), boost(None, None)]), [Warn, Warn, Unknown]);
        assert_eq!(
            states(&[sibling(Some("1")), sibling(Some("1,5")), sibling(Some("0-1")), sibling(None)]),
            [Ok, Warn, Warn, Unknown]
        );
        assert_eq!(
            states(&[load(Some("0.1 0.2 0.3 1/99 7")), load(Some("2 2 2 3/99 7")), load(Some("?"))]),
            [Ok, Warn, Unknown]
        );
        assert_eq!(states(&[libc(false, None), libc(false, Some("a=b")), libc(true, None)]), [Ok, Warn, Warn]);
        assert_eq!(states(&[clock(20), clock(1000)]), [Ok, Warn]);
        assert_eq!(
            states(&[
                huge_pages(Some("always [madvise] never")),
                huge_pages(Some("always madvise [never]")),
                huge_pages(None)
            ]),
            [Ok, Warn, Unknown]
        );
    }

    #[test]
    fn a_cache_that_is_not_believed_is_named() {
        let cache = |size_bytes| {
            let source = crate::cpu::Source::Cpuid;
            Some(crate::cpu::Cache { size_bytes, line_bytes: 64, ways: 8, shared_by_threads: 2, source })
        };
        let whole = Caches { l1d: cache(48 << 10), l2: cache(2 << 20), l3: cache(32 << 20), ..Caches::default() };
        assert_eq!(caches(&whole).state, State::Ok);
        let without = caches(&Caches { l1d: None, ..whole });
        assert!(without.state == State::Warn && without.finding.contains("no size is known of L1d:"), "{without}");
        assert_eq!(caches(&Caches::default()).state, State::Warn);
    }

    #[test]
    fn a_warning_names_the_command_that_helps() {
        let text = governor(Some("powersave")).to_string();
        assert!(text.ends_with("; `cpupower frequency-set -g performance`"), "{text}");
        assert_eq!(governor(Some("performance")).fix, None);
    }

    #[test]
    fn steal_is_a_share_of_all_time() {
        assert_eq!(steal(Some("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1")).state, State::Ok);
        assert_eq!(steal(Some("cpu  100 0 0 880 0 0 0 20 0 0")).state, State::Warn);
        assert_eq!(steal(Some("cpu 1 2")).state, State::Unknown);
        assert_eq!(steal(None).state, State::Unknown);
    }
}
