//! Symbols that copy.
//!
//! Up to 32 bytes copies are made by code for every CPU, up to 1024 bytes by the vectors of this CPU: calling a kernel would take
//! a good part of such a copy. Up to 256 bytes all loads come before the first store: ranges may overlap. Above, a copy goes
//! upwards unless the destination overlaps the source from above; beyond 1024 bytes the plan in force says how, or, where
//! ranges overlap, the kernel for their direction. A kernel may change any register that the caller has given up, rax among
//! them, so that its call needs a frame for the result.

use super::{AVX, EVEX, VECTORS, too_long};
use crate::kernel::short::copy_0_to_15;
use crate::select::interposed::{BACKWARD, FIRST, FORWARD, SHORT_MAX_BYTES, USER};
use core::arch::naked_asm;

macro_rules! kernel {
    ($name:ident, $stem:literal) => {
        unsafe extern "sysv64" {
            #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), $stem)]
            fn $name(dst: *mut u8, src: *const u8, len: usize);
        }
    };
}

kernel!(sse2_forward, "sse2_forward");
kernel!(sse2_backward, "sse2_backward");

/// The instructions that copy 32 to 1024 bytes by vectors of 32 bytes: up to 256 from both ends, above from the lower end to the
/// upper one, which is right where the destination overlaps the source from below. The result is in rax already.
#[rustfmt::skip]
macro_rules! copy_body {
    ($mov:literal, $aligned:literal, $leave:literal, $v:literal: $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal $i:literal) => {
        concat!(
            $mov, " ", $v, $a, ", ymmword ptr [rsi]\n",
            $mov, " ", $v, $b, ", ymmword ptr [rsi + rdx - 32]\n",
            "cmp rdx, 64\n ja 22f\n",
            $mov, " ymmword ptr [rdi], ", $v, $a, "\n",
            $mov, " ymmword ptr [rdi + rdx - 32], ", $v, $b, "\n",
            $leave, "\n ret\n",
            ".p2align 4\n",
            "22: cmp rdx, 256\n ja 24f\n",
            $mov, " ", $v, $c, ", ymmword ptr [rsi + 32]\n",
            $mov, " ", $v, $d, ", ymmword ptr [rsi + rdx - 64]\n",
            "cmp edx, 128\n ja 23f\n",
            $mov, " ymmword ptr [rdi], ", $v, $a, "\n",
            $mov, " ymmword ptr [rdi + 32], ", $v, $c, "\n",
            $mov, " ymmword ptr [rdi + rdx - 64], ", $v, $d, "\n",
            $mov, " ymmword ptr [rdi + rdx - 32], ", $v, $b, "\n",
            $leave, "\n ret\n",
            ".p2align 4\n",
            "23:\n",
            $mov, " ", $v, $e, ", ymmword ptr [rsi + 64]\n",
            $mov, " ", $v, $f, ", ymmword ptr [rsi + 96]\n",
            $mov, " ", $v, $g, ", ymmword ptr [rsi + rdx - 128]\n",
            $mov, " ", $v, $h, ", ymmword ptr [rsi + rdx - 96]\n",
            $mov, " ymmword ptr [rdi], ", $v, $a, "\n",
            $mov, " ymmword ptr [rdi + 32], ", $v, $c, "\n",
            $mov, " ymmword ptr [rdi + 64], ", $v, $e, "\n",
            $mov, " ymmword ptr [rdi + 96], ", $v, $f, "\n",
            $mov, " ymmword ptr [rdi + rdx - 128], ", $v, $g, "\n",
            $mov, " ymmword ptr [rdi + rdx - 96], ", $v, $h, "\n",
            $mov, " ymmword ptr [rdi + rdx - 64], ", $v, $d, "\n",
            $mov, " ymmword ptr [rdi + rdx - 32], ", $v, $b, "\n",
            $leave, "\n ret\n",
            ".p2align 4\n",
            "24: cmp rdx, 1024\n ja {long}\n",
            "mov rcx, rdi\n sub rcx, rsi\n cmp rcx, rdx\n jb {long}\n",
            // Both ends are loaded first and stored last.
            $mov, " ", $v, $d, ", ymmword ptr [rsi + rdx - 64]\n",
            $mov, " ", $v, $e, ", ymmword ptr [rsi + rdx - 96]\n",
            $mov, " ", $v, $f, ", ymmword ptr [rsi + rdx - 128]\n",
            "lea rcx, [rdi + rdx - 128]\n mov r8, rdi\n",
            "mov r9d, edi\n and r9d, 31\n sub r9, 32\n sub rdi, r9\n sub rsi, r9\n",
            ".p2align 5\n",
            "25:\n",
            $mov, " ", $v, $c, ", ymmword ptr [rsi]\n",
            $mov, " ", $v, $g, ", ymmword ptr [rsi + 32]\n",
            $mov, " ", $v, $h, ", ymmword ptr [rsi + 64]\n",
            $mov, " ", $v, $i, ", ymmword ptr [rsi + 96]\n",
            "sub rsi, -128\n",
            $aligned, " ymmword ptr [rdi], ", $v, $c, "\n",
            $aligned, " ymmword ptr [rdi + 32], ", $v, $g, "\n",
            $aligned, " ymmword ptr [rdi + 64], ", $v, $h, "\n",
            $aligned, " ymmword ptr [rdi + 96], ", $v, $i, "\n",
            "sub rdi, -128\n cmp rdi, rcx\n jb 25b\n",
            $mov, " ymmword ptr [rcx], ", $v, $f, "\n",
            $mov, " ymmword ptr [rcx + 32], ", $v, $e, "\n",
            $mov, " ymmword ptr [rcx + 64], ", $v, $d, "\n",
            $mov, " ymmword ptr [rcx + 96], ", $v, $b, "\n",
            $mov, " ymmword ptr [r8], ", $v, $a, "\n",
            $leave, "\n ret",
        )
    };
}

