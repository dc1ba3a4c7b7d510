//! Pages of 4 KiB, mapped and unmapped one by one. Intel SDM vol. 3A, 4.5.

use super::Single;
use super::registers::cr3;
use crate::boot::{DIRECT, HIGH};
use core::arch::asm;

pub const PAGE: usize = 4096;

/// How a page may be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Absent,
    Read,
    Write,
}

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

type Table = [u64; 512];
const TABLES: usize = 24;

#[repr(C, align(4096))]
struct Pool {
    tables: [Table; TABLES],
    used: usize,
}

static POOL: Single<Pool> = Single::new(Pool { tables: [[0; 512]; TABLES], used: 0 });

/// The physical address of something in the image.
pub fn physical(high: usize) -> usize {
    high - HIGH
}

/// Takes the identity map of the start away: the lower half is for user pages, and a null pointer faults.
pub fn start() {
    let top = (DIRECT + cr3() as usize) as *mut u64;
    // SAFETY: the top table, which the direct map reaches; nothing runs in the lower half any more.
    unsafe { top.write_volatile(0) };
    // SAFETY: the same tables, so that what was cached of them is forgotten.
    unsafe { super::registers::set_cr3(cr3()) };
}

/// Maps one page of the image, which begins at `frame`, at `at`: for user code, too, if `at` is in the lower half.
///
/// # Safety
///
/// `at` is of no page that Rust knows of, and nothing but raw copies uses it.
pub unsafe fn map(at: usize, frame: usize, access: Access) {
    let is_user = at >> 63 == 0;
    let entry = entry_of(at, is_user);
    let bits = match access {
        Access::Absent => 0,
        Access::Read => PRESENT,
        Access::Write => PRESENT | WRITABLE,
    };
    let user = if is_user { USER } else { 0 };
    // SAFETY: the entry of a page that the caller owns.
    unsafe { entry.write_volatile(if bits == 0 { 0 } else { physical(frame) as u64 | bits | user }) };
    // SAFETY: forgets one page's translation.
    unsafe { asm!("invlpg [{}]", in(reg) at, options(nostack, preserves_flags)) };
}

/// The entry of a page, with the tables above it made where they are missing.
fn entry_of(at: usize, is_user: bool) -> *mut u64 {
    let mut table = cr3() & ADDRESS;
    let mut shift = 39;
    loop {
        let entry = ((DIRECT + table as usize) as *mut u64).wrapping_add(at >> shift & 511);
        if shift == 12 {
            return entry;
        }
        // SAFETY: an entry of a table that the direct map reaches.
        if unsafe { entry.read_volatile() } & PRESENT == 0 {
            let below = new_table() as u64 | PRESENT | WRITABLE | if is_user { USER } else { 0 };
            // SAFETY: as above.
            unsafe { entry.write_volatile(below) };
        }
        // SAFETY: as above.
        table = unsafe { entry.read_volatile() } & ADDRESS;
        shift -= 9;
    }
}

fn new_table() -> usize {
    // SAFETY: only this function uses the pool, and no interrupt handler maps pages.
    let pool = unsafe { POOL.get() };
    let table = &raw const pool.tables[pool.used];
    pool.used += 1;
    physical(table as usize)
}
