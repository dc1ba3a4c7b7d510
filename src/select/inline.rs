//! Small lengths, inlined into the caller: no plan is read and nothing is called.
//!
//! There are two ways, and neither is the better one everywhere ([`Small`]): the plan in force says which.

use crate::cpu::Features;
use core::ptr;

/// Up to this length the calls copy in the caller itself: what one masked load and store cover, and the last step of
/// pieces that is cheaper than reading a plan and calling through it.
pub const INLINE_MAX_BYTES: usize = 64;

/// How lengths up to [`INLINE_MAX_BYTES`] are copied.
///
/// The branches of [`Pieces`](Self::Pieces) stand in the caller, where lengths vary less than in a routine that all
/// callers share, and what was copied can be read at once; no plan takes anything else by itself. A program whose lengths
/// are random and which does not read the copy soon is three times as fast with [`Masked`](Self::Masked)
/// (results/TRIED.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Small {
    /// Four pieces of 16 or of 4 bytes, or three of 1, at computed offsets: four cases to branch between. A load of what
    /// was copied finds it in the store queue.
    #[default]
    Pieces = 0,
    /// One masked load and one masked store: no branch on the length, so none to mispredict when lengths are random.
    /// A load of what was copied has to wait until the store is in the cache, some eight cycles longer. Leaves the
    /// registers k1 and zmm16 in use.
    Masked = 1,
}

impl Small {
    /// What the CPU must have for it.
    pub const fn needs(self) -> Features {
        match self {
            Self::Pieces => Features::NONE,
            Self::Masked => Features::AVX512F.union(Features::AVX512BW).union(Features::BMI2),
        }
    }

    /// The name, as plans spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Masked => "masked",
        }
    }

    /// The scheme of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pieces, Self::Masked].into_iter().find(|small| small.name() == name)
    }
}

/// Copies up to [`INLINE_MAX_BYTES`] bytes. All of them are loaded before any is stored: the ranges may overlap.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and `len <= INLINE_MAX_BYTES`. The CPU has what `small`
/// [needs](Small::needs).
#[inline(always)]
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize, small: Small) {
    #[cfg(memcpy_select_asm)]
    if small == Small::Masked {
        // SAFETY: the caller's.
        return unsafe { masked(dst, src, len) };
    }
    let _ = small;
    if len >= 16 {
        // SAFETY: 16 <= len <= 64.
        unsafe { four_pieces::<u128>(dst, src, len) }
    } else if len >= 4 {
        // SAFETY: 4 <= len <= 16.
        unsafe { four_pieces::<u32>(dst, src, len) }
    } else if len > 0 {
        // SAFETY: 1 <= len <= 3.
        unsafe { first_middle_last(dst, src, len) }
    }
}

/// The lengths that [`words`] copies.
#[cfg(memcpy_select_asm)]
pub(super) const WORDS_BYTES: core::ops::RangeInclusive<usize> = 8..=INLINE_MAX_BYTES;

/// Copies 8 to [`INLINE_MAX_BYTES`] bytes by general-purpose registers alone, however this is compiled.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, which is one of [`WORDS_BYTES`], and the ranges do not
/// overlap: above 32 bytes eight words would take more registers than there are.
#[cfg(memcpy_select_asm)]
#[inline(always)]
pub(super) unsafe fn words(dst: *mut u8, src: *const u8, len: usize) {
    /// # Safety
    ///
    /// 8 bytes from `src + offset` on are valid for reads.
    #[inline(always)]
    unsafe fn load(src: *const u8, offset: usize) -> u64 {
        let word;
        // SAFETY: the caller's.
        unsafe {
            core::arch::asm!("mov {}, qword ptr [{} + {}]", out(reg) word, in(reg) src, in(reg) offset,
                options(nostack, preserves_flags, readonly));
        }
        word
    }

    /// # Safety
    ///
    /// 8 bytes from `dst + offset` on are valid for writes.
    #[inline(always)]
    unsafe fn store(dst: *mut u8, offset: usize, word: u64) {
        // SAFETY: the caller's.
        unsafe {
            core::arch::asm!("mov qword ptr [{} + {}], {}", in(reg) dst, in(reg) offset, in(reg) word,
                options(nostack, preserves_flags));
        }
    }

    /// # Safety
    ///
    /// 8 bytes from each offset on are valid for reads at `src` and for writes at `dst`.
    #[inline(always)]
    unsafe fn four(dst: *mut u8, src: *const u8, offsets: [usize; 4]) {
        let [first, second, third, fourth] = offsets;
        // SAFETY: the caller's.
        unsafe {
            let words = (load(src, first), load(src, second), load(src, third), load(src, fourth));
            store(dst, first, words.0);
            store(dst, second, words.1);
            store(dst, third, words.2);
            store(dst, fourth, words.3);
        }
    }

    // SAFETY: each offset is at most `len - 8`.
    unsafe {
        if len > 32 {
            four(dst, src, [0, 8, 16, 24]);
            let last = len - 32;
            four(dst.add(last), src.add(last), [0, 8, 16, 24]);
        } else {
            let inner = (len / 2) & 24;
            let last = len - 8;
            four(dst, src, [0, inner, last - inner, last]);
        }
    }
}

