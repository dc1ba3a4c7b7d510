# The code of the broken kernels. COPY is right for every length and leaves rdi and rsi behind their ranges; rdx stays the
# length.

    .text
    .macro MUTANT name
    .p2align 4
    .globl  memcpy_select_mutant_\name
    .hidden memcpy_select_mutant_\name
    .type   memcpy_select_mutant_\name, @function
memcpy_select_mutant_\name:
    .endm

    .macro COPY
    mov     rcx, rdx
    rep movsb
    .endm

    # ---- nothing wrong

MUTANT control_string
    COPY
    ret

MUTANT control_sse2
    cmp     rdx, 16
    jae     2f
    COPY
    ret
2:  movdqu  xmm1, [rsi + rdx - 16]
    lea     r8, [rdi + rdx - 16]
3:  movdqu  xmm0, [rsi]
    movdqu  [rdi], xmm0
    add     rsi, 16
    add     rdi, 16
    cmp     rdi, r8
    jb      3b
    movdqu  [r8], xmm1
    ret

    # Moves upwards of 8 bytes a turn, for lengths above 32.
MUTANT move_stores_head_early
    cmp     rdx, 32
    ja      2f
    COPY
    ret
2:  mov     rax, [rsi]
    mov     r9, [rsi + rdx - 8]
    lea     r8, [rdi + rdx - 8]
    mov     [rdi], rax
    mov     ecx, edi
    and     ecx, 7
    sub     rcx, 8
    sub     rdi, rcx
    sub     rsi, rcx
3:  mov     rax, [rsi]
    mov     [rdi], rax
    add     rsi, 8
    add     rdi, 8
    cmp     rdi, r8
    jb      3b
    mov     [r8], r9
    ret

MUTANT move_loads_tail_late
    cmp     rdx, 32
    ja      2f
    COPY
    ret
2:  lea     r8, [rdi + rdx - 8]
    lea     r9, [rsi + rdx - 8]
3:  mov     rax, [rsi]
    mov     [rdi], rax
    add     rsi, 8
    add     rdi, 8
    cmp     rdi, r8
    jb      3b
    mov     rax, [r9]
    mov     [r8], rax
    ret

MUTANT control_sse2_nt
2:  cmp     rdx, 16
    jb      3f
    test    rdi, 15
    jnz     3f
    movdqu  xmm0, [rsi]
    movntdq [rdi], xmm0
    add     rsi, 16
    add     rdi, 16
    sub     rdx, 16
    jmp     2b
3:  sfence
    COPY
    ret

MUTANT control_avx
    cmp     rdx, 32
    jb      2f
    cmp     rdx, 64
    ja      2f
    vmovdqu ymm0, [rsi]
    vmovdqu ymm1, [rsi + rdx - 32]
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + rdx - 32], ymm1
    vzeroupper
    ret
2:  COPY
    ret

    # ---- wrong bytes

MUTANT tail_too_short
    mov     rcx, rdx
    test    rcx, rcx
    jz      2f
    dec     rcx
2:  rep movsb
    ret

    # 17 to 32 bytes: the tail is stored behind the head instead of at the end
MUTANT tail_at_fixed_place
    cmp     rdx, 17
    jb      2f
    cmp     rdx, 32
    ja      2f
    movdqu  xmm0, [rsi]
    movdqu  xmm1, [rsi + rdx - 16]
    movdqu  [rdi], xmm0
    movdqu  [rdi + 16], xmm1
    ret
2:  COPY
    ret

MUTANT blocks_swapped
    mov     r8, rdi
    COPY
    cmp     rdx, 256
    jb      2f
    movdqu  xmm0, [r8 + 64]
    movdqu  xmm1, [r8 + 80]
    movdqu  [r8 + 80], xmm0
    movdqu  [r8 + 64], xmm1
2:  ret

MUTANT block_shifted
    mov     r8, rdi
    mov     r9, rsi
    COPY
    cmp     rdx, 128
    jb      2f
    movdqu  xmm0, [r9 + 33]
    movdqu  [r8 + 32], xmm0
2:  ret

    # only at one pair of offsets, of the 64 times 64, at one length
MUTANT one_placement_of_4096
    mov     r8d, edi
    mov     r9d, esi
    mov     r10, rdi
    COPY
    cmp     rdx, 251
    jne     2f
    and     r8d, 63
    cmp     r8d, 13
    jne     2f
    and     r9d, 63
    cmp     r9d, 57
    jne     2f
    not     byte ptr [r10 + 100]
2:  ret

    # ---- one byte too far

MUTANT store_beyond
    COPY
    mov     byte ptr [rdi], 0x55
    ret

    # as if a destination were aligned downwards
MUTANT store_before
    test    rdi, 63
    jz      2f
    mov     byte ptr [rdi - 1], 0x55
