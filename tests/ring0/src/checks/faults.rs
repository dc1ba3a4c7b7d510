//! Faults in the middle of copies: how far each came, to the byte.

use super::Report;
use super::arena::{BYTES, Half, LAST_USER_PAGE, MARGIN, PAINT, Window, pattern};
use crate::machine::paging::{Access, PAGE};
use crate::machine::registers::has_smap;
use crate::machine::traps::{FIXED, LAST_ERROR, MAY_OPEN, OWN, SMAP_WRONG};
use crate::machine::vectors::{self, Vectors};
use crate::say;
use core::sync::atomic::Ordering::Relaxed;
use memcpy_select::cpu::Components;
use memcpy_select::fallible::{Faulted, try_copy, try_copy_from_user, try_copy_in_user, try_copy_to_user};
use memcpy_select::kernel::fallible_kernels;
use memcpy_select::select::{Band, Plan, Policy, install, uninstall};
use memcpy_select::{Kernel, fallible};

/// A call under test: whose memory each side is, whether it opens SMAP, and how many bytes it says were copied.
struct Subject<'a> {
    name: &'a str,
    /// By which plan it copies; empty for a kernel, which follows none.
    plan: &'a str,
    halves: [Half; 2],
    opens: bool,
    way: Way<'a>,
}

enum Way<'a> {
    /// A kernel, called from assembly: the number of bytes that are left.
    Entry(usize),
    /// A call of the crate's: the number of bytes that were copied.
    Call(&'a dyn Fn(usize, usize, usize) -> usize),
}

impl Subject<'_> {
    /// One copy: how many bytes it says were copied, and what it left; vector state only if that is asked for.
    fn copy(&self, vectors: &mut Vectors, [dst, src]: [usize; 2], len: usize, all: bool) -> (usize, vectors::Left) {
        MAY_OPEN.store(self.opens.into(), Relaxed);
        let mut found = 0;
        let mut body;
        let call = match self.way {
            Way::Entry(entry) => vectors::Call { entry, arguments: [dst, src, len] },
            Way::Call(copy) => {
                body = || found = copy(dst, src, len);
                vectors::Call::of(&mut body)
            }
        };
        // SAFETY: the windows are for copies, whatever they do to them; user pages with a kernel that opens them.
        let left = unsafe { if all { vectors.watch(call) } else { vectors.watch_general(call) } };
        MAY_OPEN.store(0, Relaxed);
        let copied = if let Way::Entry(_) = self.way { len.wrapping_sub(left.result) } else { found };
        (copied, left)
    }
}

fn copied(len: usize, result: Result<(), Faulted>) -> usize {
    result.map_or_else(|faulted| faulted.copied(), |()| len)
}

type Call = unsafe fn(*mut u8, *const u8, usize) -> Result<(), Faulted>;

const CALLS: [(&str, [Half; 2], Call); 4] = [
    ("try_copy", [Half::Kernel; 2], |dst, src, len| {
        // SAFETY: of the caller.
        unsafe { try_copy(dst, src, len) }
    }),
    ("try_copy_from_user", [Half::Kernel, Half::User], |dst, src, len| {
        // SAFETY: of the caller.
        unsafe { try_copy_from_user(dst, src, len) }
    }),
    ("try_copy_to_user", [Half::User, Half::Kernel], |dst, src, len| {
        // SAFETY: of the caller.
        unsafe { try_copy_to_user(dst, src, len) }
    }),
    ("try_copy_in_user", [Half::User; 2], |dst, src, len| {
        // SAFETY: of the caller.
        unsafe { try_copy_in_user(dst, src, len) }
    }),
];

static PLANS: [Plan; 2] = [one_kernel("gpr"), one_kernel("rep_movsb")];

