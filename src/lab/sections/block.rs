//! One timed loop, in one block of assembly from set-up to end, so that no instruction of the compiler's comes between.
//!
//! A turn of the loop: bring the vector state into a known configuration (XRSTOR), dirty it, wait (LFENCE); then what is
//! measured: save, copy some times, restore; then wait. Any of the parts may be left out. What a part costs is the time
//! of the loop with it over that of the loop without it, both taken in the same round.

use crate::cpu::Components;
use crate::kernel::CopyFn;
use crate::xsave::{Restore, Save};
use core::mem::offset_of;
use core::ptr;

/// What one loop does. Pointers and lengths are taken as they are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The image that every turn starts from, for XRSTOR; null: none.
    pub setup_image: *const u8,
    /// The components that the image sets.
    pub setup_mask: u64,
    /// The components that are saved and restored.
    pub mask: u64,
    /// What is written after that: see [`Dirty`].
    pub dirty: u64,
    /// Where the state is saved.
    pub save_area: *mut u8,
    /// By how many bytes that moves from turn to turn.
    pub save_stride_bytes: usize,
    /// Where it is restored from.
    pub restore_area: *const u8,
    /// By how many bytes that moves from turn to turn.
    pub restore_stride_bytes: usize,
    /// How many copies a turn makes.
    pub copies: u64,
    /// What copies.
    pub kernel: Option<CopyFn>,
    /// Where to.
    pub dst: *mut u8,
    /// Where from.
    pub src: *const u8,
    /// How much.
    pub len_bytes: usize,
    /// How often the loop turns; at least once.
    pub turns: u64,
    /// Where the loop keeps the counter it began at.
    pub(crate) start_ticks: u64,
}

/// Which registers a turn writes after the set-up: one of each component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Dirty {
    /// None.
    Nothing = 0,
    /// XMM1.
    Sse = 1,
    /// XMM1 and the upper half of YMM1.
    Avx = 2,
    /// ZMM1 and K1.
    Avx512 = 3,
    /// ZMM1, ZMM17 and K1.
    All = 4,
}

impl Dirty {
    /// What brings no component into use that `live` has not.
    pub fn of(live: Components) -> Self {
        if live.contains(Components::HI16_ZMM) {
            Self::All
        } else if live.contains(Components::ZMM_HI256) {
            Self::Avx512
        } else if live.contains(Components::AVX) {
            Self::Avx
        } else if live.contains(Components::SSE) {
            Self::Sse
        } else {
            Self::Nothing
        }
    }
}

impl Block {
    /// A loop that does nothing but wait.
    pub const fn empty(turns: u64) -> Self {
        Self {
            setup_image: ptr::null(),
            setup_mask: 0,
            mask: 0,
            dirty: Dirty::Nothing as u64,
            save_area: ptr::null_mut(),
            save_stride_bytes: 0,
            restore_area: ptr::null(),
            restore_stride_bytes: 0,
            copies: 0,
            kernel: None,
            dst: ptr::null_mut(),
            src: ptr::null(),
            len_bytes: 0,
            turns,
            start_ticks: 0,
        }
    }

    /// Runs the loop, and returns how many ticks of the time-stamp counter it took.
    ///
    /// # Safety
    ///
    /// - A restore reads the format of the save, if both are given.
    /// - The instructions given are available ([`Save::is_available`]); so is XRSTOR where there is an image, and the
    ///   registers that `dirty` names.
    /// - The image was made for XRSTOR with `setup_mask`; where a save is given, its area is aligned to 64 bytes and valid for
    ///   all turns, header cleared; where a restore is given, its area holds what such a save wrote, in each turn.
    /// - Where there are copies, `kernel` can run here, and source and destination are valid for `len_bytes` and apart.
    pub unsafe fn run(mut self, save: Option<Save>, restore: Option<Restore>) -> u64 {
        self.turns = self.turns.max(1);
        let block = &raw mut self;
        let timed: unsafe fn(*mut Self) -> u64 = match (save, restore) {
            (None, None) => nothing,
            (Some(Save::Xsave), None) => xsave,
            (Some(Save::Xsaveopt), None) => xsaveopt,
            (Some(Save::Xsavec), None) => xsavec,
            (Some(Save::Fxsave), None) => fxsave,
            (None, Some(Restore::Xrstor)) => xrstor,
            (None, Some(Restore::Fxrstor)) => fxrstor,
            (Some(Save::Xsave), Some(_)) => xsave_xrstor,
            (Some(Save::Xsaveopt), Some(_)) => xsaveopt_xrstor,
            (Some(Save::Xsavec), Some(_)) => xsavec_xrstor,
            (Some(Save::Fxsave), Some(_)) => fxsave_fxrstor,
        };
        // SAFETY: the caller's promise.
        unsafe { timed(block) }
    }
}

