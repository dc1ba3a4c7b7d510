//! Says which copy ran into a guard page, before the process ends.

use super::cases::Case;
use super::sys;
use core::cell::Cell;
use core::ffi::c_int;
use std::io::Write;
use std::sync::Once;

thread_local! {
    static UNDER_WAY: Cell<Option<(&'static str, Case)>> = const { Cell::new(None) };
}

/// Notes the copy that this thread is about to make.
pub fn note(routine: &'static str, case: Case) {
    UNDER_WAY.set(Some((routine, case)));
}

/// Has memory faults reported from now on.
pub fn report() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| sys::on_fault(explain));
}

/// Prints the copy under way and returns: the instruction faults again, and then ends the process by the same signal.
extern "C" fn explain(number: c_int) {
    if let Some((routine, case)) = UNDER_WAY.get() {
        // Formatted on the stack: a signal handler must not allocate.
        let mut text = [0; 256];
        let mut rest = &mut text[..];
        let _ = writeln!(rest, "\nmemory fault: {routine} left its ranges in {case}");
        let unused = rest.len();
        sys::print_error(&text[..256 - unused]);
    }
    sys::end_at_next(number);
}
