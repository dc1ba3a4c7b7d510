//! What carries out the calls that were counted: the installed libc's routines, and memcpy-select's.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};
use memcpy_select::interpose::entry as interposed;
use memcpy_select::recording::{Arm, Function};

/// `memcpy`, `memmove` and `mempcpy`; `memset` too, whose byte comes in the register of the source's address.
pub(crate) type Routine = unsafe extern "sysv64" fn(*mut u8, *const u8, usize) -> *mut u8;

/// One word for each [`Function`], in the order of their numbers.
pub(crate) type Routines = [AtomicPtr<()>; Function::ALL.len()];

const fn none() -> Routines {
    [const { AtomicPtr::new(ptr::null_mut()) }; Function::ALL.len()]
}

/// What carries out the calls. All are null before the start.
pub(crate) static UNDER: Routines = none();
/// What can carry them out, by [`Arm`].
static ARMS: [Routines; Arm::ALL.len()] = [none(), none()];
/// Which one it is now: the number of an [`Arm`]. A forked child goes on with it.
static ARM: AtomicU32 = AtomicU32::new(0);

/// Finds the libc's routines, which carry out the calls then. Returns whether all of them were found; where one was not,
/// memcpy-select's takes its place.
pub(crate) fn find() -> bool {
    let mut found_all = true;
    for function in Function::ALL {
        let (name, own) = match function {
            Function::Memcpy => (c"memcpy", interposed::memcpy as *mut ()),
            Function::Memmove => (c"memmove", interposed::memmove as *mut ()),
            Function::Mempcpy => (c"mempcpy", interposed::mempcpy as *mut ()),
            Function::Memset => (c"memset", interposed::memset as *mut ()),
        };
        let libc = next(name);
        found_all &= !libc.is_null();
        let libc = if libc.is_null() { own } else { libc };
        ARMS[Arm::Libc as usize][function as usize].store(libc, Relaxed);
        ARMS[Arm::Plan as usize][function as usize].store(own, Relaxed);
    }
    set_arm(Arm::Libc);
    found_all
}

/// From now on this carries out the calls. They change one function after the other, and either routine is right at any time.
pub(crate) fn set_arm(arm: Arm) {
    ARM.store(arm as u32, Relaxed);
    for (under, routine) in UNDER.iter().zip(&ARMS[arm as usize]) {
        under.store(routine.load(Relaxed), Relaxed);
    }
}

/// What carries out the calls.
pub(crate) fn arm() -> Arm {
    if ARM.load(Relaxed) == Arm::Plan as u32 { Arm::Plan } else { Arm::Libc }
}

/// An arm's routine.
pub(crate) fn of(arm: Arm, function: Function) -> Routine {
    routine(&ARMS[arm as usize][function as usize])
}

/// What carries out calls of a function now.
pub(crate) fn under(function: Function) -> Routine {
    routine(&UNDER[function as usize])
}

fn routine(word: &AtomicPtr<()>) -> Routine {
    let address = word.load(Relaxed);
    // SAFETY: this is called for counted calls, which there are after `find`: each word is then the address of a function in C
    // with these arguments.
    unsafe { transmute::<*mut (), Routine>(address) }
}

/// The function of that name in the libraries after this one; null where there is none, or no `dlsym`.
fn next(name: &CStr) -> *mut () {
    /// As in `dlfcn.h`.
    const RTLD_NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
    let dlsym = dlsym();
    if dlsym.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the address is that of the loader's function, which has this type.
    let dlsym = unsafe { transmute::<*mut (), unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut ()>(dlsym) };
    // SAFETY: the name is terminated.
    unsafe { dlsym(RTLD_NEXT, name.as_ptr()) }
}

/// The address of the loader's `dlsym`; null where the program has none.
#[unsafe(naked)]
extern "sysv64" fn dlsym() -> *mut () {
    naked_asm!(".weak dlsym", "mov rax, qword ptr [rip + dlsym@GOTPCREL]", "ret")
}
