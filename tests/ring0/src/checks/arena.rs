//! Memory for copies: pages between pages that are not there, each of them reachable twice, once as the copies see it and once
//! whatever its access.

use crate::machine::Single;
use crate::machine::paging::{Access, PAGE, map};

pub const PAGES: usize = 17;
pub const BYTES: usize = PAGES * PAGE;
/// What lies around a destination.
pub const PAINT: u8 = 0xaa;
/// How much of that is looked at on each side.
pub const MARGIN: usize = 64;

#[repr(C, align(4096))]
struct Frames([u8; BYTES]);

static FRAMES: [Single<Frames>; 2] = [const { Single::new(Frames([0; BYTES])) }; 2];

/// Where a kernel might map pages, and where a user's are.
const KERNEL_HALF: usize = 0xffff_c000_0000_0000;
const USER_HALF: usize = 0x0000_2000_0000_0000;
/// The last page below the addresses that are not canonical.
pub const LAST_USER_PAGE: usize = 0x0000_7fff_ffff_f000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Kernel,
    User,
}

/// [`PAGES`] pages with pages before and behind that are not there.
#[derive(Clone, Copy)]
pub struct Window {
    /// The first address, as copies see it.
    pub at: usize,
    frames: &'static Single<Frames>,
}

/// A byte that is not the paint, and that differs from those near it.
pub fn pattern(at: usize) -> u8 {
    ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8 & 0x7f
}

impl Window {
    /// One for destinations (0) or for sources (1); all pages may be written.
    pub fn new(number: usize, half: Half) -> Self {
        let base = if half == Half::Kernel { KERNEL_HALF } else { USER_HALF };
        let window = Self { at: base + (1 + number * 64) * PAGE, frames: &FRAMES[number] };
        (0..PAGES).for_each(|page| window.set(page, Access::Write));
        window
    }

    /// How one of its pages may be accessed from now on.
    pub fn set(&self, page: usize, access: Access) {
        // SAFETY: the windows' addresses are theirs, and only copies use them.
        unsafe { map(self.at + page * PAGE, self.frames.pointer() as usize + page * PAGE, access) }
    }

    /// Its first page at the end of the lower half, too: what follows is not canonical.
    pub fn set_last_user_page(&self, access: Access) {
        // SAFETY: nothing else is there.
        unsafe { map(LAST_USER_PAGE, self.frames.pointer() as usize, access) }
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &'static mut [u8; BYTES] {
        // SAFETY: the checks hold no two of these at a time for one window; copies that run in between change the bytes as
        // memory, which the compiler has to expect of calls that it does not see.
        unsafe { &mut (*self.frames.pointer()).0 }
    }

    /// Fills it with [`pattern`].
    pub fn fill(&self) {
        self.bytes().iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at));
    }

    /// The bytes around a range, as far as the window goes.
    pub fn around(&self, first: usize, len: usize) -> core::ops::Range<usize> {
        first.saturating_sub(MARGIN)..(first + len + MARGIN).min(BYTES)
    }
}
