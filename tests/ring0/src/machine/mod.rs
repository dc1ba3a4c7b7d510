//! The machine: what the checks and the measuring mode need of it, and nothing more.

pub mod apic;
pub mod paging;
pub mod ports;
pub mod registers;
pub mod traps;
pub mod vectors;

use core::cell::UnsafeCell;

/// A static that one CPU uses, from one place at a time.
pub struct Single<T>(UnsafeCell<T>);

// SAFETY: there is one CPU, and no interrupt handler uses what others hold a reference to: see `get`.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// What it holds.
    ///
    /// # Safety
    ///
    /// No other reference to it is alive, of an interrupt handler neither.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }

    pub const fn pointer(&self) -> *mut T {
        self.0.get()
    }
}
