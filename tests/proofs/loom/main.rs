//! The transport's protocols in every order of events that the language's memory model allows.
//!
//! The production code runs unchanged over memory of loom. Each model is then run over memory with one thing broken, and
//! has to find it.

#![cfg(target_os = "linux")]
// Loom's threads are one real one, and the sides of a session hold their memory by `Arc`.
#![allow(clippy::arc_with_non_send_sync)]

mod rings;
mod semaphore;
mod session;
mod session_end;

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{self, UnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a model is to fail here: loom's threads all run on the one that explores.
    static MUST_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// The hook for panics is the process's: set once, it is silent where a model is to fail.
fn silence_what_must_fail() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !MUST_FAIL.get() {
                usual(info);
            }
        }));
    });
}

/// Runs a model in every order of events with so many preemptions. Panics if one fails.
fn explore<B: Copy + Send + Sync + 'static>(bug: B, model: fn(B), preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(move || model(bug));
}

/// The model holds without a bug, which is the default of `B`, and finds each of these.
fn judge<B: Copy + Debug + Default + Send + Sync + UnwindSafe + 'static>(
    name: &str,
    model: fn(B),
    preemptions: usize,
    bugs: &[B],
) {
    explore(B::default(), model, preemptions);
    silence_what_must_fail();
    for &bug in bugs {
        MUST_FAIL.set(true);
        let result = panic::catch_unwind(move || explore(bug, model, preemptions));
        MUST_FAIL.set(false);
        assert!(result.is_err(), "the model `{name}` does not find {bug:?}");
        println!("| {bug:?} | found by the model of {name} |");
    }
}
