//! The rows of the osdev.org thread "Avoiding redundant copies with direct user IPC".

#![forbid(unsafe_code)]

use crate::lab::copies::cell::Cell;

/// A row of the thread's table: what is copied, and the MB/s (decimal) of a Ryzen 2700X.
#[derive(Clone, Copy, Debug)]
pub struct ThreadRow {
    /// The row's name.
    pub name: &'static str,
    /// Length in bytes.
    pub len_bytes: usize,
    /// Offset of the destination in its page. The thread's buffers stood at page + 16.
    pub dst_offset: usize,
    /// Offset of the source in its page.
    pub src_offset: usize,
    /// `copy_from_slice`.
    pub builtin_mb_per_s: u32,
    /// `rep movsq`, then `rep movsb`.
    pub rust_mb_per_s: u32,
}

impl ThreadRow {
    const fn new(name: &'static str, len_bytes: usize, place: (usize, usize), (builtin, rust): (u32, u32)) -> Self {
        let (dst_offset, src_offset) = place;
        Self { name, len_bytes, dst_offset, src_offset, builtin_mb_per_s: builtin, rust_mb_per_s: rust }
    }

    /// The cell of the grid that repeats the row.
    pub const fn cell(&self) -> Cell {
        Cell::at(self.len_bytes, self.dst_offset, self.src_offset)
    }
}

/// The six rows.
pub const THREAD: [ThreadRow; 6] = [
    ThreadRow::new("1048576", 1 << 20, (16, 16), (36_246, 17_799)),
    ThreadRow::new("1048576_misalign", 1 << 20, (82, 81), (36_928, 16_946)),
    ThreadRow::new("1048576_offset", 1 << 20, (81, 81), (36_856, 17_153)),
    ThreadRow::new("4096", 4096, (16, 16), (57_690, 47_080)),
    ThreadRow::new("4096_misalign", 4096, (82, 81), (53_894, 25_283)),
    ThreadRow::new("4096_offset", 4096, (81, 81), (56_109, 25_128)),
];
