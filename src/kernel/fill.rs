//! What can fill: routines that write one byte over a range, and the table that lists them.

use super::table::same;
use crate::cpu::{self, Components, Features};
use core::fmt;

/// A fill's entry point: `(dst, byte, len_bytes)`.
#[cfg(target_arch = "x86_64")]
pub type FillFn = unsafe extern "sysv64" fn(*mut u8, u8, usize);
/// A fill's entry point: `(dst, byte, len_bytes)`.
#[cfg(not(target_arch = "x86_64"))]
pub type FillFn = unsafe extern "C" fn(*mut u8, u8, usize);

/// One row of the table: a routine that fills, and what is true of it.
///
/// For any length including 0 it writes exactly `[dst, dst + len)`; in all else it keeps
/// [the contract of the kernels](super#the-contract).
pub struct Fill {
    name: &'static str,
    needs: Features,
    writes: Components,
    entry: FillFn,
}

impl Fill {
    /// The fill of that name, if this build holds it. Works in constants.
    pub const fn named(name: &str) -> Option<&'static Self> {
        let mut row = 0;
        while row < FILLS.len() {
            if same(FILLS[row].name, name) {
                return Some(&FILLS[row]);
            }
            row += 1;
        }
        None
    }

    /// The name: the stem of its file in `asm/`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The CPU features without which it must not run.
    pub const fn needs(&self) -> Features {
        self.needs
    }

    /// The vector state components that a call may write, as [`Kernel::writes`](super::Kernel::writes).
    pub const fn writes(&self) -> Components {
        self.writes
    }

    /// Whether this CPU and its operating system provide what it needs.
    pub fn is_available(&self) -> bool {
        cpu::features().contains(self.needs)
    }

    /// Writes `byte` to each of `len` bytes from `dst` on.
    ///
    /// # Safety
    ///
    /// - It [is available](Self::is_available) on this CPU.
    /// - `dst` is valid for writes of `len` bytes.
    /// - The caller may use the vector state that it [writes](Self::writes).
    #[inline]
    pub unsafe fn fill(&self, dst: *mut u8, byte: u8, len: usize) {
        // SAFETY: the caller keeps exactly these preconditions.
        unsafe { (self.entry)(dst, byte, len) }
    }

    /// The entry point. The preconditions are those of [`Self::fill`].
    pub const fn entry(&self) -> FillFn {
        self.entry
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, needs, writes) = (&self.name, &self.needs, &self.writes);
        f.debug_struct("Fill").field("name", name).field("needs", needs).field("writes", writes).finish_non_exhaustive()
    }
}

/// A row for `asm/<stem>.S`.
#[cfg(memcpy_select_asm)]
macro_rules! row {
    ($stem:literal, $needs:ident, $writes:ident) => {
        Fill {
            name: $stem,
            needs: Features::$needs,
            writes: super::table::encoding::$writes,
            entry: {
                unsafe extern "sysv64" {
                    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), $stem)]
                    fn entry(dst: *mut u8, byte: u8, len: usize);
                }
                entry
            },
        }
    };
}

#[cfg(memcpy_select_asm)]
static FILLS: &[Fill] = &[
    row!("rep_stosq", NONE, NONE),
    row!("gpr_fill", NONE, NONE),
    row!("sse2_fill", SSE2, LEGACY),
    row!("avx_fill", AVX, VEX),
    row!("avx512vl_hi16_fill", AVX512VL, HI16),
];

/// Where nothing was assembled, [`memset_auto`](crate::memset_auto) is the platform's.
#[cfg(not(memcpy_select_asm))]
static FILLS: &[Fill] = &[];

/// Every fill that this build holds, available here or not.
pub fn fills() -> &'static [Fill] {
    FILLS
}
