//! What a call leaves behind: every register that the contract speaks of, before and after.
//!
//! A trampoline puts known values into all registers, calls, and stores what it finds. It restores everything itself,
//! so that not even a routine which breaks all the rules harms the test.

mod trampoline;

use super::arena::Arena;
use super::cases::Case;
use super::check::{Check, Failure};
use super::rng::Rng;
use super::routine::Routine;
use memcpy_select::Kernel;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::CopyFn;
use std::cell::RefCell;
pub use trampoline::{Frame, Vectors};

/// Code to be judged, and what it claims.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    pub entry: CopyFn,
    /// The vector components that it may write.
    pub writes: Components,
    /// The components that it may leave in use.
    pub leaves_in_use: Components,
    /// Whether it keeps this crate's contract, or only the platform's calling convention.
    pub ours: bool,
}

impl Subject {
    pub fn of(kernel: &'static Kernel) -> Self {
        Self {
            name: kernel.name(),
            entry: kernel.entry(),
            // Who restores what it writes has changed nothing when it returns.
            writes: if kernel.restores() { Components::NONE } else { kernel.writes() },
            leaves_in_use: kernel.leaves_in_use(),
            ours: !matches!(kernel.name(), "libc" | "portable"),
        }
    }
}

/// What the vector registers hold before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Random bytes in every part of every register.
    Filled,
    /// The initial state: what is in use afterwards is the routine's doing.
    Initial,
}

/// How often a copy is repeated that seems to have brought a component into use. The system may interrupt it, save all
/// state and restore it, and because MXCSR belongs to the component SSE that can bring it into use; a routine that
/// does so itself does it every time. Interruptions come in bursts where two cores are busy.
const ATTEMPTS: u32 = 100;

/// A routine under observation: each copy goes through the trampoline, and the first broken rule is kept.
pub struct Observed {
    subject: Subject,
    before: Before,
}

thread_local! {
    static FRAME: RefCell<Box<Frame>> = RefCell::new(Frame::new());
    static BROKEN: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

impl Observed {
    pub fn new(subject: Subject, before: Before) -> Self {
        Self { subject, before }
    }

    /// Makes one copy in the arena; judges its bytes, then its registers.
    pub fn check(&self, arena: &mut Arena, case: Case) -> Result<(), Failure> {
        BROKEN.take();
        arena.check(self, case)?;
        BROKEN.take().map_or(Ok(()), Err)
    }
}

impl Routine for Observed {
    fn name(&self) -> &'static str {
        self.subject.name
    }

    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        FRAME.with_borrow_mut(|frame| {
            for attempts_left in (0..ATTEMPTS).rev() {
                frame.prepare(self.before, &mut Rng::new(len as u64));
                // SAFETY: the caller's promise holds for the entry point too.
                unsafe { frame.call(self.subject.entry, dst, src, len) };
                match judge(frame, &self.subject) {
                    Ok(()) => break,
                    Err(failure) if failure.check == Check::InUse && attempts_left > 0 => {}
                    Err(failure) => drop(BROKEN.replace(Some(failure))),
                }
            }
        });
    }
}

/// Compares what a call left behind with what it may leave behind.
pub fn judge(frame: &Frame, subject: &Subject) -> Result<(), Failure> {
    general(frame, subject)?;
    if subject.ours {
        vectors(frame, subject.writes)?;
        in_use(frame, subject.leaves_in_use)?;
    }
    Ok(())
}

fn general(frame: &Frame, subject: &Subject) -> Result<(), Failure> {
    const NAMES: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];
    const DIRECTION: u64 = 1 << 10;
    // The lower six bits of MXCSR are exception flags, which the calling convention gives away.
    let mxcsr_kept = if subject.ours { u32::MAX } else { !0x3f };

    if frame.stack_pointer_after != frame.stack_pointer_before {
        let moved = frame.stack_pointer_after.wrapping_sub(frame.stack_pointer_before).cast_signed();
        return Err(Failure::new(Check::StackPointer, format!("it moved by {moved}")));
    }
    for (name, (before, after)) in NAMES.iter().zip(frame.callee_saved_in.iter().zip(frame.callee_saved_out)) {
        if *before != after {
            return Err(Failure::new(Check::CalleeSaved, format!("{name} is {after:#x} instead of {before:#x}")));
        }
    }
    expect_kept(Check::CallersStack, frame.stack_in, frame.stack_out)?;
    expect_kept(Check::DirectionFlag, 0, frame.flags_after & DIRECTION)?;
    expect_kept(Check::Mxcsr, frame.mxcsr_in & mxcsr_kept, frame.mxcsr_out & mxcsr_kept)?;
    let [control, _status, tags] = [0, 1, 2].map(|word| frame.x87_out[word] as u16);
    expect_kept(Check::X87Control, frame.x87_control_in, control)?;
    expect_kept(Check::X87Tags, u16::MAX, tags)
}

/// Bytes 0 to 15 of a register are the component SSE, 16 to 31 AVX, 32 to 63 ZMM_Hi256; registers 16 to 31 are Hi16_ZMM.
fn vectors(frame: &Frame, writes: Components) -> Result<(), Failure> {
    let parts = match frame.width {
        Vectors::Xmm => &[(0..16, Components::SSE)][..],
        Vectors::Ymm => &[(0..16, Components::SSE), (16..32, Components::AVX)],
        Vectors::Zmm => &[(0..16, Components::SSE), (16..32, Components::AVX), (32..64, Components::ZMM_HI256)],
    };
    for register in 0..16 {
        let (before, after) = (&frame.vectors_in[register], &frame.vectors_out[register]);
        for (bytes, component) in parts {
            let (before, after) = (&before[bytes.clone()], &after[bytes.clone()]);
            let is_kept = before == after;
            if !is_kept && !writes.contains(*component) {
                return Err(Failure::new(Check::VectorClaim, format!("register {register}, {component:?}")));
            }
            let is_clear = after.iter().all(|byte| *byte == 0);
            if bytes.start > 0 && !is_kept && !is_clear {
                return Err(Failure::new(Check::UpperState, format!("register {register}, {component:?}: {after:x?}")));
            }
        }
    }
    if frame.width == Vectors::Zmm {
        if !writes.contains(Components::HI16_ZMM) && frame.vectors_in[16..] != frame.vectors_out[16..] {
            return Err(Failure::new(Check::HighRegisters, "a register from 16 to 31 changed"));
        }
        if !writes.contains(Components::OPMASK) {
            expect_kept(Check::VectorClaim, frame.opmasks_in, frame.opmasks_out)?;
        }
    }
    Ok(())
}

fn in_use(frame: &Frame, leaves: Components) -> Result<(), Failure> {
    // x87 and what is neither vector nor mask state are not the kernels' concern.
    let vector_state = Components::SSE.union(Components::AVX).union(Components::AVX512);
    let [before, after] = [frame.in_use_before, frame.in_use_after].map(Components::from_bits);
    let surplus = after.difference(before).difference(leaves).intersection(vector_state);
    if surplus.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Check::InUse, format!("{surplus:?} came into use, claimed is {leaves:?}")))
}

fn expect_kept<T: PartialEq + core::fmt::Debug>(check: Check, before: T, after: T) -> Result<(), Failure> {
    if before == after { Ok(()) } else { Err(Failure::new(check, format!("{after:x?} instead of {before:x?}"))) }
}
