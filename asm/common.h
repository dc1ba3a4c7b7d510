/* What every kernel shares: entry and exit, small lengths, and the bodies that differ only in vector width.
 *
 * One kernel per file; each file includes this header, opens with KERNEL_ENTRY(stem) and closes with
 * KERNEL_EXIT(stem). The contract that every kernel keeps stands in src/kernel/mod.rs.
 *
 * Arguments (System V, on every operating system): rdi = dst, rsi = src, rdx = length in bytes. No result.
 * Labels inside macros carry \@, the assembler's count of macro expansions, so that a macro may be used twice.
 */

.intel_syntax noprefix

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if defined(__APPLE__)
#define SYMBOL(stem) JOIN(_, JOIN(MEMCPY_SELECT_PREFIX, stem))
#else
#define SYMBOL(stem) JOIN(MEMCPY_SELECT_PREFIX, stem)
#endif

#if defined(__ELF__)
/* Hidden: the symbols belong to this crate, not to the program's dynamic interface. */
#define KERNEL_ENTRY(stem) \
    .text; .p2align 6; .globl SYMBOL(stem); .hidden SYMBOL(stem); .type SYMBOL(stem), @function; SYMBOL(stem): endbr64
#define KERNEL_EXIT(stem) .size SYMBOL(stem), . - SYMBOL(stem); .section .note.GNU-stack, "", @progbits
#else
#define KERNEL_ENTRY(stem) .text; .p2align 6; .globl SYMBOL(stem); SYMBOL(stem): endbr64
#define KERNEL_EXIT(stem)
#endif

/* ---- general-purpose registers: no vector state is touched ---------------------------------------------------- */

/* Lengths 0 to 16, then return. Two overlapping accesses of the largest size that fits; one to three bytes are
 * first, middle and last. Dirties rax, rcx, rdx. */
.macro COPY_0_TO_16
    cmp     edx, 8
    jae     .Leight_\@
    cmp     edx, 4
    jae     .Lfour_\@
    test    edx, edx
    jz      .Ldone_\@
    movzx   eax, byte ptr [rsi]
    movzx   ecx, byte ptr [rsi + rdx - 1]
    mov     r8d, edx
    shr     r8d, 1
    movzx   r9d, byte ptr [rsi + r8]
    mov     byte ptr [rdi], al
    mov     byte ptr [rdi + r8], r9b
    mov     byte ptr [rdi + rdx - 1], cl
.Ldone_\@:
    ret
.Lfour_\@:
    mov     eax, dword ptr [rsi]
    mov     ecx, dword ptr [rsi + rdx - 4]
    mov     dword ptr [rdi], eax
    mov     dword ptr [rdi + rdx - 4], ecx
    ret
.Leight_\@:
    mov     rax, qword ptr [rsi]
    mov     rcx, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + rdx - 8], rcx
    ret
.endm

/* 32 bytes from src + \offset to dst + \offset. Dirties rax, r8, r9, r10. */
.macro GPR_COPY_32 src, dst, offset
    mov     rax, qword ptr [\src + \offset]
    mov     r8, qword ptr [\src + \offset + 8]
    mov     r9, qword ptr [\src + \offset + 16]
    mov     r10, qword ptr [\src + \offset + 24]
    mov     qword ptr [\dst + \offset], rax
    mov     qword ptr [\dst + \offset + 8], r8
    mov     qword ptr [\dst + \offset + 16], r9
    mov     qword ptr [\dst + \offset + 24], r10
.endm

/* Lengths 0 to 64, then return: head and tail halves that overlap. Dirties rax, rcx, rdx, rsi, rdi, r8 to r10. */
.macro GPR_COPY_0_TO_64
    cmp     edx, 16
    jbe     .Lsixteen_\@
    cmp     edx, 32
    jbe     .Lthirtytwo_\@
    GPR_COPY_32 rsi, rdi, 0
    add     rsi, rdx
    add     rdi, rdx
    GPR_COPY_32 rsi, rdi, -32
    ret
.Lthirtytwo_\@:
    mov     rax, qword ptr [rsi]
    mov     r8, qword ptr [rsi + 8]
    mov     r9, qword ptr [rsi + rdx - 16]
    mov     r10, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + 8], r8
    mov     qword ptr [rdi + rdx - 16], r9
    mov     qword ptr [rdi + rdx - 8], r10
    ret
