//! Which components a kernel leaves in use.

use crate::cpu::{Components, XState};
use crate::kernel::{CopyFn, Kernel};
use crate::lab::instruments::buffers::Buffers;
use crate::lab::sections::state::{EVERYTHING, State};

/// Lengths that reach each part of a kernel.
const LENGTHS: [usize; 5] = [8, 20, 60, 700, 20_000];

/// The components that any copy by this kernel leaves in use (XINUSE) which were in their initial configuration before;
/// `None` where the CPU does not tell, or cannot run it.
pub fn after(kernel: &Kernel, xstate: &XState, buffers: &Buffers) -> Option<Components> {
    if !xstate.xgetbv1 || !kernel.is_available() {
        return None;
    }
    let mut state = State::new(Components::NONE, xstate, 1)?;
    let image = state.block(crate::lab::sections::Condition::Initial, 1);
    let mut in_use = Components::NONE;
    for len in LENGTHS {
        // The system may interrupt the copy and bring SSE state into use by restoring MXCSR: what a kernel does itself, it
        // does every time.
        let seen = (0..8).map(|_| {
            // SAFETY: the kernel is available, the buffers are longer than the length and apart; the image is XRSTOR's.
            unsafe {
                xinuse_after(
                    kernel.entry(),
                    buffers.dst(3),
                    buffers.src(2048).cast_const(),
                    len,
                    image.setup_image,
                    image.setup_mask,
                )
            }
        });
        in_use = in_use.union(Components::from_bits(seen.fold(u64::MAX, |all, one| all & one)));
    }
    Some(in_use.intersection(EVERYTHING).difference(Components::X87))
}

/// # Safety
///
/// The preconditions of the kernel; XGETBV takes ECX = 1; `image` is one for XRSTOR with `mask`.
unsafe fn xinuse_after(entry: CopyFn, dst: *mut u8, src: *const u8, len: usize, image: *const u8, mask: u64) -> u64 {
    let (low, high): (u32, usize);
    // SAFETY: the caller's promise; the stack is aligned for the call, and all that it may change counts as clobbered.
    unsafe {
        core::arch::asm!(
            "mov r12, rdx",
            "mov rdx, r13",
            "shr rdx, 32",
            "mov eax, r13d",
            "xrstor64 [r14]",
            "mov rdx, r12",
            "call r15",
            "mov ecx, 1",
            "xgetbv",
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rdx") len => high,
            out("eax") low,
            out("r12") _,
            in("r13") mask,
            in("r14") image,
            in("r15") entry,
            clobber_abi("sysv64"),
        );
    }
    (high as u64) << 32 | u64::from(low)
}
