//! The promise: with a fault at any byte of the source, of the destination or of both, of any kind, exactly the bytes
//! before the first one are copied and none beyond, and the call says how many. Kernels for SMAP close user pages on
//! every way out.
//!
//! All of it runs in forked copies of this process: in each one handler answers faults by the exception table, and
//! memory that is unmapped stays so. In user mode `stac` and `clac` are undefined instructions: the handler takes note
//! and skips them.

use crate::place::{BORDER, Kind, LEN, PAINT, Place};
use crate::signals::{self, Context, SIGBUS, SIGILL, SIGSEGV, SigInfo};
use crate::suite::pages::PAGE_BYTES;
use crate::suite::sys::{self, Child, End};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use memcpy_select::fallible::{self, Exception, TryCopyFn, fixup};
use std::ptr;

/// What is checked: a kernel, or a call in the shape of one.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    pub entry: TryCopyFn,
    pub is_for_smap: bool,
}

/// A table besides the program's.
static ROWS: AtomicPtr<Exception> = AtomicPtr::new(ptr::null_mut());
static ROW_COUNT: AtomicUsize = AtomicUsize::new(0);
static FAULTS: AtomicU32 = AtomicU32::new(0);
/// Whether the handler here answers them.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);
/// `stac`s less `clac`s, and `stac`s.
static OPEN: AtomicI32 = AtomicI32::new(0);
static OPENED: AtomicU32 = AtomicU32::new(0);

/// Faults of rows of this table are answered, too.
pub fn use_table(rows: &'static [Exception]) {
    ROWS.store(rows.as_ptr().cast_mut(), Ordering::Relaxed);
    ROW_COUNT.store(rows.len(), Ordering::Relaxed);
}

fn fixup_of_table(ip: usize) -> Option<usize> {
    let rows = ROWS.load(Ordering::Relaxed);
    (0..ROW_COUNT.load(Ordering::Relaxed)).find_map(|row| {
        // SAFETY: `use_table` was given a table of that many rows, which lives as long as the program.
        let row = unsafe { &*rows.add(row) };
        row.range().contains(&ip).then(|| row.fixup())
    })
}

extern "C" fn on_fault(number: c_int, _info: *mut SigInfo, context: *mut Context) {
    // SAFETY: the system gives the handler a context of its own.
    let context = unsafe { &mut *context };
    let ip = context.instruction() as usize;
    FAULTS.fetch_add(1, Ordering::Relaxed);
    match fixup(ip).or_else(|| fixup_of_table(ip)) {
        Some(go_on) => context.go_on_at(go_on as u64),
        None => sys::end_at_next(number),
    }
}

