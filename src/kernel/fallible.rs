//! Kernels that end at a fault: rows of their own, since they say how far they came.

/// The entry point of a fallible kernel: `(dst, src, len_bytes)`, and how many bytes were not copied.
#[cfg(target_arch = "x86_64")]
pub type TryCopyFn = unsafe extern "sysv64" fn(*mut u8, *const u8, usize) -> usize;
/// The entry point of a fallible kernel: `(dst, src, len_bytes)`, and how many bytes were not copied.
#[cfg(not(target_arch = "x86_64"))]
pub type TryCopyFn = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;

/// A row: a kernel whose every access to the two ranges has an entry in the [exception
/// table](crate::fallible::exceptions).
///
/// It keeps [the contract](crate::kernel#the-contract) and writes no vector register. Besides, it copies strictly
/// upward, and after a fault that [`fixup`](crate::fallible::fixup) has answered it returns the number of bytes that
/// were not copied: those before are copied exactly, and of those after none is written. Where the ranges overlap, the
/// bytes of the destination are unspecified.
#[derive(Debug)]
pub struct FallibleKernel {
    name: &'static str,
    is_for_smap: bool,
    entry: TryCopyFn,
}

impl FallibleKernel {
    /// The stem of its file in `asm/`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it opens user pages with `stac` and closes them with `clac`: for ring 0 of a CPU with SMAP, and
    /// undefined elsewhere.
    pub const fn is_for_smap(&self) -> bool {
        self.is_for_smap
    }

    /// The entry point.
    ///
    /// A caller promises what callers of [`try_copy`](crate::fallible::try_copy) do, and where the kernel
    /// [is for SMAP](Self::is_for_smap) that the code runs in ring 0 of a CPU that has it.
    pub const fn entry(&self) -> TryCopyFn {
        self.entry
    }
}

/// A row for `asm/<stem>.S`.
#[cfg(memcpy_select_asm)]
macro_rules! row {
    ($stem:literal, is_for_smap: $is_for_smap:literal) => {
        FallibleKernel {
            name: $stem,
            is_for_smap: $is_for_smap,
            entry: {
                unsafe extern "sysv64" {
                    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), $stem)]
                    fn entry(dst: *mut u8, src: *const u8, len: usize) -> usize;
                }
                entry
            },
        }
    };
}

#[cfg(memcpy_select_asm)]
pub(crate) const GPR: FallibleKernel = row!("fallible_gpr", is_for_smap: false);
#[cfg(memcpy_select_asm)]
pub(crate) const STRING: FallibleKernel = row!("fallible_rep_movsb", is_for_smap: false);
#[cfg(memcpy_select_asm)]
pub(crate) const GPR_SMAP: FallibleKernel = row!("fallible_gpr_smap", is_for_smap: true);
#[cfg(memcpy_select_asm)]
pub(crate) const STRING_SMAP: FallibleKernel = row!("fallible_rep_movsb_smap", is_for_smap: true);

/// Every fallible kernel of this build; none where nothing was assembled.
pub fn fallible_kernels() -> &'static [FallibleKernel] {
    #[cfg(memcpy_select_asm)]
    static ROWS: [FallibleKernel; 4] = [GPR, STRING, GPR_SMAP, STRING_SMAP];
    #[cfg(not(memcpy_select_asm))]
    static ROWS: [FallibleKernel; 0] = [];
    &ROWS
}
