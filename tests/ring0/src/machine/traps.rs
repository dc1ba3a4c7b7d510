//! Exceptions and interrupts: the tables, the ways in and out, and what each of them does. Intel SDM vol. 3A, chapter 6.
//!
//! The way in switches to a stack of its own (this image is compiled without a red zone, but the `core` of a hosted target has one), closes SMAP,
//! keeps all registers and vector state, and calls [`ring0_trap`]. One vector, [`TIMER_PLAIN`], has a way in that keeps no
//! vector state: its handler copies with calls that need none.

use super::ports::{End, end};
use super::registers::{RFLAGS_AC, cr2, has_smap};
use super::vectors::{self, SAVED};
use super::{Single, apic};
use crate::bugs::{self, Bug};
use crate::say;
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The timer, with vector state kept, and overwritten by the handler.
pub const TIMER_KEEPING: u8 = 32;
/// The timer, without: the handler copies by `memcpy_auto_nosimd`.
pub const TIMER_PLAIN: u8 = 33;
const SPURIOUS: u64 = 47;
const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;

/// What was interrupted.
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

unsafe extern "C" {
    static ring0_stubs: u8;
    static ring0_timer_plain: u8;
    static ring0_probe_at: u8;
    static ring0_probe_landed: u8;
}

unsafe extern "sysv64" {
    /// Reads one byte, which the kernel's own fault handler knows of: whether it could.
    pub safe fn ring0_probe(at: usize) -> bool;
}

/// Whether ways in have to close SMAP.
static SMAP: AtomicU8 = AtomicU8::new(0);

// AT&T syntax: `$vector` is a value there, not a place. Each way in takes 16 bytes. 0x60227d00: the vectors for which the
// CPU pushes an error code: 8, 10 to 14, 17, 21, 29, 30.
global_asm!(
    r#"
    .section .text.ring0_stubs, "ax"
    .balign 16
    .globl ring0_stubs
ring0_stubs:
    .set vector, 0
    .rept 48
    .balign 16
    .if !((0x60227d00 >> vector) & 1)
    pushq $0
    .endif
    pushq $vector
    jmp ring0_common
    .set vector, vector + 1
    .endr
    .text
"#,
    options(att_syntax)
);

global_asm!(
    r#"
    .macro KEEP_GENERAL
    .irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    push \register
    .endr
    cld
    cmp byte ptr [rip + {smap}], 0
    je 1f
    clac
1:
    .endm
    .macro RESTORE_GENERAL
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    pop \register
    .endr
    .endm

    .section .text.ring0_common, "ax"
ring0_common:
    KEEP_GENERAL
    mov rbp, rsp
    mov rdi, rsp
    sub rsp, 4096
    and rsp, -64
    xor edx, edx
    mov eax, [rip + {saved}]
    test eax, eax
    jz 2f
    .irp word, 0, 8, 16, 24, 32, 40, 48, 56
    mov [rsp + 512 + \word], rdx
    .endr
    xsave64 [rsp]
    call {trap}
    xor edx, edx
    mov eax, [rip + {saved}]
    xrstor64 [rsp]
    jmp 3f
2:  fxsave64 [rsp]
    call {trap}
    fxrstor64 [rsp]
3:  mov rsp, rbp
    RESTORE_GENERAL
    add rsp, 16
    iretq

    .globl ring0_timer_plain
ring0_timer_plain:
    push 0
    push 33
    KEEP_GENERAL
    mov rbp, rsp
    mov rdi, rsp
    and rsp, -16
    call {plain}
    mov rsp, rbp
    RESTORE_GENERAL
    add rsp, 16
    iretq

    .globl ring0_probe, ring0_probe_at, ring0_probe_landed
ring0_probe:
ring0_probe_at:
    mov al, [rdi]
    mov eax, 1
    ret
ring0_probe_landed:
    xor eax, eax
    ret
    .text
"#,
    smap = sym SMAP,
    saved = sym SAVED,
    trap = sym ring0_trap,
    plain = sym ring0_plain,
);

const STACK_BYTES: usize = 16 << 10;

