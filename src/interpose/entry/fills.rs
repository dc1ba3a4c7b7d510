//! Symbols that fill: by the vectors of this CPU, from some KiB on by the string instruction, which does not read the lines that
//! it writes.

use super::{AVX, EVEX, VECTORS, too_long};
use crate::kernel::short::fill_0_to_15;
use crate::select::interposed::STRING_FILL_FROM_BYTES;
use core::arch::naked_asm;

/// The instructions that fill by vectors of 32 bytes, from some KiB on by the string instruction; the result is in rax already.
macro_rules! set_body {
    ($mov:literal, $aligned:literal, $leave:literal, $short:expr, $x:literal, $y:literal, $($broadcast:literal),*) => {
        concat!(
            $($broadcast, "\n",)*
            "cmp rdx, 32\n jb 24f\n",
            "cmp rdx, 64\n ja 22f\n",
            $mov, " ymmword ptr [rdi], ", $y, "\n",
            $mov, " ymmword ptr [rdi + rdx - 32], ", $y, "\n",
            $leave, "\n ret\n",
            ".p2align 4\n",
            "22:\n",
            $mov, " ymmword ptr [rdi], ", $y, "\n",
            $mov, " ymmword ptr [rdi + 32], ", $y, "\n",
            $mov, " ymmword ptr [rdi + rdx - 64], ", $y, "\n",
            $mov, " ymmword ptr [rdi + rdx - 32], ", $y, "\n",
            "cmp rdx, 128\n ja 28f\n",
            $leave, "\n ret\n",
            "28: lea rcx, [rdi + rdx - 128]\n",
            $mov, " ymmword ptr [rdi + 64], ", $y, "\n",
            $mov, " ymmword ptr [rdi + 96], ", $y, "\n",
            $mov, " ymmword ptr [rcx], ", $y, "\n",
            $mov, " ymmword ptr [rcx + 32], ", $y, "\n",
            "cmp rdx, 256\n jbe 30f\n",
            "cmp rdx, {string_from}\n jae 31f\n",
            // Both ends are there; between them aligned.
            "add rdi, 128\n and rdi, -32\n",
            "23:\n",
            $aligned, " ymmword ptr [rdi], ", $y, "\n",
            $aligned, " ymmword ptr [rdi + 32], ", $y, "\n",
            $aligned, " ymmword ptr [rdi + 64], ", $y, "\n",
            $aligned, " ymmword ptr [rdi + 96], ", $y, "\n",
            "sub rdi, -128\n cmp rdi, rcx\n jb 23b\n",
            "30:\n", $leave, "\n ret\n",
            "31:\n", $leave, "\n jmp {string}\n",
            "24:\n", $short, "\n",
            "33: cmp edx, 16\n jae 27f\n",
            "cmp edx, 8\n jae 26f\n",
            "cmp edx, 4\n jae 25f\n",
            "test edx, edx\n jz 30b\n",
            "mov byte ptr [rdi], sil\n mov byte ptr [rdi + rdx - 1], sil\n",
            "shr edx, 1\n mov byte ptr [rdi + rdx], sil\n",
            $leave, "\n ret\n",
            "25: vmovd dword ptr [rdi], ", $x, "\n",
            "vmovd dword ptr [rdi + rdx - 4], ", $x, "\n",
            $leave, "\n ret\n",
            "26: vmovq qword ptr [rdi], ", $x, "\n",
            "vmovq qword ptr [rdi + rdx - 8], ", $x, "\n",
            $leave, "\n ret\n",
            "27:\n",
            $mov, " xmmword ptr [rdi], ", $x, "\n",
            $mov, " xmmword ptr [rdi + rdx - 16], ", $x, "\n",
            $leave, "\n ret",
        )
    };
}

/// Up to 31 bytes by one masked store, without a branch on the length; not where its other bytes lie in another page, since to
/// find that they need no access takes the CPU hundreds of cycles.
macro_rules! masked_set {
    () => {
        "mov ecx, edi
        and ecx, 4095
        cmp ecx, 4064
        ja 33f
        mov ecx, -1
        bzhi ecx, ecx, edx
        kmovd k1, ecx
        vmovdqu8 ymmword ptr [rdi]{{k1}}, ymm16
        ret"
    };
}

