//! Promise: a post reaches whoever waits, by itself, with others or in a set, and no wait is longer than its limit.

#![cfg(target_os = "linux")]

mod processes;
mod sets;
#[path = "../suite/mod.rs"]
mod suite;
mod words;

use memcpy_select::transport::memory::{Access, Load, Mapped, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::semaphore::{
    Doorbell, MAX_ANY, MAX_COUNT, Member, Notifier, Park, Posted, SEMAPHORE_BYTES, Semaphore, SemaphoreError,
    SemaphoreSet, Via, WaitAny, Word, wait_any,
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

fn semaphores(count: usize) -> Vec<Semaphore> {
    let memory = Mapped::private(count * SEMAPHORE_BYTES).unwrap();
    (0..count).map(|index| Semaphore::new(memory.clone(), index * SEMAPHORE_BYTES).unwrap()).collect()
}

fn one() -> Semaphore {
    semaphores(1).remove(0)
}

fn notifier() -> Arc<Notifier> {
    Arc::new(Notifier::new().unwrap())
}

/// All on one notifier.
fn members(count: usize) -> Vec<Arc<Semaphore>> {
    let notifier = notifier();
    semaphores(count).into_iter().map(|one| Arc::new(one.with_notifier(Arc::clone(&notifier)))).collect()
}

fn set_of(members: &[Arc<Semaphore>]) -> (SemaphoreSet, Vec<Member>) {
    let mut set = SemaphoreSet::create().unwrap();
    let keys = members.iter().map(|member| set.add(Arc::clone(member)).unwrap()).collect();
    (set, keys)
}