/// Copies with one masked load and store of 64 bytes. Bytes that the mask leaves out are not accessed, and cannot fault
/// (Intel SDM vol. 1, 15.6.4).
///
/// # Safety
///
/// As [`copy`], on a CPU that has what [`Small::Masked`] needs.
#[cfg(memcpy_select_asm)]
#[inline(always)]
unsafe fn masked(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: reads and writes `len` bytes. Registers 16 to 31 need no `vzeroupper`.
    unsafe {
        core::arch::asm!(
            "mov {mask}, -1",
            "bzhi {mask}, {mask}, {len}",
            "kmovq k1, {mask}",
            "vmovdqu8 zmm16{{k1}}{{z}}, [{src}]",
            "vmovdqu8 [{dst}]{{k1}}, zmm16",
            mask = out(reg) _, dst = in(reg) dst, src = in(reg) src, len = in(reg) len,
            out("xmm16") _, out("k1") _, options(nostack),
        );
    }
}

/// Copies four words, two from each end, the inner ones next to the outer ones or, where the length is too short for
/// that, upon them.
///
/// # Safety
///
/// As [`copy`], with `size_of::<T>() <= len <= 4 * size_of::<T>()`. `T` is plain data of a power-of-two size.
#[inline(always)]
unsafe fn four_pieces<T: Copy>(dst: *mut u8, src: *const u8, len: usize) {
    let size = size_of::<T>();
    // 0 below 2 * size, size from there on, 2 * size for 4 * size.
    let inner = (len / 2) & (3 * size);
    let last = len - size;
    let offsets = (0, inner, last - inner, last);
    // SAFETY: each offset is at most `len` less a word, so that all words lie in the ranges that the caller vouches for.
    unsafe {
        let first = load::<T>(src, offsets.0);
        let second = load::<T>(src, offsets.1);
        let third = load::<T>(src, offsets.2);
        let fourth = load::<T>(src, offsets.3);
        store(dst, offsets.0, first);
        store(dst, offsets.1, second);
        store(dst, offsets.2, third);
        store(dst, offsets.3, fourth);
    }
}

/// Copies one to three bytes without a branch.
///
/// # Safety
///
/// As [`copy`], with `1 <= len <= 3`.
// Without closures and arrays that are mapped: code that is not optimised across its units calls those.
#[inline(always)]
unsafe fn first_middle_last(dst: *mut u8, src: *const u8, len: usize) {
    let (middle, last) = (len / 2, len - 1);
    // SAFETY: 0, half of `len` and `len - 1` are below `len`: all bytes lie in the ranges that the caller vouches for.
    unsafe {
        let first_byte = load::<u8>(src, 0);
        let middle_byte = load::<u8>(src, middle);
        let last_byte = load::<u8>(src, last);
        store(dst, 0, first_byte);
        store(dst, middle, middle_byte);
        store(dst, last, last_byte);
    }
}

/// Writes `byte` to up to [`INLINE_MAX_BYTES`] bytes.
///
/// # Safety
///
/// `dst` is valid for writes of `len` bytes, and `len <= INLINE_MAX_BYTES`.
#[inline(always)]
pub(super) unsafe fn fill(dst: *mut u8, byte: u8, len: usize) {
    if len >= 16 {
        // SAFETY: 16 <= len <= 64.
        unsafe { fill_four_pieces(dst, u128::from_ne_bytes([byte; 16]), len) }
    } else if len >= 4 {
        // SAFETY: 4 <= len <= 16.
        unsafe { fill_four_pieces(dst, u32::from_ne_bytes([byte; 4]), len) }
    } else if len > 0 {
        // SAFETY: 0, half of `len` and `len - 1` are below `len`.
        unsafe {
            store(dst, 0, byte);
            store(dst, len / 2, byte);
            store(dst, len - 1, byte);
        }
    }
}

/// Writes four words at the places of [`four_pieces`].
///
/// # Safety
///
/// As [`fill`], with `size_of::<T>() <= len <= 4 * size_of::<T>()`. `T` is plain data of a power-of-two size.
#[inline(always)]
unsafe fn fill_four_pieces<T: Copy>(dst: *mut u8, word: T, len: usize) {
    let size = size_of::<T>();
    let inner = (len / 2) & (3 * size);
    let last = len - size;
    // SAFETY: each offset is at most `len` less a word, so that all words lie in the range that the caller vouches for.
    unsafe {
        store(dst, 0, word);
        store(dst, inner, word);
        store(dst, last - inner, word);
        store(dst, last, word);
    }
}

/// Reads a `T` at any alignment.
///
/// # Safety
///
/// `src + offset` is valid for reads of `size_of::<T>()` bytes in the object that `src` points into. `T` is plain data.
#[inline(always)]
unsafe fn load<T: Copy>(src: *const u8, offset: usize) -> T {
    // SAFETY: the caller's: the word lies in the object that `src` points into, and is valid for reads.
    unsafe { ptr::read_unaligned(src.add(offset).cast::<T>()) }
}

/// Writes a `T` at any alignment.
///
/// # Safety
///
/// `dst + offset` is valid for writes of `size_of::<T>()` bytes in the object that `dst` points into.
#[inline(always)]
unsafe fn store<T: Copy>(dst: *mut u8, offset: usize, value: T) {
    // SAFETY: the caller's: the word lies in the object that `dst` points into, and is valid for writes.
    unsafe { ptr::write_unaligned(dst.add(offset).cast::<T>(), value) }
}
