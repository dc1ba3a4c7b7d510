//! The five routines that compiled code expects from its surroundings: the crate's, as any code would call them.

use core::arch::naked_asm;

/// Each symbol by a jump to it, which needs no relocation: a call of it by its name may go through a table of addresses.
macro_rules! jumps {
    ($($name:ident($($parameter:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            #[unsafe(naked)]
            unsafe extern "C" fn $name($($parameter: $type),*) -> $result {
                naked_asm!(concat!("jmp ", stringify!($name)))
            }
        )*
    };
}

jumps! {
    memcpy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    memmove(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
    memset(dst: *mut u8, byte: i32, len: usize) -> *mut u8;
    memcmp(left: *const u8, right: *const u8, len: usize) -> i32;
    bcmp(left: *const u8, right: *const u8, len: usize) -> i32;
}

const BYTES: usize = 10_000;
static mut MEMORY: [u8; 2 * BYTES] = [0; 2 * BYTES];

/// Whether each of them is right at a few lengths, in terms of single bytes. Nothing that it reads has to be relocated.
pub fn are_right() -> bool {
    let start = (&raw mut MEMORY).cast::<u8>();
    let mut right = true;
    let mut len = 0;
    while len < BYTES {
        right &= is_right_at(start, len);
        // Every short length, then some of every way.
        len += 1 + len / 24;
    }
    right
}

fn is_right_at(start: *mut u8, len: usize) -> bool {
    // SAFETY: one thread, and all below stays inside of the memory: two halves of `BYTES`, of which `len` bytes are used.
    unsafe {
        let other = start.add(BYTES);
        for at in 0..2 * BYTES {
            start.add(at).write_volatile(at as u8);
        }
        let mut right = memset(other, 0x15a, len) == other && (0..len).all(|at| other.add(at).read_volatile() == 0x5a);
        right &= other.add(len).read_volatile() == (BYTES + len) as u8;
        right &= memcpy(other, start, len) == other && (0..len).all(|at| other.add(at).read_volatile() == at as u8);
        right &= other.add(len).read_volatile() == (BYTES + len) as u8;
        right &= memcmp(start, other, len) == 0 && bcmp(start, other, len) == 0;
        if len > 0 {
            let last = other.add(len - 1);
            last.write_volatile(last.read_volatile().wrapping_add(1));
            let is_larger = last.read_volatile() != 0;
            right &= (memcmp(start, other, len) < 0) == is_larger && bcmp(start, other, len) != 0;
        }
        for distance in [1, 40, 100] {
            if distance + len <= BYTES {
                let to = start.add(BYTES + distance);
                memcpy(other, start, len);
                right &= memmove(to, other, len) == to;
                right &= (0..len).all(|at| to.add(at).read_volatile() == at as u8);
                right &= memmove(other, to, len) == other;
                right &= (0..len).all(|at| other.add(at).read_volatile() == at as u8);
            }
        }
        right
    }
}
