//! What does a wait for any of many semaphores cost, by how many there are and how many of them were posted?
//!
//! One thread posts and waits in turns, so that the set never sleeps and none of its members is ever at rest for long: a time is that
//! of a post and of the wait that returns it.

mod support;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use memcpy_select::lab::instruments::random::SplitMix64;
use memcpy_select::transport::memory::Mapped;
use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::or_end;

const MEMBERS: [usize; 4] = [16, 256, 4096, 16384];
/// No wait is longer.
const LIMIT: Duration = Duration::from_secs(5);

fn main() {
    support::with_criterion(|criterion| MEMBERS.into_iter().for_each(|members| bench(criterion, members)));
}

/// How many are posted before as many are waited for.
fn bench(criterion: &mut Criterion, members: usize) {
    let mut group = criterion.benchmark_group(format!("sets/{members}"));
    group.sampling_mode(SamplingMode::Flat);
    let (mut set, semaphores) = or_end(set(members));
    let order = shuffled(members);
    let mut counts = vec![1, 64.min(members), members];
    counts.dedup();
    for posted in counts {
        group.throughput(Throughput::Elements(posted as u64));
        group.bench_function(BenchmarkId::new("posted", posted), |bencher| {
            bencher.iter_custom(|rounds| {
                or_end(time(&mut set, order.iter().map(|at| &semaphores[*at]).cycle(), (posted, rounds)))
            });
        });
    }
    group.finish();
}

/// A set on one notifier, as the semaphores of one region are.
fn set(members: usize) -> Result<(SemaphoreSet, Vec<Arc<Semaphore>>), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let notifier_at = members * SEMAPHORE_BYTES;
    let memory = Mapped::private(notifier_at + Notifier::bytes_for(2 * notifier_at)).ok_or("no memory")?;
    let notifier = Arc::new(Notifier::new(memory.clone(), notifier_at).map_err(|error| text(&error))?);
    let mut set = SemaphoreSet::create().map_err(|error| text(&error))?.without_spinning();
    let mut semaphores = Vec::with_capacity(members);
    for at in (0..notifier_at).step_by(SEMAPHORE_BYTES) {
        let semaphore = Semaphore::new(memory.clone(), at).map_err(|error| text(&error))?;
        let semaphore = Arc::new(semaphore.with_notifier(Arc::clone(&notifier)));
        set.add(Arc::clone(&semaphore)).map_err(|error| text(&error))?;
        semaphores.push(semaphore);
    }
    Ok((set, semaphores))
}

/// The members in an order that no CPU foresees.
fn shuffled(members: usize) -> Vec<usize> {
    let mut random = SplitMix64(1);
    let mut order: Vec<usize> = (0..members).collect();
    for last in (1..members).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

/// So many rounds: as many members as are to be posted, each another one, and as many waits.
fn time<'a>(
    set: &mut SemaphoreSet,
    mut order: impl Iterator<Item = &'a Arc<Semaphore>>,
    (posted, rounds): (usize, u64),
) -> Result<Duration, String> {
    let start = Instant::now();
    for _ in 0..rounds {
        for semaphore in order.by_ref().take(posted) {
            semaphore.post().map_err(|error| error.to_string())?;
        }
        for _ in 0..posted {
            let found = set.wait_set_any(LIMIT).map_err(|error| error.to_string())?;
            found.ok_or("no post was noticed")?;
        }
    }
    Ok(start.elapsed())
}
