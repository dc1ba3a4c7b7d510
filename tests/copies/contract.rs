//! Promise: every kernel that this CPU can run copies every length at every alignment, and touches nothing else.

use crate::suite::cases::Effort;
use crate::suite::routine::{self, Routine};
use crate::suite::runner;

#[test]
fn every_kernel_copies_every_length_exactly() {
    let (ready, lacking) = routine::kernels_here();
    let routines: Vec<&dyn Routine> = ready.iter().map(|kernel| kernel as &dyn Routine).collect();
    runner::every_length("contract", &routines, Effort::chosen());
    routine::print_skipped(&lacking);
}

#[test]
fn a_kernel_is_ready_exactly_where_it_is_available() {
    for kernel in memcpy_select::kernels() {
        let has_all = memcpy_select::cpu::features().contains(kernel.needs());
        assert_eq!(kernel.is_available(), has_all, "{}", kernel.name());
        assert_eq!(kernel.ready().map(|ready| ready.kernel()), has_all.then_some(kernel), "{}", kernel.name());
    }
}

#[test]
fn a_ready_kernel_refuses_unequal_lengths() {
    let (ready, _) = routine::kernels_here();
    for kernel in ready {
        let mut dst = [0xaa; 5];
        let mismatch = kernel.copy(&mut dst, &[1, 2, 3]).unwrap_err();
        assert_eq!((mismatch.dst_bytes, mismatch.src_bytes), (5, 3));
        assert!(mismatch.to_string().contains("5 bytes and the source 3"), "{mismatch}");
        assert_eq!(dst, [0xaa; 5], "nothing was copied");
        assert_eq!(kernel.copy(&mut dst, b"hello"), Ok(()));
        assert_eq!(&dst, b"hello");
    }
}

#[test]
fn kernel_names_are_unique() {
    let mut names: Vec<_> = memcpy_select::kernels().iter().map(memcpy_select::Kernel::name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_unknown_number_of_cases_is_refused() {
    let known = ["sampled", "usual", "full", "exhaustive"].map(|name| Effort::parse(name).unwrap());
    assert!(known.is_sorted() && known[1] == Effort::Usual, "{known:?}");
    let message = Effort::parse("few").unwrap_err();
    assert!(message.contains("MEMCPY_SELECT_TEST_CASES is \"few\""), "{message}");
}
