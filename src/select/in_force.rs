//! What is in force: a [`Slot`] for each policy, and the first call, which decides what this CPU is, and so which plans it
//! starts with.
//!
//! Each policy starts with a plan whose only entry point decides on the plans for this CPU, puts them in force and goes on
//! with the copy. The decision takes no lock and allocates nothing where there is no operating system: a call that comes
//! meanwhile, from another thread, a signal handler or an interrupt, follows a plan that needs no decision.

use super::band::Band;
use super::by_plan::ways_in;
use super::knowledge::Design;
use super::plan::{Origin, Plan};
use super::slot::Slot;
use super::{Policy, formula, plan_for};
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::kernel::portable::entry_point;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

pub(crate) static USER: Slot = Slot::new(&UNDECIDED, user_by_step, user);
pub(super) static NO_SIMD: Slot = Slot::new(&UNDECIDED_NO_SIMD, no_simd_by_step, no_simd).without_string_classes();
/// Nothing copies through this slot: [`InSection`](super::InSection) asks the plan for the kernel.
static SECTION: Slot = Slot::new(&NO_SIMD_START, no_simd_by_step, no_simd);

ways_in!(USER, user, user_by_step);
ways_in!(NO_SIMD, no_simd, no_simd_by_step);

/// What [the symbols](crate::mem) copy by once they follow a plan; until then they do not read it. Of plans, it only ever has
/// those of kernels: what decides is compiled code, which calls the symbols.
#[cfg(memcpy_select_symbols)]
pub(crate) static SYMBOLS: Slot = Slot::new(&NO_SIMD_START, symbols_by_step, symbols).without_string_classes();
#[cfg(memcpy_select_symbols)]
ways_in!(SYMBOLS, symbols, symbols_by_step);

/// The slot of a policy.
pub(super) fn slot(policy: Policy) -> &'static Slot {
    match policy {
        Policy::User => &USER,
        Policy::NoSimd => &NO_SIMD,
        Policy::Section => &SECTION,
    }
}

const PORTABLE: &Kernel = Kernel::named("portable").unwrap();

/// What runs without knowing the CPU: kernels that need nothing.
static BASELINE: Plan = baseline(Kernel::named("sse2_aligned"));
/// The same where vector registers are not to be touched.
pub(super) static NO_SIMD_START: Plan = match formula::no_simd_start() {
    Some(plan) => plan,
    None => baseline(None),
};

/// The first plan of [`Policy::User`].
pub(super) static UNDECIDED: Plan = Plan::from_entry(Band::new(usize::MAX, PORTABLE), decide_and_copy);
/// The first plan of [`Policy::NoSimd`].
pub(super) static UNDECIDED_NO_SIMD: Plan = Plan::from_entry(Band::new(usize::MAX, PORTABLE), decide_no_simd_and_copy);

/// `gpr` while it is cheaper than starting anything else, then `above`; the platform's copy where neither exists.
const fn baseline(above: Option<&'static Kernel>) -> Plan {
    let plan = match (Kernel::named("gpr"), above) {
        (Some(gpr), Some(above)) => {
            Plan::new(&[Band::new(Design::UNKNOWN_GPR_MAX_BYTES, gpr), Band::new(usize::MAX, above)])
        }
        _ => Plan::new(&[Band::new(usize::MAX, PORTABLE)]),
    };
    match plan {
        Ok(plan) => plan.with_origin(Origin::Start),
        Err(_) => panic!("the limits above rise to usize::MAX"),
    }
}

/// This CPU, and the plans for it.
struct Decided {
    cpu: Cpu,
    user: Plan,
    no_simd: Plan,
}

struct DecidedCell(UnsafeCell<MaybeUninit<Decided>>);

// SAFETY: `decided` writes once, before it publishes, and only reads afterwards.
unsafe impl Sync for DecidedCell {}

/// The plan for this CPU under a policy, from its profile or the formulas, computed once, and put in force unless one was
/// installed meanwhile. Nothing is decided for sections, whose cost only a record knows.
#[cold]
pub(super) fn decide(policy: Policy) -> &'static Plan {
    let decided = decided();
    if let Some(Decided { user, no_simd, .. }) = decided {
        // A plan that was installed meanwhile stays.
        USER.publish_instead(&UNDECIDED, user);
        NO_SIMD.publish_instead(&UNDECIDED_NO_SIMD, no_simd);
    }
    match (policy, decided) {
        (Policy::User, Some(decided)) => &decided.user,
        (Policy::NoSimd, Some(decided)) => &decided.no_simd,
        (Policy::User, None) => &BASELINE,
        (Policy::NoSimd, None) | (Policy::Section, _) => &NO_SIMD_START,
    }
}

