//! The seeded bugs that are changes of the crate's own code and table, which this kernel may write as any other page.

use super::tables::assembly;
use crate::bugs::{Bug, has};
use crate::say;
use core::slice;
use memcpy_select::fallible::{Exception, exceptions};
use memcpy_select::kernel::fallible_kernels;

/// `mov rax, rdx`, the bytes that are left when a fault ends a copy; and `lea eax, [rdx - 1]`, one fewer.
const LEFT: [u8; 3] = [0x48, 0x89, 0xd0];
const LEFT_BUT_ONE: [u8; 3] = [0x8d, 0x42, 0xff];
/// The same, then `clac`; and three bytes that do nothing instead of that.
const LEFT_CLOSED: [u8; 6] = [0x48, 0x89, 0xd0, 0x0f, 0x01, 0xca];
const LEFT_OPEN: [u8; 6] = [0x48, 0x89, 0xd0, 0x0f, 0x1f, 0x00];

/// Puts the bug that was asked for in place.
pub fn plant() {
    if has(Bug::MissingEntry) {
        say!("seeded: a row of {} says what the one before it says", exceptions().len());
        repeat(exceptions().len() / 2);
    }
    if has(Bug::SmapOpen) {
        say!("seeded: {} fix-ups leave SMAP open", patch(LEFT_CLOSED, LEFT_OPEN));
    }
    if has(Bug::LostByte) {
        say!("seeded: {} fix-ups say a byte too much", patch(LEFT, LEFT_BUT_ONE));
    }
}

/// Makes a row say what the one before it says, so that its own instructions have none.
fn repeat(row: usize) {
    const WORDS: usize = size_of::<Exception>() / size_of::<i32>();
    let words = exceptions().as_ptr().cast_mut().cast::<i32>();
    for word in row * WORDS..(row + 1) * WORDS {
        // SAFETY: words of the image's own table, which the first page tables have writable. Each is relative to its place.
        unsafe {
            words.add(word).write_volatile(words.add(word - WORDS).read_volatile() - size_of::<Exception>() as i32)
        }
    }
}

/// Changes instructions in the fallible kernels; how many.
fn patch<const BYTES: usize>(from: [u8; BYTES], to: [u8; BYTES]) -> usize {
    let first = fallible_kernels().iter().map(|kernel| kernel.entry() as usize).min().unwrap_or(0);
    let last = fallible_kernels().iter().map(|kernel| kernel.entry() as usize).max().unwrap_or(0);
    let end = (last + 512).min(assembly().end);
    // SAFETY: code of the image, which the first page tables have writable, and which does not run now.
    let code = unsafe { slice::from_raw_parts_mut(first as *mut u8, end - first) };
    let mut patched = 0;
    for at in 0..code.len() - BYTES {
        if code[at..at + BYTES] == from {
            code[at..at + BYTES].copy_from_slice(&to);
            patched += 1;
        }
    }
    patched
}
