//! The symbols.
//!
//! Up to 32 bytes copies are made by code for every CPU, up to 256 bytes by the vectors of this CPU. One word says which those are; it
//! is 0 until the constructor has run, and 16-byte vectors serve then. All loads come before the first store: ranges may
//! overlap. Above, the plan in force says how, or, where ranges overlap, the kernel for their direction. A kernel
//! may change any register that the caller has given up, rax among them, so that its call needs a frame for the result.

use crate::cpu::{Cpu, Features};
use crate::select::interposed::{
    BACKWARD, FORWARD, SHORT_MAX_BYTES, STRING_FILL_FROM_BYTES, USER, USER_FIRST, is_avx_slow,
};
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};

/// The vectors of this CPU. In memory that is zero before this code is relocated, and until they are known.
static VECTORS: AtomicU32 = AtomicU32::new(0);
const SSE2: u32 = 1;
const AVX: u32 = 2;
const EVEX: u32 = 3;

/// Chooses the vectors for this CPU; from here on the symbols follow the plan in force.
pub(super) fn begin(cpu: &Cpu) {
    let has = |features| cpu.features.contains(features);
    let vectors = if has(Features::AVX512VL.union(Features::AVX512BW).union(Features::BMI2)) {
        EVEX
    } else if has(Features::AVX.union(Features::AVX2)) && !is_avx_slow(cpu) {
        AVX
    } else {
        SSE2
    };
    VECTORS.store(vectors, Ordering::Release);
}

/// Whether they have been chosen.
pub(super) fn has_begun() -> bool {
    VECTORS.load(Ordering::Acquire) != 0
}

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

/// The instructions that copy 32 to 256 bytes from both ends by vectors of 32 bytes; the result is in rax already.
macro_rules! copy_body {
    ($mov:literal, $leave:literal, $v:literal: $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal) => {
        concat!(
            $mov,
            " ",
            $v,
            $a,
            ", ymmword ptr [rsi]\n",
            $mov,
            " ",
            $v,
            $b,
            ", ymmword ptr [rsi + rdx - 32]\n",
            "cmp rdx, 64\n ja 22f\n",
            $mov,
            " ymmword ptr [rdi], ",
            $v,
            $a,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 32], ",
            $v,
            $b,
            "\n",
            $leave,
            "\n ret\n",
            "22: cmp rdx, 256\n ja {long}\n",
            $mov,
            " ",
            $v,
            $c,
            ", ymmword ptr [rsi + 32]\n",
            $mov,
            " ",
            $v,
            $d,
            ", ymmword ptr [rsi + rdx - 64]\n",
            "cmp edx, 128\n ja 23f\n",
            $mov,
            " ymmword ptr [rdi], ",
            $v,
            $a,
            "\n",
            $mov,
            " ymmword ptr [rdi + 32], ",
            $v,
            $c,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 64], ",
            $v,
            $d,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 32], ",
            $v,
            $b,
            "\n",
            $leave,
            "\n ret\n",
            "23:\n",
            $mov,
            " ",
            $v,
            $e,
            ", ymmword ptr [rsi + 64]\n",
            $mov,
            " ",
            $v,
            $f,
            ", ymmword ptr [rsi + 96]\n",
            $mov,
            " ",
            $v,
            $g,
            ", ymmword ptr [rsi + rdx - 128]\n",
            $mov,
            " ",
            $v,
            $h,
            ", ymmword ptr [rsi + rdx - 96]\n",
            $mov,
            " ymmword ptr [rdi], ",
            $v,
            $a,
            "\n",
            $mov,
            " ymmword ptr [rdi + 32], ",
            $v,
            $c,
            "\n",
            $mov,
            " ymmword ptr [rdi + 64], ",
            $v,
            $e,
            "\n",
            $mov,
            " ymmword ptr [rdi + 96], ",
            $v,
            $f,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 128], ",
            $v,
            $g,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 96], ",
            $v,
            $h,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 64], ",
            $v,
            $d,
            "\n",
            $mov,
            " ymmword ptr [rdi + rdx - 32], ",
            $v,
            $b,
            "\n",
            $leave,
            "\n ret",
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
                copy_body!("vmovdqu64", "", "ymm": "16" "17" "18" "19" "20" "21" "22" "23"),
                "2: cmp edx, 16",
                "jae 5f",
                "cmp edx, 8",
                "jae 4f",
                "cmp edx, 4",
                "jae 3f",
                // One to three: first, middle, last.
                "test edx, edx",
                "jz 9f",
                "movzx ecx, byte ptr [rsi]",
                "movzx r8d, byte ptr [rsi + rdx - 1]",
                "mov r9d, edx",
                "shr r9d, 1",
                "movzx r10d, byte ptr [rsi + r9]",
                "mov byte ptr [rdi], cl",
                "mov byte ptr [rdi + r9], r10b",
                "mov byte ptr [rdi + rdx - 1], r8b",
                "9: ret",
                "3: mov ecx, dword ptr [rsi]",
                "mov r8d, dword ptr [rsi + rdx - 4]",
                "mov dword ptr [rdi], ecx",
                "mov dword ptr [rdi + rdx - 4], r8d",
                "ret",
                "4: mov rcx, qword ptr [rsi]",
                "mov r8, qword ptr [rsi + rdx - 8]",
                "mov qword ptr [rdi], rcx",
                "mov qword ptr [rdi + rdx - 8], r8",
                "ret",
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

/// Every symbol.
pub(super) static ALL: [Symbol; 8] = [
    Symbol(memcpy as *const ()),
    Symbol(memmove as *const ()),
    Symbol(mempcpy as *const ()),
    Symbol(memset as *const ()),
    Symbol(__memcpy_chk as *const ()),
    Symbol(__memmove_chk as *const ()),
    Symbol(__mempcpy_chk as *const ()),
    Symbol(__memset_chk as *const ()),
];

/// The address of a symbol.
pub(super) struct Symbol(#[expect(dead_code, reason = "it is there to be linked")] *const ());

// SAFETY: nothing is done with the address.
unsafe impl Sync for Symbol {}

core::arch::global_asm!(".weak __chk_fail");

/// Libc's end of a process that would have written beyond an object; without libc, that of an undefined instruction.
#[unsafe(naked)]
unsafe extern "C" fn too_long() {
    naked_asm!("mov rax, qword ptr [rip + __chk_fail@GOTPCREL]", "test rax, rax", "jz 2f", "jmp rax", "2: ud2")
}

/// Copies 32 bytes or more where there are no registers 16 to 31, or nothing is known yet.
#[unsafe(naked)]
unsafe extern "C" fn copy_other() {
    naked_asm!(
        "cmp dword ptr [rip + {vectors}], {avx}",
        "jne {sse2}",
        copy_body!("vmovdqu", "vzeroupper", "ymm": "0" "1" "2" "3" "4" "5" "6" "7"),
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
        first = const USER_FIRST,
        backward = sym BACKWARD,
        forward = sym FORWARD,
    )
}

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
        "cmp edx, 8",
        "jae 3f",
        "cmp edx, 4",
        "jae 2f",
        "test edx, edx",
        "jz 9f",
        "mov byte ptr [rdi], cl",
        "mov byte ptr [rdi + rdx - 1], cl",
        "shr edx, 1",
        "mov byte ptr [rdi + rdx], cl",
        "9: ret",
        "2: mov dword ptr [rdi], ecx",
        "mov dword ptr [rdi + rdx - 4], ecx",
        "ret",
        "3: mov qword ptr [rdi], rcx",
        "mov qword ptr [rdi + rdx - 8], rcx",
        "ret",
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
