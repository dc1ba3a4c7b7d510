//! The pattern of a payload, written and compared in blocks and in bytes: assembly, or volatile accesses.

/// The difference between neighbouring words: odd, so that no two words of a message are equal.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// What one turn of the assembly loops covers.
const BLOCK_BYTES: usize = 64;

/// The word that starts `offset` bytes into a message.
pub(crate) fn word_at(seed: u64, offset: usize) -> u64 {
    seed.wrapping_add((offset as u64 / 8).wrapping_mul(STEP))
}

/// # Safety
///
/// `at` is valid for writes of `len_bytes` bytes.
pub(crate) unsafe fn write_pattern(at: *mut u8, len_bytes: usize, seed: u64) {
    // SAFETY: the caller's: no more than `len_bytes` are written.
    let done = unsafe { write_blocks(at, len_bytes / BLOCK_BYTES, seed) };
    for offset in (done..len_bytes).step_by(8) {
        let word = word_at(seed, offset);
        let place = at.wrapping_add(offset);
        if len_bytes - offset >= 8 {
            // SAFETY: eight bytes are left from `place` on.
            unsafe { store_word(place, word) };
        } else {
            for (place, byte) in (offset..len_bytes).zip(word.to_le_bytes()) {
                // SAFETY: `place` is below `len_bytes`.
                unsafe { at.wrapping_add(place).write_volatile(byte) };
            }
        }
    }
}

/// # Safety
///
/// `at` is valid for reads of `len_bytes` bytes.
pub(crate) unsafe fn is_pattern(at: *const u8, len_bytes: usize, seed: u64) -> bool {
    // SAFETY: the caller's: no more than `len_bytes` are read.
    let (done, mut difference) = unsafe { compare_blocks(at, len_bytes / BLOCK_BYTES, seed) };
    for offset in (done..len_bytes).step_by(8) {
        let word = word_at(seed, offset);
        let place = at.wrapping_add(offset);
        if len_bytes - offset >= 8 {
            // SAFETY: eight bytes are left from `place` on.
            difference |= unsafe { load_word(place) } ^ word;
        } else {
            for (place, byte) in (offset..len_bytes).zip(word.to_le_bytes()) {
                // SAFETY: `place` is below `len_bytes`.
                difference |= u64::from(unsafe { at.wrapping_add(place).read_volatile() } ^ byte);
            }
        }
    }
    difference == 0
}

/// # Safety
///
/// `at` is valid for writes of eight bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn store_word(at: *mut u8, word: u64) {
    // SAFETY: one store of eight bytes, which the caller vouches for; x86-64 asks for no alignment.
    unsafe {
        core::arch::asm!("mov [{at}], {word}", at = in(reg) at, word = in(reg) word, options(nostack, preserves_flags))
    };
}

/// # Safety
///
/// `at` is valid for reads of eight bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn load_word(at: *const u8) -> u64 {
    let word;
    // SAFETY: one load of eight bytes, which the caller vouches for; x86-64 asks for no alignment.
    unsafe {
        core::arch::asm!("mov {word}, [{at}]", at = in(reg) at, word = out(reg) word,
            options(nostack, preserves_flags, readonly));
    }
    word
}

/// # Safety
///
/// `at` is valid for writes of eight bytes.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn store_word(at: *mut u8, word: u64) {
    for (place, byte) in word.to_le_bytes().into_iter().enumerate() {
        // SAFETY: `place` is below eight.
        unsafe { at.wrapping_add(place).write_volatile(byte) };
    }
}

/// # Safety
///
/// `at` is valid for reads of eight bytes.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn load_word(at: *const u8) -> u64 {
    // SAFETY: every place is below eight.
    u64::from_le_bytes(std::array::from_fn(|place| unsafe { at.wrapping_add(place).read_volatile() }))
}

/// The first eight words, four registers of two.
#[cfg(target_arch = "x86_64")]
fn first_words(seed: u64) -> [u64; 8] {
    std::array::from_fn(|at| seed.wrapping_add((at as u64).wrapping_mul(STEP)))
}