.Lsixteen_\@:
    COPY_0_TO_16
.endm

/* Copies the first 64 bytes, then steps rdi, rsi, rdx forward by 1 to 64 so that rdi is 64-byte aligned: a store of
 * any size from there on splits no line. Length must be at least 64. Dirties rax, rcx, r8 to r10. */
.macro GPR_ALIGN_DST_64
    GPR_COPY_32 rsi, rdi, 0
    GPR_COPY_32 rsi, rdi, 32
    mov     ecx, edi
    and     ecx, 63
    sub     rcx, 64
    sub     rdi, rcx
    sub     rsi, rcx
    add     rdx, rcx
.endm

/* ---- vector registers ------------------------------------------------------------------------------------------
 *
 * The macros below take a register prefix (xmm, ymm, zmm), its width in bytes, and the instructions of that width:
 * an unaligned move, an aligned move, and \leave, what must run before `ret` (vzeroupper or nothing). \bank is empty for
 * registers 0 to 11, or 2 for registers 20 to 27, which need no vzeroupper. */

/* One vector from the head, one from the tail: lengths \w to 2\w, then return. */
.macro COPY_2_VECTORS v, w, movu, leave, bank
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()1, [rsi + rdx - \w]
    \movu   [rdi], \v\bank\()0
    \movu   [rdi + rdx - \w], \v\bank\()1
    \leave
    ret
.endm

/* Lengths 2\w to 4\w, then return. */
.macro COPY_4_VECTORS v, w, movu, leave, bank
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()1, [rsi + \w]
    \movu   \v\bank\()2, [rsi + rdx - 2*\w]
    \movu   \v\bank\()3, [rsi + rdx - \w]
    \movu   [rdi], \v\bank\()0
    \movu   [rdi + \w], \v\bank\()1
    \movu   [rdi + rdx - 2*\w], \v\bank\()2
    \movu   [rdi + rdx - \w], \v\bank\()3
    \leave
    ret
.endm

/* Lengths 4\w to 8\w, then return. */
.macro COPY_8_VECTORS v, w, movu, leave, bank
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()1, [rsi + \w]
    \movu   \v\bank\()2, [rsi + 2*\w]
    \movu   \v\bank\()3, [rsi + 3*\w]
    \movu   \v\bank\()4, [rsi + rdx - 4*\w]
    \movu   \v\bank\()5, [rsi + rdx - 3*\w]
    \movu   \v\bank\()6, [rsi + rdx - 2*\w]
    \movu   \v\bank\()7, [rsi + rdx - \w]
    \movu   [rdi], \v\bank\()0
    \movu   [rdi + \w], \v\bank\()1
    \movu   [rdi + 2*\w], \v\bank\()2
    \movu   [rdi + 3*\w], \v\bank\()3
    \movu   [rdi + rdx - 4*\w], \v\bank\()4
    \movu   [rdi + rdx - 3*\w], \v\bank\()5
    \movu   [rdi + rdx - 2*\w], \v\bank\()6
    \movu   [rdi + rdx - \w], \v\bank\()7
    \leave
    ret
.endm

/* Lengths 8\w to 12\w, then return: as the two above. Dirties vectors 0 to 11. */
.macro COPY_12_VECTORS v, w, movu, leave
    .irp at, 0, 1, 2, 3, 4, 5, 6, 7
    \movu   \v\()\at, [rsi + \w*\at]
    .endr
    \movu   \v\()8, [rsi + rdx - 4*\w]
    \movu   \v\()9, [rsi + rdx - 3*\w]
    \movu   \v\()10, [rsi + rdx - 2*\w]
    \movu   \v\()11, [rsi + rdx - \w]
    .irp at, 0, 1, 2, 3, 4, 5, 6, 7
    \movu   [rdi + \w*\at], \v\()\at
    .endr
    \movu   [rdi + rdx - 4*\w], \v\()8
    \movu   [rdi + rdx - 3*\w], \v\()9
    \movu   [rdi + rdx - 2*\w], \v\()10
    \movu   [rdi + rdx - \w], \v\()11
    \leave
    ret
