//! What is timed, and one sample of it.

use super::ways::{self, CLEAN, INTERRUPTED, OWNED, SAVING};
use crate::machine::Single;
use crate::machine::paging::{Access, PAGE, map};
use crate::machine::registers::{has_smap, set_ts, tsc};
use crate::machine::vectors::{AREA_BYTES, Area};
use core::arch::asm;
use core::fmt;
use core::hint::black_box;
use memcpy_select::Kernel;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::kernel::{CopyFn, FallibleKernel, TryCopyFn, fallible_kernels};
use memcpy_select::xsave::Restore;

/// Copies in a sample.
pub const TURNS: u32 = 32;
/// A copy faults in a wide access, and at the byte.
pub const FAULTS_A_COPY: u32 = 2;

const LENGTHS: [usize; 7] = [16, 32, 64, 256, 1024, 4096, 16384];
const LONGEST: usize = 16384;

/// Which registers are in use when it begins, by what their components are.
#[derive(Clone, Copy)]
pub struct State {
    name: &'static str,
    components: Components,
}

const STATES: [State; 4] = [
    State { name: "init", components: Components::NONE },
    State { name: "sse", components: Components::SSE },
    State { name: "avx", components: Components::SSE.union(Components::AVX) },
    State { name: "avx512", components: Components::SSE.union(Components::AVX).union(Components::AVX512) },
];

#[derive(Clone, Copy)]
pub enum Entry {
    Infallible(CopyFn),
    Fallible(TryCopyFn),
}

/// A row.
#[derive(Clone, Copy)]
pub enum Job {
    Empty,
    /// XSAVES, XRSTORS.
    Pair(State),
    /// A software interrupt, its handler, and the way back: without saving vector state, or with.
    Interrupt(Option<State>),
    /// CR0.TS set, the first vector instruction, the trap, the owner's state restored.
    Trap(State),
    /// One fault of a copy: the page fault, the look-up, the way back to the fix-up.
    Fault,
    Copy {
        family: &'static str,
        name: &'static str,
        entry: Entry,
        len: usize,
    },
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Pair(state) => write!(f, "xsaves_xrstors/{}", state.name),
            Self::Interrupt(None) => f.write_str("interrupt/clean"),
            Self::Interrupt(Some(state)) => write!(f, "interrupt/{}", state.name),
            Self::Trap(state) => write!(f, "nm_trap/{}", state.name),
            Self::Fault => f.write_str("fault_fixup"),
            Self::Copy { family, name, len, .. } => write!(f, "{family}/{name}/{len}"),
        }
    }
}

#[repr(C, align(4096))]
struct Frames([u8; LONGEST]);
static FRAMES: [Single<Frames>; 2] = [const { Single::new(Frames([1; LONGEST])) }; 2];
/// Where user pages are, for copies that open SMAP; behind each range, one is not there.
const USER: [usize; 2] = [0x0000_2000_0000_0000, 0x0000_2000_0010_0000];

static PATTERN: Single<Area> = Single::new(Area([0; AREA_BYTES]));

pub struct Bench {
    enabled: Components,
    has_xsaves: bool,
}

