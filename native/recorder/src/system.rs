//! The two system calls for which there is no wrapper that needs no libc.

use core::arch::asm;
use rustix::io::Errno;

/// A system call of up to five arguments.
///
/// # Safety
///
/// What the call does with these arguments is sound.
pub(crate) unsafe fn call(number: usize, arguments: [usize; 5]) -> Result<usize, Errno> {
    let [first, second, third, fourth, fifth] = arguments;
    let result: isize;
    // SAFETY: the caller answers for the call; `syscall` itself overwrites rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(result.cast_unsigned()) }
}
