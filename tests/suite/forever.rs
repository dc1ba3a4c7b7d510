//! Values that live until the program ends, kept in sight: they are no leaks to who looks for some.

use std::sync::{Mutex, PoisonError};

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// The address of a value, by which a leak checker finds it.
struct Kept {
    _address: *mut (),
}

// SAFETY: the address is never followed.
unsafe impl Send for Kept {}

pub fn forever<T: 'static>(value: T) -> &'static mut T {
    let value = Box::into_raw(Box::new(value));
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(Kept { _address: value.cast() });
    // SAFETY: a box was just given up to it, and nobody else has the address but the list, which does not follow it.
    unsafe { &mut *value }
}
