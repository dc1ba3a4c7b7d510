//! What vector state costs outside of any section: when threads are switched and signals delivered.
//!
//! One thread's state is clean or dirty, set anew before each trip, and that not timed; everything else is equal. The
//! effect is a percent of a trip whose length drifts by more than that within a second, so that the arms of a round run
//! right after each other, in the order there and back, and only differences within a round count. Two controls: a
//! second clean arm, which must not differ, and one with a known pair of instructions more in each trip, which must be
//! found again.

use crate::cpu::{Components, XState};
use crate::lab::instruments::affinity::pin_to;
use crate::lab::instruments::clock;
use crate::lab::sections::runner::Runner;
use crate::lab::sections::sample::{Condition, Key, Part, Sample};
use crate::lab::sections::state::{LIVE_STATES, State};
use crate::xsave::Save;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{read, write};
use std::{io, thread};

/// The arms of a round.
pub const CLEAN: &str = "clean";
/// The same again.
pub const CLEAN_AGAIN: &str = "clean-again";
/// With every component of the thread's state in use and written since it was restored.
pub const DIRTY: &str = "dirty";
/// Clean, with one save and one restore more in each trip.
pub const EXTRA_PAIR: &str = "extra-pair";
/// What that pair costs where it is alone.
pub const PAIR_ALONE: &str = "pair-alone";

/// An arm of a round: its name, and what is done in it. No string is compared while a trip is timed: that would use vector
/// registers itself.
#[derive(Clone, Copy)]
struct Trip {
    name: &'static str,
    is_dirty: bool,
    has_pair: bool,
}

const ARMS: [Trip; 4] = [
    Trip { name: CLEAN, is_dirty: false, has_pair: false },
    Trip { name: CLEAN_AGAIN, is_dirty: false, has_pair: false },
    Trip { name: DIRTY, is_dirty: true, has_pair: false },
    Trip { name: EXTRA_PAIR, is_dirty: false, has_pair: true },
];

/// A system call that does nothing, there and back: about what entering a kernel costs, and less than a trap.
pub const SYSTEM_CALL: &str = "system-call";

/// Trips of an arm in one round: half of them there, half of them back.
pub const TRIPS: u64 = 50;

/// One thread's side of a trip.
struct RoundTripTimer {
    clean: State,
    dirty: State,
    save: Save,
}

impl RoundTripTimer {
    /// `None` where the CPU has no XSAVE to set a state with.
    fn new(xstate: &XState) -> Option<Self> {
        let save = crate::lab::sections::costs::section_save(xstate)?;
        let largest = LIVE_STATES.into_iter().rev().find_map(|live| State::new(live, xstate, 1))?;
        Some(Self { clean: State::new(Components::NONE, xstate, 1)?, dirty: largest, save })
    }

    /// Brings the registers into the state of an arm.
    fn set(&mut self, is_dirty: bool) {
        let block =
            if is_dirty { self.dirty.block(Condition::Dirtied, 1) } else { self.clean.block(Condition::Initial, 1) };
        // SAFETY: the image and its mask are made for this CPU.
        unsafe { block.run(None, None) };
    }

    /// The pair that one of the arms has more: about as long as a section's.
    fn pair(&mut self) {
        let block = self.clean.block(Condition::Initial, 1);
        let mask = Components::from_bits(block.mask);
        // SAFETY: the instruction is available; the area is aligned and large enough, and was cleared.
        unsafe { self.save.save(block.save_area, mask) };
        // SAFETY: the area holds what was just saved there.
        unsafe { self.save.restore().restore(block.save_area, mask) };
    }

    /// The time of one trip, in ticks.
    fn trip(&mut self, arm: Trip, travel: &mut impl FnMut()) -> u64 {
        self.set(arm.is_dirty);
        let start = clock::ticks();
        if arm.has_pair {
            self.pair();
        }
        travel();
        clock::ticks().wrapping_sub(start)
    }

