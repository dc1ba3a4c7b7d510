//! Sets of semaphores: one member against thousands, when the post is there before the wait, and when the waiter sleeps.

use crate::lab::instruments::random::SplitMix64;
use crate::lab::paths::parts::{Part, PartSample, Round, pin};
use crate::transport::memory::Mapped;
use crate::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
use std::sync::Arc;
use std::time::Duration;

/// Members of the sets that are compared.
const MEMBERS: [u32; 2] = [1, 4096];
/// Waits in one round, where the post is there already.
const AWAKE_TURNS: u64 = 4096;
/// The same where each wait is a sleep.
const ASLEEP_TURNS: u64 = 300;
/// No wait is longer.
const LIMIT: Duration = Duration::from_secs(5);

struct Set {
    set: SemaphoreSet,
    semaphores: Vec<Arc<Semaphore>>,
    /// What the waiter answers with.
    reply: Semaphore,
}

/// A set of that many on one notifier, as the semaphores of one region are.
fn set(members: u32) -> Result<Set, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let notifier_at = (members as usize + 1) * SEMAPHORE_BYTES;
    let len_bytes = notifier_at + Notifier::bytes_for(2 * notifier_at);
    let memory = Mapped::private(len_bytes).ok_or("no memory for semaphores")?;
    let notifier = Arc::new(Notifier::new(memory.clone(), notifier_at).map_err(|error| text(&error))?);
    let mut set = SemaphoreSet::create().map_err(|error| text(&error))?.without_spinning();
    let mut semaphores = Vec::with_capacity(members as usize);
    let at = |at: usize| Semaphore::new(memory.clone(), at * SEMAPHORE_BYTES).map_err(|error| text(&error));
    for member in 0..members as usize {
        let semaphore = Arc::new(at(member)?.with_notifier(Arc::clone(&notifier)));
        set.add(Arc::clone(&semaphore)).map_err(|error| text(&error))?;
        semaphores.push(semaphore);
    }
    Ok(Set { set, semaphores, reply: at(members as usize)?.without_spinning() })
}

/// Waits for one post of any member.
fn wait(set: &mut SemaphoreSet) -> Result<(), String> {
    match set.wait_set_any(LIMIT) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(format!("no post was noticed in {LIMIT:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn post(semaphores: &[Arc<Semaphore>], random: &mut SplitMix64) -> Result<(), String> {
    let which = random.below(semaphores.len() as u64) as usize;
    semaphores[which].post().map_err(|error| error.to_string())
}

/// What happens between two waits of a set whose waiter is awake.
#[derive(Clone, Copy)]
enum Between {
    /// No member is posted for a moment: the set finds nothing, and asks all members to notify it again.
    Quiet,
    /// The same member is posted again.
    OneBusy,
    /// Another member is posted, and the set never finds nothing: it has no moment in which it could tell all members at once.
    AllBusy,
}

/// The post is there before the wait, from the same thread. In each way, in a set of its own.
pub(crate) fn awake(round: Round) -> Result<Vec<PartSample>, String> {
    let ways = [("quiet", Between::Quiet), ("one_busy", Between::OneBusy), ("all_busy", Between::AllBusy)];
    let mut samples = Vec::new();
    for (subject, between) in ways {
        for members in MEMBERS {
            samples.push(find(round, subject, between, members)?);
        }
    }
    Ok(samples)
}

fn find(round: Round, subject: &str, between: Between, members: u32) -> Result<PartSample, String> {
    let Set { mut set, semaphores, .. } = set(members)?;
    let posted = if matches!(between, Between::OneBusy) { &semaphores[..1] } else { &semaphores[..] };
    let mut random = SplitMix64(u64::from(round.number));
    if !matches!(between, Between::AllBusy) {
        // All are new, and so busy ones; now they are not.
        be_quiet(&mut set)?;
    }
    let mut turn = |_: u64| -> Result<(), String> {
        post(posted, &mut random)?;
        wait(&mut set)?;
        if matches!(between, Between::Quiet) { be_quiet(&mut set) } else { Ok(()) }
    };
    (0..AWAKE_TURNS / 16).try_for_each(&mut turn)?;
    round.time((Part::WaitSetAny, subject), (members, 0), AWAKE_TURNS, || (0..AWAKE_TURNS).try_for_each(&mut turn))
}

/// Looks once, and finds nothing.
fn be_quiet(set: &mut SemaphoreSet) -> Result<(), String> {
    match set.wait_set_any(Duration::ZERO) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err("a post that was never made".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A thread on the other logical CPU posts a member at random once the waiter is about to sleep, and is answered by a plain
/// semaphore before it posts the next: there and back, with a sleep on either side.
pub(crate) fn asleep(round: Round) -> Result<Vec<PartSample>, String> {
    MEMBERS.into_iter().map(|members| sleep(round, members)).collect()
}

fn sleep(round: Round, members: u32) -> Result<PartSample, String> {
    let Set { mut set, semaphores, reply } = set(members)?;
    // As many as are waited for, and none more: the waiter's first are not timed.
    const SETTLING: u64 = 32;
    std::thread::scope(|scope| {
        let poster = scope.spawn(|| {
            pin(round.cpus.far);
            let mut random = SplitMix64(u64::from(round.number));
            for _ in 0..SETTLING + ASLEEP_TURNS {
                post(&semaphores, &mut random)?;
                if !reply.wait(LIMIT) {
                    return Err(format!("no answer in {LIMIT:?}"));
                }
            }
            Ok(())
        });
        let mut turn = |_: u64| {
            wait(&mut set)?;
            reply.post().map_err(|error| error.to_string())
        };
        let measured = (0..SETTLING).try_for_each(&mut turn).and_then(|()| {
            let work = || (0..ASLEEP_TURNS).try_for_each(&mut turn);
            round.time((Part::WaitSetAny, "asleep"), (members, 0), ASLEEP_TURNS, work)
        });
        let posted = poster.join().map_err(|_| "the posting thread panicked".to_owned())?;
        posted.and(measured)
    })
}
