//! The promise: the handler for programs answers what the table has, and nothing else: every other fault goes to the
//! action that was there before, with what that is owed, or ends the process by the same signal.

use crate::matrix::{Extent, Subject, run};
use crate::place::{BORDER, Kind, Place};
use crate::suite::sys::{self, End, SIGSEGV};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use memcpy_select::Kernel;
use memcpy_select::fallible::{install_fault_handler, try_copy};
use std::ptr;

/// `struct sigaction` of the C library.
#[repr(C)]
#[derive(Clone, Copy)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

/// `stack_t`.
#[repr(C)]
struct Stack {
    start: *mut c_void,
    flags: c_int,
    len: usize,
}

unsafe extern "C" {
    fn sigaction(number: c_int, new: *const Action, old: *mut Action) -> c_int;
    fn sigaltstack(new: *const Stack, old: *mut Stack) -> c_int;
    fn raise(number: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, new: *const [u64; 16], old: *mut [u64; 16]) -> c_int;
}

const SIGBUS: c_int = 7;
const SIGUSR1: c_int = 10;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;
const SA_SIGINFO: c_int = 4;
const SA_ONSTACK: c_int = 0x0800_0000;
const SA_NODEFER: c_int = 0x4000_0000;
const SA_RESETHAND: c_int = 0x8000_0000_u32 as c_int;

fn act(number: c_int, handler: usize, flags: c_int, blocked: Option<c_int>) {
    let mut mask = [0; 16];
    if let Some(number) = blocked {
        mask[0] = 1 << (number - 1);
    }
    let action = Action { handler, mask, flags, restorer: 0 };
    // SAFETY: the structure is the C library's, and the handler has the type that the flags say.
    assert_eq!(unsafe { sigaction(number, &action, ptr::null_mut()) }, 0);
}

/// What a handler of the program's found.
static CALLS: AtomicI32 = AtomicI32::new(0);
static SEEN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static PAGE: AtomicUsize = AtomicUsize::new(0);

fn seen() -> [usize; 4] {
    SEEN.each_ref().map(|word| word.load(Ordering::Relaxed))
}

fn provide_page() {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the page is one of a `Pages`.
    assert!(unsafe { crate::suite::pages::open_page(PAGE.load(Ordering::Relaxed)) });
}

/// The signals that are blocked now.
fn blocked() -> u64 {
    let mut mask = [0; 16];
    // SAFETY: the place is valid; nothing is changed.
    unsafe { pthread_sigmask(0, ptr::null(), &mut mask) };
    mask[0]
}

extern "C" fn with_info(number: c_int, info: *mut crate::signals::SigInfo, context: *mut crate::signals::Context) {
    let here = 0_u8;
    // SAFETY: the system gives the handler an information and a context of its own.
    let (address, ip) = unsafe { ((*info).address(), (*context).instruction() as usize) };
    let found = [number as usize, address, ip, (&raw const here).addr()];
    SEEN.iter().zip(found).for_each(|(word, found)| word.store(found, Ordering::Relaxed));
    MASK.store(blocked() as usize, Ordering::Relaxed);
    provide_page();
}

static MASK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn without_info(number: c_int) {
    SEEN[0].store(number as usize, Ordering::Relaxed);
    provide_page();
}

/// A kernel that may not fault copies from a place; the handler gets the fault and provides the page.
fn fault_elsewhere(src: &Place) -> Vec<u8> {
    let kernel = Kernel::named("rep_movsb").expect("a row of the table");
    let mut dst = vec![0; 100];
    PAGE.store(src.start().addr() + BORDER, Ordering::Relaxed);
    // SAFETY: the vector is valid for writes; the source is, once the handler has opened its page.
    unsafe { kernel.copy(dst.as_mut_ptr(), src.start().wrapping_add(BORDER - 50), 100) };
    dst
}

fn closed() -> Place {
    Place::new(Kind::Closed, |at| (at % 251) as u8)
}

fn is_copied(dst: &[u8]) -> bool {
    (BORDER - 50..BORDER + 50).map(|at| (at % 251) as u8).eq(dst.iter().copied())
}

fn try_there(src: &Place) -> usize {
    let mut dst = [0; 100];
    // SAFETY: the array is valid for writes, and the source for reads up to its closed page.
    unsafe { try_copy(dst.as_mut_ptr(), src.start().wrapping_add(BORDER - 50), 100) }
        .map_or_else(|it| it.copied(), |()| 100)
}

fn in_child(work: impl FnOnce()) -> End {
    sys::in_child(|| {
        work();
        0
    })
}

#[test]
fn the_handler_answers_every_fault_of_a_copy() {
    let end = sys::in_child(|| {
        install_fault_handler().expect("the system lets handlers be installed");
        let kernels = memcpy_select::fallible::kernels().iter().filter(|kernel| !kernel.is_for_smap());
        for kernel in kernels {
            let subject = Subject { name: kernel.name(), entry: kernel.entry(), is_for_smap: false };
            if let Err(wrong) = run(&subject, Extent::Some) {
                sys::print_error(wrong.as_bytes());
                return 1;
            }
        }
        0
    });
    assert_eq!(end, End::Exit(0));
}

