//! Copies for callers that must save vector registers first: the plan for [`Policy::Section`] says for which lengths that pays.

use super::dispatch::{memcpy_auto_nosimd, plan_in_force};
use super::{Class, Policy};
use crate::xsave::Section;

/// Copies that share one section, which is entered before the first of them whose kernel writes vector registers, and
/// left when this is dropped. Where no copy needs it, it is never entered.
///
/// A plan made for sections of *k* copies is right where about *k* copies are made through one of these.
///
/// ```
/// use memcpy_select::cpu::{Components, Cpu};
/// use memcpy_select::select::InSection;
/// use memcpy_select::xsave::{SavedState, StateArea};
///
/// let cpu = Cpu::detect();
/// let mut area = StateArea::<4096>::new();
/// let mut section = SavedState::new(&mut area, Components::SSE.union(Components::AVX), &cpu)?;
/// let (mut dst, src) = ([0; 4096], [7; 4096]);
/// let mut copies = InSection::new(&mut section);
/// // SAFETY: two arrays of one length.
/// unsafe { copies.copy(dst.as_mut_ptr(), src.as_ptr(), src.len()) };
/// drop(copies);
/// assert_eq!(dst, src);
/// # Ok::<(), memcpy_select::xsave::SectionError>(())
/// ```
pub struct InSection<'a, S: Section> {
    section: &'a mut S,
    is_open: bool,
}

impl<'a, S: Section> InSection<'a, S> {
    /// Nothing is entered yet.
    pub fn new(section: &'a mut S) -> Self {
        Self { section, is_open: false }
    }

    /// Copies `len` bytes from `src` to `dst`, by the plan in force for [`Policy::Section`].
    ///
    /// A kernel that writes more than the section lends is not used: the copy is then
    /// [`memcpy_auto_nosimd`](super::memcpy_auto_nosimd)'s.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
    pub unsafe fn copy(&mut self, dst: *mut u8, src: *const u8, len: usize) {
        let kernel = plan_in_force(Policy::Section).kernel(len, Class::of(dst.addr(), src.addr()));
        if !kernel.writes().is_empty() {
            if cfg!(memcpy_select_asm) && !self.section.lends().contains(kernel.writes()) {
                // SAFETY: the same preconditions.
                return unsafe { memcpy_auto_nosimd(dst, src, len) };
            }
            if !self.is_open {
                self.section.begin();
                self.is_open = true;
            }
        }
        // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here, and the
        // section lends what this one writes.
        unsafe { kernel.copy(dst, src, len) }
    }

    /// Whether the section was entered.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }
}

impl<S: Section> Drop for InSection<'_, S> {
    fn drop(&mut self) {
        if self.is_open {
            self.section.end();
        }
    }
}

/// One copy in a section of its own, if it needs one: [`InSection`] for *k* = 1.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
pub unsafe fn memcpy_auto_in_section<S: Section>(dst: *mut u8, src: *const u8, len: usize, section: &mut S) {
    // SAFETY: the same preconditions.
    unsafe { InSection::new(section).copy(dst, src, len) }
}
