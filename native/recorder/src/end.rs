//! How a program ends that would write beyond its buffer.

use core::arch::naked_asm;

/// Goes on to the libc's `__chk_fail`, which says so and ends the program; where there is none, ends it here.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn refuse() -> ! {
    naked_asm!(
        ".weak __chk_fail",
        "mov rax, qword ptr [rip + __chk_fail@GOTPCREL]",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "ud2",
    )
}
