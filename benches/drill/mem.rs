//! Are `memcpy`, `memmove`, `memset` and `memcmp` of the feature `mem` faster than those of `compiler_builtins`?
//!
//! Both in turns, from 1 byte to 64 KiB at many placements, before a plan is followed and after it. Of `compiler_builtins`
//! there are its two ways: `rep movsq` between single bytes, which programs have unless they are compiled for CPUs with
//! ERMS, and `rep movsb`, which they have then.

#[cfg(all(target_arch = "x86_64", unix))]
#[path = "support/builtins.rs"]
mod builtins;
mod support;

#[cfg(not(all(target_arch = "x86_64", unix)))]
fn main() {}

#[cfg(all(target_arch = "x86_64", unix))]
fn main() -> std::process::ExitCode {
    let question = "Are the symbols of the feature `mem` faster than those of compiler_builtins?";
    support::main("mem", question, turns::test, turns::measure)
}

#[cfg(all(target_arch = "x86_64", unix))]
mod turns {
    use crate::builtins::*;
    use crate::support::buffers;
    use memcpy_select::lab::LabError;
    use memcpy_select::lab::instruments::affinity::pin;
    use memcpy_select::lab::instruments::buffers::Buffers;
    use memcpy_select::lab::instruments::clock::{Rates, ticks};
    use memcpy_select::lab::instruments::effort::Effort;
    use memcpy_select::lab::instruments::random::SplitMix64;
    use memcpy_select::lab::instruments::statistics::{geometric_mean, median, noise_floor, paired_ratio};
    use memcpy_select::lab::show::{print, size};
    use memcpy_select::mem;
    use std::hint::black_box;

    type Copy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8;
    type Set = unsafe extern "C" fn(*mut u8, i32, usize) -> *mut u8;
    type Compare = unsafe extern "C" fn(*const u8, *const u8, usize) -> i32;

    /// A symbol, or what stands for one.
    #[derive(Clone, Copy)]
    enum Call {
        Copy(Copy),
        Set(Set),
        Compare(Compare),
    }

    impl Call {
        /// Ticks of so many calls.
        ///
        /// # Safety
        ///
        /// Both ranges are valid for `len` bytes, and lie as the call allows.
        unsafe fn time(self, dst: *mut u8, src: *mut u8, len: usize, calls: u64) -> f64 {
            let start = ticks();
            for _ in 0..calls {
                // The length comes from memory, as that of a caller may, and the result is wanted.
                let len = black_box(len);
                match self {
                    // SAFETY: the caller's promise.
                    Self::Copy(copy) => drop(black_box(unsafe { copy(dst, src, len) })),
                    // SAFETY: the caller's promise.
                    Self::Set(set) => drop(black_box(unsafe { set(dst, 0x5a, len) })),
                    // SAFETY: the caller's promise.
                    Self::Compare(compare) => drop(black_box(unsafe { compare(dst, src, len) })),
                }
            }
            ticks().wrapping_sub(start) as f64 / calls as f64
        }
    }

    /// Where a call is made: offsets of the two ranges in a page, or the distance of the destination from a source that it
    /// overlaps.
    #[derive(Clone, Copy)]
    enum Place {
        Apart(usize, usize),
        Overlapping(isize),
    }

    /// A question: whose symbol, on which side, and where.
    struct Duel {
        name: &'static str,
        ours: Call,
        theirs: Call,
        places: Vec<Place>,
    }