2:  COPY
    ret

MUTANT store_to_source
    mov     r8, rsi
    COPY
    test    rdx, rdx
    jz      2f
    not     byte ptr [r8]
2:  ret

MUTANT load_beyond
    COPY
    mov     al, byte ptr [rsi]
    ret

MUTANT load_before
    mov     al, byte ptr [rsi - 1]
    COPY
    ret

    # where it cannot fault: only the footprint tells
MUTANT load_beyond_in_page
    COPY
    test    rsi, 4095
    jz      2f
    mov     al, byte ptr [rsi]
2:  ret

MUTANT load_before_in_page
    test    rsi, 4095
    jz      2f
    mov     al, byte ptr [rsi - 1]
2:  COPY
    ret

MUTANT load_of_destination
    test    rdx, rdx
    jz      2f
    mov     al, byte ptr [rdi]
2:  COPY
    ret

    # what was there before is stored again: the contents do not tell
MUTANT store_back_beyond
    COPY
    test    rdi, 4095
    jz      2f
    mov     al, byte ptr [rdi]
    mov     byte ptr [rdi], al
2:  ret

MUTANT store_back_to_source
    test    rdx, rdx
    jz      2f
    mov     al, byte ptr [rsi]
    mov     byte ptr [rsi], al
2:  COPY
    ret

    # ---- order

MUTANT fence_missing
2:  cmp     rdx, 8
    jb      3f
    mov     rax, [rsi]
    movnti  [rdi], rax
    add     rsi, 8
    add     rdi, 8
    sub     rdx, 8
    jmp     2b
3:  COPY
    ret

MUTANT fence_too_early
    sfence
2:  cmp     rdx, 8
    jb      3f
    mov     rax, [rsi]
    movnti  [rdi], rax
    add     rsi, 8
    add     rdi, 8
    sub     rdx, 8
    jmp     2b
3:  COPY
    ret

    # ---- vector state

MUTANT vzeroupper_missing
    cmp     rdx, 32
    jb      2f
    vmovdqu ymm0, [rsi]
    vmovdqu [rdi], ymm0
2:  COPY
    ret

MUTANT vector_register_unclaimed
    cmp     rdx, 200
    jb      2f
    movdqu  xmm15, [rsi]
2:  COPY
    ret

    # a VEX encoding clears the upper part, which a kernel that claims XMM alone must not
MUTANT upper_part_unclaimed
    cmp     rdx, 16
    jb      2f
    vmovdqu xmm7, [rsi]
    vmovdqu [rdi], xmm7
2:  COPY
    ret

    # two registers of the caller's around the copy
    .macro SPILLED store, load, restored
    cmp     rdx, 32
    jb      2f
    sub     rsp, 40
    \store xmmword ptr [rsp], xmm0
    \store xmmword ptr [rsp + 16], xmm1
    \load  xmm0, [rsi]
    \load  xmm1, [rsi + rdx - 16]
    \store xmmword ptr [rdi], xmm0
    \store xmmword ptr [rdi + rdx - 16], xmm1
    \load  xmm0, [rsp]
    \load  \restored, [rsp + 16]
    add     rsp, 40
2:  COPY
    ret
    .endm

MUTANT control_spill
    SPILLED movups, movups, xmm1

MUTANT spill_forgets_one
    SPILLED movups, movups, xmm0

    # what lies above bit 127 is cleared, and was not kept
MUTANT spill_by_vex
    SPILLED vmovups, vmovups, xmm1

MUTANT in_use_unclaimed
    cmp     rdx, 16
    jb      2f
    movdqu  xmm0, [rsi]
2:  COPY
    ret

MUTANT register_16_dirty
    cmp     rdx, 64
    jb      2f
    vmovdqu64 zmm16, [rsi]
    vmovdqu64 [rdi], zmm16
    vzeroupper
2:  COPY
    ret

    # ---- the calling convention

MUTANT direction_flag_set
    COPY
    std
    ret

    .irp register, rbx, rbp, r12, r13, r14, r15
MUTANT \register\()_clobbered
    mov     \register, rdi
    COPY
    ret
    .endr

MUTANT stack_pointer_moved
    COPY
    ret     8

MUTANT callers_stack_written
    mov     qword ptr [rsp + 16], rdi
    COPY
    ret

MUTANT mxcsr_changed
    mov     dword ptr [rsp - 4], 0x1f80
    ldmxcsr [rsp - 4]
    COPY
    ret

MUTANT x87_control_changed
    fninit
    COPY
    ret

MUTANT mmx_left_in_use
    cmp     rdx, 8
    jb      2f
    movq    mm0, [rsi]
    movq    [rdi], mm0
2:  COPY
    ret

    .purgem MUTANT
    .purgem COPY