const fn one_kernel(name: &str) -> Plan {
    match Kernel::named(name) {
        Some(kernel) => match Plan::new(&[Band::new(usize::MAX, kernel)]) {
            Ok(plan) => plan,
            Err(_) => panic!("one band up to the end is a plan"),
        },
        None => panic!("the crate was built without its kernels"),
    }
}

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    let before = FIXED.load(Relaxed);
    say!("  copies by place of the fault: {:?}", PLACES.map(|place| place.name));
    for kernel in fallible_kernels().iter().filter(|kernel| has_smap() || !kernel.is_for_smap()) {
        let half = if kernel.is_for_smap() { Half::User } else { Half::Kernel };
        let way = Way::Entry(kernel.entry() as usize);
        let subject = Subject { name: kernel.name(), plan: "", halves: [half; 2], opens: kernel.is_for_smap(), way };
        matrix(report, vectors, &subject);
        ends_of_the_address_space(report, vectors, &subject);
    }
    // The plan for this CPU, then each kernel at every length.
    for (plan_name, plan) in [("this CPU's", None), ("gpr", Some(&PLANS[0])), ("rep_movsb", Some(&PLANS[1]))] {
        match plan {
            None => uninstall(Policy::NoSimd),
            Some(plan) => report.check(install(Policy::NoSimd, plan).is_ok(), format_args!("a plan is refused")),
        }
        for (name, halves, call) in CALLS {
            let copy = |dst: usize, src: usize, len: usize| {
                // SAFETY: the windows are for copies, whatever they do to them.
                copied(len, unsafe { call(dst as *mut u8, src as *const u8, len) })
            };
            let opens = has_smap() && halves.contains(&Half::User);
            let subject = Subject { name, plan: plan_name, halves, opens, way: Way::Call(&copy) };
            matrix(report, vectors, &subject);
            ends_of_the_address_space(report, vectors, &subject);
        }
    }
    uninstall(Policy::NoSimd);
    without_asking(report, vectors);
    say!("faults: {} were answered by the table", FIXED.load(Relaxed) - before);
}

/// The distances from the start of a copy to the page that faults: every offset of a line, twice over, and around pages.
fn distances() -> impl Iterator<Item = usize> {
    (0..=136).chain([191, 192, 193, 255, 256, 257, 320, 511, 512, 513, 1000, 4095, 4096, 4097])
}

/// How long copies want to go on beyond; 0: they end right before the page that would fault.
const BEYOND: [usize; 5] = [0, 1, 7, 64, 300];
/// Where the side that does not fault begins in its page, for a kernel; calls come to the same kernels.
const OTHER_AT: [usize; 9] = [0, 1, 2, 3, 5, 8, 13, 32, 63];
const OTHER_AT_FOR_CALLS: [usize; 2] = [0, 13];
/// The page that faults.
const BAD: usize = 2;

/// What is wrong with page [`BAD`].
struct Place {
    name: &'static str,
    dst: Access,
    src: Access,
    /// How many bytes later it comes in the source, where both sides fault.
    later: isize,
}

const fn place(name: &'static str, dst: Access, src: Access, later: isize) -> Place {
    Place { name, dst, src, later }
}

const PLACES: [Place; 6] = [
    place("source absent", Access::Write, Access::Absent, 0),
    place("destination absent", Access::Absent, Access::Write, 0),
    place("destination read-only", Access::Read, Access::Read, 0),
    place("both at once", Access::Absent, Access::Absent, 0),
    place("destination first", Access::Read, Access::Absent, 3),
    place("source first", Access::Absent, Access::Absent, -9),
];

fn matrix(report: &mut Report, vectors: &mut Vectors, subject: &Subject<'_>) {
    let (dst, src) = (Window::new(0, subject.halves[0]), Window::new(1, subject.halves[1]));
    src.fill();
    let border = BAD * PAGE;
    let mut copies = [0_u32; PLACES.len()];
    let failures = report.failures;
    for (Place { dst: of_dst, src: of_src, later, .. }, copies) in PLACES.into_iter().zip(&mut copies) {
        dst.set(BAD, of_dst);
        src.set(BAD, of_src);
        let others: &[usize] = match subject.way {
            _ if of_dst != Access::Write && of_src == Access::Absent => &[0],
            Way::Entry(_) => &OTHER_AT,
            Way::Call(_) => &OTHER_AT_FOR_CALLS,
        };
        for distance in distances() {
            for other in others {
                // Where each side begins; the one that does not fault begins in a page of its own.
                let (to, from) = match (of_dst, of_src) {
                    (Access::Write, _) => (*other, border - distance),
                    (_, Access::Write | Access::Read) => (border - distance, *other),
                    _ => (border - distance, (border - distance).saturating_add_signed(-later).min(border)),
                };
                for beyond in BEYOND {
                    let len = distance + beyond;
                    let until = |first: usize, access: Access, is_enough: fn(Access) -> bool| {
                        if is_enough(access) || first + len <= border { len } else { border - first }
                    };
                    let writable = until(to, of_dst, |access| access == Access::Write);
                    let readable = until(from, of_src, |access| access != Access::Absent);
                    exact(report, vectors, subject, [&dst, &src], [to, from], len, writable.min(readable));
                    *copies += 1;
                }
            }
        }
    }
    dst.set(BAD, Access::Write);
    src.set(BAD, Access::Write);
    let verdict = if report.failures == failures { "all exact" } else { "not all exact" };
    say!("  {:23} {:10} {verdict}: {:?}", subject.name, subject.plan, copies);
}

