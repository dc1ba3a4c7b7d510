//! From the loader to Rust: the two headers that loaders look for, 64-bit mode, the first page tables, the command line.
//!
//! The image is entered in 32-bit protected mode without paging by either of two protocols: PVH (QEMU's `-kernel`; Xen,
//! `docs/misc/pvh.pandoc`: EBX holds the address of `hvm_start_info`) and multiboot2 (GRUB; Multiboot2 Specification 2.0,
//! 3.3: EAX holds a magic number, EBX the address of the boot information). All memory below 4 GiB is mapped at
//! [`DIRECT`] from then on, and its first gigabyte at [`HIGH`], too, where the image lies.

use core::arch::global_asm;
use core::slice;

/// Where the image's virtual addresses begin: the last two gigabytes, which 32-bit sign-extended addresses reach.
pub const HIGH: usize = 0xffff_ffff_8000_0000;
/// Where the first four gigabytes of physical memory are mapped.
pub const DIRECT: usize = 0xffff_8000_0000_0000;

// AT&T syntax: it has far jumps and names apart from memory operands.
global_asm!(
    r#"
    .section .boot.header, "a"
    .balign 8
ring0_multiboot2:
    .long 0xe85250d6, 0, ring0_multiboot2_end - ring0_multiboot2
    .long -(0xe85250d6 + (ring0_multiboot2_end - ring0_multiboot2))
    .short 0, 0
    .long 8
ring0_multiboot2_end:

    /* XEN_ELFNOTE_PHYS32_ENTRY. QEMU reads eight bytes of it. */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad ring0_boot

    .section .boot.text, "ax"
    .code32
    .globl ring0_boot
ring0_boot:
    cli
    cld
    movl $ring0_boot_stack, %esp
    movl %eax, %edi
    movl %ebx, %esi
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb 2f
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc 2f
    movl %edx, %ebp
    /* CR4: PAE, OSFXSR, OSXMMEXCPT: compiled code uses XMM registers. */
    movl $0x620, %eax
    movl %eax, %cr4
    movl $ring0_pml4, %eax
    movl %eax, %cr3
    /* EFER: LME, and NXE if CPUID leaf 80000001H has NX. */
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    btl $20, %ebp
    jnc 1f
    orl $0x800, %eax
1:  wrmsr
    /* CR0: PG, WP, NE, ET, MP, PE. */
    movl $0x80010033, %eax
    movl %eax, %cr0
    lgdtl ring0_boot_gdt_pointer
    ljmpl $0x08, $ring0_long
2:  hlt
    jmp 2b

    .code64
ring0_long:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    lldt %ax
    movl %edi, %edi
    movl %esi, %esi
    xorl %ebp, %ebp
    movabsq ${stack}, %rsp
    addq ${stack_bytes}, %rsp
    movabsq ${start}, %rax
    call *%rax
    ud2

    .section .boot.tables, "aw"
    .balign 4096
ring0_pml4:
    .quad ring0_pdpt + 3
    .fill 255, 8, 0
    .quad ring0_pdpt + 3
    .fill 254, 8, 0
    .quad ring0_pdpt_high + 3
ring0_pdpt:
    .quad ring0_pd + 3, ring0_pd + 0x1003, ring0_pd + 0x2003, ring0_pd + 0x3003
    .fill 508, 8, 0
ring0_pdpt_high:
    .fill 510, 8, 0
    .quad ring0_pd + 3, 0
    /* 2 MiB each: present, writable; the last gigabyte, where devices are, not cached. */
ring0_pd:
    .set at, 0
    .rept 1536
    .quad at * 0x200000 + 0x83
    .set at, at + 1
    .endr
    .rept 512
    .quad at * 0x200000 + 0x9b
    .set at, at + 1
    .endr
    .balign 16
ring0_boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
ring0_boot_gdt_pointer:
    .short 23
    .long ring0_boot_gdt
    .balign 16
    .fill 64, 8, 0
ring0_boot_stack:
    .text
"#,
    stack = sym STACK,
    stack_bytes = const STACK_BYTES,
    start = sym crate::start,
    options(att_syntax)
);

const STACK_BYTES: usize = 256 << 10;

#[repr(C, align(4096))]
struct Stack([u8; STACK_BYTES]);
static mut STACK: Stack = Stack([0; STACK_BYTES]);

/// The command line that the loader passed; empty if it is none of the two, passed none, or one that is not UTF-8.
///
/// # Safety
///
/// `eax` and `ebx` are what the loader left there, and what they point to was not overwritten.
pub unsafe fn command_line(eax: usize, ebx: usize) -> &'static str {
    const MULTIBOOT2: usize = 0x36d7_6289;
    const PVH: u32 = 0x336e_c578;
    let word = |at: usize| {
        // SAFETY: the caller's promise; the first four gigabytes are mapped.
        unsafe { ((DIRECT + at) as *const u32).read() }
    };
    let text = if eax == MULTIBOOT2 {
        // Tags of type and size follow a header of eight bytes, each at a multiple of eight: 1 is the command line, 0 the end.
        let mut at = ebx + 8;
        loop {
            match word(at) {
                0 => break None,
                1 => break Some(at + 8),
                _ => at = (at + word(at + 4) as usize).next_multiple_of(8),
            }
        }
    } else if word(ebx) == PVH {
        // `hvm_start_info`: `cmdline_paddr` is a 64-bit word at byte 24.
        Some(word(ebx + 24) as usize).filter(|at| *at != 0)
    } else {
        None
    };
    let Some(text) = text else { return "" };
    let first = (DIRECT + text) as *const u8;
    // SAFETY: a string that ends with a zero, below four gigabytes.
    let len = (0..4096).find(|at| unsafe { first.add(*at).read() } == 0).unwrap_or(0);
    // SAFETY: those bytes were just read, and nothing writes them.
    core::str::from_utf8(unsafe { slice::from_raw_parts(first, len) }).unwrap_or("")
}