/// A symbol that fills.
macro_rules! fills {
    ($(#[$doc:meta])* $name:ident($($parameter:ident: $type:ty),*), $($first:literal),*) => {
        $(#[$doc])*
        #[cfg_attr(feature = "interpose", unsafe(no_mangle))]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($parameter: $type),*) -> *mut u8 {
            naked_asm!(
                "endbr64",
                $($first,)*
                "mov rax, rdi",
                "cmp dword ptr [rip + {vectors}], {evex}",
                "jne {other}",
                set_body!("vmovdqu64", "vmovdqa64", "", masked_set!(), "xmm16", "ymm16", "vpbroadcastb ymm16, esi"),
                "8: jmp {fail}",
                ".p2align 6",
                vectors = sym VECTORS,
                evex = const EVEX,
                other = sym set_other,
                string = sym set_string,
                string_from = const STRING_FILL_FROM_BYTES,
                fail = sym too_long,
            )
        }
    };
}

fills! {
    /// Writes the low byte of `byte` to each of `len` bytes from `dst` on; returns `dst`.
    ///
    /// # Safety
    ///
    /// That of C's `memset`: `dst` is valid for writes of `len` bytes.
    memset(dst: *mut u8, byte: i32, len: usize),
}
fills! {
    /// [`memset`] of an object of `dst_bytes`: what does not fit ends the process, as in libc.
    ///
    /// # Safety
    ///
    /// As for [`memset`].
    __memset_chk(dst: *mut u8, byte: i32, len: usize, dst_bytes: usize), "cmp rcx, rdx", "jb 8f"
}

/// Fills where there are no registers 16 to 31, or nothing is known yet.
#[unsafe(naked)]
unsafe extern "C" fn set_other() {
    naked_asm!(
        "cmp dword ptr [rip + {vectors}], {avx}",
        "jne {sse2}",
        set_body!("vmovdqu", "vmovdqa", "vzeroupper", "", "xmm0", "ymm0", "vmovd xmm0, esi", "vpbroadcastb ymm0, xmm0"),
        ".p2align 6",
        vectors = sym VECTORS,
        avx = const AVX,
        sse2 = sym set_sse2,
        string = sym set_string,
        string_from = const STRING_FILL_FROM_BYTES,
    )
}

/// Fills by vectors of 16 bytes, from some KiB on by the string instruction; the result is in rax already.
#[unsafe(naked)]
unsafe extern "C" fn set_sse2() {
    naked_asm!(
        "cmp rdx, {string_from}",
        "jae {string}",
        "movzx ecx, sil",
        "mov r8, 0x0101010101010101",
        "imul rcx, r8",
        "cmp edx, 16",
        "jae 4f",
        fill_0_to_15!(),
        "4: movq xmm0, rcx",
        "punpcklqdq xmm0, xmm0",
        "lea rcx, [rdi + rdx - 16]",
        "movups xmmword ptr [rdi], xmm0",
        "movups xmmword ptr [rcx], xmm0",
        // Between both ends aligned.
        "add rdi, 16",
        "and rdi, -16",
        "jmp 6f",
        "5: movaps xmmword ptr [rdi], xmm0",
        "add rdi, 16",
        "6: cmp rdi, rcx",
        "jb 5b",
        "ret",
        string = sym set_string,
        string_from = const STRING_FILL_FROM_BYTES,
    )
}

/// Fills more than eight bytes by the string instruction; the result is in rax already.
#[unsafe(naked)]
unsafe extern "C" fn set_string() {
    naked_asm!(
        "mov r9, rax",
        "movzx eax, sil",
        "mov rcx, 0x0101010101010101",
        "imul rax, rcx",
        "mov rcx, rdx",
        "mov qword ptr [rdi + rdx - 8], rax",
        "shr rcx, 3",
        "rep stosq",
        "mov rax, r9",
        "ret",
    )
}
