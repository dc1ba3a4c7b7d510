//! What does it cost that a copy may fault, as long as it does not?
//!
//! Each fallible kernel against the same kernel that cannot fault, and the two calls that choose between such kernels,
//! `try_copy` and `memcpy_auto_nosimd`, against the better of `gpr` and `rep_movsb`, in turns within each round:
//! nanoseconds, the median of the differences within a round, and ratios.

mod support;

use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::cell::APART_BYTES;
use memcpy_select::lab::instruments::affinity::pin;
use memcpy_select::lab::instruments::clock::precision_ns;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::statistics::{geometric_mean, median, paired_ratio};
use memcpy_select::lab::show;
use std::fmt::Write;
use std::process::ExitCode;

const LENGTHS: [usize; 26] = [
    16,
    17,
    24,
    32,
    33,
    48,
    64,
    65,
    96,
    128,
    129,
    160,
    192,
    256,
    384,
    512,
    600,
    700,
    768,
    900,
    1024,
    1500,
    2048,
    4096,
    16 << 10,
    64 << 10,
];
/// Destination and source offset in a page.
const PLACES: [(&str, usize, usize); 3] =
    [("aligned", 0, APART_BYTES), ("malloc's", 16, APART_BYTES + 16), ("unequal", 5, APART_BYTES + 9)];

fn main() -> ExitCode {
    let question = "What does it cost that a copy may fault, as long as it does not?";
    support::main("fallible", question, || each_copies(16 << 10), measure)
}

/// Everything that is timed here copies right.
fn each_copies(largest: usize) -> Result<(), LabError> {
    let buffers = support::buffers(largest);
    for len_bytes in LENGTHS.into_iter().filter(|len| *len <= largest) {
        for (_, dst, src) in PLACES {
            let range = support::Range::new(&buffers, dst, src, len_bytes);
            for (name, copy) in routines::ALL {
                // SAFETY: both slices are of one length, and apart.
                range.verify(name, |dst, src| unsafe { copy(dst.as_mut_ptr(), src.as_ptr(), src.len(), 1) });
            }
        }
    }
    Ok(())
}

fn measure(effort: Effort) -> Result<(), LabError> {
    pin();
    each_copies(64 << 10)?;
    let rounds = match effort {
        Effort::Quick => 21,
        Effort::Default => 101,
        Effort::Full => 1001,
    };
    let buffers = support::buffers(64 << 10);
    for (place, dst, src) in PLACES {
        let names: String = routines::ALL.iter().map(|(name, _)| format!("{name:>20}")).collect();
        let heads: String =
            ["gpr +", "string +", "try /", "nosimd /"].iter().map(|head| format!("{head:>10}")).collect();
        let mut text = format!("{place}, ns a copy\n{:>8}{names}{heads}\n", "bytes");
        let mut ratios = [const { Vec::new() }; 2];
        for len_bytes in LENGTHS {
            let range = support::Range::new(&buffers, dst, src, len_bytes);
            let ns = in_turns(&range, rounds);
            let medians: Vec<f64> = ns.iter().filter_map(|samples| median(samples)).collect();
            let more = |of: usize, than: usize| {
                let differences: Vec<f64> = ns[of].iter().zip(&ns[than]).map(|(of, than)| of - than).collect();
                median(&differences).unwrap_or(f64::NAN)
            };
            let better = if medians[0] <= medians[1] { 0 } else { 1 };
            let over = [4, 5].map(|call| paired_ratio(&ns[call], &ns[better]).unwrap_or(f64::NAN));
            for (ratios, over) in ratios.iter_mut().zip(over) {
                ratios.push(over);
            }
            let columns: String = medians.iter().map(|ns| format!("{ns:>20.2}")).collect();
            let more = format!("{:>10.2}{:>10.2}", more(2, 0), more(3, 1));
            let _ = writeln!(text, "{len_bytes:>8}{columns}{more}{:>10.3}{:>10.3}", over[0], over[1]);
        }
        let [try_copy, nosimd] = ratios.map(|ratios| geometric_mean(ratios).unwrap_or(f64::NAN));
        let _ = writeln!(
            text,
            "over the better of both kernels, geometric mean: try_copy {try_copy:.3}, memcpy_auto_nosimd {nosimd:.3}\n"
        );
        show::print(text)?;
    }
    Ok(())
}

