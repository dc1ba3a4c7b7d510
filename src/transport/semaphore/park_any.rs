//! Sleeping on several words with one system call.

use super::MAX_ANY;
use crate::transport::memory::Mapped;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sleeps until one of these words is woken, which is returned, or until the limit has passed. As `park` it may return early for no
/// reason. [`MAX_ANY`] words count; each is a place in memory and what is expected there.
///
/// `AGAIN` if one of them was not what is expected, and `NOSYS` if the system does not watch several words: Linux before 5.16, or a
/// filter of system calls that does not know the call.
pub(in crate::transport) fn park_any<'a>(
    words: impl Iterator<Item = (&'a Mapped, usize, u32)>,
    limit: Duration,
) -> Result<Option<usize>, Errno> {
    static IS_MISSING: AtomicBool = AtomicBool::new(false);
    if IS_MISSING.load(Ordering::Relaxed) {
        return Err(Errno::NOSYS);
    }
    let mut waits = [futex::Wait::new(); MAX_ANY];
    let mut count = 0;
    for (wait, (memory, at, expected)) in waits.iter_mut().zip(words) {
        let address = memory.word32(at).map_or(ptr::null_mut(), |word| word.as_ptr());
        wait.val = expected.into();
        wait.uaddr = futex::WaitPtr::new(address.cast());
        wait.flags = futex::WaitFlags::SIZE_U32;
        count += 1;
    }
    let until = clock_gettime(ClockId::Monotonic) + Timespec::try_from(limit).unwrap_or_default();
    match futex::waitv(&waits[..count], futex::WaitvFlags::empty(), Some(&until), ClockId::Monotonic) {
        Ok(woken) => Ok(Some(woken)),
        Err(Errno::INTR | Errno::TIMEDOUT) => Ok(None),
        Err(Errno::NOSYS | Errno::PERM) => {
            IS_MISSING.store(true, Ordering::Relaxed);
            Err(Errno::NOSYS)
        }
        Err(cause) => Err(cause),
    }
}
