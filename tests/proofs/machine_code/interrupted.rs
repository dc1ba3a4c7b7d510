//! The promise: a kernel may be interrupted anywhere, and whoever interrupts it may copy with any kernel: afterwards both
//! copies are right, the registers are kept, and nothing was found in a state that the contract forbids.
//!
//! Shown twice. By single steps (the trap flag): a signal after every instruction of every kernel, and after every
//! repetition of a string instruction, so that no point is left out; the handler copies with another kernel at each. And
//! by a timer during long copies, which also comes while the processor's microcode is in the middle of a string
//! instruction's fast path, where the trap flag never lets it be.
//!
//! At each interruption inside a kernel the direction flag is clear, as a handler's code needs it, and the stack pointer
//! is at the caller's or a small frame below it, where what the kernel keeps is safe from the signal.

use crate::code::{self, Code};
use crate::signals::{self, Alarm, Context, SIGALRM, SIGTRAP, SigInfo};
use crate::suite::abi::{Before, Observed, Subject};
use crate::suite::arena::{Arena, region_bytes};
use crate::suite::cases::{Case, Effort, Side};
use crate::suite::pattern::{Pattern, Polarity};
use crate::suite::routine::{self, Entry, Routine};
use crate::suite::sys::{self, End};
use core::arch::global_asm;
use core::ffi::c_int;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::{ReadyKernel, Stores};
use std::cell::RefCell;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest copy that a handler makes.
const IN_HANDLER_BYTES: usize = 700;
/// Below the return address: more than any kernel keeps there.
const FRAME_BYTES: u64 = 256;

/// What a handler works with: the code it may interrupt, and memory of its own.
struct Interruption {
    /// The kernel under way, and where its stack pointer was when it was first met.
    range: std::ops::Range<u64>,
    stack_at_entry: Option<u64>,
    /// How often each place of the kernel was interrupted.
    hits: Vec<u32>,
    kernels: Vec<Entry>,
    copies: u64,
    src: Vec<u8>,
    dst: Vec<u8>,
    broken: Option<&'static str>,
}

thread_local! {
    static STATE: RefCell<Option<Interruption>> = const { RefCell::new(None) };
}

impl Interruption {
    fn of(kernel: Entry, kernels: &[Entry]) -> Self {
        let code = Code::reachable_from(kernel.entry as *const u8).expect("a kernel's paths");
        let range = code.range();
        Self {
            hits: vec![0; (range.end - range.start) as usize],
            range,
            stack_at_entry: None,
            kernels: kernels.to_vec(),
            copies: 0,
            src: (0..IN_HANDLER_BYTES).map(|at| (at % 251) as u8).collect(),
            dst: vec![0; IN_HANDLER_BYTES],
            broken: None,
        }
    }

    /// What a handler does; it allocates nothing. True if the signal came inside the kernel.
    fn at(&mut self, context: &Context) -> bool {
        let is_inside = self.range.contains(&context.instruction());
        if is_inside {
            self.hits[(context.instruction() - self.range.start) as usize] += 1;
            if context.direction_flag() {
                self.broken = Some("the direction flag was set");
            }
            // By single steps the first instruction of all is met; there the stack pointer is the caller's.
            let is_entry = context.instruction() == self.range.start;
            let entry = if is_entry { Some(context.stack_pointer()) } else { self.stack_at_entry };
            self.stack_at_entry = entry;
            let depth = entry.map(|entry| entry.wrapping_sub(context.stack_pointer()));
            if depth.is_some_and(|depth| depth > FRAME_BYTES) {
                self.broken = Some("the stack pointer was outside the kernel's frame");
            }
            self.copy();
        }
        is_inside
    }

    /// Copies with the next kernel, another length and placement each time.
    fn copy(&mut self) {
        self.copies += 1;
        let kernel = self.kernels[self.copies as usize % self.kernels.len()];
        let len = (self.copies as usize * 37) % (IN_HANDLER_BYTES - 64);
        let (to, from) = (self.copies as usize % 64, self.copies as usize / 5 % 64);
        self.dst.fill(0xee);
        let (dst, src) = (self.dst[to..to + len].as_mut_ptr(), self.src[from..from + len].as_ptr());
        // SAFETY: both ranges were just checked against their vectors, which are two; the kernels run here.
        unsafe { kernel.copy(dst, src, len) };
        let is_right = self.dst[to..to + len] == self.src[from..from + len]
            && self.dst[..to].iter().chain(&self.dst[to + len..]).all(|byte| *byte == 0xee);
        if !is_right {
            self.broken = Some("the handler's own copy is wrong");
        }
    }
}

