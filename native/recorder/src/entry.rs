//! What the program calls: counts, and goes on to what carries the call out.
//!
//! In machine code: it is on every path of the program, and must touch neither vector registers nor stack. A call takes these
//! steps:
//!
//! 1. Before the start, or without a recording, [`early`] takes it: the one word that is looked at for that needs no relocation.
//! 2. Whether the ranges overlap, and how.
//! 3. The thread's slot, by its thread pointer: one look into the [table](crate::slots::Table), or the search on from there.
//! 4. The slot counts down to the next sample, which [`sampled`] takes.
//! 5. One counter of the slot, or two above 64 bytes, and a jump to the routine.

use crate::sampled::sampled;
use crate::slots::{ENTRY_BYTES, HASH_MULTIPLIER, HASH_SHIFT, READY, TABLE_BYTES, claim};
use crate::{early, end, routines::UNDER};
use core::arch::naked_asm;
use core::mem::offset_of;
use memcpy_select::recording::{Counts, Function, Kind, LENGTH_BINS, LengthBin, Slot};

const SINGLES: usize = offset_of!(Slot, kinds) + offset_of!(Counts, singles);
const OTHERS: usize = offset_of!(Slot, kinds) + offset_of!(Counts, others);
/// How far the counts of a kind are from those of the first.
const fn kind(kind: Kind) -> usize {
    kind as usize * size_of::<Counts>()
}
/// The place of a shared bin is its length's leading four bits and eight times the number of bits after them, less what the
/// first of them has.
const FIRST_PLACE: usize = 8 + 8 * 6;
const LAST_PLACE: usize = LENGTH_BINS - LengthBin::SINGLES - 1;
const LONGEST_OCTAVE: usize = 40;

/// A counted function. `$kind` leaves in r11 how far its kind's counts are; it may use rax.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident, $function:ident, $second:ident: $type:ty, $($kind:literal,)+ $(; $operand:ident = $value:expr)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the function in C.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "sysv64" fn $name(dst: *mut u8, $second: $type, len: usize) -> *mut u8 {
            naked_asm!(
                "endbr64",
                "mov r9, qword ptr [rip + {ready}]",
                "test r9, r9",
                "jz {early}",
                $($kind,)+
                "mov r10, qword ptr fs:[0]",
                "imul r8, r10, {multiplier}",
                "shr r8, {shift}",
                "shl r8, {entry_shift}",
                "cmp qword ptr [r9 + r8], r10",
                "jne 3f",
                "2:",
                "mov r8, qword ptr [r9 + r8 + 8]",
                "4:",
                "sub dword ptr [r8 + {countdown}], 1",
                "jle 5f",
                "add r8, r11",
                "cmp rdx, {singles_max}",
                "ja 6f",
                "inc qword ptr [r8 + 8*rdx + {singles}]",
                "jmp qword ptr [rip + {under} + 8*{function}]",
                // Lengths that share bins.
                "6:",
                "bsr r9, rdx",
                "lea ecx, [r9 - 3]",
                "mov rax, rdx",
                "shr rax, cl",
                "lea eax, [rax + 8*r9 - {first_place}]",
                "mov ecx, {last_place}",
                "cmp r9d, {longest_octave}",
                "cmovae eax, ecx",
                "shl eax, 4",
                "inc qword ptr [r8 + rax + {others}]",
                "add qword ptr [r8 + rax + {others} + 8], rdx",
                "jmp qword ptr [rip + {under} + 8*{function}]",
                // Not at home in the table: the search ends with a free entry, of which there always are some.
                "3:",
                "cmp qword ptr [r9 + r8], 0",
                "je 7f",
                "add r8, {entry_bytes}",
                "and r8, {table_mask}",
                "cmp qword ptr [r9 + r8], r10",
                "jne 3b",
                "jmp 2b",
                // The thread's first call.
                "7:",
                "push rdi",
                "push rsi",
                "push rdx",
                "push r11",
                "sub rsp, 8",
                "call {claim}",
                "add rsp, 8",
                "pop r11",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "mov r8, rax",
                "jmp 4b",
                // A sample.
                "5:",
                "mov rcx, r8",
                "mov r8, qword ptr [rsp]",
                "mov r9d, {function}",
                "jmp {sampled}",
                ready = sym READY,
                early = sym early::$name,
                multiplier = const HASH_MULTIPLIER,
                shift = const HASH_SHIFT,
                entry_shift = const ENTRY_BYTES.ilog2(),
                entry_bytes = const ENTRY_BYTES,
                table_mask = const TABLE_BYTES - 1,
                countdown = const offset_of!(Slot, countdown),
                singles_max = const LengthBin::SINGLES - 1,
                singles = const SINGLES,
                others = const OTHERS,
                first_place = const FIRST_PLACE,
                last_place = const LAST_PLACE,
                longest_octave = const LONGEST_OCTAVE,
                under = sym UNDER,
                function = const Function::$function as u32,
                claim = sym claim,
                sampled = sym sampled,
                $($operand = const $value,)*
            )
        }
    };
}

/// A function that copies.
macro_rules! copies {
    ($(#[$doc:meta])* $name:ident, $function:ident) => {
        counted! {
            $(#[$doc])* $name, $function, src: *const u8,
            "xor r11d, r11d",
            "mov rax, rdi",
            "sub rax, rsi",
            "cmp rax, rdx",
            "jb 8f",
            "neg rax",
            "cmp rax, rdx",
            "jae 9f",
            "8:",
            "cmp rdi, rsi",
            "mov r11d, {move_down}",
            "mov eax, {move_up}",
            "cmova r11d, eax",
            "mov eax, {same}",
            "cmove r11d, eax",
            "9:",
            ; move_down = kind(Kind::MoveDown)
            ; move_up = kind(Kind::MoveUp)
            ; same = kind(Kind::Same)
        }
    };
}

copies! {
    /// `memcpy`.
    memcpy, Memcpy
}
copies! {
    /// `memmove`.
    memmove, Memmove
}
copies! {
    /// `mempcpy`.
    mempcpy, Mempcpy
}
counted! {
    /// `memset`.
    memset, Memset, byte: u32,
    "mov r11d, {fill}",
    ; fill = kind(Kind::Fill)
}

/// A function that first compares the length with that of the destination.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $counted:ident, $second:ident: $type:ty) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the function in C.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "sysv64" fn $name(dst: *mut u8, $second: $type, len: usize, dst_len: usize) -> *mut u8 {
            naked_asm!("endbr64", "cmp rcx, rdx", "jae {counted}", "jmp {refuse}", counted = sym $counted, refuse = sym end::refuse)
        }
    };
}

checked! {
    /// `memcpy`, which ends the program where it would write beyond `dst_len` bytes.
    __memcpy_chk, memcpy, src: *const u8
}
checked! {
    /// `memmove`, which ends the program where it would write beyond `dst_len` bytes.
    __memmove_chk, memmove, src: *const u8
}
checked! {
    /// `mempcpy`, which ends the program where it would write beyond `dst_len` bytes.
    __mempcpy_chk, mempcpy, src: *const u8
}
checked! {
    /// `memset`, which ends the program where it would write beyond `dst_len` bytes.
    __memset_chk, memset, byte: u32
}
