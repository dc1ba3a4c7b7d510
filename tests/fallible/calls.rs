//! The promise: the calls follow the plan in force, refuse addresses that are no user's without an access, and the
//! table is what its page says. Memory that others write is copied as it is at some time.

use crate::matrix::{answer_faults, kernels};
use crate::place::{BORDER, Kind, Place};
use crate::signals::{self, Context, SIGSEGV, SigInfo};
use crate::suite::sys::{self, End};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use memcpy_select::fallible::{self, Faulted, exceptions, fixup, try_copy};
use memcpy_select::select::{Aliasing, Alignment, Band, Class, Plan, Policy, install, uninstall};
use memcpy_select::{Kernel, copy_from_shared, copy_from_shared_nosimd, copy_to_shared, copy_to_shared_nosimd};
use std::ptr;
use std::sync::LazyLock;

/// Where the last fault was that [`note`] answered.
static FAULTED_AT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note(number: c_int, _info: *mut SigInfo, context: *mut Context) {
    // SAFETY: the system gives the handler a context of its own.
    let context = unsafe { &mut *context };
    let ip = context.instruction() as usize;
    // The first one is in the kernel's wide access, the second one may be at the byte.
    let _ = FAULTED_AT.compare_exchange(0, ip, Ordering::Relaxed, Ordering::Relaxed);
    match fixup(ip) {
        Some(go_on) => context.go_on_at(go_on as u64),
        None => sys::end_at_next(number),
    }
}

/// The kernel that a call copies with, told by where it faults.
fn kernel_of(len: usize, dst: *mut u8, bad_src: *const u8) -> &'static str {
    FAULTED_AT.store(0, Ordering::Relaxed);
    // SAFETY: nothing of the source can be read, so that nothing is written.
    let result = unsafe { try_copy(dst, bad_src, len) };
    assert_eq!(result.map_err(|faulted| faulted.copied()), Err(0));
    let at = FAULTED_AT.load(Ordering::Relaxed);
    let before = kernels().filter(|kernel| kernel.entry as usize <= at);
    before.max_by_key(|kernel| kernel.entry as usize).expect("it faulted in a kernel").name
}

#[test]
fn the_call_follows_the_plan_in_force() {
    static PLAN: LazyLock<Plan> = LazyLock::new(|| {
        let kernel = |name| Kernel::named(name).expect("a row of the table");
        let aliased = Class::new(Alignment::Unequal, Aliasing::DstAfterSrc);
        let above = Band::new(usize::MAX, kernel("rep_movsb")).with(aliased, kernel("gpr"));
        Plan::new(&[Band::new(300, kernel("gpr")), above]).expect("rising limits")
    });
    static WORDS: LazyLock<Plan> =
        LazyLock::new(|| Plan::new(&[Band::new(usize::MAX, Kernel::named("gpr").unwrap())]).expect("one band"));
    let end = sys::in_child(|| {
        signals::handle(SIGSEGV, note);
        let (dst, src) = (Place::new(Kind::Open, |_| 0), Place::new(Kind::Closed, |_| 0));
        let bad = src.start().wrapping_add(BORDER).cast_const();
        let apart = dst.start().wrapping_add(2048);
        let aliased = dst.start().wrapping_add(1);
        // The first copy of the process decides.
        assert!(kernel_of(1 << 20, apart, bad).starts_with("fallible_"));
        let decided = kernel_of(400, apart, bad);
        install(Policy::NoSimd, &PLAN).expect("it needs nothing");
        assert_eq!([1, 64, 65, 300].map(|len| kernel_of(len, apart, bad)), ["fallible_gpr"; 4]);
        assert_eq!([301, 5000].map(|len| kernel_of(len, apart, bad)), ["fallible_rep_movsb"; 2]);
        assert_eq!([301, 5000].map(|len| kernel_of(len, aliased, bad)), ["fallible_gpr"; 2]);
        install(Policy::NoSimd, &WORDS).expect("it needs nothing");
        assert_eq!([301, usize::MAX].map(|len| kernel_of(len, apart, bad)), ["fallible_gpr"; 2]);
        uninstall(Policy::NoSimd);
        assert_eq!(kernel_of(400, apart, bad), decided);
        0
    });
    assert_eq!(end, End::Exit(0));
}

type UserCopy = unsafe fn(*mut u8, *const u8, usize) -> Result<(), Faulted>;

