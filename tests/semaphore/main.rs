//! Promise: a post reaches whoever waits, by itself, with others or in a set, and no wait is longer than its limit.

#![cfg(target_os = "linux")]

mod marks;
mod processes;
mod sets;
#[path = "../suite/mod.rs"]
mod suite;
mod words;

use memcpy_select::transport::memory::{Access, Load, Mapped, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::semaphore::{
    Doorbell, MAX_ANY, MAX_COUNT, Marks, Member, Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreError, SemaphoreSet,
    Taken, Turn, Via, WaitAny, Word, wait_any,
};
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use suite::sys::{Child, End};

/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(60);
/// For what is not to come.
const SHORT: Duration = Duration::from_millis(5);

/// Memory with room for so many semaphores, and a notifier for them behind it.
fn memory(count: usize) -> (Mapped, usize) {
    let notifier_at = count * SEMAPHORE_BYTES;
    let memory = Mapped::private(notifier_at + Notifier::bytes_for(2 * notifier_at + PAGE_BYTES)).unwrap();
    (memory, notifier_at)
}

fn semaphores_in(memory: &Mapped, count: usize) -> Vec<Semaphore> {
    (0..count).map(|index| Semaphore::new(memory.clone(), index * SEMAPHORE_BYTES).unwrap()).collect()
}

fn semaphores(count: usize) -> Vec<Semaphore> {
    semaphores_in(&memory(count).0, count)
}

fn one() -> Semaphore {
    semaphores(1).remove(0)
}

/// One in memory of its own, where all semaphores of others share a few marks.
fn notifier() -> Arc<Notifier> {
    let (memory, at) = memory(1);
    Arc::new(Notifier::new(memory, at).unwrap())
}

/// All on one notifier.
fn members(count: usize) -> Vec<Arc<Semaphore>> {
    members_in(&memory(count), count)
}

fn members_in((memory, notifier_at): &(Mapped, usize), count: usize) -> Vec<Arc<Semaphore>> {
    let notifier = Arc::new(Notifier::new(memory.clone(), *notifier_at).unwrap());
    let all = semaphores_in(memory, count).into_iter();
    all.map(|one| Arc::new(one.with_notifier(Arc::clone(&notifier)))).collect()
}

/// Writes that into every word of 8 bytes from there on.
fn fill(memory: &Mapped, from: usize, word: u64) {
    for at in (from..memory.len_bytes()).step_by(8) {
        while memory.cas64(at, memory.load64(at, Load::Relaxed), word, Ordering::Release).is_err() {}
    }
}

fn set_of(members: &[Arc<Semaphore>]) -> (SemaphoreSet, Vec<Member>) {
    let mut set = SemaphoreSet::create().unwrap();
    let keys = members.iter().map(|member| set.add(Arc::clone(member)).unwrap()).collect();
    (set, keys)
}
