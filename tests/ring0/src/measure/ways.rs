//! Ways in and out that do no more than what is timed. They stay on the interrupted stack, as a kernel's do for interrupts in
//! ring 0.

use crate::machine::Single;
use crate::machine::registers::{has_smap, xcr0};
use crate::machine::traps::set_gate;
use crate::machine::vectors::{AREA_BYTES, Area};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Registers kept and restored, nothing else.
pub const CLEAN: u8 = 48;
/// The same with XSAVES and XRSTORS of all that is switched on.
pub const SAVING: u8 = 49;
const DEVICE_NOT_AVAILABLE: u8 = 7;
const PAGE_FAULT: u8 = 14;

/// Where [`SAVING`] saves.
pub static INTERRUPTED: Single<Area> = Single::new(Area([0; AREA_BYTES]));
/// What the first vector instruction after CR0.TS was set restores, in the format of XSAVES.
pub static OWNED: Single<Area> = Single::new(Area([0; AREA_BYTES]));
static COMPONENTS: AtomicU32 = AtomicU32::new(0);
static SMAP: AtomicU8 = AtomicU8::new(0);

unsafe extern "C" {
    static ring0_way_clean: u8;
    static ring0_way_saving: u8;
    static ring0_way_owned: u8;
    static ring0_way_fault: u8;
}

global_asm!(
    r#"
    .macro WAY_IN
    .irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    push \register
    .endr
    cld
    cmp byte ptr [rip + {smap}], 0
    je 1f
    clac
1:
    .endm
    .macro WAY_OUT
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    pop \register
    .endr
    .endm

    .section .text.ring0_ways, "ax"
    .balign 64
ring0_way_clean:
    WAY_IN
    WAY_OUT
    iretq

    .balign 64
ring0_way_saving:
    WAY_IN
    mov eax, [rip + {components}]
    xor edx, edx
    xsaves64 [rip + {interrupted}]
    xrstors64 [rip + {interrupted}]
    WAY_OUT
    iretq

    .balign 64
ring0_way_owned:
    WAY_IN
    clts
    mov eax, [rip + {components}]
    xor edx, edx
    xrstors64 [rip + {owned}]
    WAY_OUT
    iretq

    .balign 64
ring0_way_fault:
    WAY_IN
    mov rdi, [rsp + 128]
    mov rbp, rsp
    and rsp, -16
    call {fixup}
    mov rsp, rbp
    mov [rsp + 128], rax
    WAY_OUT
    add rsp, 8
    iretq
    .text
"#,
    smap = sym SMAP,
    components = sym COMPONENTS,
    interrupted = sym INTERRUPTED,
    owned = sym OWNED,
    fixup = sym go_on,
);

/// Where a copy goes on. 0, where no kernel is, for a fault that is none of the crate's: the next fault ends the machine.
extern "sysv64" fn go_on(ip: usize) -> usize {
    crate::fixup(ip).unwrap_or(0)
}

/// Puts these ways in into the table.
pub fn start() {
    COMPONENTS.store(xcr0() as u32, Ordering::Relaxed);
    SMAP.store(has_smap().into(), Ordering::Relaxed);
    for (vector, way) in [
        (CLEAN, &raw const ring0_way_clean),
        (SAVING, &raw const ring0_way_saving),
        (DEVICE_NOT_AVAILABLE, &raw const ring0_way_owned),
        (PAGE_FAULT, &raw const ring0_way_fault),
    ] {
        set_gate(vector, way as u64, 0);
    }
}