/// One copy, of which `wanted` bytes have to arrive, and nothing else.
fn exact(
    report: &mut Report,
    vectors: &mut Vectors,
    subject: &Subject<'_>,
    [dst, src]: [&Window; 2],
    [to, from]: [usize; 2],
    len: usize,
    wanted: usize,
) {
    let around = dst.around(to, len);
    dst.bytes()[around.clone()].fill(PAINT);
    let what = format_args!("{} of {len} bytes from {from:#x} to {to:#x}", subject.name);
    let found = call(report, vectors, subject, [dst.at + to, src.at + from], len, wanted);
    report.check(found == wanted, format_args!("{found} bytes copied instead of {wanted}: {what}"));
    let (bytes, sources) = (dst.bytes(), src.bytes());
    report.check(bytes[to..to + wanted].iter().eq(&sources[from..from + wanted]), format_args!("wrong bytes: {what}"));
    report.check(is_paint(&bytes[around.start..to]), format_args!("bytes before changed: {what}"));
    report.check(is_paint(&bytes[to + wanted..around.end]), format_args!("bytes beyond the fault changed: {what}"));
}

fn is_paint(range: &[u8]) -> bool {
    range.iter().all(|byte| *byte == PAINT)
}

/// One call, and what it must not change; how many bytes it says it copied.
fn call(
    report: &mut Report,
    vectors: &mut Vectors,
    subject: &Subject<'_>,
    [dst, src]: [usize; 2],
    len: usize,
    wanted: usize,
) -> usize {
    let what = format_args!("{} of {len} bytes from {src:#x} to {dst:#x}", subject.name);
    let counts = || [FIXED.load(Relaxed), OWN.load(Relaxed), SMAP_WRONG.load(Relaxed)];
    let before = counts();
    // All vector registers at some lengths: looking at them takes longer than the copy.
    let (found, left) = subject.copy(vectors, [dst, src], len, len.is_multiple_of(16));
    let after = counts();
    let [fixed, own, smap] = [0, 1, 2].map(|count| after[count] - before[count]);
    // A wide access, and the byte; or the byte alone.
    let is_right = if wanted == len { fixed == 0 } else { fixed == 1 || fixed == 2 };
    report.check(is_right && own == 0, format_args!("{fixed} faults answered, {own} not: {what}"));
    report.check(smap == 0, format_args!("SMAP open at a fault: {what}"));
    report.check_left(&left, Components::NONE, what);
    found
}

