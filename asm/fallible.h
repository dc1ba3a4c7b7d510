/* What copies share that end at a fault: the exception table, the copy byte by byte that a fault leads to, and the kernels with
 * and without the instructions that open user pages to ring 0.
 *
 * Arguments as those of every kernel; the result, in rax, is the number of bytes that were not copied: 0 without a fault.
 *
 * A copy goes strictly upward. At each access that an entry of the table covers, rdi and rsi are where all bytes below are copied,
 * and a third register says how many are left from there. Entries cover accesses to the two ranges and nothing else: no `ret`,
 * whose fault would be one of the stack. A fault in a wide access leads to a loop over single bytes from there,
 * which meets the fault again at the first byte that cannot be copied, and ends. A page that is there by then is copied.
 *
 * The direction flag is clear and no length can make the copy go backward: the counters are unsigned, and an address that wraps
 * is what the CPU makes of it.
 */

#include "common.h"

#if defined(__ELF__)
/* A row of the table: a fault at an instruction in [\start, \end) goes on at \fixup. Three words, each relative to its own place,
 * so that nothing has to be relocated. The section lives and dies with the code that it is of (SHF_LINK_ORDER), also where the linker
 * collects garbage; with an assembler that lacks the flag, as long as somebody asks for its bounds. */
#if defined(MEMCPY_SELECT_NO_LINK_ORDER)
#define OF_THE_CODE(start) "a", @progbits
#else
#define OF_THE_CODE(start) "ao", @progbits, start
#endif
.macro EXCEPTION start, end, fixup
    .pushsection memcpy_select_exceptions, OF_THE_CODE(\start)
    .p2align 2
    .long   \start - .
    .long   \end - .
    .long   \fixup - .
    .popsection
.endm
/* The bounds, which the linker defines, are no part of the dynamic interface of a shared library that has the kernels: they are
 * hidden as soon as one object says so, which has to refer to them for that. */
.irp bound, __start_memcpy_select_exceptions, __stop_memcpy_select_exceptions
    .weak   \bound
    .hidden \bound
    .reloc  ., R_X86_64_NONE, \bound
.endr
#else
.macro EXCEPTION start, end, fixup
.endm
#endif

/* Whether ring 0 may access user pages, where SMAP is on (Intel SDM vol. 2B, STAC; vol. 3A, 4.6). */
.macro OPEN smap
    .if \smap
    stac
    .endif
.endm
.macro CLOSE smap
    .if \smap
    clac
    .endif
.endm

/* All is copied. */
.macro RETURN_NOTHING_LEFT smap
    CLOSE   \smap
    xor     eax, eax
    ret
.endm

/* rdx bytes, at least one, from rsi to rdi, singly; then return, at a fault too. Dirties rax, rdx, rsi, rdi. */
.macro COPY_BYTES smap
.Lbyte_\@:
    movzx   eax, byte ptr [rsi]
    mov     byte ptr [rdi], al
.Lstep_\@:
    add     rsi, 1
    add     rdi, 1
    sub     rdx, 1
    jnz     .Lbyte_\@
.Lfault_\@:
    mov     rax, rdx
    CLOSE   \smap
    ret
    EXCEPTION .Lbyte_\@, .Lstep_\@, .Lfault_\@
.endm

/* The kernel `fallible_gpr`. Up to 128 bytes rdi, rsi and rdx stay what they were, and a fault leads back to the start: what
 * was stored until then is stored again. Above, rdx is what is left from rdi on, less 64. */
.macro FALLIBLE_GPR smap
    OPEN    \smap
    cmp     rdx, 128
    ja      .Llarge
    cmp     edx, 16
    jbe     .Lsixteen
    cmp     edx, 32
    jbe     .Lthirtytwo
.Lmedium:
    GPR_COPY_32 rsi, rdi, 0
    cmp     edx, 64
    jbe     .Llast
    GPR_COPY_32 rsi, rdi, 32
    cmp     edx, 96
    jbe     .Llast
    GPR_COPY_32 "rsi + rdx", "rdi + rdx", -64
