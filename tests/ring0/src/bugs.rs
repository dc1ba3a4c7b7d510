//! Bugs that the command line asks for: a run with one has to fail.

use core::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// The table lacks an entry.
    MissingEntry = 1,
    /// A fix-up goes on one byte too far.
    LostByte = 2,
    /// The copies that open SMAP do not close it after a fault.
    SmapOpen = 3,
    /// The fault handler changes a register that a callee keeps.
    Clobber = 4,
    /// An interrupt handler that saves no vector state changes a vector register.
    ClobberVector = 5,
    /// A section restores nothing.
    NoRestore = 6,
}

const NAMES: [(&str, Bug); 6] = [
    ("missing-entry", Bug::MissingEntry),
    ("lost-byte", Bug::LostByte),
    ("smap-open", Bug::SmapOpen),
    ("clobber", Bug::Clobber),
    ("clobber-vector", Bug::ClobberVector),
    ("no-restore", Bug::NoRestore),
];

static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// Switches on the one of that name.
pub fn switch_on(name: &str) -> bool {
    let found = NAMES.iter().find(|(known, _)| *known == name);
    if let Some((_, bug)) = found {
        ACTIVE.store(*bug as u8, Ordering::Relaxed);
    }
    found.is_some()
}

/// Whether there is one.
pub fn any() -> bool {
    ACTIVE.load(Ordering::Relaxed) != 0
}

pub fn has(bug: Bug) -> bool {
    ACTIVE.load(Ordering::Relaxed) == bug as u8
}