impl Bench {
    pub fn new(cpu: &Cpu) -> Self {
        for (at, frames) in USER.into_iter().zip(&FRAMES) {
            for page in 0..LONGEST / PAGE {
                // SAFETY: nothing else is there.
                unsafe { map(at + page * PAGE, frames.pointer() as usize + page * PAGE, Access::Write) }
            }
        }
        // SAFETY: nothing else refers to it.
        let pattern = &mut unsafe { PATTERN.get() }.0;
        pattern[32..].iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8 | 1);
        pattern[512..576].fill(0);
        [pattern[0], pattern[1], pattern[24], pattern[25]] = [0x7f, 0x03, 0x80, 0x1f];
        ways::start();
        Self { enabled: cpu.xstate.enabled, has_xsaves: cpu.xstate.xsaves }
    }

    /// Every row that this CPU can have.
    pub fn jobs(&self) -> impl Iterator<Item = Job> + use<> {
        let (enabled, has_xsaves) = (self.enabled, self.has_xsaves);
        let states = move || STATES.into_iter().filter(move |state| has_xsaves && enabled.contains(state.components));
        let fixed = [Job::Empty, Job::Interrupt(None), Job::Fault].into_iter();
        let stateful = states().flat_map(|state| [Job::Pair(state), Job::Interrupt(Some(state)), Job::Trap(state)]);
        fixed.chain(stateful).chain(copies())
    }

    /// Ticks of one sample.
    pub fn sample(&self, job: &Job) -> u64 {
        match *job {
            Job::Empty => timed(|| ()),
            Job::Pair(state) => {
                self.set(state);
                timed(|| self.pair(&INTERRUPTED))
            }
            Job::Interrupt(state) => {
                if let Some(state) = state {
                    self.set(state);
                    return timed(|| {
                        // SAFETY: the way in keeps everything.
                        unsafe { asm!("int {}", const SAVING) }
                    });
                }
                timed(|| {
                    // SAFETY: the way in keeps everything.
                    unsafe { asm!("int {}", const CLEAN) }
                })
            }
            Job::Trap(state) => {
                self.set(state);
                self.pair(&OWNED);
                timed(|| {
                    set_ts();
                    // SAFETY: the trap restores vector state, which is no caller's.
                    unsafe { asm!("movaps xmm0, xmm0", clobber_abi("sysv64")) }
                })
            }
            Job::Fault => {
                let Some(kernel) = named("fallible_gpr") else { return 0 };
                let (dst, src) = (USER[0] + LONGEST, &raw const FRAMES as *const u8);
                timed(|| {
                    // SAFETY: the destination is not there, which the copy finds.
                    let left = unsafe { (kernel.entry())(dst as *mut u8, src, 64) };
                    black_box(left);
                })
            }
            Job::Copy { family, entry, len, .. } => {
                let is_user = family == SMAP_FAMILY;
                let dst = if is_user { USER[0] } else { FRAMES[0].pointer() as usize };
                let src = if is_user { USER[1] } else { FRAMES[1].pointer() as usize };
                let (dst, src, len) = (black_box(dst) as *mut u8, black_box(src) as *const u8, black_box(len));
                timed(|| {
                    for _ in 0..TURNS {
                        match entry {
                            // SAFETY: both ranges are there, and apart.
                            Entry::Infallible(entry) => unsafe { entry(dst, src, len) },
                            // SAFETY: as above; user pages only with a kernel that opens them.
                            Entry::Fallible(entry) => drop(black_box(unsafe { entry(dst, src, len) })),
                        }
                    }
                })
            }
        }
    }

    /// Puts registers into a state: those of its components hold a pattern, the others what they hold initially.
    fn set(&self, state: State) {
        // SAFETY: nothing else refers to it.
        let pattern = unsafe { PATTERN.get() };
        pattern.0[512..520].copy_from_slice(&state.components.bits().to_le_bytes());
        // SAFETY: XRSTOR is there where XSAVES is; an image in the standard format whose header names components that
        // are switched on.
        unsafe { Restore::Xrstor.restore(pattern.0.as_ptr(), self.enabled) }
    }

    /// XSAVES and XRSTORS of all that is switched on.
    #[inline(always)]
    fn pair(&self, area: &Single<Area>) {
        // SAFETY: rows with it are for CPUs that have it; the area is aligned and large enough, and empty or of this format.
        unsafe {
            asm!("xsaves64 [{area}]", "xrstors64 [{area}]", area = in(reg) area.pointer(),
                in("eax") self.enabled.bits() as u32, in("edx") 0, clobber_abi("sysv64"));
        }
    }
}

/// Ticks that it takes.
#[inline(always)]
pub fn timed(body: impl FnOnce()) -> u64 {
    let start = tsc();
    body();
    tsc() - start
}

const SMAP_FAMILY: &str = "fallible_smap";
const PAIRS: [(&str, &str, &str); 2] =
    [("gpr", "fallible_gpr", "fallible_gpr_smap"), ("rep_movsb", "fallible_rep_movsb", "fallible_rep_movsb_smap")];

fn named(name: &str) -> Option<&'static FallibleKernel> {
    fallible_kernels().iter().find(|kernel| kernel.name() == name)
}

fn copies() -> impl Iterator<Item = Job> {
    PAIRS.into_iter().flat_map(|(name, fallible, for_smap)| {
        let plain = Kernel::named(name).map(|kernel| ("kernel", Entry::Infallible(kernel.entry())));
        let fallible = named(fallible).map(|kernel| ("fallible", Entry::Fallible(kernel.entry())));
        let for_smap = named(for_smap).filter(|_| has_smap());
        let for_smap = for_smap.map(|kernel| (SMAP_FAMILY, Entry::Fallible(kernel.entry())));
        let families = [plain, fallible, for_smap].into_iter().flatten();
        families.flat_map(move |(family, entry)| LENGTHS.map(|len| Job::Copy { family, name, entry, len }))
    })
}
