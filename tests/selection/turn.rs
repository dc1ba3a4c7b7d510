//! The plan in force is the whole process's, so that tests that rely on it take turns.

use memcpy_select::select::{Policy, uninstall};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const POLICIES: [Policy; 3] = [Policy::User, Policy::NoSimd, Policy::Section];

/// Held while a test relies on the plan in force; the plans are as at the start when it is given back.
pub struct Turn {
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    pub fn take() -> Self {
        static TURNS: Mutex<()> = Mutex::new(());
        Self { _guard: TURNS.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        POLICIES.into_iter().for_each(uninstall);
    }
}