    fn duels(effort: Effort) -> Vec<Duel> {
        // Aligned, misaligned, alike in a line, and where addresses are compared modulo 4096.
        let few = [
            (0, 2048),
            (0, 2049),
            (1, 2048),
            (7, 2055),
            (8, 2048),
            (16, 2064),
            (33, 2098),
            (63, 2110),
            (64, 0),
            (5, 0),
        ];
        let many = (0..64).step_by(3).flat_map(|dst| (0..64).step_by(7).map(move |src| (dst, 2048 + src)));
        let apart: Vec<Place> = match effort {
            Effort::Full => few.into_iter().chain(many).map(|(dst, src)| Place::Apart(dst, src)).collect(),
            Effort::Quick | Effort::Default => few.map(|(dst, src)| Place::Apart(dst, src)).into(),
        };
        let overlapping: Vec<Place> = [-1000, -100, -9, 9, 100, 1000].map(Place::Overlapping).into();
        let [copy, moved]: [Copy; 2] = [mem::memcpy, mem::memmove];
        let (copy, moved, set) = (Call::Copy(copy), Call::Copy(moved), Call::Set(mem::memset));
        let duel = |name, ours, theirs, places: &[Place]| Duel { name, ours, theirs, places: places.to_vec() };
        vec![
            duel("memcpy against words", copy, Call::Copy(words_copy), &apart),
            duel("memcpy against bytes", copy, Call::Copy(bytes_copy), &apart),
            duel("memmove against words", moved, Call::Copy(words_move), &apart),
            duel("memmove against words, overlapping", moved, Call::Copy(words_move), &overlapping),
            duel("memmove against bytes, overlapping", moved, Call::Copy(bytes_move), &overlapping),
            duel("memset against words", set, Call::Set(words_set), &apart),
            duel("memset against bytes", set, Call::Set(bytes_set), &apart),
            duel("memcmp against pairs", Call::Compare(mem::memcmp), Call::Compare(pairs_compare), &apart),
        ]
    }

    const LARGEST: usize = 64 << 10;