.endm

/* Lengths 0 to 4\w, then return; \beyond takes the others. Of what is not inlined, \w to 2\w is the most frequent and
 * comes first. No length stores a line twice that one store can hold: with cold destinations the store queue is what is
 * short. Below the vector's own width it falls to narrower ones. */
.macro COPY_0_TO_4_VECTORS v, w, movu, movu_narrow, leave, beyond, bank
    cmp     rdx, 2*\w
    ja      .Lover_2w_\@
    cmp     edx, \w
    jbe     .Lup_to_w_\@
    COPY_2_VECTORS \v, \w, \movu, \leave, \bank
.Lover_2w_\@:
    cmp     rdx, 4*\w
    ja      \beyond
    COPY_4_VECTORS \v, \w, \movu, \leave, \bank
.Lup_to_w_\@:
    COPY_NARROW \w, \movu_narrow, \leave, \bank
.endm

/* The same up to 8\w. */
.macro COPY_0_TO_8_VECTORS v, w, movu, movu_narrow, leave, beyond
    cmp     rdx, 2*\w
    ja      .Lover_2w_\@
    cmp     edx, \w
    jbe     .Lup_to_w_\@
    COPY_2_VECTORS \v, \w, \movu, \leave
.Lover_2w_\@:
    cmp     rdx, 8*\w
    ja      \beyond
    cmp     edx, 4*\w
    ja      .Lover_4w_\@
    COPY_4_VECTORS \v, \w, \movu, \leave
.Lover_4w_\@:
    COPY_8_VECTORS \v, \w, \movu, \leave
.Lup_to_w_\@:
    COPY_NARROW \w, \movu_narrow, \leave
.endm

/* Lengths 0 to \w, then return: in vectors half as wide and less, and in general-purpose registers. */
.macro COPY_NARROW w, movu_narrow, leave, bank
.if \w > 16
    cmp     edx, 16
    jbe     .Lup_to_16_\@
.if \w > 32
    cmp     edx, 32
    jbe     .Lup_to_32_\@
    COPY_2_VECTORS ymm, 32, \movu_narrow, \leave, \bank
.Lup_to_32_\@:
.endif
    /* A VEX-encoded 128-bit move leaves the upper halves zero: nothing to clean. */
    COPY_2_VECTORS xmm, 16, \movu_narrow, , \bank
.Lup_to_16_\@:
.endif
    COPY_0_TO_16
.endm

/* Lengths above 8\w, or above 4\w where \may_skip is 1, then return: one unaligned vector at the head, a loop of four aligned stores, three aligned stores
 * that overlap the loop's last ones, and one unaligned vector at the tail. Only the destination is aligned: a store that
 * splits a line costs more than a load that does, and of those there are two.
 * Dirties rax, rcx, rsi, rdi, r8 and vectors 0 to 4. */
.macro COPY_ALIGNED_BODY v, w, movu, mova, leave, bank, may_skip=0
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()4, [rsi + rdx - \w]
    lea     r8, [rdi + rdx - \w]
    /* Where the last three whole vectors start, of those that end before the last byte. */
    lea     rcx, [rdi + rdx - 1]
    and     rcx, -\w
    sub     rcx, 3*\w
    \movu   [rdi], \v\bank\()0
    mov     eax, edi
    and     eax, \w - 1
    sub     rax, \w
    sub     rdi, rax
    sub     rsi, rax
    .if \may_skip
    cmp     rdi, rcx
    jae     .Lend_\@
    .endif
    .p2align 6
.Lbody_\@:
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()1, [rsi + \w]
    \movu   \v\bank\()2, [rsi + 2*\w]
    \movu   \v\bank\()3, [rsi + 3*\w]
    sub     rsi, -4*\w
    \mova   [rdi], \v\bank\()0
    \mova   [rdi + \w], \v\bank\()1
    \mova   [rdi + 2*\w], \v\bank\()2
    \mova   [rdi + 3*\w], \v\bank\()3
    sub     rdi, -4*\w
    cmp     rdi, rcx
    jb      .Lbody_\@
