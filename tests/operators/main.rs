//! Promise: in containers, under limits and under filters of system calls the transport works, or a typed error says on both
//! sides what is missing; each row of the guide's page on operating has its test here or names it.

#![cfg(target_os = "linux")]

mod cgroups;
mod containers;
mod descriptors;
#[cfg(target_arch = "x86_64")]
mod filters;
mod forks;
mod namespaces;
mod page;
#[path = "../roles/mod.rs"]
mod roles;
#[path = "../suite/mod.rs"]
mod suite;

use memcpy_select::transport::{Answer, ErrorCode, Event, Operation, Table};
use std::io::SeekFrom;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(20);

/// The tests fork and change limits, and so take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

static SEVENS: [u8; 100] = [7; 100];

/// Serves positions, opens and reads, and hands out what `share` answers, until it is over.
fn serve_until<'a>(table: &mut Table, is_over: impl Fn() -> bool, share: impl Fn() -> Answer<'a>) {
    while !is_over() {
        let Some(Event::Job(job)) = table.next(Duration::from_millis(1)).unwrap() else { continue };
        let answer = match job.operation() {
            Operation::Seek { to: SeekFrom::Start(to), .. } => Answer::Position(to),
            Operation::Read { amount, .. } => Answer::Bytes(&SEVENS[..SEVENS.len().min(amount as usize)]),
            Operation::Write { .. } => Answer::Amount(table.payload(&job).len() as u32),
            Operation::Share { .. } => share(),
            _ => Answer::Error(ErrorCode::UNSUPPORTED),
        };
        table.answer(job, answer);
    }
}