    fn lengths(effort: Effort) -> Vec<usize> {
        let all = (0..=16)
            .flat_map(|power| [1 << power, (1 << power) * 5 / 4, (1 << power) * 3 / 2, (1 << power) * 7 / 4 - 1]);
        let mut lengths: Vec<usize> = all.filter(|len| (1..=LARGEST).contains(len)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let step = if effort == Effort::Quick { 4 } else { 1 };
        lengths.into_iter().step_by(step).collect()
    }

    fn ranges(buffers: &Buffers, place: Place) -> (*mut u8, *mut u8) {
        match place {
            Place::Apart(dst, src) => (buffers.dst(dst), buffers.src(src)),
            Place::Overlapping(distance) => (buffers.dst(1024).wrapping_offset(distance), buffers.dst(1024)),
        }
    }

    /// What each side leaves behind is the same.
    pub fn test() -> Result<(), LabError> {
        let buffers = buffers(2 * LARGEST);
        for duel in duels(Effort::Quick) {
            for len in lengths(Effort::Quick) {
                for place in duel.places.iter().copied() {
                    let left = [duel.ours, duel.theirs].map(|call| outcome(&buffers, call, place, len));
                    assert!(left[0] == left[1], "{}, {len} bytes: they differ, and are not timed", duel.name);
                }
            }
        }
        Ok(print("mem: both sides do the same\n")?)
    }

    /// The destination after a call, and the sign of what it returned.
    fn outcome(buffers: &Buffers, call: Call, place: Place, len: usize) -> (Vec<u8>, i32) {
        let (dst, src) = ranges(buffers, place);
        for (start, factor) in [(dst, 7), (src, 11)] {
            // SAFETY: the buffers reach further than any range here.
            let bytes = unsafe { std::slice::from_raw_parts_mut(start, len + 64) };
            bytes.iter_mut().zip(0_usize..).for_each(|(byte, at)| *byte = (at * factor) as u8);
        }
        let returned = match call {
            // SAFETY: both ranges lie in the buffers, as the place says.
            Call::Copy(copy) => (unsafe { copy(dst, src, len) } == dst) as i32,
            // SAFETY: as above.
            Call::Set(set) => (unsafe { set(dst, 0x15a, len) } == dst) as i32,
            // SAFETY: as above.
            Call::Compare(compare) => unsafe { compare(dst, src, len) }.signum(),
        };
        // SAFETY: as above.
        (unsafe { std::slice::from_raw_parts(dst, len + 64) }.to_vec(), returned)
    }

    pub fn measure(effort: Effort) -> Result<(), LabError> {
        test()?;
        pin();
        let buffers = buffers(2 * LARGEST);
        let rates = Rates::measure();
        print(format_args!("core {:.2} GHz, counter {:.2} GHz\n", rates.core_cycles_per_ns, rates.tsc_ticks_per_ns))?;
        print("\nbefore a plan is followed\n")?;
        duels(effort).iter().try_for_each(|duel| fight(duel, &buffers, effort, &rates))?;
        mem::follow_plan();
        print("\nby the plan for this CPU\n")?;
        duels(effort).iter().try_for_each(|duel| fight(duel, &buffers, effort, &rates))
    }

    /// Times one question length by length: the geometric mean of the ratios over the places, the worst one, and in the end
    /// over all lengths. The noise floor is what ours differs from itself.
    fn fight(duel: &Duel, buffers: &Buffers, effort: Effort, rates: &Rates) -> Result<(), LabError> {
        let rounds = match effort {
            Effort::Quick => 9,
            Effort::Default => 21,
            Effort::Full => 41,
        };
        let mut random = SplitMix64(0x3e3);
        let (mut all, mut same, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for len in lengths(effort) {
            let (mut ratios, mut times) = (Vec::new(), Vec::new());
            for place in &duel.places {
                let (dst, src) = ranges(buffers, *place);
                // SAFETY: the buffers reach further than any range here.
                unsafe { src.write_bytes(0x5a, len) };
                if let Place::Apart(..) = place {
                    // SAFETY: as above. Comparisons are of equal ranges: they see all of them.
                    unsafe { dst.write_bytes(0x5a, len) };
                }
                // A burst of some microseconds.
                let calls = (20_000 / (len as u64 + 60)).max(3);
                let sides = [duel.ours, duel.theirs, duel.ours];
                let mut samples = [const { Vec::new() }; 3];
                for _ in 0..rounds {
                    for side in random.order(3) {
                        // SAFETY: both ranges lie in the buffers, as the place says.
                        samples[side].push(unsafe { sides[side].time(dst, src, len, calls) });
                    }
                }
                let [ours, theirs, again] = samples;
                ratios.extend(paired_ratio(&ours, &theirs));
                same.extend(paired_ratio(&ours, &again));
                times.push((median(&ours).unwrap_or(0.0), median(&theirs).unwrap_or(0.0)));
            }
            let cycles = |side: fn(&(f64, f64)) -> f64| {
                geometric_mean(times.iter().map(side)).unwrap_or(0.0) * rates.core_cycles_per_ns
                    / rates.tsc_ticks_per_ns
            };
            let worst = ratios.iter().copied().fold(0.0, f64::max);
            cells.push((
                len,
                geometric_mean(ratios.iter().copied()).unwrap_or(0.0),
                worst,
                cycles(|t| t.0),
                cycles(|t| t.1),
            ));
            all.extend(ratios);
        }
        let noise = noise_floor(&same).unwrap_or(1.0);
        let mean = geometric_mean(all.iter().copied()).unwrap_or(0.0);
        let slower = all.iter().filter(|ratio| **ratio > noise).count();
        print(format_args!(
            "\n{}: {mean:.3} of its time in the geometric mean; noise {noise:.3}; slower beyond it in {slower} of {} cells\n",
            duel.name,
            all.len()
        ))?;
        for (len, mean, worst, ours, theirs) in cells {
            let mark = if worst > noise { " slower somewhere" } else { "" };
            print(format_args!(
                "{:>10} {mean:>7.3} worst {worst:>6.3} cycles {ours:>8.1} against {theirs:>8.1}{mark}\n",
                size(len)
            ))?;
        }
        Ok(())
    }
}