.Llast:
    GPR_COPY_32 "rsi + rdx", "rdi + rdx", -32
.Lmedium_end:
    RETURN_NOTHING_LEFT \smap
.Lthirtytwo:
    mov     rax, qword ptr [rsi]
    mov     r8, qword ptr [rsi + 8]
    mov     r9, qword ptr [rsi + rdx - 16]
    mov     r10, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + 8], r8
    mov     qword ptr [rdi + rdx - 16], r9
    mov     qword ptr [rdi + rdx - 8], r10
.Lthirtytwo_end:
    RETURN_NOTHING_LEFT \smap
.Lsixteen:
    cmp     edx, 8
    jae     .Leight
    cmp     edx, 4
    jae     .Lfour
    test    edx, edx
    jz      .Lnone
.Lthree:
    movzx   eax, byte ptr [rsi]
    movzx   ecx, byte ptr [rsi + rdx - 1]
    mov     r8d, edx
    shr     r8d, 1
    movzx   r9d, byte ptr [rsi + r8]
    mov     byte ptr [rdi], al
    mov     byte ptr [rdi + r8], r9b
    mov     byte ptr [rdi + rdx - 1], cl
.Lnone:
    RETURN_NOTHING_LEFT \smap
.Lfour:
    mov     eax, dword ptr [rsi]
    mov     ecx, dword ptr [rsi + rdx - 4]
    mov     dword ptr [rdi], eax
    mov     dword ptr [rdi + rdx - 4], ecx
.Lfour_end:
    RETURN_NOTHING_LEFT \smap
.Leight:
    mov     rax, qword ptr [rsi]
    mov     rcx, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + rdx - 8], rcx
.Leight_end:
    RETURN_NOTHING_LEFT \smap
.Llarge:
    sub     rdx, 64
.Lwords:
    mov     rax, qword ptr [rsi]
    mov     qword ptr [rdi], rax
    /* 1 to 8 bytes, to an 8-byte boundary. */
    mov     ecx, edi
    and     ecx, 7
    sub     rcx, 8
    sub     rdi, rcx
    sub     rsi, rcx
    add     rdx, rcx
    .p2align 6
.Lbody:
    GPR_COPY_32 rsi, rdi, 0
    GPR_COPY_32 rsi, rdi, 32
    sub     rsi, -64
    sub     rdi, -64
    sub     rdx, 64
    ja      .Lbody
    /* Back to where 64 bytes are left. */
    add     rsi, rdx
    add     rdi, rdx
    xor     edx, edx
    GPR_COPY_32 rsi, rdi, 0
    GPR_COPY_32 rsi, rdi, 32
.Lwords_end:
    RETURN_NOTHING_LEFT \smap
.Lwords_fault:
    add     rdx, 64
.Lfault:
    COPY_BYTES \smap
    EXCEPTION .Lthree, .Lnone, .Lfault
    EXCEPTION .Lfour, .Lfour_end, .Lfault
    EXCEPTION .Leight, .Leight_end, .Lfault
    EXCEPTION .Lthirtytwo, .Lthirtytwo_end, .Lfault
    EXCEPTION .Lmedium, .Lmedium_end, .Lfault
    EXCEPTION .Lwords, .Lwords_end, .Lwords_fault
.endm

/* The kernel `fallible_rep_movsb`. At a fault the CPU leaves rsi, rdi and rcx as for a restart (Intel SDM vol. 2B, REP); should it
 * have gone back by a piece for that, the bytes of the piece are copied singly. */
.macro FALLIBLE_REP_MOVSB smap
    OPEN    \smap
    mov     rcx, rdx
.Lstring:
    rep movsb
.Lstring_end:
    RETURN_NOTHING_LEFT \smap
.Lstring_fault:
    mov     rdx, rcx
    COPY_BYTES \smap
    EXCEPTION .Lstring, .Lstring_end, .Lstring_fault
.endm