extern "C" fn interrupt(number: c_int, _info: *mut SigInfo, context: *mut Context) {
    // SAFETY: the system gives the handler a context of its own.
    let context = unsafe { &mut *context };
    let is_inside = STATE.with(|state| {
        // Interrupted where the test itself looks at its state: nothing to do.
        let Ok(mut state) = state.try_borrow_mut() else { return false };
        state.as_mut().is_some_and(|state| state.at(context))
    });
    if number == SIGTRAP && !is_inside {
        context.stop_stepping();
    }
}

fn arena(largest: usize) -> Arena {
    Arena::new(Arc::new(Pattern::new(region_bytes(largest), Polarity::PayloadLow)))
}

/// Runs `work` while handlers interrupt this kernel; what they saw, or what was wrong.
fn while_interrupted(
    kernel: Entry,
    kernels: &[Entry],
    work: impl FnOnce() -> Result<(), String>,
) -> Result<Interruption, String> {
    STATE.set(Some(Interruption::of(kernel, kernels)));
    let result = work();
    let state = STATE.take().expect("set above");
    result?;
    state.broken.map_or(Ok(()), |broken| Err(broken.to_owned()))?;
    Ok(state)
}

/// Our kernels that run here as they are called, and those that do not.
fn assembled() -> (Vec<(Subject, Entry)>, Vec<&'static memcpy_select::Kernel>) {
    let (mut ready, lacking) = routine::kernels_here();
    ready.retain(|kernel| kernel.kernel().stores() != Stores::Unknown);
    let row = |kernel: &ReadyKernel| {
        let kernel = kernel.kernel();
        (Subject::of(kernel), Entry { name: kernel.name(), entry: kernel.entry() })
    };
    (ready.iter().map(row).collect(), lacking)
}

/// Lengths that reach every path of every kernel with few repetitions, and alignments that do; by default in turn.
fn stepped_cases() -> Vec<Case> {
    let is_full = Effort::chosen() >= Effort::Full;
    let lengths =
        [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 40, 64, 65, 100, 128, 129, 160, 200, 256, 257, 300, 385];
    // A string instruction is interrupted at each of its bytes: by default few of many.
    let longer: &[usize] = if is_full {
        &[513, 700, 769, 900, 1100, 4096 + 64, 4096 + 200, 4 * 4096 + 200]
    } else {
        &[513, 769, 1100, 4 * 4096 + 200]
    };
    let mut cases = Vec::new();
    for (number, len) in lengths.iter().chain(longer).copied().enumerate() {
        for (dst, src) in
            [(0, 0), (5, 3)].into_iter().skip(number % 2).chain([(0, 0)]).take(if is_full { 2 } else { 1 })
        {
            cases.push(Case { len, dst: (Side::Low, dst), src: (Side::High, src) });
        }
    }
    cases
}

/// Runs a kernel with a signal after each of its instructions.
fn step_through(subject: Subject, kernels: &[Entry], arena: &mut Arena) -> Result<Interruption, String> {
    signals::handle(SIGTRAP, interrupt);
    let stepped = Subject { entry: signals::stepped(subject.entry), ..subject };
    while_interrupted(Entry { name: subject.name, entry: subject.entry }, kernels, || {
        // Registers that are in use before the call: handlers must not disturb them, nor the kernel by them.
        let observed = Observed::new(stepped, Before::Filled);
        stepped_cases()
            .into_iter()
            .try_for_each(|case| observed.check(arena, case).map_err(|failure| format!("{case}: {failure}")))
    })
}

#[test]
fn every_instruction_of_every_kernel_may_be_interrupted() {
    let _turn = STEPPING.lock().unwrap_or_else(PoisonError::into_inner);
    let (rows, lacking) = assembled();
    let kernels: Vec<Entry> = rows.iter().map(|(_, entry)| *entry).collect();
    let mut arena = arena(5 * 4096);
    for (subject, entry) in rows {
        let name = entry.name;
        let code = Code::reachable_from(entry.entry as *const u8).expect("a kernel's paths");
        let state = step_through(subject, &kernels, &mut arena)
            .unwrap_or_else(|failure| panic!("{name}, interrupted after each instruction: {failure}"));
        let range = code.range();
        for instruction in code.instructions() {
            let hits = state.hits[(instruction.ip() - range.start) as usize];
            assert!(hits > 0, "{name}: never interrupted before {}", code::text(instruction));
        }
        let (places, interruptions) = (code.instructions().count(), state.copies);
        println!("{name:<20}{places:>5} instructions, each interrupted; {interruptions:>8} copies by the handler");
    }
    routine::print_skipped(&lacking);
}