.Lend_\@:
    sub     rsi, rdi
    \movu   \v\bank\()0, [rsi + rcx]
    \movu   \v\bank\()1, [rsi + rcx + \w]
    \movu   \v\bank\()2, [rsi + rcx + 2*\w]
    \mova   [rcx], \v\bank\()0
    \mova   [rcx + \w], \v\bank\()1
    \mova   [rcx + 2*\w], \v\bank\()2
    \movu   [r8], \v\bank\()4
    \leave
    ret
.endm

/* A whole kernel of the family `<isa>_aligned`: registers 0 to 11. */
.macro COPY_ALIGNED v, w, movu, mova, movu_narrow, leave
    COPY_0_TO_8_VECTORS \v, \w, \movu, \movu_narrow, \leave, .Lmedium_\@
.Lmedium_\@:
    cmp     rdx, 12*\w
    ja      .Llarge_\@
    COPY_12_VECTORS \v, \w, \movu, \leave
.Llarge_\@:
    COPY_ALIGNED_BODY \v, \w, \movu, \mova, \leave
.endm

/* A whole kernel of the family `<isa>_hi16`: registers 20 to 27. Above 4\w, where the destination is aligned, eight vectors
 * from both ends up to 8\w; elsewhere they would all split lines, and the body, which aligns its stores, is faster. */
.macro COPY_HI16 v, w
    COPY_0_TO_4_VECTORS \v, \w, vmovdqu64, vmovdqu64, , .Lbeyond_\@, 2
.Lbeyond_\@:
    cmp     rdx, 8*\w
    ja      .Lbody_\@
    test    edi, \w - 1
    jnz     .Lbody_\@
    COPY_8_VECTORS \v, \w, vmovdqu64, , 2
.Lbody_\@:
    COPY_ALIGNED_BODY \v, \w, vmovdqu64, vmovdqa64, , 2, 1
.endm

/* ---- registers that belong to somebody else ------------------------------------------------------------------- */

/* A whole kernel of the family `sse2_spill<count>`: \count XMM registers, \lanes their numbers from 0, are kept on the
 * stack while the copy uses them. Legacy encodings only: a VEX-encoded write would clear what lies above bit 127, which
 * is not kept. Dirties rax, rcx, rdx, rsi, rdi, r8, r9.
 *   1. Up to 16 bytes: general-purpose registers, nothing to keep.
 *   2. The registers go to the stack, below a stack pointer that an interrupt respects.
 *   3. 16 bytes at the head, unaligned, which bring rdi to a 16-byte boundary.
 *   4. \count registers a turn, then one, stores aligned.
 *   5. The last 16 bytes of the range, unaligned; the registers come back. */
.macro COPY_SPILLED count, lanes
    cmp     rdx, 16
    ja      .Lvectors_\@
    COPY_0_TO_16
.Lvectors_\@:
    sub     rsp, 16*\count + 8
    .irp lane, \lanes
    movaps  xmmword ptr [rsp + 16*\lane], xmm\lane
    .endr
    movups  xmm0, xmmword ptr [rsi]
    lea     r8, [rsi + rdx - 16]
    lea     r9, [rdi + rdx - 16]
    movups  xmmword ptr [rdi], xmm0
    mov     eax, edi
    and     eax, 15
    sub     rax, 16
    sub     rdi, rax
    sub     rsi, rax
    add     rdx, rax
    sub     rdx, 16*\count
    jb      .Lrest_\@
    .p2align 5
.Lbody_\@:
    .irp lane, \lanes
    movups  xmm\lane, xmmword ptr [rsi + 16*\lane]
    .endr
    .irp lane, \lanes
    movaps  xmmword ptr [rdi + 16*\lane], xmm\lane
    .endr
    add     rsi, 16*\count
    add     rdi, 16*\count
    sub     rdx, 16*\count
    jae     .Lbody_\@
.Lrest_\@:
    .if \count > 1
    add     rdx, 16*(\count - 1)
    js      .Ltail_\@
.Lone_\@:
    movups  xmm0, xmmword ptr [rsi]
    movaps  xmmword ptr [rdi], xmm0
    add     rsi, 16
    add     rdi, 16
    sub     rdx, 16
    jae     .Lone_\@
