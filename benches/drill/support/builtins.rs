//! The routines of `compiler_builtins`, written anew after `library/compiler-builtins/compiler-builtins/src/mem/x86_64.rs` of Rust
//! 1.96: a program with an operating system does not have them. Copies and fills are a few string instructions; `words` is what
//! programs have unless they are compiled for CPUs with ERMS, `bytes` what they have then. The comparison is a loop over sixteen
//! bytes, in general-purpose registers, as for targets without vectors.

// As compiler_builtins: single bytes to an aligned destination, quadwords, the rest in single bytes.
core::arch::global_asm!(
    r#"
        .macro ALIGN_AND_SPLIT
        mov     ecx, edi
        neg     ecx
        and     ecx, 7
        cmp     rdx, rcx
        cmovb   rcx, rdx
        sub     rdx, rcx
        .endm
        .p2align 4
        .globl memcpy_select_words_copy
memcpy_select_words_copy:
        mov     rax, rdi
        ALIGN_AND_SPLIT
        rep movsb
        mov     rcx, rdx
        shr     rcx, 3
        rep movsq
        and     edx, 7
        mov     rcx, rdx
        rep movsb
        ret
        .p2align 4
        .globl memcpy_select_bytes_copy
memcpy_select_bytes_copy:
        mov     rax, rdi
        mov     rcx, rdx
        rep movsb
        ret
        .p2align 4
        .globl memcpy_select_words_move
memcpy_select_words_move:
        mov     rax, rdi
        sub     rax, rsi
        cmp     rax, rdx
        jae     memcpy_select_words_copy
        jmp     memcpy_select_backward
        .p2align 4
        .globl memcpy_select_bytes_move
memcpy_select_bytes_move:
        mov     rax, rdi
        sub     rax, rsi
        cmp     rax, rdx
        jae     memcpy_select_bytes_copy
memcpy_select_backward:
        mov     rax, rdi
        mov     r10, rdx
        ALIGN_AND_SPLIT
        mov     r8d, ecx
        lea     rsi, [rsi + r10 - 1]
        lea     rdi, [rdi + r10 - 1]
        mov     ecx, edx
        and     ecx, 7
        shr     rdx, 3
        std
        rep movsb
        sub     rsi, 7
        sub     rdi, 7
        mov     rcx, rdx
        rep movsq
        add     rsi, 7
        add     rdi, 7
        mov     ecx, r8d
        rep movsb
        cld
        ret
        .p2align 4
        .globl memcpy_select_words_set
memcpy_select_words_set:
        mov     r9, rdi
        movzx   eax, sil
        mov     rcx, 0x0101010101010101
        imul    rax, rcx
        ALIGN_AND_SPLIT
        rep stosb
        mov     rcx, rdx
        shr     rcx, 3
        rep stosq
        and     edx, 7
        mov     rcx, rdx
        rep stosb
        mov     rax, r9
        ret
        .p2align 4
        .globl memcpy_select_bytes_set
memcpy_select_bytes_set:
        mov     r9, rdi
        mov     eax, esi
        mov     rcx, rdx
        rep stosb
        mov     rax, r9
        ret
        .p2align 4
        .globl memcpy_select_pairs_compare
memcpy_select_pairs_compare:
        mov     r11, rdx
        and     r11, -16
        jz      4f
        add     rdi, r11
        add     rsi, r11
        neg     r11
        .p2align 4
2:      mov     rax, qword ptr [rdi + r11]
        mov     rcx, qword ptr [rsi + r11]
        mov     r8, qword ptr [rdi + r11 + 8]
        mov     r9, qword ptr [rsi + r11 + 8]
        xor     r9, r8
        mov     r10, rcx
        xor     r10, rax
        or      r10, r9
        jne     3f
        add     r11, 16
        jnz     2b
4:      and     edx, 15
        xor     r11d, r11d
        cmp     edx, 8
        jb      5f
        mov     rax, qword ptr [rdi]
        cmp     rax, qword ptr [rsi]
        jne     3f
        mov     r11d, 8
5:      test    edx, 4
        jz      6f
        mov     eax, dword ptr [rdi + r11]
        cmp     eax, dword ptr [rsi + r11]
        jne     3f
        add     r11d, 4
6:      test    edx, 2
        jz      7f
        movzx   eax, word ptr [rdi + r11]
        cmp     ax, word ptr [rsi + r11]
        jne     3f
        add     r11d, 2
7:      test    edx, 1
        jz      8f
        movzx   eax, byte ptr [rdi + r11]
        movzx   ecx, byte ptr [rsi + r11]
        sub     eax, ecx
        ret
8:      xor     eax, eax
        ret
3:      movzx   eax, byte ptr [rdi + r11]
        movzx   ecx, byte ptr [rsi + r11]
        inc     r11
        sub     eax, ecx
        jz      3b
        ret
    "#
);

unsafe extern "C" {
    #[link_name = "memcpy_select_words_copy"]
    pub fn words_copy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_bytes_copy"]
    pub fn bytes_copy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_words_move"]
    pub fn words_move(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_bytes_move"]
    pub fn bytes_move(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_words_set"]
    pub fn words_set(dst: *mut u8, byte: i32, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_bytes_set"]
    pub fn bytes_set(dst: *mut u8, byte: i32, len: usize) -> *mut u8;
    #[link_name = "memcpy_select_pairs_compare"]
    pub fn pairs_compare(left: *const u8, right: *const u8, len: usize) -> i32;
}