/// Defines the loop around one pair of instructions.
macro_rules! timed {
    ($name:ident, $save:literal, $restore:literal) => {
        /// # Safety
        ///
        /// As [`Block::run`], for these two instructions.
        #[inline(never)]
        unsafe fn $name(block: *mut Block) -> u64 {
            let end_ticks: u64;
            // SAFETY: the caller's promise. The block keeps the callee-saved registers, and everything else counts as
            // clobbered; the stack is aligned for the calls.
            unsafe {
                core::arch::asm!(
                    "mov r13, [r12 + {turns}]",
                    "lfence",
                    "rdtsc",
                    "shl rdx, 32",
                    "or rax, rdx",
                    "mov [r12 + {start_ticks}], rax",
                    "lfence",
                    ".p2align 6",
                    "20:",
                    "mov rdi, [r12 + {setup_image}]",
                    "test rdi, rdi",
                    "jz 21f",
                    "mov eax, [r12 + {setup_mask}]",
                    "mov edx, [r12 + {setup_mask} + 4]",
                    "xrstor64 [rdi]",
                    "21:",
                    "mov rax, [r12 + {dirty}]",
                    "test rax, rax",
                    "jz 29f",
                    "cmp rax, 2",
                    "jb 22f",
                    "je 23f",
                    "vpternlogd zmm1, zmm1, zmm1, 0xff",
                    "kxnorw k1, k1, k1",
                    "cmp rax, 3",
                    "je 29f",
                    "vpternlogd zmm17, zmm17, zmm17, 0xff",
                    "jmp 29f",
                    "22:",
                    "pcmpeqd xmm1, xmm1",
                    "jmp 29f",
                    "23:",
                    "vcmpps ymm1, ymm1, ymm1, 15", // always true, and AVX alone
                    "29:",
                    "lfence",
                    "mov rdi, [r12 + {save_area}]",
                    "mov eax, [r12 + {mask}]",
                    "mov edx, [r12 + {mask} + 4]",
                    $save,
                    "mov r15, [r12 + {copies}]",
                    "test r15, r15",
                    "jz 39f",
                    "30:",
                    "mov rdi, [r12 + {dst}]",
                    "mov rsi, [r12 + {src}]",
                    "mov rdx, [r12 + {len_bytes}]",
                    "call [r12 + {kernel}]",
                    "dec r15",
                    "jnz 30b",
                    "39:",
                    "mov rdi, [r12 + {restore_area}]",
                    "mov eax, [r12 + {mask}]",
                    "mov edx, [r12 + {mask} + 4]",
                    $restore,
                    "lfence",
                    "mov rax, [r12 + {save_stride}]",
                    "add [r12 + {save_area}], rax",
                    "mov rax, [r12 + {restore_stride}]",
                    "add [r12 + {restore_area}], rax",
                    "dec r13",
                    "jnz 20b",
                    "rdtscp",
                    "shl rdx, 32",
                    "or rax, rdx",
                    "lfence",
                    "mov r14, rax",
                    turns = const offset_of!(Block, turns),
                    start_ticks = const offset_of!(Block, start_ticks),
                    setup_image = const offset_of!(Block, setup_image),
                    setup_mask = const offset_of!(Block, setup_mask),
                    mask = const offset_of!(Block, mask),
                    dirty = const offset_of!(Block, dirty),
                    save_area = const offset_of!(Block, save_area),
                    save_stride = const offset_of!(Block, save_stride_bytes),
                    restore_area = const offset_of!(Block, restore_area),
                    restore_stride = const offset_of!(Block, restore_stride_bytes),
                    copies = const offset_of!(Block, copies),
                    kernel = const offset_of!(Block, kernel),
                    dst = const offset_of!(Block, dst),
                    src = const offset_of!(Block, src),
                    len_bytes = const offset_of!(Block, len_bytes),
                    in("r12") block,
                    out("r13") _,
                    out("r14") end_ticks,
                    out("r15") _,
                    clobber_abi("sysv64"),
                );
            }
            // SAFETY: the block belongs to the caller, and the loop has written the field.
            let start_ticks = unsafe { (&raw const (*block).start_ticks).read() };
            end_ticks.wrapping_sub(start_ticks)
        }
    };
}

timed!(nothing, "", "");
timed!(xsave, "xsave64 [rdi]", "");
timed!(xsaveopt, "xsaveopt64 [rdi]", "");
timed!(xsavec, "xsavec64 [rdi]", "");
timed!(fxsave, "fxsave64 [rdi]", "");
timed!(xrstor, "", "xrstor64 [rdi]");
timed!(fxrstor, "", "fxrstor64 [rdi]");
timed!(xsave_xrstor, "xsave64 [rdi]", "xrstor64 [rdi]");
timed!(xsaveopt_xrstor, "xsaveopt64 [rdi]", "xrstor64 [rdi]");
timed!(xsavec_xrstor, "xsavec64 [rdi]", "xrstor64 [rdi]");
timed!(fxsave_fxrstor, "fxsave64 [rdi]", "fxrstor64 [rdi]");
