//! A range of lengths of a plan.

#![forbid(unsafe_code)]

use super::class::{Aliasing, Alignment, CLASSES, Class};
use crate::kernel::Kernel;

/// A range of lengths, up to and including a limit, and its kernel for each class.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Band {
    pub(super) up_to_bytes: usize,
    /// In the order of [`Class::ALL`].
    pub(super) kernels: [&'static Kernel; CLASSES],
}

impl Band {
    /// One kernel for every class. The last band of a plan goes up to [`usize::MAX`].
    pub const fn new(up_to_bytes: usize, kernel: &'static Kernel) -> Self {
        Self { up_to_bytes, kernels: [kernel; CLASSES] }
    }

    /// The same band with another kernel for one class.
    #[must_use]
    pub const fn with(mut self, class: Class, kernel: &'static Kernel) -> Self {
        self.kernels[class.index()] = kernel;
        self
    }

    /// The same band with another kernel for one alignment, aliased or not.
    #[must_use]
    pub const fn with_alignment(mut self, alignment: Alignment, kernel: &'static Kernel) -> Self {
        let mut at = 0;
        while at < Aliasing::ALL.len() {
            self = self.with(Class::new(alignment, Aliasing::ALL[at]), kernel);
            at += 1;
        }
        self
    }

    /// The same band with another kernel for one aliasing, whatever the alignment.
    #[must_use]
    pub const fn with_aliasing(mut self, aliasing: Aliasing, kernel: &'static Kernel) -> Self {
        let mut at = 0;
        while at < Alignment::ALL.len() {
            self = self.with(Class::new(Alignment::ALL[at], aliasing), kernel);
            at += 1;
        }
        self
    }

    /// The largest length of the band, in bytes.
    pub const fn up_to_bytes(&self) -> usize {
        self.up_to_bytes
    }

    /// The kernel for a class.
    pub const fn kernel(&self, class: Class) -> &'static Kernel {
        self.kernels[class.index()]
    }

    /// Whether every class has the same kernel.
    pub const fn is_uniform(&self) -> bool {
        let mut class = 1;
        while class < CLASSES {
            if !self.kernels[class].is(self.kernels[0]) {
                return false;
            }
            class += 1;
        }
        true
    }
}
