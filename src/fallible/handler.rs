//! The fault handler for programs on Linux: SIGSEGV and SIGBUS.

use std::io;

/// Has [fallible copies](super) of this process come back at a fault: installs a handler of SIGSEGV and SIGBUS that
/// asks [`fixup`](super::fixup). For programs on Linux; one call before the first copy.
///
/// That is the answer to files that others truncate while they are mapped, to peers that take memory away, and to
/// storage that fails (BUS_MCEERR_AR):
///
#[cfg_attr(all(target_os = "linux", target_arch = "x86_64", memcpy_select_asm), doc = "```")]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64", memcpy_select_asm)), doc = "```no_run")]
/// use memcpy_select::fallible::{install_fault_handler, try_copy};
/// use rustix::mm::{MapFlags, ProtFlags, mmap};
///
/// install_fault_handler()?;
/// let file = rustix::fs::memfd_create("peer", rustix::fs::MemfdFlags::empty())?;
/// rustix::fs::ftruncate(&file, 2 * 4096)?;
/// // SAFETY: no address is asked for, so that no existing mapping is replaced.
/// let mapping = unsafe { mmap(core::ptr::null_mut(), 2 * 4096, ProtFlags::READ, MapFlags::SHARED, &file, 0)? };
///
/// // The peer keeps a page of what it said would be there.
/// rustix::fs::ftruncate(&file, 4096)?;
///
/// let mut copy = [1; 2 * 4096];
/// // SAFETY: what of the mapping is there may be read; the array is valid for writes.
/// let faulted = unsafe { try_copy(copy.as_mut_ptr(), mapping.cast(), copy.len()) }.unwrap_err();
/// assert_eq!(faulted.copied(), 4096);
/// assert!(copy[..4096].iter().all(|byte| *byte == 0) && copy[4096..].iter().all(|byte| *byte == 1));
/// # std::io::Result::Ok(())
/// ```
///
/// Every other fault goes to the action that was there before, as the system would have called it: a handler gets the
/// same three arguments with the same signals blocked, the default action ends the process by the same signal at the
/// same instruction, and signals that another process sent are told from faults. Where there was no handler, or one for
/// the alternate stack, it runs on that of the thread, if it has one. It keeps to what a signal handler may do, and does
/// not touch `errno`.
///
/// Calling it again changes nothing. A program that installs a handler of its own afterwards has that one call the one
/// before it, as this one does. A thread that blocks one of the signals is ended by such a fault, as without the
/// handler.
///
/// # Errors
///
/// What the system says if it refuses; [`io::ErrorKind::Unsupported`] where nothing was assembled, and on other
/// systems.
pub fn install_fault_handler() -> io::Result<()> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", memcpy_select_asm))]
    return linux::install();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", memcpy_select_asm)))]
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", memcpy_select_asm))]
mod linux {
    use crate::fallible::fixup;
    use core::ffi::{c_int, c_void};
    use core::mem;
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};
    use libc::{SIG_DFL, SIG_IGN, SIGBUS, SIGSEGV, sigaction, siginfo_t, ucontext_t};
    use std::boxed::Box;
    use std::io;
    use std::sync::{Mutex, PoisonError};

    /// `si_code` of a memory error that was found beside what the program does (Linux, asm-generic/siginfo.h).
    const BUS_MCEERR_AO: c_int = 5;

    /// A signal, and the action that was there before. It is never freed: a handler may be reading it.
    struct Chained {
        signal: c_int,
        previous: AtomicPtr<sigaction>,
    }

    static CHAINED: [Chained; 2] = [Chained::of(SIGSEGV), Chained::of(SIGBUS)];

    pub(super) fn install() -> io::Result<()> {
        /// Of two calls at a time the second one finds the handler installed.
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        CHAINED.iter().try_for_each(Chained::install)
    }

    impl Chained {
        const fn of(signal: c_int) -> Self {
            Self { signal, previous: AtomicPtr::new(ptr::null_mut()) }
        }

        fn install(&self) -> io::Result<()> {
            if !self.previous.load(Ordering::Acquire).is_null() {
                return Ok(());
            }
            // What was there before has to be known before the first fault: it is asked first, and by the exchange again.
            let before = exchange(self.signal, None)?;
            self.remember(before);
            // A handler runs where it was to run, and one that was none interrupts no system call.
            let flags = match before.sa_sigaction {
                SIG_DFL | SIG_IGN => libc::SA_ONSTACK | libc::SA_RESTART,
                _ => before.sa_flags & (libc::SA_NODEFER | libc::SA_ONSTACK | libc::SA_RESTART),
            };
            let ours = sigaction {
                sa_sigaction: on_fault as *const () as usize,
                // Its handler finds the same signals blocked, and goes on after system calls as it did.
                sa_mask: before.sa_mask,
                sa_flags: libc::SA_SIGINFO | flags,
                sa_restorer: None,
            };
            match exchange(self.signal, Some(&ours)) {
                Ok(replaced) if replaced.sa_sigaction != before.sa_sigaction => self.remember(replaced),
                Ok(_) => {}
                Err(error) => {
                    self.previous.store(ptr::null_mut(), Ordering::Release);
                    return Err(error);
                }
            }
            Ok(())
        }

        fn remember(&self, action: sigaction) {
            self.previous.store(Box::into_raw(Box::new(action)), Ordering::Release);
        }

        /// Passes a signal on to the action that was there before.
        ///
        /// # Safety
        ///
        /// In a handler of that signal, with its arguments.
        unsafe fn pass_on(&self, info: *mut siginfo_t, context: *mut c_void, is_fault: bool) {
            let previous = self.previous.load(Ordering::Acquire);
            // SAFETY: the handler is installed after the action was remembered, and what was remembered is never freed.
            let previous = unsafe { *previous };
            let action = previous.sa_sigaction;
            // The system does not let a process ignore a fault.
            if action == SIG_IGN && !is_fault {
                return;
            }
            if action == SIG_DFL || action == SIG_IGN {
                return self.end(is_fault);
            }
            if previous.sa_flags & libc::SA_RESETHAND != 0 {
                self.default_next();
            }
            if previous.sa_flags & libc::SA_SIGINFO == 0 {
                // SAFETY: an action that is none of the two above and has not that flag is a function of this type.
                let handler = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(action) };
                return handler(self.signal);
            }
            type WithInfo = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: with that flag it is a function of this type.
            let handler = unsafe { mem::transmute::<usize, WithInfo>(action) };
            // SAFETY: the arguments are those that the system gave for it.
            unsafe { handler(self.signal, info, context) };
        }

        /// Ends the process by the signal, as if nobody handled it.
        fn end(&self, is_fault: bool) {
            self.default_next();
            // The instruction that faulted does it again. What was sent has to be sent again: it comes to this thread
            // when the handler returns, at the latest.
            if !is_fault {
                // SAFETY: the call has no precondition.
                unsafe { libc::raise(self.signal) };
            }
        }

        /// Has the next signal handled by the default action.
        fn default_next(&self) {
            // SAFETY: of all-zero bytes it is the default action, without flags and with nothing blocked.
            let default = unsafe { mem::zeroed::<sigaction>() };
            let _ = exchange(self.signal, Some(&default));
        }
    }

    /// Puts an action in the place of the one for a signal, or none; what was there.
    fn exchange(signal: c_int, action: Option<&sigaction>) -> io::Result<sigaction> {
        // SAFETY: all-zero bytes are such a structure.
        let mut before = unsafe { mem::zeroed::<sigaction>() };
        // SAFETY: both places are valid, or null where nothing is put in place; a handler of ours has the type that its
        // flags say.
        let result = unsafe { libc::sigaction(signal, action.map_or(ptr::null(), ptr::from_ref), &mut before) };
        if result == 0 { Ok(before) } else { Err(io::Error::last_os_error()) }
    }

    /// The handler.
    unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the system gives the handler an information of its own.
        let code = unsafe { (*info).si_code };
        // Positive codes are the system's own, for what the interrupted instruction did, all but one.
        let is_fault = code > 0 && !(signal == SIGBUS && code == BUS_MCEERR_AO);
        // SAFETY: the system gives the handler a context of its own, which is that of the interrupted code.
        let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
        let instruction = &mut registers[libc::REG_RIP as usize];
        if let (true, Some(go_on)) = (is_fault, fixup(*instruction as usize)) {
            *instruction = go_on as i64;
            return;
        }
        if let Some(chained) = CHAINED.iter().find(|chained| chained.signal == signal) {
            // SAFETY: this is such a handler, and these are its arguments.
            unsafe { chained.pass_on(info, context, is_fault) };
        }
    }
}