/// A call of user memory, and which of its sides is.
const USER_COPIES: [(UserCopy, bool, bool); 3] = [
    (fallible::try_copy_from_user, false, true),
    (fallible::try_copy_to_user, true, false),
    (fallible::try_copy_in_user, true, true),
];

#[test]
fn addresses_that_are_no_users_are_refused_without_an_access() {
    let (src, mut dst) = ([7_u8; 300], [0_u8; 300]);
    let upper = [1 << 63, 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8000_0000, usize::MAX - 400, usize::MAX];
    for (copy, is_dst, is_src) in USER_COPIES {
        for address in upper {
            for len in [1, 16, 200, 300] {
                // No handler is there: an access would end the process.
                let nothing = ptr::without_provenance_mut::<u8>(address);
                if is_src {
                    // SAFETY: the destination is the array; the source is no user's.
                    let result = unsafe { copy(dst.as_mut_ptr(), nothing, len) };
                    assert_eq!(result.map_err(|faulted| faulted.copied()), Err(0), "{len} from {address:#x}");
                }
                if is_dst {
                    // SAFETY: the source is the array; the destination is no user's.
                    let result = unsafe { copy(nothing, src.as_ptr(), len) };
                    assert_eq!(result.map_err(|faulted| faulted.copied()), Err(0), "{len} to {address:#x}");
                }
            }
        }
        for len in [usize::MAX, usize::MAX / 2 + 1] {
            // SAFETY: the user's range wraps or comes to the upper half.
            let result = unsafe { copy(dst.as_mut_ptr(), src.as_ptr(), len) };
            assert_eq!(result.map_err(|faulted| faulted.copied()), Err(0), "{len} bytes");
        }
        assert_eq!(dst, [0; 300]);
        for len in 0..=300 {
            dst.fill(0);
            // SAFETY: both arrays are of at least that length.
            assert_eq!(unsafe { copy(dst.as_mut_ptr(), src.as_ptr(), len) }, Ok(()));
            assert!(dst[..len] == src[..len] && dst[len..].iter().all(|byte| *byte == 0));
        }
        dst.fill(0);
        // SAFETY: nothing is copied.
        assert_eq!(unsafe { copy(ptr::null_mut(), ptr::without_provenance(usize::MAX), 0) }, Ok(()));
    }
}

#[test]
fn user_memory_that_is_not_there_ends_the_copy() {
    let end = sys::in_child(|| {
        answer_faults();
        let (mut dst, mut src) = (Place::new(Kind::Closed, |_| 0), Place::new(Kind::Closed, |at| at as u8 | 1));
        for (copy, is_dst, is_src) in USER_COPIES {
            for (len, before) in [(100, 7), (300, 299), (2000, 1500), (usize::MAX / 4, 100)] {
                let bad = BORDER - before;
                for (to, from, is_asked) in [(bad, 0, is_dst), (0, bad, is_src)] {
                    if !is_asked {
                        continue;
                    }
                    dst.paint(0, BORDER);
                    let (to_address, from_address) = (dst.start().wrapping_add(to), src.start().wrapping_add(from));
                    // SAFETY: both ranges lie in their places as far as they can be accessed.
                    let result = unsafe { copy(to_address, from_address, len) };
                    assert_eq!(result.map_err(|faulted| faulted.copied()), Err(before));
                    let bytes: Vec<u8> = (from..from + before).map(|at| at as u8 | 1).collect();
                    assert!(dst.holds(to, &bytes, 0, BORDER));
                }
            }
        }
        src.paint(0, 1);
        0
    });
    assert_eq!(end, End::Exit(0));
}

