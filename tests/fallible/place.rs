//! Memory of which one page cannot be accessed: what is copied ends before it, in the middle of it, or goes on behind
//! it.

use crate::suite::pages::{Memory, PAGE_BYTES, Pages};

/// The page that cannot be accessed, of four.
const BAD_PAGE: usize = 2;
/// Where it starts.
pub const BORDER: usize = BAD_PAGE * PAGE_BYTES;
pub const LEN: usize = 4 * PAGE_BYTES;
/// What the destination holds before.
pub const PAINT: u8 = 0xEE;

/// Why it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is forbidden.
    Open,
    /// `PROT_NONE`.
    Closed,
    /// No mapping is there.
    Unmapped,
    /// Of a destination: reading is allowed.
    ReadOnly,
    /// A mapped file ends before it.
    Truncated,
}

impl Kind {
    pub const OF_SOURCES: [Self; 3] = [Self::Closed, Self::Unmapped, Self::Truncated];
    pub const OF_DESTINATIONS: [Self; 4] = [Self::Closed, Self::Unmapped, Self::ReadOnly, Self::Truncated];
}

/// Four pages, of which the third is bad.
pub struct Place {
    pages: Pages,
    kind: Kind,
    _file: Option<Memory>,
}

impl Place {
    /// Filled with what each byte is to hold.
    pub fn new(kind: Kind, byte: impl Fn(usize) -> u8) -> Self {
        let file = (kind == Kind::Truncated).then(|| Memory::new(c"memcpy-select-test-fallible", LEN));
        let mut pages = file.as_ref().map_or_else(|| Pages::fresh(LEN), Memory::view);
        pages.as_mut_slice().iter_mut().enumerate().for_each(|(at, place)| *place = byte(at));
        match (kind, &file) {
            (Kind::Open, _) => {}
            (Kind::Closed, _) => pages.close_page(BAD_PAGE, false),
            (Kind::ReadOnly, _) => pages.close_page(BAD_PAGE, true),
            (Kind::Unmapped, _) => pages.unmap_page(BAD_PAGE),
            (Kind::Truncated, file) => file.as_ref().expect("made above").cut(BORDER),
        }
        Self { pages, kind, _file: file }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn start(&self) -> *mut u8 {
        self.pages.start()
    }

    /// The bytes of a range that can be read, before the bad page and after it.
    fn readable(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let bad = match self.kind {
            Kind::Open | Kind::ReadOnly => LEN..LEN,
            Kind::Closed | Kind::Unmapped => BORDER..BORDER + PAGE_BYTES,
            Kind::Truncated => BORDER..LEN,
        };
        let parts = [(from, to.min(bad.start)), (from.max(bad.end), to)];
        parts.into_iter().filter(|(from, to)| from < to).map(|(from, to)| {
            // SAFETY: the range lies in the mapping, in pages that can be read; nothing writes meanwhile.
            (from, unsafe { core::slice::from_raw_parts(self.start().wrapping_add(from), to - from) })
        })
    }

    /// Paints what a copy may have written.
    pub fn paint(&mut self, from: usize, to: usize) {
        let parts: Vec<(usize, usize)> = self.readable(from, to).map(|(at, bytes)| (at, bytes.len())).collect();
        for (at, len) in parts {
            let writable = if self.kind == Kind::ReadOnly { len.min(BORDER.saturating_sub(at)) } else { len };
            // SAFETY: the range lies in the mapping, in pages that can be written; nothing refers to them.
            unsafe { self.start().wrapping_add(at).write_bytes(PAINT, writable) };
        }
    }

    /// Whether a range holds these bytes from `at` on, and elsewhere, as far as it can be read, is still painted.
    pub fn holds(&self, at: usize, bytes: &[u8], from: usize, to: usize) -> bool {
        self.readable(from, to).all(|(start, found)| {
            let wanted = |place: usize| if place < at { None } else { bytes.get(place - at).copied() };
            found.iter().enumerate().all(|(offset, byte)| *byte == wanted(start + offset).unwrap_or(PAINT))
        })
    }
}