/// Writes whole blocks and returns how many bytes that were.
///
/// # Safety
///
/// `at` is valid for writes of `blocks * BLOCK_BYTES` bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn write_blocks(at: *mut u8, blocks: usize, seed: u64) -> usize {
    if blocks == 0 {
        return 0;
    }
    let words = first_words(seed);
    // SAFETY: SSE2 is part of x86-64. The loop stores 64 bytes a turn, `blocks` turns from `at`, which the caller
    // vouches for; it reads `words` alone, which lives on this stack frame.
    unsafe {
        core::arch::asm!(
            "movq {step}, {step_word}",
            "punpcklqdq {step}, {step}",
            "movdqu {a}, [{words}]",
            "movdqu {b}, [{words} + 16]",
            "movdqu {c}, [{words} + 32]",
            "movdqu {d}, [{words} + 48]",
            "2:",
            "movdqu [{at}], {a}",
            "movdqu [{at} + 16], {b}",
            "movdqu [{at} + 32], {c}",
            "movdqu [{at} + 48], {d}",
            "paddq {a}, {step}",
            "paddq {b}, {step}",
            "paddq {c}, {step}",
            "paddq {d}, {step}",
            "add {at}, 64",
            "dec {blocks}",
            "jnz 2b",
            step = out(xmm_reg) _, a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            step_word = in(reg) STEP.wrapping_mul(8),
            words = in(reg) words.as_ptr(),
            at = inout(reg) at => _,
            blocks = inout(reg) blocks => _,
            options(nostack),
        );
    }
    blocks * BLOCK_BYTES
}

/// Reads whole blocks; returns how many bytes that were, and something other than 0 if any of them is not the pattern's.
///
/// # Safety
///
/// `at` is valid for reads of `blocks * BLOCK_BYTES` bytes.
#[cfg(target_arch = "x86_64")]
unsafe fn compare_blocks(at: *const u8, blocks: usize, seed: u64) -> (usize, u64) {
    if blocks == 0 {
        return (0, 0);
    }
    let words = first_words(seed);
    let difference: u64;
    // SAFETY: SSE2 is part of x86-64. The loop loads 64 bytes a turn, `blocks` turns from `at`, which the caller vouches
    // for, and `words`, which lives on this stack frame; it stores nothing.
    unsafe {
        core::arch::asm!(
            "movq {step}, {step_word}",
            "punpcklqdq {step}, {step}",
            "movdqu {a}, [{words}]",
            "movdqu {b}, [{words} + 16]",
            "movdqu {c}, [{words} + 32]",
            "movdqu {d}, [{words} + 48]",
            "pxor {sum}, {sum}",
            "2:",
            "movdqu {e}, [{at}]",
            "movdqu {f}, [{at} + 16]",
            "movdqu {g}, [{at} + 32]",
            "movdqu {h}, [{at} + 48]",
            "pxor {e}, {a}",
            "pxor {f}, {b}",
            "pxor {g}, {c}",
            "pxor {h}, {d}",
            "por {e}, {f}",
            "por {g}, {h}",
            "por {sum}, {e}",
            "por {sum}, {g}",
            "paddq {a}, {step}",
            "paddq {b}, {step}",
            "paddq {c}, {step}",
            "paddq {d}, {step}",
            "add {at}, 64",
            "dec {blocks}",
            "jnz 2b",
            "movdqa {e}, {sum}",
            "psrldq {e}, 8",
            "por {sum}, {e}",
            "movq {difference}, {sum}",
            step = out(xmm_reg) _, a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            e = out(xmm_reg) _, f = out(xmm_reg) _, g = out(xmm_reg) _, h = out(xmm_reg) _, sum = out(xmm_reg) _,
            step_word = in(reg) STEP.wrapping_mul(8),
            words = in(reg) words.as_ptr(),
            at = inout(reg) at => _,
            blocks = inout(reg) blocks => _,
            difference = lateout(reg) difference,
            options(nostack, readonly),
        );
    }
    (blocks * BLOCK_BYTES, difference)
}

/// Elsewhere no block is written; the bytes are.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn write_blocks(_at: *mut u8, _blocks: usize, _seed: u64) -> usize {
    0
}

/// Elsewhere no block is read; the bytes are.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn compare_blocks(_at: *const u8, _blocks: usize, _seed: u64) -> (usize, u64) {
    (0, 0)
}