#[repr(C, align(64))]
struct Stacks([[u8; STACK_BYTES]; 3]);
static STACKS: Single<Stacks> = Single::new(Stacks([[0; STACK_BYTES]; 3]));

/// Which stack a way in switches to, from 1: an interrupt may come while a fault is handled, and anything in a double fault.
const STACK_OF_FAULTS: u64 = 1;
const STACK_OF_INTERRUPTS: u64 = 2;
const STACK_OF_LAST_RESORT: u64 = 3;

#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    stacks: [u64; 3],
    reserved_too: u64,
    interrupt_stacks: [u64; 7],
    rest: [u16; 6],
}

static TASK: Single<TaskState> = Single::new(TaskState {
    reserved: 0,
    stacks: [0; 3],
    reserved_too: 0,
    interrupt_stacks: [0; 7],
    rest: [0, 0, 0, 0, 0, 104],
});
/// Null, code, data, and two words of the task state segment.
static SEGMENTS: Single<[u64; 5]> = Single::new([0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0]);
static GATES: Single<[[u64; 2]; 256]> = Single::new([[0; 2]; 256]);

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Puts a way in into the table; `stack` 0 stays on the interrupted one.
pub fn set_gate(vector: u8, way_in: u64, stack: u64) {
    let low = way_in & 0xffff | 0x08 << 16 | stack << 32 | 0x8e << 40 | (way_in >> 16 & 0xffff) << 48;
    // SAFETY: this function alone uses the table by reference, with interrupts off.
    let gates = unsafe { GATES.get() };
    gates[usize::from(vector)] = [low, way_in >> 32];
}

pub fn start() {
    SMAP.store(has_smap().into(), Relaxed);
    // SAFETY: this function alone uses it, once.
    let task = unsafe { TASK.get() };
    let stacks = STACKS.pointer() as u64;
    task.interrupt_stacks = core::array::from_fn(|stack| stacks + ((stack.min(2) + 1) * STACK_BYTES) as u64);
    let base = TASK.pointer() as u64;
    // SAFETY: as above.
    let segments = unsafe { SEGMENTS.get() };
    segments[3] = 103 | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    segments[4] = base >> 32;
    for vector in 0..48_u8 {
        let stack = match vector {
            2 | 8 | 18 => STACK_OF_LAST_RESORT,
            32.. => STACK_OF_INTERRUPTS,
            _ => STACK_OF_FAULTS,
        };
        set_gate(vector, &raw const ring0_stubs as u64 + u64::from(vector) * 16, stack);
    }
    set_gate(TIMER_PLAIN, &raw const ring0_timer_plain as u64, STACK_OF_INTERRUPTS);
    let segments = Pointer { limit: 39, base: SEGMENTS.pointer() as u64 };
    let gates = Pointer { limit: 4095, base: GATES.pointer() as u64 };
    // SAFETY: both tables are complete and live for ever; the segments in use are at the same places in the new one.
    unsafe {
        asm!("lgdt [{}]", "lidt [{}]", "ltr {:x}", in(reg) &segments, in(reg) &gates, in(reg) 0x18, options(nostack));
    }
}

/// Faults that the crate's table had an answer for.
pub static FIXED: AtomicU64 = AtomicU64::new(0);
/// Faults that went to the kernel's own handler.
pub static OWN: AtomicU64 = AtomicU64::new(0);
/// Faults with SMAP open where it should not be, or closed where it should not.
pub static SMAP_WRONG: AtomicU64 = AtomicU64::new(0);
/// The error code and the address of the last fault.
pub static LAST_ERROR: AtomicU64 = AtomicU64::new(0);
pub static LAST_ADDRESS: AtomicU64 = AtomicU64::new(0);
/// Whether the copy that runs is one that opens SMAP.
pub static MAY_OPEN: AtomicU8 = AtomicU8::new(0);

extern "sysv64" fn ring0_trap(frame: &mut Frame) {
    match frame.vector {
        GENERAL_PROTECTION | PAGE_FAULT => fault(frame),
        vector if vector == u64::from(TIMER_KEEPING) => {
            vectors::clear();
            interrupted(frame);
            apic::done();
        }
        SPURIOUS => {}
        _ => unexpected(frame),
    }
}