/// A symbol that copies: what puts its result into rax, and the copy.
macro_rules! copies {
    ($(#[$doc:meta])* $name:ident($($parameter:ident: $type:ty),*), $($first:literal),*) => {
        $(#[$doc])*
        #[cfg_attr(feature = "interpose", unsafe(no_mangle))]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($parameter: $type),*) -> *mut u8 {
            naked_asm!(
                "endbr64",
                $($first,)*
                "cmp rdx, 32",
                "jb 2f",
                // Registers 16 to 31 need no `vzeroupper`. On CPUs that have them nothing is jumped over.
                "cmp dword ptr [rip + {vectors}], {evex}",
                "jne {other}",
                copy_body!("vmovdqu64", "vmovdqa64", "", "ymm": "16" "17" "18" "19" "20" "21" "22" "23" "24"),
                "2: cmp edx, 16",
                "jae 5f",
                copy_0_to_15!(),
                "5: movups xmm0, xmmword ptr [rsi]",
                "movups xmm1, xmmword ptr [rsi + rdx - 16]",
                "movups xmmword ptr [rdi], xmm0",
                "movups xmmword ptr [rdi + rdx - 16], xmm1",
                "ret",
                "8: jmp {fail}",
                // Of all that is here this function stands on a line of its own.
                ".p2align 6",
                vectors = sym VECTORS,
                evex = const EVEX,
                other = sym copy_other,
                long = sym long,
                fail = sym too_long,
            )
        }
    };
}

copies! {
    /// Copies `len` bytes from `src` to `dst`, which may overlap; returns `dst`.
    ///
    /// # Safety
    ///
    /// That of C's `memmove`: `src` is valid for reads and `dst` for writes of `len` bytes.
    memmove(dst: *mut u8, src: *const u8, len: usize), "mov rax, rdi"
}
copies! {
    /// As [`memmove`].
    ///
    /// # Safety
    ///
    /// As for [`memmove`]: the two ranges may overlap.
    memcpy(dst: *mut u8, src: *const u8, len: usize), "mov rax, rdi"
}
copies! {
    /// As [`memmove`]; returns the end of the destination.
    ///
    /// # Safety
    ///
    /// As for [`memmove`].
    mempcpy(dst: *mut u8, src: *const u8, len: usize), "lea rax, [rdi + rdx]"
}
copies! {
    /// [`memmove`] in an object of `dst_bytes`: what does not fit ends the process, as in libc.
    ///
    /// # Safety
    ///
    /// As for [`memmove`].
    __memmove_chk(dst: *mut u8, src: *const u8, len: usize, dst_bytes: usize), "cmp rcx, rdx", "jb 8f", "mov rax, rdi"
}
copies! {
    /// [`memcpy`] to an object of `dst_bytes`: what does not fit ends the process, as in libc.
    ///
    /// # Safety
    ///
    /// As for [`memcpy`].
    __memcpy_chk(dst: *mut u8, src: *const u8, len: usize, dst_bytes: usize), "cmp rcx, rdx", "jb 8f", "mov rax, rdi"
}
copies! {
    /// [`mempcpy`] to an object of `dst_bytes`: what does not fit ends the process, as in libc.
    ///
    /// # Safety
    ///
    /// As for [`mempcpy`].
    __mempcpy_chk(dst: *mut u8, src: *const u8, len: usize, dst_bytes: usize), "cmp rcx, rdx", "jb 8f", "lea rax, [rdi + rdx]"
}

/// Copies 32 bytes or more where there are no registers 16 to 31, or nothing is known yet.
#[unsafe(naked)]
unsafe extern "C" fn copy_other() {
    naked_asm!(
        "cmp dword ptr [rip + {vectors}], {avx}",
        "jne {sse2}",
        copy_body!("vmovdqu", "vmovdqa", "vzeroupper", "ymm": "0" "1" "2" "3" "4" "5" "6" "7" "8"),
        ".p2align 6",
        vectors = sym VECTORS,
        avx = const AVX,
        sse2 = sym copy_sse2,
        long = sym long,
    )
}

/// Copies 32 bytes or more, up to 128 from both ends by vectors of 16 bytes; the result is in rax already.
#[unsafe(naked)]
unsafe extern "C" fn copy_sse2() {
    naked_asm!(
        "cmp rdx, 64",
        "ja 2f",
        "movups xmm0, xmmword ptr [rsi]",
        "movups xmm1, xmmword ptr [rsi + 16]",
        "movups xmm2, xmmword ptr [rsi + rdx - 32]",
        "movups xmm3, xmmword ptr [rsi + rdx - 16]",
        "movups xmmword ptr [rdi], xmm0",
        "movups xmmword ptr [rdi + 16], xmm1",
        "movups xmmword ptr [rdi + rdx - 32], xmm2",
        "movups xmmword ptr [rdi + rdx - 16], xmm3",
        "ret",
        "2: cmp rdx, 128",
        "ja 3f",
        "movups xmm0, xmmword ptr [rsi]",
        "movups xmm1, xmmword ptr [rsi + 16]",
        "movups xmm2, xmmword ptr [rsi + 32]",
        "movups xmm3, xmmword ptr [rsi + 48]",
        "movups xmm4, xmmword ptr [rsi + rdx - 64]",
        "movups xmm5, xmmword ptr [rsi + rdx - 48]",
        "movups xmm6, xmmword ptr [rsi + rdx - 32]",
        "movups xmm7, xmmword ptr [rsi + rdx - 16]",
        "movups xmmword ptr [rdi], xmm0",
        "movups xmmword ptr [rdi + 16], xmm1",
        "movups xmmword ptr [rdi + 32], xmm2",
        "movups xmmword ptr [rdi + 48], xmm3",
        "movups xmmword ptr [rdi + rdx - 64], xmm4",
        "movups xmmword ptr [rdi + rdx - 48], xmm5",
        "movups xmmword ptr [rdi + rdx - 32], xmm6",
        "movups xmmword ptr [rdi + rdx - 16], xmm7",
        "ret",
        "3: cmp dword ptr [rip + {vectors}], 0",
        "jne {long}",
        // Before the constructor: nothing else in memory is read.
        "push rax",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 4f",
        "call {forward}",
        "pop rax",
        "ret",
        "4: call {backward}",
        "pop rax",
        "ret",
        ".p2align 6",
        vectors = sym VECTORS,
        long = sym long,
        forward = sym sse2_forward,
        backward = sym sse2_backward,
    )
}

/// Copies more than 128 bytes by the plan in force, or by the kernel for the direction of ranges that overlap.
#[unsafe(naked)]
unsafe extern "C" fn long() {
    naked_asm!(
        "push rax",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 3f",
        "neg rcx",
        "cmp rcx, rdx",
        "jb 4f",
        "cmp rdx, {short}",
        "ja 2f",
        "call qword ptr [rip + {user} + {first}]",
        "pop rax",
        "ret",
        "2: call qword ptr [rip + {user} + {first} + 8]",
        "pop rax",
        "ret",
        "3: call qword ptr [rip + {backward}]",
        "pop rax",
        "ret",
        "4: call qword ptr [rip + {forward}]",
        "pop rax",
        "ret",
        ".p2align 6",
        short = const SHORT_MAX_BYTES,
        user = sym USER,
        first = const FIRST,
        backward = sym BACKWARD,
        forward = sym FORWARD,
    )
}