/// Nanoseconds a copy of each routine, round by round; every other round in the opposite order.
fn in_turns(range: &support::Range<'_>, rounds: usize) -> [Vec<f64>; routines::ALL.len()] {
    let (dst, src, len) = (range.dst, range.src, range.len_bytes);
    let time = |(_, copy): &(&str, routines::Copies), times: u64| {
        let start = std::time::Instant::now();
        // SAFETY: the range lies in its buffers, source and destination apart.
        unsafe { copy(dst, src, len, times) };
        start.elapsed().as_nanos() as f64 / times as f64
    };
    // Two hundred times what the clock can tell.
    let once_ns = time(&routines::ALL[0], 1000).max(1.0);
    let times = ((200 * precision_ns().max(20)) as f64 / once_ns).max(10.0) as u64;
    let mut samples = routines::ALL.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..samples.len() {
            let at = if round % 2 == 0 { turn } else { samples.len() - 1 - turn };
            samples[at].push(time(&routines::ALL[at], times));
        }
    }
    samples
}

#[cfg(target_arch = "x86_64")]
mod routines {
    use memcpy_select::fallible::try_copy;
    use memcpy_select::kernel::{CopyFn, TryCopyFn};
    use std::hint::black_box;

    /// A loop of so many copies.
    pub type Copies = unsafe fn(*mut u8, *const u8, usize, u64);

    pub const ALL: [(&str, Copies); 6] = [
        ("gpr", gpr),
        ("rep_movsb", string),
        ("fallible_gpr", fallible_gpr),
        ("fallible_rep_movsb", fallible_string),
        ("try_copy", call),
        ("memcpy_auto_nosimd", nosimd),
    ];

    fn kernel(name: &str) -> CopyFn {
        memcpy_select::Kernel::named(name).expect("a row of the table").entry()
    }

    fn fallible(name: &str) -> TryCopyFn {
        let mut kernels = memcpy_select::fallible::kernels().iter();
        kernels.find(|kernel| kernel.name() == name).expect("a row of the table").entry()
    }

    macro_rules! loop_of {
        ($name:ident, $prepared:ident = $prepare:expr, |$dst:ident, $src:ident, $len:ident| $copy:expr) => {
            /// # Safety
            ///
            /// Both ranges are valid and apart.
            #[inline(never)]
            unsafe fn $name(dst: *mut u8, src: *const u8, len: usize, times: u64) {
                let $prepared = black_box($prepare);
                for _ in 0..times {
                    let ($dst, $src, $len) = (black_box(dst), black_box(src), black_box(len));
                    // SAFETY: the caller's; what is called needs nothing of the CPU.
                    unsafe { $copy };
                }
            }
        };
    }

    loop_of!(gpr, copy = kernel("gpr"), |dst, src, len| copy(dst, src, len));
    loop_of!(string, copy = kernel("rep_movsb"), |dst, src, len| copy(dst, src, len));
    loop_of!(fallible_gpr, copy = fallible("fallible_gpr"), |dst, src, len| copy(dst, src, len));
    loop_of!(fallible_string, copy = fallible("fallible_rep_movsb"), |dst, src, len| copy(dst, src, len));
    loop_of!(nosimd, _unused = (), |dst, src, len| memcpy_select::memcpy_auto_nosimd(dst, src, len));
    loop_of!(call, _unused = (), |dst, src, len| try_copy(dst, src, len).expect("nothing faults"));
}

#[cfg(not(target_arch = "x86_64"))]
mod routines {
    pub type Copies = unsafe fn(*mut u8, *const u8, usize, u64);
    pub const ALL: [(&str, Copies); 0] = [];
}
