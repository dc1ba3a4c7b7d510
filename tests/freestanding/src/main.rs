//! The crate without an operating system's library: no `std`, no `alloc`, no libc, no start-up code.
//!
//! The routines that compiled code calls are the crate's, too, which its build asks for by `--cfg memcpy_select_mem`; they are
//! right before a position-independent image has relocated itself.
//!
//! Copies through every call, under the plan that is in force from the start and under ones that are constants, one of
//! them for sections that save the vector registers first, as a kernel's would be; checks each byte itself, and exits with 0 only if all of them are right. With an argument it spoils one byte before its
//! last check, and has to notice.

#![no_std]
#![no_main]

mod relocate;
mod symbols;

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr;
use memcpy_select::Kernel;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::select::{Band, Plan, Policy, install, memcpy_auto_in_section, plan_in_force};
use memcpy_select::xsave::{SavedState, StateArea};

const LARGEST: usize = (1 << 20) + 13;
/// What lies around the destination.
const PAINT: u8 = 0xaa;
const MARGIN: usize = 64;

const EXIT_RIGHT: i32 = 0;
const EXIT_WRONG_BYTES: i32 = 1;
const EXIT_PLAN_REFUSED: i32 = 2;
const EXIT_PANIC: i32 = 3;
const EXIT_WRONG_SYMBOLS: i32 = 4;
const EXIT_RELOCATION: i32 = 5;

const fn kernel(name: &str) -> &'static Kernel {
    match Kernel::named(name) {
        Some(kernel) => kernel,
        None => panic!("the crate was built without its kernels"),
    }
}

/// Known when the program is compiled: nothing is computed at the start.
static PLAN: Plan = match Plan::new(&[
    Band::new(500, kernel("gpr")),
    Band::new(10_000, kernel("rep_movsb_aligned")),
    Band::new(usize::MAX, kernel("rep_movsq")),
]) {
    Ok(plan) => plan,
    Err(_) => panic!("the limits above rise to usize::MAX"),
};

/// The same for copies that may borrow vector registers: in between they win by more than saving and restoring them
/// costs. Which lengths those are, `memcpy-select xsave` says for a CPU.
static SECTION_PLAN: Plan = match Plan::new(&[
    Band::new(500, kernel("gpr")),
    Band::new(10_000, kernel("sse2_aligned")),
    Band::new(usize::MAX, kernel("rep_movsb_aligned")),
]) {
    Ok(plan) => plan,
    Err(_) => panic!("the limits above rise to usize::MAX"),
};

// The kernel enters with the argument count at the top of the stack, and no return address.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

extern "sysv64" fn start(stack: *const usize) -> ! {
    // SAFETY: the word that the kernel put there.
    let spoil = unsafe { stack.read() } > 1;
    if !symbols::are_right() {
        exit(EXIT_WRONG_SYMBOLS);
    }
    // SAFETY: this is the kernel's stack, and nothing has relocated the program.
    if !unsafe { relocate::this_program(stack) } {
        exit(EXIT_RELOCATION);
    }
    if !copies_are_right(false) {
        exit(EXIT_WRONG_BYTES);
    }
    for policy in [Policy::User, Policy::NoSimd] {
        if install(policy, &PLAN).is_err() || !ptr::eq(plan_in_force(policy), &PLAN) {
            exit(EXIT_PLAN_REFUSED);
        }
    }
    if install(Policy::Section, &SECTION_PLAN).is_err() {
        exit(EXIT_PLAN_REFUSED);
    }
    memcpy_select::mem::follow_plan();
    if !symbols::are_right() {
        exit(EXIT_WRONG_SYMBOLS);
    }
    let code = if copies_are_right(spoil) { EXIT_RIGHT } else { EXIT_WRONG_BYTES };
    exit(code)
}

type Copy = fn(&mut [u8], &[u8]);

const CALLS: [Copy; 5] = [memcpy_select::memcpy_auto, uninit, unchecked, nosimd, sectioned];

fn uninit(dst: &mut [u8], src: &[u8]) {
    let len = dst.len();
    // SAFETY: the same memory; the call writes only initialised bytes to it.
    let dst = unsafe { core::slice::from_raw_parts_mut(dst.as_mut_ptr().cast::<MaybeUninit<u8>>(), len) };
    memcpy_select::memcpy_auto_uninit(dst, src);
}

fn unchecked(dst: &mut [u8], src: &[u8]) {
    // SAFETY: two slices of one length, one of them borrowed exclusively.
    unsafe { memcpy_select::memcpy_auto_unchecked(dst.as_mut_ptr(), src.as_ptr(), src.len()) }
}

fn nosimd(dst: &mut [u8], src: &[u8]) {
    // SAFETY: two slices of one length, one of them borrowed exclusively.
    unsafe { memcpy_select::memcpy_auto_nosimd(dst.as_mut_ptr(), src.as_ptr(), src.len()) }
}

/// Where a kernel would call its own pair of functions, XSAVE saves the state and XRSTOR restores it.
fn sectioned(dst: &mut [u8], src: &[u8]) {
    static mut AREA: StateArea<4096> = StateArea::new();
    let area = &raw mut AREA;
    // SAFETY: one thread, and this function does not call itself: nobody else refers to it.
    let area = unsafe { &mut *area };
    let Ok(mut section) = SavedState::new(area, Components::SSE, &Cpu::detect()) else { return };
    // SAFETY: two slices of one length, one of them borrowed exclusively.
    unsafe { memcpy_auto_in_section(dst.as_mut_ptr(), src.as_ptr(), src.len(), &mut section) }
}

fn copies_are_right(spoil: bool) -> bool {
    static mut DST: [u8; LARGEST + 2 * MARGIN] = [0; LARGEST + 2 * MARGIN];
    static mut SRC: [u8; LARGEST] = [0; LARGEST];
    let (dst, src) = (&raw mut DST, &raw mut SRC);
    // SAFETY: one thread, and this function does not call itself: nobody else refers to it.
    let dst = unsafe { &mut *dst };
    // SAFETY: as above.
    let src = unsafe { &mut *src };
    // A multiplicative hash of the position: no two neighbouring blocks are alike, and none of it is the paint's.
    for (at, byte) in src.iter_mut().enumerate() {
        *byte = ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8 & 0x7f;
    }
    let lengths = (0..=300).chain([499, 500, 501, 4096, 9999, 10_000, 10_001, 65_537, LARGEST]);
    let mut right = true;
    for (call, copy) in CALLS.into_iter().enumerate() {
        for len in lengths.clone() {
            let at = len % MARGIN;
            let dst = &mut dst[..len + 2 * MARGIN];
            dst.fill(PAINT);
            copy(&mut dst[at..at + len], &src[..len]);
            if spoil && call == CALLS.len() - 1 && len == LARGEST {
                dst[at + len / 2] ^= 1;
            }
            right &= dst[..at].iter().all(|byte| *byte == PAINT);
            right &= dst[at..at + len].iter().eq(&src[..len]);
            right &= dst[at + len..].iter().all(|byte| *byte == PAINT);
        }
    }
    right
}

fn exit(code: i32) -> ! {
    const SYS_EXIT_GROUP: usize = 231;
    // SAFETY: the system call takes the code and does not return.
    unsafe { asm!("syscall", in("rax") SYS_EXIT_GROUP, in("rdi") code, options(noreturn)) }
}

/// The unwind tables of the compiled `core` name it. Nobody calls it: a panic ends the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(EXIT_PANIC)
}