.Ltail_\@:
    .endif
    movups  xmm0, xmmword ptr [r8]
    movups  xmmword ptr [r9], xmm0
    .irp lane, \lanes
    movaps  xmm\lane, xmmword ptr [rsp + 16*\lane]
    .endr
    add     rsp, 16*\count + 8
    ret
.endm

/* ---- non-temporal ---------------------------------------------------------------------------------------------- */

/* Lines from [rsi + \offset] to [rdi + \offset] past the caches, one vector for each number in \lanes. rdi is
 * 64-byte aligned: a line is written whole and leaves its write-combining buffer at once. */
.macro NT_LINES v, w, movu, movnt, lanes, offset
    .irp lane, \lanes
    \movu   \v\()\lane, [rsi + \offset + \w*\lane]
    .endr
    .irp lane, \lanes
    \movnt  [rdi + \offset + \w*\lane], \v\()\lane
    .endr
.endm

/* One step of 128 bytes in each of \count pages, the source prefetched by the instruction \hint \ahead bytes ahead (0: not at
 * all). */
.macro NT_STEP v, w, movu, movnt, lanes, count, hint, ahead
    .irp page, 0, 1, 2, 3
    .if \page < \count && \ahead > 0
    \hint   [rsi + 4096*\page + \ahead]
    \hint   [rsi + 4096*\page + \ahead + 64]
    .endif
    .endr
    .irp page, 0, 1, 2, 3
    .if \page < \count
    NT_LINES \v, \w, \movu, \movnt, "\lanes", 4096*\page
    .endif
    .endr
    sub     rsi, -128
    sub     rdi, -128
.endm

/* A whole kernel of the family `<isa>_nt`. Up to 8\w it is the same as `<isa>_aligned`; above:
 *   1. 64 bytes at the head with ordinary stores, which bring rdi to a 64-byte boundary;
 *   2. while \pages pages or more are left, blocks of \pages pages copied side by side, 128 bytes from each in turn
 *      (more than one page: several DRAM rows and several hardware prefetchers at once);
 *   3. the rest in steps of 128 bytes;
 *   4. a fence: the stores are visible to others before anything that the caller does next;
 *   5. what is left, under 128 bytes, as the last 128 bytes of the range with ordinary stores.
 * \lanes64 and \lanes128 are the vector numbers that cover 64 and 128 bytes. */
.macro COPY_NT v, w, movu, movu_narrow, movnt, leave, lanes64, lanes128, pages, hint, ahead
    COPY_0_TO_8_VECTORS \v, \w, \movu, \movu_narrow, \leave, .Llarge_\@
.Llarge_\@:
    .irp lane, \lanes64
    \movu   \v\()\lane, [rsi + \w*\lane]
    .endr
    .irp lane, \lanes64
    \movu   [rdi + \w*\lane], \v\()\lane
    .endr
    mov     ecx, edi
    and     ecx, 63
    sub     rcx, 64
    sub     rdi, rcx
    sub     rsi, rcx
    add     rdx, rcx
    cmp     rdx, 4096*\pages
    jb      .Lrest_\@
    .p2align 4
.Lblock_\@:
    mov     ecx, 4096 / 128
    .p2align 5
.Lpages_\@:
    NT_STEP \v, \w, \movu, \movnt, "\lanes128", \pages, \hint, \ahead
    dec     ecx
    jnz     .Lpages_\@
    add     rsi, 4096*(\pages - 1)
    add     rdi, 4096*(\pages - 1)
    sub     rdx, 4096*\pages
    cmp     rdx, 4096*\pages
    jae     .Lblock_\@
.Lrest_\@:
    sub     rdx, 128
    jb      .Ltail_\@
    .p2align 5
.Lstep_\@:
    NT_STEP \v, \w, \movu, \movnt, "\lanes128", 1, , 0
    sub     rdx, 128
    jae     .Lstep_\@
.Ltail_\@:
    sfence
    /* rdx is what is left, minus 128: the last 128 bytes start there. */
    add     rsi, rdx
    add     rdi, rdx
    .irp lane, \lanes128
    \movu   \v\()\lane, [rsi + \w*\lane]
    .endr
    .irp lane, \lanes128
    \movu   [rdi + \w*\lane], \v\()\lane
    .endr
    \leave
    ret
.endm
