//! What a transfer does to other data in the consumer's cache, by the kernel that copies it: a working set of the
//! consumer's own is walked through after each payload, and only the walk is timed.

#![forbid(unsafe_code)]

use crate::lab::instruments::affinity::CpuPair;
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::statistics::median;
use crate::lab::paths::cell::{Cell, Contender, Placement};
use crate::lab::paths::control::Pattern;
use crate::lab::paths::pair::Program;
use crate::lab::paths::sweep::{Refusal, Sweep, What};
use crate::lab::paths::ways::{Mode, Stage, Way};

/// Payloads that pass between two walks.
const SIZES: [usize; 3] = [64 << 10, 1 << 20, 16 << 20];
/// The most of a shared cache that is called one's own, whatever the system says it has.
const MOST_WALKED: usize = 8 << 20;

/// Payloads between two walks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSample {
    /// How the payload came.
    pub way: Way,
    /// The kernel that copied it out; `memcpy_auto` if none.
    pub kernel: Option<String>,
    /// Whether it was written, and read in the end.
    pub touch: bool,
    /// Its length in bytes.
    pub payload_bytes: usize,
    /// The working set in bytes.
    pub walk_bytes: usize,
    /// In which round.
    pub round: u32,
    /// How many walks.
    pub walks: u64,
    /// Nanoseconds of all of them.
    pub total_ns: u64,
}

/// What the samples are taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheScope {
    /// Lengths of the payloads in bytes.
    pub sizes: Vec<usize>,
    /// Working sets in bytes.
    pub walks: Vec<usize>,
    /// Kernels beside `memcpy_auto`.
    pub kernels: Vec<String>,
}

impl CacheScope {
    /// Short, longer and long payloads, and a working set for each of these caches.
    pub fn of(caches: [usize; 3], kernels: Vec<String>) -> Self {
        Self { sizes: SIZES.to_vec(), walks: working_sets(caches), kernels }
    }
}

/// Working sets that fit the first cache, the second, and a good part of the third, by their sizes in bytes.
fn working_sets([l1d, l2, l3]: [usize; 3]) -> Vec<usize> {
    let mut sets = vec![l1d / 2, l2 / 2, (l3 / 4).min(MOST_WALKED)];
    sets.retain(|bytes| *bytes > 0);
    sets.dedup_by(|next, known| *next <= *known);
    sets
}

/// Measures walks through these working sets: after nothing has passed, after payloads in place, and after payloads that
/// each of these kernels, and `memcpy_auto`, has copied out.
pub fn measure_cache(
    program: &Program,
    cpus: CpuPair,
    effort: Effort,
    CacheScope { sizes, walks, kernels }: &CacheScope,
) -> (Vec<CacheSample>, Vec<Refusal>) {
    let stages = |way: Way| walks.iter().map(move |bytes| Stage::with_walk(way, *bytes)).collect::<Vec<Stage>>();
    let (apart, in_place, copied) = (stages(Way::Apart), stages(Way::InPlace), stages(Way::CopyOut));
    let mut sweep = Sweep::new(program.clone(), cpus, if effort == Effort::Full { effort } else { Effort::Quick });
    let (mut samples, mut refusals) = (Vec::new(), Vec::new());
    for touch in [true, false] {
        let without = if touch { &in_place } else { &apart };
        let mut contenders: Vec<Contender<'_>> = without.iter().map(|stage| Contender::plain(stage)).collect();
        for stage in &copied {
            contenders.push(Contender::plain(stage));
            let with = |kernel: &String| Contender { kernel: Some(kernel.clone()), ..Contender::plain(stage) };
            contenders.extend(kernels.iter().map(with));
        }
        for &payload_bytes in sizes {
            let like = Cell::simple(payload_bytes, Mode::Polling, Placement::TwoCores);
            let (taken, refused) = sweep.measure(Cell { touch, ..like }, &contenders);
            refusals.extend(refused);
            samples.extend(taken.into_iter().filter_map(|sample| {
                let stage = Stage::named(&sample.path)?;
                // One way, the far side does nothing but receive.
                let What::Moved { pattern: Pattern::OneWay, far, .. } = sample.what else {
                    return None;
                };
                let (walks, total_ns) = far.beside;
                let (way, walk_bytes, round) = (stage.way(), stage.walk_bytes(), sample.round);
                let of = CacheSample {
                    way,
                    kernel: sample.kernel,
                    touch,
                    payload_bytes,
                    walk_bytes,
                    round,
                    walks,
                    total_ns,
                };
                (walks > 0).then_some(of)
            }));
        }
    }
    (samples, refusals)
}