    /// One round: each arm half of its trips in shuffled order, then the other half in the opposite order. What is kept
    /// is the middle half of each arm's trips: the others met an interrupt, or nothing to wait for.
    fn round(&mut self, runner: &mut Runner, part: Part, travel: &mut impl FnMut()) -> u32 {
        let round = runner.next_round();
        runner.time_clock(round);
        let order = runner.order(ARMS.len());
        let mut trips: [Vec<u64>; ARMS.len()] = Default::default();
        for arm in order.iter().chain(order.iter().rev()) {
            for _ in 0..TRIPS / 2 {
                trips[*arm].push(self.trip(ARMS[*arm], travel));
            }
        }
        for (arm, mut trips) in ARMS.into_iter().zip(trips) {
            runner.keep(middle_half(Key::of(part, arm.name), round, &mut trips));
        }
        let mut alone: Vec<u64> = (0..TRIPS)
            .map(|_| {
                self.set(false);
                let start = clock::ticks();
                self.pair();
                let paired = clock::ticks().wrapping_sub(start);
                let start = clock::ticks();
                paired.saturating_sub(clock::ticks().wrapping_sub(start))
            })
            .collect();
        runner.keep(middle_half(Key::of(part, PAIR_ALONE), round, &mut alone));
        round
    }
}

fn middle_half(key: Key, round: u32, trips: &mut [u64]) -> Sample {
    trips.sort_unstable();
    let middle = &trips[trips.len() / 4..trips.len() - trips.len() / 4];
    Sample { key, round, turns: middle.len() as u64, ticks: middle.iter().sum() }
}

/// Measures round trips between two threads on the CPU that this one is pinned to: a byte through a pipe and back.
///
/// # Errors
///
/// The system's, if there is no pipe, or if threads cannot be pinned. Nothing is measured then.
pub(super) fn measure_switches(
    runner: &mut Runner,
    xstate: &XState,
    pinned_to: Option<usize>,
    rounds: u32,
) -> io::Result<()> {
    let pinned_to = pinned_to.ok_or_else(|| io::Error::other("this thread could not be pinned"))?;
    let Some(mut timer) = RoundTripTimer::new(xstate) else {
        return Ok(());
    };
    let (there, here) = (rustix::pipe::pipe()?, rustix::pipe::pipe()?);
    let stay = move || if pin_to(pinned_to) { Ok(()) } else { Err(io::Error::other("this thread cannot be pinned")) };
    stay()?;
    thread::scope(|scope| {
        let (inbox, outbox) = (there.0.as_fd(), here.1.as_fd());
        let partner = scope.spawn(move || -> io::Result<()> {
            stay()?;
            let mut byte = [0];
            while read(inbox, &mut byte)? == 1 && byte[0] != END {
                write(outbox, &byte)?;
            }
            Ok(())
        });
        let mut failed = None;
        {
            let mut travel = || {
                if let Err(error) = exchange(there.1.as_fd(), here.0.as_fd()) {
                    failed.get_or_insert(error);
                }
            };
            for _ in 0..rounds {
                timer.round(runner, Part::Switch, &mut travel);
            }
        }
        write(there.1.as_fd(), &[END])?;
        let partner = partner.join().unwrap_or_else(|_| Err(io::Error::other("the other thread ended early")));
        failed.map_or(partner, Err)
    })
}

/// The byte that ends the partner.
const END: u8 = 0xff;

fn exchange(there: BorrowedFd<'_>, here: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = [1];
    write(there, &byte)?;
    read(here, &mut byte)?;
    Ok(())
}

unsafe extern "C" {
    fn signal(number: i32, action: usize) -> usize;
    fn raise(number: i32) -> i32;
}

/// Linux, x86-64: SIGUSR1, which nothing in this program uses.
const SIGUSR1: i32 = 10;
const SIG_ERR: usize = usize::MAX;

extern "C" fn nothing(_: i32) {}

/// Measures signals that this thread sends itself, with a handler that does nothing.
///
/// # Errors
///
/// The system's, if no handler can be installed. Nothing is measured then.
pub(super) fn measure_signals(runner: &mut Runner, xstate: &XState, rounds: u32) -> io::Result<()> {
    let Some(mut timer) = RoundTripTimer::new(xstate) else {
        return Ok(());
    };
    let handler: extern "C" fn(i32) = nothing;
    // SAFETY: the handler does nothing, so that it is safe to run at any point.
    let before = unsafe { signal(SIGUSR1, handler as usize) };
    if before == SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    for _ in 0..rounds {
        let round = timer.round(runner, Part::Signal, &mut || {
            // SAFETY: the signal has a handler; no other precondition.
            unsafe { raise(SIGUSR1) };
        });
        let start = clock::ticks();
        for _ in 0..TRIPS {
            let _ = rustix::process::getppid();
        }
        let ticks = clock::ticks().wrapping_sub(start);
        runner.keep(Sample { key: Key::of(Part::Signal, SYSTEM_CALL), round, turns: TRIPS, ticks });
    }
    // SAFETY: what was there before.
    unsafe { signal(SIGUSR1, before) };
    Ok(())
}
