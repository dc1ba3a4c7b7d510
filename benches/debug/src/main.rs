//! What do the calls cost in a program that is compiled without optimisation?
//!
//! Each call over `copy_from_slice`, length by length, in interleaved batches: the ratio of two batches that follow each
//! other, and the median of many. With which settings, the profile says that this program is built with.

use memcpy_select::Kernel;
use memcpy_select::select::{Aliasing, Alignment, Band, Class, Plan, Policy, install, plan_in_force};
use std::arch::asm;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Instant;

/// Copies in one turn of a batch.
const COPIES_IN_A_TURN: usize = 16;
/// A batch takes some microseconds: far longer than reading the clock, and far less than a time slice.
const MOST_TURNS: usize = 64;
const BATCH_BYTES: usize = 256 << 10;
const ROUNDS: usize = 301;
const LARGEST_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4096;
const BEYOND_INLINED: [usize; 10] = [65, 80, 96, 128, 192, 256, 512, 1 << 10, 4 << 10, LARGEST_BYTES];

type Batch = fn(&mut [u8], &[u8], usize);

/// A batch of one call. Without optimisation a `for` over a range, or `black_box`, takes as long as a short copy: neither is
/// in it.
macro_rules! batch {
    ($name:ident, |$dst:ident, $src:ident| $copy:expr) => {
        #[inline(never)]
        fn $name(to: &mut [u8], from: &[u8], turns: usize) {
            let mut left = turns;
            while left > 0 {
                left -= 1;
                batch!(@four to, from, |$dst, $src| $copy);
                batch!(@four to, from, |$dst, $src| $copy);
                batch!(@four to, from, |$dst, $src| $copy);
                batch!(@four to, from, |$dst, $src| $copy);
            }
        }
    };
    (@four $to:ident, $from:ident, |$dst:ident, $src:ident| $copy:expr) => {
        batch!(@one $to, $from, |$dst, $src| $copy);
        batch!(@one $to, $from, |$dst, $src| $copy);
        batch!(@one $to, $from, |$dst, $src| $copy);
        batch!(@one $to, $from, |$dst, $src| $copy);
    };
    (@one $to:ident, $from:ident, |$dst:ident, $src:ident| $copy:expr) => {
        let ($dst, $src) = (&mut *$to, $from);
        $copy;
        let (written, read) = (&raw mut *$to as *mut u8, &raw const *$from as *const u8);
        // SAFETY: it is no instruction. To the compiler it may read the destination and write the source: an optimised
        // build leaves out no copy.
        unsafe { asm!("/* {} {} */", in(reg) written, in(reg) read, options(nostack, preserves_flags)) };
    };
}

batch!(copy_from_slice, |dst, src| dst.copy_from_slice(src));
batch!(auto, |dst, src| memcpy_select::memcpy_auto(dst, src));
batch!(uninit, |dst, src| {
    // SAFETY: the call writes initialised bytes only.
    let dst = unsafe { &mut *(&raw mut *dst as *mut [MaybeUninit<u8>]) };
    memcpy_select::memcpy_auto_uninit(dst, src)
});
batch!(unchecked, |dst, src| {
    // SAFETY: two slices of one length, one of them borrowed exclusively.
    unsafe { memcpy_select::memcpy_auto_unchecked(&raw mut *dst as *mut u8, &raw const *src as *const u8, src.len()) }
});
batch!(nosimd, |dst, src| {
    // SAFETY: two slices of one length, one of them borrowed exclusively.
    unsafe { memcpy_select::memcpy_auto_nosimd(&raw mut *dst as *mut u8, &raw const *src as *const u8, src.len()) }
});

const CALLS: [(&str, Batch); 4] = [
    ("memcpy_auto", auto),
    ("memcpy_auto_uninit", uninit),
    ("memcpy_auto_unchecked", unchecked),
    ("memcpy_auto_nosimd", nosimd),
];

fn main() {
    println!("each call over copy_from_slice, by the plans in force from the start:");
    table();
    for policy in [Policy::User, Policy::NoSimd] {
        install(policy, by_class(policy))
            .expect("its kernels are those of the plan in force, and one that runs everywhere");
    }
    println!("\nby plans with the same kernels for these copies, of many bands that depend on the alignment:");
    table();
}