#[test]
fn other_faults_go_to_the_handler_that_was_there() {
    let end = in_child(|| {
        act(SIGSEGV, with_info as *const () as usize, SA_SIGINFO, Some(SIGUSR1));
        let before = {
            let src = closed();
            assert!(is_copied(&fault_elsewhere(&src)));
            (seen()[2], MASK.load(Ordering::Relaxed))
        };
        install_fault_handler().expect("the system lets handlers be installed");
        install_fault_handler().expect("again, and nothing changes");
        let src = closed();
        assert_eq!(try_there(&src), 50);
        assert_eq!(CALLS.load(Ordering::Relaxed), 1, "a fallible copy is none of its business");
        assert!(is_copied(&fault_elsewhere(&src)));
        let [number, address, ip, _] = seen();
        assert_eq!((number, address), (SIGSEGV as usize, src.start().addr() + BORDER));
        assert_eq!((ip, MASK.load(Ordering::Relaxed)), before, "the same instruction, with the same signals blocked");
        assert_eq!(CALLS.load(Ordering::Relaxed), 2, "once for each fault");
    });
    assert_eq!(end, End::Exit(0));
}

#[test]
fn a_handler_without_information_is_called_as_it_was() {
    let end = in_child(|| {
        act(SIGSEGV, without_info as *const () as usize, SA_NODEFER, None);
        install_fault_handler().expect("the system lets handlers be installed");
        for call in 1..3 {
            assert!(is_copied(&fault_elsewhere(&closed())));
            assert_eq!((CALLS.load(Ordering::Relaxed), seen()[0]), (call, SIGSEGV as usize));
        }
        let open = closed();
        PAGE.store(open.start().addr() + BORDER, Ordering::Relaxed);
        // SAFETY: the handler opens a page of that place.
        unsafe { raise(SIGSEGV) };
        assert_eq!(CALLS.load(Ordering::Relaxed), 3, "a signal that was sent, too");
    });
    assert_eq!(end, End::Exit(0));
}

#[test]
fn a_handler_for_one_fault_is_called_once() {
    let end = in_child(|| {
        act(SIGSEGV, without_info as *const () as usize, SA_RESETHAND, None);
        install_fault_handler().expect("the system lets handlers be installed");
        assert!(is_copied(&fault_elsewhere(&closed())));
        fault_elsewhere(&closed());
    });
    assert_eq!(end, End::Signal(SIGSEGV));
}

/// What ends the process without the handler ends it with it, by the same signal: faults under the default action and
/// where they are ignored, which the system does not allow, and signals that were sent.
#[test]
fn what_nobody_handles_ends_the_process_as_before() {
    let truncated = || Place::new(Kind::Truncated, |_| 0);
    for is_installed in [false, true] {
        let end = |number: c_int, action: usize, work: &dyn Fn()| {
            in_child(|| {
                act(number, action, 0, None);
                if is_installed {
                    install_fault_handler().expect("the system lets handlers be installed");
                }
                work();
            })
        };
        for action in [SIG_DFL, SIG_IGN] {
            let by_fault = end(SIGSEGV, action, &|| drop(fault_elsewhere(&closed())));
            assert_eq!(by_fault, End::Signal(SIGSEGV), "{action}, {is_installed}");
            let by_bus_error = end(SIGBUS, action, &|| drop(fault_elsewhere(&truncated())));
            assert_eq!(by_bus_error, End::Signal(SIGBUS), "{action}, {is_installed}");
        }
        for number in [SIGSEGV, SIGBUS] {
            // SAFETY: the default action and none need nothing.
            let send = || assert_eq!(unsafe { raise(number) }, 0);
            assert_eq!(end(number, SIG_DFL, &send), End::Signal(number), "sent, {is_installed}");
            assert_eq!(end(number, SIG_IGN, &send), End::Exit(0), "sent and ignored, {is_installed}");
        }
    }
    // The handler that Rust's standard library has for overflows of the stack.
    let with_std = in_child(|| {
        install_fault_handler().expect("the system lets handlers be installed");
        assert_eq!(try_there(&closed()), 50);
        fault_elsewhere(&closed());
    });
    assert_eq!(with_std, End::Signal(SIGSEGV));
}

#[test]
fn the_handler_runs_on_the_stack_of_the_one_before_it() {
    for (flags, is_alternate) in [(SA_SIGINFO | SA_ONSTACK, true), (SA_SIGINFO, false)] {
        let end = in_child(|| {
            let stack = vec![0_u8; 64 << 10].leak().as_ptr_range();
            let given = Stack { start: stack.start.cast_mut().cast(), flags: 0, len: 64 << 10 };
            // SAFETY: the memory is never freed and nobody else's.
            assert_eq!(unsafe { sigaltstack(&given, ptr::null_mut()) }, 0);
            act(SIGSEGV, with_info as *const () as usize, flags, None);
            install_fault_handler().expect("the system lets handlers be installed");
            assert!(is_copied(&fault_elsewhere(&closed())));
            assert_eq!((stack.start.addr()..stack.end.addr()).contains(&seen()[3]), is_alternate);
        });
        assert_eq!(end, End::Exit(0), "alternate: {is_alternate}");
    }
}

#[test]
fn threads_fault_at_a_time() {
    let end = in_child(|| {
        install_fault_handler().expect("the system lets handlers be installed");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let src = closed();
                    for _ in 0..2000 {
                        assert_eq!(try_there(&src), 50);
                    }
                });
            }
            for _ in 0..100 {
                install_fault_handler().expect("again, and nothing changes");
            }
        });
    });
    assert_eq!(end, End::Exit(0));
}