/// What a kernel that uses the crate does with a page fault or a general-protection fault.
fn fault(frame: &mut Frame) {
    LAST_ERROR.store(frame.error, Relaxed);
    LAST_ADDRESS.store(cr2(), Relaxed);
    if frame.rflags & RFLAGS_AC != 0 && MAY_OPEN.load(Relaxed) == 0 {
        SMAP_WRONG.fetch_add(1, Relaxed);
    }
    if let Some(ip) = crate::fixup(frame.rip as usize) {
        FIXED.fetch_add(1, Relaxed);
        frame.rip = ip as u64;
        if bugs::has(Bug::Clobber) {
            frame.rbx = frame.rbx.wrapping_add(1);
        }
        return;
    }
    OWN.fetch_add(1, Relaxed);
    if frame.rip == &raw const ring0_probe_at as u64 {
        frame.rip = &raw const ring0_probe_landed as u64;
        return;
    }
    unexpected(frame)
}

fn unexpected(frame: &Frame) -> ! {
    say!(
        "FAIL unexpected exception {} error {:#x} at {:#x}, address {:#x}, rdi {:#x} rsi {:#x} rdx {:#x} rcx {:#x} rax {:#x} \
         rsp {:#x} rflags {:#x}",
        frame.vector,
        frame.error,
        frame.rip,
        cr2(),
        frame.rdi,
        frame.rsi,
        frame.rdx,
        frame.rcx,
        frame.rax,
        frame.rsp,
        frame.rflags
    );
    end(End::Failed)
}

/// Where an interrupt has to land to count: from the first address to before the second.
pub static WATCHED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
/// Interrupts, and those that landed there; of these, with SMAP open.
pub static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
pub static LANDED: AtomicU64 = AtomicU64::new(0);
pub static LANDED_OPEN: AtomicU64 = AtomicU64::new(0);
/// Copies of the handler that went wrong.
pub static HANDLER_WRONG: AtomicU64 = AtomicU64::new(0);

#[inline(always)]
fn interrupted(frame: &Frame) {
    INTERRUPTS.fetch_add(1, Relaxed);
    let ip = frame.rip as usize;
    if ip >= WATCHED[0].load(Relaxed) && ip < WATCHED[1].load(Relaxed) {
        LANDED.fetch_add(1, Relaxed);
        LANDED_OPEN.fetch_add(frame.rflags >> 18 & 1, Relaxed);
    }
}

const HANDLER_BYTES: usize = 2048;
static HANDLER_FROM: Single<[u8; HANDLER_BYTES]> = Single::new([0x3c; HANDLER_BYTES]);
static HANDLER_TO: Single<[u8; HANDLER_BYTES]> = Single::new([0; HANDLER_BYTES]);

/// The handler that keeps no vector state: what it calls touches none.
extern "sysv64" fn ring0_plain(frame: &Frame) {
    interrupted(frame);
    if bugs::has(Bug::ClobberVector) {
        // SAFETY: clobbers what was interrupted, on purpose.
        unsafe { asm!("xorps xmm1, xmm1", options(nomem, nostack)) };
    }
    let (dst, src) = (HANDLER_TO.pointer().cast::<u8>(), HANDLER_FROM.pointer().cast::<u8>());
    let len = 1 + (INTERRUPTS.load(Relaxed) as usize * 77) % (HANDLER_BYTES - 1);
    // SAFETY: two statics of at least this length, which this handler alone uses.
    unsafe {
        memcpy_select::memset_auto_nosimd(dst, 0, len);
        memcpy_select::memcpy_auto_nosimd(dst, src, len);
    }
    // Read one by one and volatile: compiled code must not use vector registers for it.
    for at in [0, len / 2, len - 1] {
        // SAFETY: inside of the static.
        if unsafe { dst.add(at).read_volatile() } != 0x3c {
            HANDLER_WRONG.fetch_add(1, Relaxed);
        }
    }
    apic::done();
}