/// What a walk takes after payloads of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    /// How the payload came.
    pub way: Way,
    /// The kernel that copied it out; `memcpy_auto` if none.
    pub kernel: Option<String>,
    /// Whether it was written, and read in the end.
    pub touch: bool,
    /// Its length in bytes.
    pub payload_bytes: usize,
    /// The working set in bytes.
    pub walk_bytes: usize,
    /// Time of a walk, in nanoseconds.
    pub walk_ns: f64,
    /// How many times that is what a walk takes after nothing has passed.
    pub slowdown: Option<f64>,
}

/// The figures of these samples: those that are not read first, then by way and kernel.
pub fn walked(samples: &[CacheSample]) -> Vec<Walked> {
    let mut kinds: Vec<&CacheSample> = Vec::new();
    let is_like = |a: &CacheSample, b: &CacheSample| {
        (a.way, &a.kernel, a.touch, a.payload_bytes, a.walk_bytes)
            == (b.way, &b.kernel, b.touch, b.payload_bytes, b.walk_bytes)
    };
    for sample in samples {
        if !kinds.iter().any(|known| is_like(known, sample)) {
            kinds.push(sample);
        }
    }
    kinds.sort_by(|a, b| (a.touch, a.way, &a.kernel).cmp(&(b.touch, b.way, &b.kernel)));
    let walk_ns = |is_of: &dyn Fn(&CacheSample) -> bool| {
        let of = samples.iter().filter(|sample| is_of(sample));
        median(&of.map(|sample| sample.total_ns as f64 / sample.walks as f64).collect::<Vec<f64>>())
    };
    let figures = kinds.into_iter().filter_map(|kind| {
        let (payload_bytes, walk_bytes) = (kind.payload_bytes, kind.walk_bytes);
        let ns = walk_ns(&|sample| is_like(sample, kind))?;
        let alone = walk_ns(&|sample| {
            (sample.way, sample.touch, sample.payload_bytes, sample.walk_bytes)
                == (Way::Apart, false, payload_bytes, walk_bytes)
        });
        Some(Walked {
            way: kind.way,
            kernel: kind.kernel.clone(),
            touch: kind.touch,
            payload_bytes,
            walk_bytes,
            walk_ns: ns,
            slowdown: alone.map(|alone| ns / alone),
        })
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_sets_grow_and_none_is_empty() {
        assert_eq!(working_sets([48 << 10, 1 << 20, 32 << 20]), [24 << 10, 512 << 10, 8 << 20]);
        assert_eq!(working_sets([48 << 10, 1 << 20, 480 << 20]), [24 << 10, 512 << 10, 8 << 20]);
        assert_eq!(working_sets([32 << 10, 256 << 10, 0]), [16 << 10, 128 << 10]);
        assert_eq!(working_sets([32 << 10, 0, 0]), [16 << 10]);
    }

    #[test]
    fn a_slowdown_is_over_the_walk_after_nothing() {
        let sample = |way: Way, touch: bool, round: u32, total_ns: u64| CacheSample {
            way,
            kernel: None,
            touch,
            payload_bytes: 1 << 20,
            walk_bytes: 1 << 14,
            round,
            walks: 10,
            total_ns,
        };
        let samples = [
            sample(Way::CopyOut, true, 0, 3000),
            sample(Way::CopyOut, true, 1, 5000),
            sample(Way::Apart, false, 0, 1000),
            sample(Way::Apart, true, 0, 9000),
        ];
        let figures = walked(&samples);
        let shown: Vec<_> = figures.iter().map(|one| (one.way, one.touch, one.walk_ns, one.slowdown)).collect();
        let expected = [
            (Way::Apart, false, 100.0, Some(1.0)),
            (Way::Apart, true, 900.0, Some(9.0)),
            (Way::CopyOut, true, 400.0, Some(4.0)),
        ];
        assert_eq!(shown, expected);
        let other = CacheSample { walk_bytes: 1 << 15, ..sample(Way::CopyOut, true, 0, 3000) };
        assert_eq!(walked(&[other])[0].slowdown, None, "there is nothing to compare it with");
    }
}