global_asm!(
    "
    # right as long as nobody else copies by it: eight bytes a time through memory that all calls share
    .p2align 4
memcpy_select_tests_keeps_state:
2:  cmp     rdx, 8
    jb      3f
    mov     rax, [rsi]
    mov     [rip + {scratch}], rax
    mov     rax, [rip + {scratch}]
    mov     [rdi], rax
    add     rsi, 8
    add     rdi, 8
    sub     rdx, 8
    jmp     2b
3:  mov     rcx, rdx
    rep movsb
    ret

    # right as long as no signal comes: it keeps a register further below the stack pointer than is safe
    .p2align 4
memcpy_select_tests_keeps_below_the_stack:
    mov     [rsp - 0x180], rsi
    mov     rcx, rdx
    mov     rsi, [rsp - 0x180]
    rep movsb
    ret
    ",
    scratch = sym SCRATCH,
);

/// What calls of the first broken kernel share.
static SCRATCH: AtomicU64 = AtomicU64::new(0);

/// One thread at a time steps, and uses what broken kernels share.
static STEPPING: Mutex<()> = Mutex::new(());

#[test]
fn kernels_that_may_not_be_interrupted_are_caught() {
    unsafe extern "sysv64" {
        #[link_name = "memcpy_select_tests_keeps_state"]
        fn keeps_state(dst: *mut u8, src: *const u8, len: usize);
        #[link_name = "memcpy_select_tests_keeps_below_the_stack"]
        fn keeps_below_the_stack(dst: *mut u8, src: *const u8, len: usize);
    }
    let _turn = STEPPING.lock().unwrap_or_else(PoisonError::into_inner);
    let broken: [Entry; 2] = [
        Entry { name: "keeps_state", entry: keeps_state },
        Entry { name: "keeps_below_the_stack", entry: keeps_below_the_stack },
    ];
    for entry in broken {
        let subject = Subject {
            name: entry.name,
            entry: entry.entry,
            writes: Components::NONE,
            leaves_in_use: Components::NONE,
            ours: true,
        };
        let mut arena = arena(5 * 4096);
        let observed = Observed::new(subject, Before::Filled);
        for case in stepped_cases() {
            assert_eq!(observed.check(&mut arena, case), Ok(()), "{}: alone it is right", entry.name);
        }
        // The second one would take the program down with it, wherever it reads from then.
        let end = sys::in_child(|| u8::from(step_through(subject, &[entry], &mut arena).is_err()));
        assert!(matches!(end, End::Exit(1) | End::Signal(sys::SIGSEGV)), "{}: {end:?}", entry.name);
        println!("{:<24} is caught ({end:?})", entry.name);
    }
}

#[test]
fn long_copies_may_be_interrupted_at_any_time() {
    const LARGEST: usize = 1 << 20;
    const EVERY_NS: i64 = 20_000;
    /// However busy the machine is, the test ends.
    const MAX_COPIES: usize = 4000;
    let effort = Effort::chosen();
    // Enough to meet loops anywhere; more add time and little else.
    let interruptions = if effort < Effort::Full { 100 } else { 400 };
    let (rows, lacking) = assembled();
    let kernels: Vec<Entry> = rows.iter().map(|(_, entry)| *entry).collect();
    signals::handle(SIGALRM, interrupt);
    let mut arena = arena(LARGEST);
    for (subject, entry) in rows {
        let (mut copies, name) = (0, entry.name);
        let state = while_interrupted(entry, &kernels, || {
            let _alarm = Alarm::every_ns(EVERY_NS);
            let observed = Observed::new(subject, Before::Filled);
            let enough = |copies: usize| {
                let met = STATE.with_borrow(|state| state.as_ref().map_or(0, |state| state.copies));
                met >= interruptions || copies >= MAX_COPIES || effort == Effort::Sampled && copies >= 50
            };
            while !enough(copies) {
                let len = LARGEST / 4 + copies % 4096;
                let case = Case { len, dst: (Side::Low, copies % 64), src: (Side::High, copies / 3 % 64) };
                observed.check(&mut arena, case).map_err(|failure| format!("{case}: {failure}"))?;
                copies += 1;
            }
            Ok(())
        });
        let state = state.unwrap_or_else(|failure| panic!("{name}, interrupted by a timer: {failure}"));
        let places = state.hits.iter().filter(|hits| **hits > 0).count();
        println!("{name:<20}{:>6} times inside {copies} copies, at {places} places", state.copies);
    }
    routine::print_skipped(&lacking);
}