/// Null, the border of the addresses that are not canonical, the last address, ranges that wrap, and no length at all.
fn ends_of_the_address_space(report: &mut Report, vectors: &mut Vectors, subject: &Subject<'_>) {
    let (dst, src) = (Window::new(0, subject.halves[0]), Window::new(1, subject.halves[1]));
    const NOT_CANONICAL: usize = 1 << 47;
    const UPPER: usize = 0xffff_ffff_ffff_f000;
    dst.bytes().fill(PAINT);
    for bad in [0, 1, NOT_CANONICAL, NOT_CANONICAL + 5, 1 << 62, 1 << 63, 0xffff_7fff_ffff_fff0, UPPER] {
        for len in [1, 2, 8, 16, 17, 64, 65, 100, 4096] {
            for [to, from] in [[bad, src.at], [dst.at, bad], [bad, bad]] {
                refused(report, vectors, subject, [to, from], len);
            }
        }
        let found = call(report, vectors, subject, [bad, bad], 0, 0);
        report.check(found == 0, format_args!("{found} bytes of none copied: {}", subject.name));
    }
    report.check(is_paint(dst.bytes()), format_args!("{} wrote where it was to refuse", subject.name));
    // Lengths that wrap, or that no memory has: where the range is a user's, not one byte is touched; elsewhere it ends at the
    // first page that is not there.
    let checks_range = subject.halves.contains(&Half::User) && matches!(subject.way, Way::Call(_));
    // A kernel's page in the place of a user's is refused without an access, though it is there.
    for side in [0, 1].into_iter().filter(|side| checks_range && subject.halves[*side] == Half::User) {
        let mut addresses = [dst.at, src.at];
        addresses[side] = Window::new(side, Half::Kernel).at;
        let before = FIXED.load(Relaxed);
        refused(report, vectors, subject, addresses, 100);
        let is_untouched = FIXED.load(Relaxed) == before && is_paint(dst.bytes());
        report.check(is_untouched, format_args!("{} accessed a kernel's page", subject.name));
    }
    for len in [usize::MAX, usize::MAX - PAGE, 1 << 63] {
        dst.bytes().fill(PAINT);
        let before = FIXED.load(Relaxed);
        let (found, left) = subject.copy(vectors, [dst.at, src.at], len, false);
        let wanted = if checks_range { 0 } else { BYTES };
        report.check(found == wanted, format_args!("{found} bytes of {len:#x} copied: {}", subject.name));
        report.check_left(&left, Components::NONE, format_args!("{} of {len:#x} bytes", subject.name));
        let fixed = FIXED.load(Relaxed) - before;
        report
            .check(!checks_range || fixed == 0, format_args!("{fixed} faults of a range that wraps: {}", subject.name));
    }
    // The last page of the lower half: the next byte is not canonical, which is no page fault.
    for (side, window) in [(0, dst), (1, src)] {
        if subject.halves[side] != Half::User {
            continue;
        }
        window.fill();
        window.set_last_user_page(Access::Write);
        for distance in distances().filter(|distance| *distance <= PAGE) {
            let at = LAST_USER_PAGE + PAGE - distance;
            let mut addresses = [dst.at + 3 * PAGE, src.at + 3 * PAGE];
            addresses[side] = at;
            let wanted = distance;
            let found = call(report, vectors, subject, addresses, distance + 40, wanted);
            report.check(found == wanted, format_args!("{found} of {wanted} bytes up to the border: {}", subject.name));
            let (to, from) = match side {
                0 => (PAGE - distance, 3 * PAGE),
                _ => (3 * PAGE, PAGE - distance),
            };
            let (bytes, sources) = (dst.bytes(), src.bytes());
            let is_right = bytes[to..to + wanted].iter().eq(&sources[from..from + wanted]);
            report.check(is_right, format_args!("wrong bytes up to the border: {}", subject.name));
        }
        window.set_last_user_page(Access::Absent);
    }
}

/// A copy of which no byte can be copied.
fn refused(report: &mut Report, vectors: &mut Vectors, subject: &Subject<'_>, [to, from]: [usize; 2], len: usize) {
    let what = format_args!("{} of {len} bytes from {from:#x} to {to:#x}", subject.name);
    let (found, left) = subject.copy(vectors, [to, from], len, false);
    report.check(found == 0, format_args!("{found} bytes copied: {what}"));
    report.check_left(&left, Components::NONE, what);
}

/// With SMAP, a copy that does not open user pages is one that faults; without, it is one like any other.
fn without_asking(report: &mut Report, vectors: &mut Vectors) {
    const PRESENT: u64 = 1;
    for (_, halves, _) in CALLS.iter().skip(1) {
        let (dst, src) = (Window::new(0, halves[0]), Window::new(1, halves[1]));
        src.fill();
        let copy = |dst: usize, src: usize, len: usize| {
            // SAFETY: the windows are for copies, whatever they do to them.
            copied(len, unsafe { fallible::try_copy(dst as *mut u8, src as *const u8, len) })
        };
        let subject =
            Subject { name: "try_copy of user pages", plan: "", halves: *halves, opens: false, way: Way::Call(&copy) };
        for len in [1, 8, 16, 33, 64, 65, 200, 4096, 9000] {
            let wanted = if has_smap() { 0 } else { len };
            exact(report, vectors, &subject, [&dst, &src], [MARGIN, 5], len, wanted);
            let is_smap = LAST_ERROR.load(Relaxed) & PRESENT != 0;
            report.check(is_smap || !has_smap(), format_args!("the page was not there, instead of closed"));
        }
        report.check(src.bytes()[7] == pattern(7), format_args!("the source changed"));
    }
}
