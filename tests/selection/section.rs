//! Promise: in a section, vector kernels may be used while the registers belong to somebody else, who finds all of them
//! as they were; and where no vector kernel is used, nothing is saved.

use crate::suite::abi::{Before, Frame, Vectors};
use crate::suite::forever::forever;
use crate::suite::rng::Rng;
use crate::turn::Turn;
use memcpy_select::Kernel;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::select::{Band, InSection, Plan, Policy, install, memcpy_auto_in_section, uninstall};
use memcpy_select::xsave::{Save, SavedState, Section, SectionError, StateArea};
use std::sync::atomic::{AtomicPtr, Ordering};

const ALL: Components = Components::X87.union(Components::SSE).union(Components::AVX).union(Components::AVX512);

/// `gpr` up to 100 bytes, then the widest kernel that this CPU has.
fn install_plan() -> &'static Kernel {
    let kernel = |name| Kernel::named(name).expect("a kernel of the table");
    let widest = ["avx512_aligned", "avx_aligned", "sse2_aligned"].map(kernel);
    let widest = widest.into_iter().find(|kernel| kernel.is_available()).expect("every x86-64 has SSE2");
    let plan = Plan::new(&[Band::new(100, kernel("gpr")), Band::new(usize::MAX, widest)]).expect("rising limits");
    install(Policy::Section, forever(plan)).expect("available kernels");
    widest
}

/// The section that [`in_section`] takes: nothing on the way to it may touch vector registers, optimised or not.
static SECTION: AtomicPtr<SavedState<'static>> = AtomicPtr::new(core::ptr::null_mut());

unsafe extern "sysv64" fn in_section(dst: *mut u8, src: *const u8, len: usize) {
    let section = SECTION.load(Ordering::Relaxed);
    // SAFETY: the test stored one that nothing else refers to, before it calls this.
    let section = unsafe { &mut *section };
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_auto_in_section(dst, src, len, section) }
}

#[test]
fn whoever_owns_the_registers_finds_them_as_they_were() {
    let _turn = Turn::take();
    let (cpu, kernel) = (Cpu::detect(), install_plan());
    let mut tried = 0;
    for save in Save::ALL.into_iter().filter(|save| save.is_available(&cpu.xstate)) {
        // FXSAVE keeps the XMM registers alone: the kernels beyond are not used under it.
        let area = forever(StateArea::<4096>::new());
        let section = SavedState::with(area, save, ALL, &cpu.xstate).expect("4096 bytes are enough");
        let is_lent = section.lends().contains(kernel.writes());
        assert_eq!(is_lent, save != Save::Fxsave || kernel.name() == "sse2_aligned" || cpu.xstate.enabled.is_empty());
        SECTION.store(forever(section), Ordering::Relaxed);
        let mut frame = Frame::new();
        for len in [0, 7, 64, 100, 101, 300, 5000] {
            let src: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut dst = vec![0; len];
            frame.prepare(Before::Filled, &mut Rng::new(len as u64));
            // SAFETY: two ranges of `len` bytes that are apart.
            unsafe { frame.call(in_section, dst.as_mut_ptr(), src.as_ptr(), len) };
            assert!(dst == src, "{} {len}", save.name());
            assert!(!frame.vectors_changed(), "{} {len}: a vector register changed", save.name());
            if frame.width == Vectors::Zmm {
                assert_eq!(frame.opmasks_in, frame.opmasks_out, "{} {len}", save.name());
            }
            tried += 1;
        }
    }
    println!("{tried} copies in sections, every vector and mask register as before");
    uninstall(Policy::Section);
}

/// Counts what is asked of it.
#[derive(Default)]
struct Counted {
    lends: Components,
    begun: u32,
    ended: u32,
}

// SAFETY: the test's registers are its own: whatever is written in between harms nobody.
unsafe impl Section for Counted {
    fn lends(&self) -> Components {
        self.lends
    }
    fn begin(&mut self) {
        self.begun += 1;
    }
    fn end(&mut self) {
        self.ended += 1;
    }
}

#[test]
fn a_section_is_entered_once_and_only_for_kernels_that_need_it() {
    let _turn = Turn::take();
    let kernel = install_plan();
    let (mut dst, src) = ([0; 1000], [7; 1000]);
    let mut copy = |copies: &mut InSection<'_, Counted>, len: usize| {
        dst.fill(0);
        // SAFETY: two arrays of more bytes than are copied.
        unsafe { copies.copy(dst.as_mut_ptr(), src.as_ptr(), len) };
        assert!(dst[..len].iter().all(|byte| *byte == 7) && dst[len..].iter().all(|byte| *byte == 0));
    };
    let mut section = Counted { lends: kernel.writes(), ..Counted::default() };
    let mut copies = InSection::new(&mut section);
    copy(&mut copies, 100);
    assert!(!copies.is_open());
    drop(copies);
    assert_eq!((section.begun, section.ended), (0, 0));
    let mut copies = InSection::new(&mut section);
    for len in [50, 101, 1000, 20, 500] {
        copy(&mut copies, len);
    }
    drop(copies);
    assert_eq!((section.begun, section.ended), (1, 1));

    // What is not lent is not written: the copy goes without.
    let mut section = Counted::default();
    let mut copies = InSection::new(&mut section);
    copy(&mut copies, 1000);
    drop(copies);
    assert_eq!((section.begun, section.ended), (0, 0));
    uninstall(Policy::Section);
}

#[test]
fn what_cannot_be_saved_is_refused_with_the_reason() {
    let cpu = Cpu::detect();
    let mut small = StateArea::<64>::new();
    let error = SavedState::with(&mut small, Save::Fxsave, ALL, &cpu.xstate).err().expect("512 bytes do not fit");
    assert_eq!(error, SectionError::AreaTooSmall { area_bytes: 64, needed_bytes: 512 });
    assert!(error.to_string().contains("512"), "{error}");
    let mut area = StateArea::<4096>::new();
    let none = memcpy_select::cpu::XState::default();
    let error = SavedState::with(&mut area, Save::Xsavec, ALL, &none).err().expect("nothing is enabled");
    assert_eq!(error, SectionError::Unavailable { save: Save::Xsavec });
    assert!(error.to_string().contains("xsavec"), "{error}");
}