/// The plans; nothing while another thread, or the code that this signal handler interrupted, is deciding.
fn decided() -> Option<&'static Decided> {
    static STATE: AtomicU8 = AtomicU8::new(EMPTY);
    static DECIDED: DecidedCell = DecidedCell(UnsafeCell::new(MaybeUninit::uninit()));
    const EMPTY: u8 = 0;
    const BUSY: u8 = 1;
    const READY: u8 = 2;

    if STATE.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Acquire).is_ok() {
        let cpu = Cpu::detect();
        let (user, no_simd) = (plan_for(&cpu, Policy::User), plan_for(&cpu, Policy::NoSimd));
        let place = DECIDED.0.get();
        // SAFETY: only the one thread that moved EMPTY to BUSY gets here, and no thread reads before READY.
        unsafe { place.write(MaybeUninit::new(Decided { cpu, user, no_simd })) };
        STATE.store(READY, Ordering::Release);
    }
    if STATE.load(Ordering::Acquire) != READY {
        return None;
    }
    // SAFETY: READY is stored after the only write, which made it whole, and nothing writes after it.
    Some(unsafe { (*DECIDED.0.get()).assume_init_ref() })
}

/// What follows from this CPU, which is asked what it is only once: under a hypervisor that takes some hundred microseconds.
pub(super) fn of_cpu<T>(what: impl FnOnce(&Cpu) -> T) -> T {
    match decided() {
        Some(decided) => what(&decided.cpu),
        None => what(&Cpu::detect()),
    }
}

entry_point! {
    /// The entry point of [`UNDECIDED`]: the first copy of the program above the inlined lengths.
    #[cold]
    decide_and_copy(dst, src, len) {
        let entry = decide(Policy::User).entry(len, dst.addr(), src.addr());
        // SAFETY: the same preconditions; the plan decided on has only kernels that are available here.
        unsafe { entry(dst, src, len) }
    }
}

/// Decides, and returns the entry point for a copy that must not touch vector registers.
#[cfg(all(target_arch = "x86_64", target_feature = "sse", memcpy_select_asm))]
extern "sysv64" fn no_simd_entry(dst: *mut u8, src: *const u8, len: usize) -> crate::kernel::CopyFn {
    decide(Policy::NoSimd).entry(len, dst.addr(), src.addr())
}

// Without vector instructions in its code, a decision dirties nothing that has to be kept.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse", memcpy_select_asm)))]
entry_point! {
    /// The entry point of [`UNDECIDED_NO_SIMD`]: the first copy without vector registers.
    #[cold]
    decide_no_simd_and_copy(dst, src, len) {
        let entry = decide(Policy::NoSimd).entry(len, dst.addr(), src.addr());
        // SAFETY: the same preconditions; the plan decided on has only kernels that are available here.
        unsafe { entry(dst, src, len) }
    }
}

/// The entry point of [`UNDECIDED_NO_SIMD`]: the first copy without vector registers. The decision is compiled for a target
/// whose code uses them, so that they are kept around it, on the stack: some three kilobytes, once.
///
/// XSAVE and XRSTOR with the components that such code may write (x87, SSE, AVX, AVX-512), as far as XCR0 has them; FXSAVE
/// and FXRSTOR where the operating system has not enabled XSAVE (CPUID leaf 01H ECX\[27\]). Source: Intel SDM vol. 1, 13.7
/// and 13.8: the header is zeroed before, and a component in its initial state is in it again.
///
/// # Safety
///
/// As [`memcpy_auto_nosimd`](super::memcpy_auto_nosimd).
#[cfg(all(target_arch = "x86_64", target_feature = "sse", memcpy_select_asm))]
#[unsafe(naked)]
unsafe extern "sysv64" fn decide_no_simd_and_copy(dst: *mut u8, src: *const u8, len: usize) {
    core::arch::naked_asm!(
        "endbr64",
        "push rbp",
        "mov rbp, rsp",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rbx",
        "push r12",
        "push r13",
        "mov eax, 1",
        "xor ecx, ecx",
        "cpuid",
        "mov r13d, ecx",
        "and r13d, 0x08000000",
        "sub rsp, {area}",
        "and rsp, -64",
        "test r13d, r13d",
        "jz 2f",
        "xor eax, eax",
        "mov qword ptr [rsp + 512], rax",
        "mov qword ptr [rsp + 520], rax",
        "mov qword ptr [rsp + 528], rax",
        "mov qword ptr [rsp + 536], rax",
        "mov qword ptr [rsp + 544], rax",
        "mov qword ptr [rsp + 552], rax",
        "mov qword ptr [rsp + 560], rax",
        "mov qword ptr [rsp + 568], rax",
        "mov eax, {components}",
        "xor edx, edx",
        "xsave64 [rsp]",
        "jmp 3f",
        "2:",
        "fxsave64 [rsp]",
        "3:",
        "mov rdi, qword ptr [rbp - 8]",
        "mov rsi, qword ptr [rbp - 16]",
        "mov rdx, qword ptr [rbp - 24]",
        "call {entry}",
        "mov r12, rax",
        "test r13d, r13d",
        "jz 4f",
        "mov eax, {components}",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "jmp 5f",
        "4:",
        "fxrstor64 [rsp]",
        "5:",
        "mov rax, r12",
        "lea rsp, [rbp - 48]",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "jmp rax",
        // The end of the last component in the standard format on every CPU so far is 2688 bytes.
        area = const 2816,
        components = const 0xE7,
        entry = sym no_simd_entry,
    )
}