/// The longest way to a kernel: none of the bands is the same for all classes, and the first ones are narrow. The copies
/// here start on lines and not near each other modulo 4096.
fn by_class(policy: Policy) -> &'static Plan {
    let here = Class::new(Alignment::BothAligned, Aliasing::Apart);
    let other = Class::new(Alignment::Unequal, Aliasing::SrcAfterDst);
    let in_force = plan_in_force(policy);
    let narrow = [80, 100, 150, 200];
    let of_the_plan = in_force.bands().iter().map(Band::up_to_bytes).filter(|limit| *limit > narrow[3]);
    // Every build has one that runs everywhere.
    let unlike = |kernel| memcpy_select::kernels().iter().find(|other| *other != kernel && is_for_all(other));
    let bands: Vec<Band> = (narrow.into_iter().chain(of_the_plan))
        .map(|limit| {
            let kernel = in_force.kernel(limit, here);
            Band::new(limit, kernel).with(other, unlike(kernel).unwrap_or(kernel))
        })
        .collect();
    Box::leak(Box::new(Plan::new(&bands).expect("the limits rise to the one of the plan in force")))
}

/// Whether every CPU has what the kernel needs, and every policy allows what it writes.
fn is_for_all(kernel: &Kernel) -> bool {
    kernel.is_available() && kernel.writes().is_empty()
}

/// Memory for one side of a copy.
#[repr(align(4096))]
struct Pages([u8; LARGEST_BYTES + PAGE_BYTES]);

fn table() {
    let (mut to, mut from) =
        (Box::new(Pages([0; LARGEST_BYTES + PAGE_BYTES])), Box::new(Pages([0; LARGEST_BYTES + PAGE_BYTES])));
    let (dst, src) = (&mut to.0[..LARGEST_BYTES], &mut from.0[PAGE_BYTES / 2..][..LARGEST_BYTES]);
    src.iter_mut().zip((1..=251_u8).cycle()).for_each(|(byte, value)| *byte = value);
    print!("{:>7} {:>18}", "bytes", "copy_from_slice");
    let mut worst = CALLS.map(|(name, _)| {
        print!(" {name:>22}");
        (name, 0.0, 0)
    });
    println!();
    for len in (0..=64).chain(BEYOND_INLINED) {
        let len = black_box(len);
        for (name, batch) in CALLS {
            dst.fill(0);
            batch(&mut dst[..len], &src[..len], 1);
            assert!(
                dst[..len] == src[..len] && dst[len..].iter().all(|byte| *byte == 0),
                "{name} of {len} bytes is wrong"
            );
        }
        let (own_ns, ratios) = measure(&mut dst[..len], &src[..len]);
        print!("{len:>7} {own_ns:>15.1} ns");
        for (ratio, worst) in ratios.iter().zip(&mut worst) {
            print!(" {ratio:>22.2}");
            if *ratio > worst.1 {
                (worst.1, worst.2) = (*ratio, len);
            }
        }
        println!();
    }
    for (name, ratio, len) in worst {
        println!("worst: {name:<22} {ratio:.2} at {len} bytes");
    }
}

/// Nanoseconds of one `copy_from_slice`, and how many times as long each call takes.
fn measure(dst: &mut [u8], src: &[u8]) -> (f64, [f64; CALLS.len()]) {
    let turns = (BATCH_BYTES / src.len().max(1) / COPIES_IN_A_TURN).clamp(1, MOST_TURNS);
    let mut time = |batch: Batch| {
        let start = Instant::now();
        batch(dst, src, turns);
        start.elapsed().as_secs_f64() * 1e9 / (turns * COPIES_IN_A_TURN) as f64
    };
    let mut own = Vec::new();
    let mut ratios = CALLS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, batch), ratios) in CALLS.iter().zip(&mut ratios) {
            let own_ns = time(copy_from_slice);
            own.push(own_ns);
            ratios.push(time(*batch) / own_ns);
        }
    }
    (median(own), ratios.map(median))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