/// A handler that provides the page and goes on at the fix-up all the same: the copy ends well.
#[test]
fn a_page_that_is_there_by_then_is_copied() {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn provide(_number: c_int, _info: *mut SigInfo, context: *mut Context) {
        // SAFETY: the page is one of a `Pages`, and the context the handler's own.
        let context = unsafe {
            assert!(crate::suite::pages::open_page(PAGE.load(Ordering::Relaxed)));
            &mut *context
        };
        context.go_on_at(fixup(context.instruction() as usize).expect("a fallible copy") as u64);
    }
    let end = sys::in_child(|| {
        signals::handle(SIGSEGV, provide);
        for kernel in kernels().filter(|kernel| !kernel.is_for_smap) {
            for (len, before) in [(3, 1), (8, 5), (30, 16), (60, 40), (128, 100), (1000, 77), (4000, 2000)] {
                let (dst, src) = (Place::new(Kind::Open, |_| 0), Place::new(Kind::Closed, |at| (at % 251) as u8));
                PAGE.store(src.start().addr() + BORDER, Ordering::Relaxed);
                // SAFETY: both ranges lie in their places, whose closed page the handler opens.
                let left = unsafe { (kernel.entry)(dst.start(), src.start().wrapping_add(BORDER - before), len) };
                let bytes: Vec<u8> = (BORDER - before..BORDER - before + len).map(|at| (at % 251) as u8).collect();
                // SAFETY: the destination is open and nothing else refers to it.
                let copied = unsafe { core::slice::from_raw_parts(dst.start(), len) };
                assert!(left == 0 && copied == bytes, "{}: {len}", kernel.name);
            }
        }
        0
    });
    assert_eq!(end, End::Exit(0));
}

#[test]
fn the_table_has_rows_of_the_kernels_and_no_others() {
    let here: fn() = the_table_has_rows_of_the_kernels_and_no_others;
    let rows: Vec<_> = exceptions().iter().map(|row| (row.range(), row.fixup())).collect();
    let mut entries: Vec<usize> = kernels().map(|kernel| kernel.entry as usize).collect();
    entries.sort_unstable();
    // Far apart from each other as they are, a kernel is shorter than this.
    let kernel_at = |ip: usize| entries.iter().rev().find(|entry| (**entry..**entry + 1024).contains(&ip));
    assert_eq!(entries.len(), 4);
    for (range, go_on) in &rows {
        assert!(range.start < range.end);
        let kernel = kernel_at(range.start).expect("code of a kernel");
        assert_eq!([range.end - 1, *go_on].map(kernel_at), [Some(kernel); 2]);
        assert_eq!([range.start, range.end - 1].map(fixup), [Some(*go_on); 2]);
        let covers = |ip: usize| rows.iter().filter(|(range, _)| range.contains(&ip)).count();
        assert_eq!([range.start, range.end - 1].map(covers), [1; 2], "rows do not overlap");
    }
    for entry in &entries {
        assert!(rows.iter().any(|(range, _)| kernel_at(range.start) == Some(entry)));
        assert_eq!(fixup(*entry), None, "entering a kernel accesses nothing");
    }
    assert_eq!([0, 1, usize::MAX, here as usize].map(fixup), [None; 4]);
}

/// One thread changes all bytes again and again; copies have bytes that were there, at every length, in both
/// directions.
#[test]
fn memory_that_others_write_is_copied_as_it_is_at_some_time() {
    const LEN: usize = 1000;
    let shared: Vec<AtomicU8> = (0..LEN).map(|_| AtomicU8::new(1)).collect();
    let done = AtomicBool::new(false);
    let start = shared.as_ptr().cast_mut().cast::<u8>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for value in [2, 1] {
                    shared.iter().for_each(|byte| byte.store(value, Ordering::Relaxed));
                }
            }
        });
        for len in 0..=LEN {
            let (mut user, mut no_simd) = ([0; LEN + 1], [0; LEN + 1]);
            // SAFETY: the source is the vector, which others write as memory.
            unsafe { copy_from_shared(&mut user[..len], start) };
            // SAFETY: as above.
            unsafe { copy_from_shared_nosimd(&mut no_simd[..len], start) };
            for copy in [user, no_simd] {
                assert!(
                    copy[..len].iter().all(|byte| [1, 2].contains(byte)) && copy[len..].iter().all(|byte| *byte == 0)
                );
            }
            // SAFETY: the destination is the vector, which others read and write as memory.
            unsafe { copy_to_shared(start, &[1; LEN][..len]) };
            // SAFETY: as above.
            unsafe { copy_to_shared_nosimd(start, &[2; LEN][..len]) };
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut expected = [0_u8; LEN];
    expected.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    for len in [0, 1, 63, 64, 65, 500, LEN] {
        // SAFETY: the destination is the vector, which nobody writes any more.
        unsafe { copy_to_shared(start, &expected[..len]) };
        assert!(shared[..len].iter().map(|byte| byte.load(Ordering::Relaxed)).eq(expected[..len].iter().copied()));
    }
}