extern "C" fn on_undefined(number: c_int, _info: *mut SigInfo, context: *mut Context) {
    // SAFETY: the system gives the handler a context of its own.
    let context = unsafe { &mut *context };
    // SAFETY: what was fetched as an instruction can be read.
    let bytes = unsafe { (context.instruction() as *const [u8; 3]).read_unaligned() };
    match bytes {
        [0x0F, 0x01, 0xCB] => {
            OPEN.fetch_add(1, Ordering::Relaxed);
            OPENED.fetch_add(1, Ordering::Relaxed);
        }
        [0x0F, 0x01, 0xCA] => {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
        _ => return sys::end_at_next(number),
    }
    context.go_on_at(context.instruction() + 3);
}

/// Has faults answered by the tables from now on.
pub fn answer_faults() {
    IS_COUNTED.store(true, Ordering::Relaxed);
    signals::handle(SIGSEGV, on_fault);
    signals::handle(SIGBUS, on_fault);
    signals::handle(SIGILL, on_undefined);
}

/// What the source holds: no two neighbouring blocks are alike, and none of it is the paint's.
fn source_byte(at: usize) -> u8 {
    ((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as u8
}

/// How a side lies to the bad page.
#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes are before it.
    Before(usize),
    /// It starts inside, with so many bytes there.
    Inside(usize),
    /// It starts at this offset and does not come to it.
    Offset(usize),
}

impl At {
    fn start(self) -> usize {
        match self {
            Self::Before(bytes) => BORDER - bytes,
            Self::Inside(bytes) => BORDER + PAGE_BYTES - bytes,
            Self::Offset(offset) => offset,
        }
    }
}

/// A copy that was wrong, in words.
type Wrong = String;

/// Copies once and looks at everything that it may have done.
fn check(subject: &Subject, len: usize, dst: (&mut Place, At), src: (&Place, At)) -> Result<(), Wrong> {
    let ((dst, dst_at), (src, src_at)) = (dst, src);
    let copied_bytes = |place: &Place, at: At| match (place.kind(), at) {
        (Kind::Open, _) | (_, At::Offset(_)) => len,
        (_, At::Before(bytes)) => bytes.min(len),
        (_, At::Inside(_)) => 0,
    };
    let wanted = copied_bytes(dst, dst_at).min(copied_bytes(src, src_at));
    let (dst_start, src_start) = (dst_at.start(), src_at.start());
    let (from, to) = (dst_start.saturating_sub(64), dst_start.saturating_add(len).saturating_add(64).min(LEN));
    dst.paint(from, to);
    let (faults, opened) = (FAULTS.load(Ordering::Relaxed), OPENED.load(Ordering::Relaxed));
    let (to_address, from_address) = (dst.start().wrapping_add(dst_start), src.start().wrapping_add(src_start));
    // SAFETY: both ranges lie in their places as far as they can be accessed; nothing refers to the destination.
    let left = unsafe { (subject.entry)(to_address, from_address, len) };
    let faults = FAULTS.load(Ordering::Relaxed) - faults;
    let opened = OPENED.load(Ordering::Relaxed) - opened;
    let is_closed = OPEN.load(Ordering::Relaxed) == 0 && opened == u32::from(subject.is_for_smap);
    let copied = len.wrapping_sub(left);
    let bytes: Vec<u8> = (src_start..src_start + wanted).map(source_byte).collect();
    let is_exact = copied == wanted && dst.holds(dst_start, &bytes, from, to);
    // Once in a wide access and once at the byte.
    let is_counted = IS_COUNTED.load(Ordering::Relaxed);
    let is_as_expected = if wanted < len && is_counted { (1..=2).contains(&faults) } else { faults == 0 };
    if is_exact && is_closed && is_as_expected {
        return Ok(());
    }
    Err(format!(
        "{}: {len} bytes, destination {:?} {dst_at:?}, source {:?} {src_at:?}: {copied} copied instead of {wanted}, \
         bytes right: {is_exact}, user pages closed: {is_closed}, faults: {faults}\n",
        subject.name,
        dst.kind(),
        src.kind(),
    ))
}

/// How many cases of a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every length up to 130 with a fault at every byte, and longer ones.
    Full,
    /// The same for some of the lengths.
    Some,
}

fn lengths(extent: Extent) -> Vec<(usize, usize)> {
    let step = if extent == Extent::Full { 1 } else { 3 };
    let every = (0..=130).filter(|len| extent == Extent::Full || len % 7 == 3 || [1, 2, 8, 16, 64].contains(len));
    let longer = [191, 256, 257, 300, 513, 700].map(|len| (len, 3 * step));
    // Some begin two pages before the bad one, and some reach the page behind it.
    let longest = [1000, 4096, 4097, 5000, 8191, 8192].map(|len| (len, 61 * step));
    every.map(|len| (len, 1)).chain(longer).chain(longest).collect()
}

/// Runs a subject through all sides, kinds, lengths and places of a fault; how many copies.
pub fn run(subject: &Subject, extent: Extent) -> Result<usize, Wrong> {
    let source = |kind| Place::new(kind, source_byte);
    let destination = |kind| Place::new(kind, |_| PAINT);
    let (mut open_dst, open_src) = (destination(Kind::Open), source(Kind::Open));
    let mut bad_dst = Kind::OF_DESTINATIONS.map(destination);
    let bad_src = Kind::OF_SOURCES.map(source);
    let mut cases = 0;
    for (len, step) in lengths(extent) {
        // Where a page ends in the middle of a long copy, the copy starts in the page before, or in the one before
        // that.
        for before in (0..=len).step_by(step).chain([len]).filter(|before| *before <= BORDER) {
            // Each kind at some byte of every length, the first one at all.
            let kind = if before % 3 == 0 { cases % 12 } else { 0 };
            let offset = cases * 7 % 64;
            let other = (before * 7 + 3) % (len + 1).min(BORDER);
            let at = At::Before(before);
            check(subject, len, (&mut open_dst, At::Offset(64 + offset)), (&bad_src[kind % 3], at))?;
            check(subject, len, (&mut bad_dst[kind % 4], at), (&open_src, At::Offset(offset)))?;
            for (dst_at, src_at) in [(at, At::Before(other)), (At::Before(other), at), (at, at)] {
                check(subject, len, (&mut bad_dst[kind % 4], dst_at), (&bad_src[kind % 3], src_at))?;
            }
            // What follows the bad page can be accessed, unless a file ends.
            let inside = At::Inside(before.clamp(1, PAGE_BYTES));
            if len > 0 && before <= LEN - BORDER {
                check(subject, len, (&mut open_dst, At::Offset(64 + offset)), (&bad_src[kind % 2], inside))?;
                check(subject, len, (&mut bad_dst[kind % 3], inside), (&open_src, At::Offset(offset)))?;
            }
            cases += 7;
        }
    }
    cases += lengths_that_no_memory_has(subject, &mut bad_dst[0], &bad_src[0])?;
    cases += addresses_of_nothing(subject, &mut open_dst, &open_src)?;
    Ok(cases)
}

/// Up to where the address space ends and beyond it: they end at the first bad page as any other.
fn lengths_that_no_memory_has(subject: &Subject, dst: &mut Place, src: &Place) -> Result<usize, Wrong> {
    let lengths = [1 << 31, (1 << 32) + 3, (1 << 63) - 1, 1 << 63, (1 << 63) + 64, usize::MAX - 63, usize::MAX];
    for len in lengths {
        for before in [0, 1, 7, 63, 64, 65, 100, 128, 1000, PAGE_BYTES + 5] {
            for other in [before, before / 2, 200] {
                check(subject, len, (dst, At::Before(before)), (src, At::Before(other)))?;
            }
        }
    }
    Ok(lengths.len() * 10 * 3)
}

/// Null, the ends of the canonical halves, and what no address can be.
fn addresses_of_nothing(subject: &Subject, dst: &mut Place, src: &Place) -> Result<usize, Wrong> {
    let addresses =
        [0, 1, 0x7FFF_FFFF_FFFF, 0x8000_0000_0000, 1 << 63, 0xFFFF_8000_0000_0000, usize::MAX - 200, usize::MAX];
    let mut cases = 0;
    for address in addresses {
        for len in [0, 1, 2, 3, 4, 8, 16, 17, 32, 33, 64, 65, 128, 150, 1000, usize::MAX] {
            let nothing = ptr::without_provenance_mut::<u8>(address);
            dst.paint(0, 64);
            for (to, from) in [(nothing, src.start()), (dst.start(), nothing), (nothing, nothing)] {
                // SAFETY: of both ranges the one that is memory lies in its place as far as it is accessed.
                let left = unsafe { (subject.entry)(to, from, len) };
                if left != len || !dst.holds(0, &[], 0, 64) || OPEN.load(Ordering::Relaxed) != 0 {
                    return Err(format!("{}: {len} bytes, {to:?} from {from:?}: {left} left\n", subject.name));
                }
                cases += 1;
            }
        }
    }
    Ok(cases)
}

/// Starts a subject in a process of its own, which ends with 0 if all was right.
pub fn start(subject: Subject, extent: Extent, table: &'static [Exception], is_said: bool) -> Child {
    Child::start(move || {
        use_table(table);
        answer_faults();
        match run(&subject, extent) {
            Ok(_) => 0,
            Err(wrong) => {
                if is_said {
                    sys::print_error(wrong.as_bytes());
                }
                1
            }
        }
    })
}

unsafe extern "sysv64" fn call(dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { fallible::try_copy(dst, src, len) }.map_or_else(|faulted| len - faulted.copied(), |()| 0)
}

pub fn kernels() -> impl Iterator<Item = Subject> {
    fallible::kernels().iter().map(|kernel| Subject {
        name: kernel.name(),
        entry: kernel.entry(),
        is_for_smap: kernel.is_for_smap(),
    })
}

#[test]
fn a_fault_at_every_byte_ends_the_copy_there() {
    let call = Subject { name: "try_copy", entry: call, is_for_smap: false };
    let started: Vec<(Subject, Child)> = kernels()
        .chain([call])
        .map(|subject| {
            // Two signals more a copy take their time.
            let extent = if subject.is_for_smap { Extent::Some } else { Extent::Full };
            (subject, start(subject, extent, &[], true))
        })
        .collect();
    for (subject, child) in started {
        assert_eq!(child.end(), End::Exit(0), "{}", subject.name);
    }
}
