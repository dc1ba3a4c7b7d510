//! The symbols, in machine code.
//!
//! One byte says whether they follow a plan. It is set at the start, and lies among the data that a program brings along; as
//! long as it is set nothing else in memory is read. A kernel may change rax, so that its call needs a frame for the result.

use crate::kernel::short::{copy_0_to_15, fill_0_to_15};
use crate::select::symbols::{FIRST, SHORT_MAX_BYTES, START_GPR_MAX_BYTES, STRING_FILL_FROM_BYTES, SYMBOLS, follow};
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU8, Ordering};

/// Not 0 until a plan is followed.
static AT_START: AtomicU8 = AtomicU8::new(1);

pub(super) fn follow_plan() {
    follow();
    AT_START.store(0, Ordering::Release);
}

macro_rules! kernels {
    ($($name:ident)*) => {
        unsafe extern "sysv64" {
            $(
                #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), stringify!($name))]
                fn $name(dst: *mut u8, src: *const u8, len: usize);
            )*
        }
    };
}

kernels!(gpr rep_movsb_aligned rep_movsq_aligned gpr_forward gpr_backward);

unsafe extern "sysv64" {
    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), "gpr_compare")]
    fn gpr_compare(left: *const u8, right: *const u8, len: usize) -> i32;
}

/// Defines a symbol.
macro_rules! symbol {
    ($(#[$doc:meta])* $name:ident($($parameter:ident: $type:ty),*) -> $result:ty, $($body:tt)*) => {
        $(#[$doc])*
        #[cfg_attr(any(target_os = "none", memcpy_select_mem), unsafe(no_mangle))]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($parameter: $type),*) -> $result {
            naked_asm!($($body)*)
        }
    };
}

/// Copies up to 32 bytes and returns; label 6 is for longer copies. All of it is loaded before any of it is stored.
macro_rules! copy_0_to_32 {
    () => {
        concat!(
            "endbr64\n mov rax, rdi\n",
            "cmp rdx, 32\n ja 6f\n",
            "cmp edx, 16\n jae 5f\n",
            copy_0_to_15!(),
            "\n5: mov rcx, qword ptr [rsi]\n",
            "mov r8, qword ptr [rsi + 8]\n",
            "mov r9, qword ptr [rsi + rdx - 16]\n",
            "mov r10, qword ptr [rsi + rdx - 8]\n",
            "mov qword ptr [rdi], rcx\n",
            "mov qword ptr [rdi + 8], r8\n",
            "mov qword ptr [rdi + rdx - 16], r9\n",
            "mov qword ptr [rdi + rdx - 8], r10\n",
            "ret",
        )
    };
}

symbol! {
    /// Copies `len` bytes from `src` to `dst`; returns `dst`.
    ///
    /// # Safety
    ///
    /// That of C's `memcpy`: `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap, or are
    /// the same.
    memcpy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8,
    copy_0_to_32!(),
    "6: jmp {over_32}",
    over_32 = sym over_32,
}

symbol! {
    /// Copies `len` bytes from `src` to `dst`, which may overlap; returns `dst`.
    ///
    /// # Safety
    ///
    /// That of C's `memmove`: `src` is valid for reads and `dst` for writes of `len` bytes.
    memmove(dst: *mut u8, src: *const u8, len: usize) -> *mut u8,
    copy_0_to_32!(),
    "6: mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 7f",
    "cmp rcx, -64",
    "jbe {over_32}",
    "push rax",
    "call {forward}",
    "pop rax",
    "ret",
    "7: push rax",
    "call {backward}",
    "pop rax",
    "ret",
    over_32 = sym over_32,
    forward = sym gpr_forward,
    backward = sym gpr_backward,
}

/// Copies more than 32 bytes; the result is in rax already. The destination may overlap the source from 64 bytes or more below it:
/// what a kernel without vector registers has not loaded yet, it has stored nothing over then.
#[unsafe(naked)]
unsafe extern "C" fn over_32() {
    naked_asm!(
        "cmp rdx, 64",
        "ja 2f",
        ".p2align 4",
        "1: mov rcx, qword ptr [rsi]",
        "mov r8, qword ptr [rsi + 8]",
        "mov r9, qword ptr [rsi + 16]",
        "mov r10, qword ptr [rsi + 24]",
        "mov qword ptr [rdi], rcx",
        "mov qword ptr [rdi + 8], r8",
        "mov qword ptr [rdi + 16], r9",
        "mov qword ptr [rdi + 24], r10",
        "mov rcx, qword ptr [rsi + rdx - 32]",
        "mov r8, qword ptr [rsi + rdx - 24]",
        "mov r9, qword ptr [rsi + rdx - 16]",
        "mov r10, qword ptr [rsi + rdx - 8]",
        "mov qword ptr [rdi + rdx - 32], rcx",
        "mov qword ptr [rdi + rdx - 24], r8",
        "mov qword ptr [rdi + rdx - 16], r9",
        "mov qword ptr [rdi + rdx - 8], r10",
        "ret",
        // The first 64 bytes, then the last 64 as above.
        "2: cmp rdx, 128",
        "ja 5f",
        "mov rcx, qword ptr [rsi]",
        "mov r8, qword ptr [rsi + 8]",
        "mov r9, qword ptr [rsi + 16]",
        "mov r10, qword ptr [rsi + 24]",
        "mov qword ptr [rdi], rcx",
        "mov qword ptr [rdi + 8], r8",
        "mov qword ptr [rdi + 16], r9",
        "mov qword ptr [rdi + 24], r10",
        "mov rcx, qword ptr [rsi + 32]",
        "mov r8, qword ptr [rsi + 40]",
        "mov r9, qword ptr [rsi + 48]",
        "mov r10, qword ptr [rsi + 56]",
        "mov qword ptr [rdi + 32], rcx",
        "mov qword ptr [rdi + 40], r8",
        "mov qword ptr [rdi + 48], r9",
        "mov qword ptr [rdi + 56], r10",
        "sub rdx, 64",
        "add rsi, rdx",
        "add rdi, rdx",
        "mov edx, 64",
        "jmp 1b",
        "5: push rax",
        "cmp byte ptr [rip + {at_start}], 0",
        "jne 4f",
        "cmp rdx, {short}",
        "ja 3f",
        "call qword ptr [rip + {slot} + {first}]",
        "pop rax",
        "ret",
        "3: call qword ptr [rip + {slot} + {first} + 8]",
        "pop rax",
        "ret",
        "4: call {start}",
        "pop rax",
        "ret",
            at_start = sym AT_START,
        short = const SHORT_MAX_BYTES,
        slot = sym SYMBOLS,
        first = const FIRST,
        start = sym start,
    )
}

/// Copies as the plan of the start does, which is made for CPUs that nothing is known of: `gpr` while that costs no more than
/// starting a string instruction; then `rep movsq` where both ends lie alike in a line, `gpr` where the destination
/// follows the source by less than 256 bytes modulo 4096, and `rep movsb` elsewhere.
#[unsafe(naked)]
unsafe extern "C" fn start() {
    naked_asm!(
        "cmp rdx, {gpr_max}",
        "jbe {gpr}",
        "mov ecx, edi",
        "sub ecx, esi",
        "test ecx, 63",
        "jz {words}",
        "and ecx, 4095",
        "cmp ecx, 256",
        "jb {gpr}",
        "jmp {bytes}",
        gpr_max = const START_GPR_MAX_BYTES,
        gpr = sym gpr,
        words = sym rep_movsq_aligned,
        bytes = sym rep_movsb_aligned,
    )
}

/// Stores rcx four times from an address on.
macro_rules! store_32 {
    ($base:literal, $offset:literal) => {
        concat!(
            "mov qword ptr [",
            $base,
            " + ",
            $offset,
            "], rcx\n",
            "mov qword ptr [",
            $base,
            " + ",
            $offset,
            " + 8], rcx\n",
            "mov qword ptr [",
            $base,
            " + ",
            $offset,
            " + 16], rcx\n",
            "mov qword ptr [",
            $base,
            " + ",
            $offset,
            " + 24], rcx",
        )
    };
}

symbol! {
    /// Writes the low byte of `byte` to each of `len` bytes from `dst` on; returns `dst`.
    ///
    /// # Safety
    ///
    /// That of C's `memset`: `dst` is valid for writes of `len` bytes.
    memset(dst: *mut u8, byte: i32, len: usize) -> *mut u8,
    "endbr64",
    "mov rax, rdi",
    "movzx ecx, sil",
    "mov r8, 0x0101010101010101",
    "imul rcx, r8",
    "cmp rdx, 32",
    "ja 6f",
    "cmp edx, 16",
    "jae 5f",
    fill_0_to_15!(),
    "5: mov qword ptr [rdi], rcx",
    "mov qword ptr [rdi + 8], rcx",
    "mov qword ptr [rdi + rdx - 16], rcx",
    "mov qword ptr [rdi + rdx - 8], rcx",
    "4: ret",
    // From both ends up to 128 bytes; above, what lies between them.
    "6: lea r8, [rdi + rdx - 32]",
    store_32!("rdi", "0"),
    store_32!("r8", "0"),
    "cmp rdx, 64",
    "jbe 4b",
    store_32!("rdi", "32"),
    store_32!("r8", "-32"),
    "cmp rdx, 128",
    "jbe 4b",
    "add rdi, 64",
    "and rdi, -64",
    "sub r8, 32",
    "cmp rdx, {string_from}",
    "jae 8f",
    "7:",
    store_32!("rdi", "0"),
    store_32!("rdi", "32"),
    "add rdi, 64",
    "cmp rdi, r8",
    "jb 7b",
    "ret",
    "8: mov r9, rax",
    "mov rax, rcx",
    "lea rcx, [r8 + 7]",
    "sub rcx, rdi",
    "shr rcx, 3",
    "rep stosq",
    "mov rax, r9",
    "ret",
    string_from = const STRING_FILL_FROM_BYTES,
}

symbol! {
    /// Compares two ranges of `len` bytes: 0 if they are equal, below 0 if the first byte that differs is smaller in `left`, above
    /// 0 if it is larger.
    ///
    /// # Safety
    ///
    /// That of C's `memcmp`: both are valid for reads of `len` bytes.
    memcmp(left: *const u8, right: *const u8, len: usize) -> i32,
    "endbr64",
    "jmp {compare}",
    compare = sym gpr_compare,
}

symbol! {
    /// As [`memcmp`]: not 0 if the ranges differ.
    ///
    /// # Safety
    ///
    /// As for [`memcmp`].
    bcmp(left: *const u8, right: *const u8, len: usize) -> i32,
    "endbr64",
    "jmp {compare}",
    compare = sym gpr_compare,
}
