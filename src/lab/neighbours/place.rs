//! Where a hostile neighbour does what it does: at the server, or elsewhere.
//!
//! A process that uses a CPU costs the others on it, whatever it does. What a hostile client costs *through the server* is what it
//! costs beyond a process that makes the same calls just as often, and sleeps in between, with sockets and memory of its own
//! that no table watches.

use super::enemy::Enemy;
use super::roles::ready;
use crate::transport::connect::ConnectError;
use crate::transport::memory::{Access, Load, Mapped, Memory, Store};
use crate::transport::{Address, Promise, Region, RegionOptions, Sealing, Waiting};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How often a neighbour does what it does again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub steps_per_s: f64,
    /// Sessions that it begins.
    pub sessions_per_s: f64,
    /// The share of the time in which it sleeps, and does not even wait for a CPU.
    pub sleep_share: f64,
    /// How often it goes to sleep.
    pub sleeps_per_s: f64,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps_per_s, sessions_per_s, sleep_share, sleeps_per_s } = self;
        write!(f, "{steps_per_s}/{sessions_per_s}/{sleep_share}/{sleeps_per_s}")
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<f64> = text.split('/').filter_map(|number| number.parse().ok()).collect();
        let [steps_per_s, sessions_per_s, sleep_share, sleeps_per_s] = numbers[..] else {
            return Err(format!("{text}: no pace"));
        };
        Ok(Self { steps_per_s, sessions_per_s, sleep_share, sleeps_per_s })
    }
}

/// The two numbers that a neighbour counts, in memory that it shares with the process that started it.
#[derive(Debug)]
pub struct Tally {
    memory: Mapped,
    start: Instant,
    /// What was counted before the start, and what the process had done by then.
    before: [u32; 2],
    life_before: Option<Life>,
}

/// How long a process has run or waited for a CPU, and how often it has gone to sleep.
#[derive(Clone, Copy, Debug)]
struct Life {
    awake: Duration,
    sleeps: u64,
}

impl Life {
    /// `None` where the system does not say.
    fn of(process: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some(Self { awake: Duration::from_nanos(ran.saturating_add(waited)), sleeps: sleeps.trim().parse().ok()? })
    }
}

const TALLY_BYTES: usize = 4096;
/// Where they are: steps, sessions.
const COUNTS_AT: [usize; 2] = [0, 128];

impl Tally {
    /// An empty one, and the descriptor that the neighbour gets as its standard input.
    pub(super) fn new() -> Result<(Self, OwnedFd), String> {
        let region = Region::create(TALLY_BYTES, RegionOptions::default()).map_err(|error| error.to_string())?;
        let descriptor = region.descriptor().try_clone_to_owned().map_err(|error| error.to_string())?;
        let memory = region.into_memory();
        Ok((Self { memory, start: Instant::now(), before: [0; 2], life_before: None }, descriptor))
    }

    fn counts(&self) -> [u32; 2] {
        COUNTS_AT.map(|at| self.memory.load32(at, Load::Relaxed))
    }

    /// What the neighbour, that process, does from now on counts.
    pub(super) fn begin(&mut self, process: u32) {
        (self.start, self.before, self.life_before) = (Instant::now(), self.counts(), Life::of(process));
    }

    /// What it has done since. Where the system does not say how long it slept, it sleeps after each step.
    pub(super) fn pace(&self, process: u32) -> Pace {
        let (now, passed_s) = (self.counts(), self.start.elapsed().as_secs_f64());
        let [steps_per_s, sessions_per_s] =
            [0, 1].map(|at| f64::from(now[at].wrapping_sub(self.before[at])) / passed_s);
        let Some((now, before)) = Life::of(process).zip(self.life_before) else {
            return Pace { steps_per_s, sessions_per_s, sleep_share: 1.0, sleeps_per_s: steps_per_s };
        };
        let awake_share = now.awake.saturating_sub(before.awake).as_secs_f64() / passed_s;
        let sleeps_per_s = now.sleeps.saturating_sub(before.sleeps) as f64 / passed_s;
        Pace { steps_per_s, sessions_per_s, sleep_share: (1.0 - awake_share).clamp(0.0, 1.0), sleeps_per_s }
    }
}

/// Where a neighbour does what it does.
pub struct Place {
    pub address: Address,
    pub waiting: Waiting,
    counts: [u32; 2],
    /// Where they are read.
    tally: Option<Mapped>,
    elsewhere: Option<Elsewhere>,
}

struct Elsewhere {
    pace: Pace,
    start: Instant,
    steps: f64,
    /// Since when it has been awake, and its steps since.
    awake: Instant,
    steps_awake: f64,
    /// How often it has to sleep still.
    sleeps: f64,
    listener: Option<(Address, UnixListener)>,
}

/// A sleep that is shorter takes as long as this one.
const MIN_SLEEP: Duration = Duration::from_micros(60);
/// It sleeps no more often after a step.
const MAX_SLEEPS: u32 = 16;
/// Where it is behind its pace by more, it does not catch up.
const MAX_DELAY: Duration = Duration::from_millis(10);

impl Place {
    /// At the server of that address; with a pace, elsewhere.
    pub(super) fn new(address: Address, waiting: Waiting, pace: Option<Pace>) -> Self {
        let promise = Promise { len_bytes: TALLY_BYTES, sealing: Sealing::Size };
        let input = std::io::stdin().as_fd().try_clone_to_owned().ok();
        let tally =
            input.and_then(|input| Region::open(input, promise, Access::ReadWrite).ok()).map(Region::into_memory);
        let elsewhere = pace.map(Elsewhere::new);
        Self { address, waiting, counts: [0; 2], tally, elsewhere }
    }

    /// The pace of one that does elsewhere, in half the time, what is a step of this one.
    pub(super) fn pace_in_step(&self) -> Option<Pace> {
        let pace = self.elsewhere.as_ref()?.pace;
        Some(Pace { steps_per_s: 2.0 * pace.steps_per_s, ..pace })
    }

    fn count(&mut self, which: usize) {
        self.counts[which] = self.counts[which].wrapping_add(1);
        if let Some(tally) = &self.tally {
            tally.store32(COUNTS_AT[which], self.counts[which], Store::Relaxed);
        }
    }

    /// Counts a step during which this process sleeps wherever it makes it; elsewhere, sleeps until the next one.
    pub(super) fn step_asleep(&mut self) {
        self.count(0);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.steps += 1.0;
            elsewhere.sleep(elsewhere.steps, 1);
        }
    }

    /// Counts a step; elsewhere, lets the time pass until the next one, asleep as long and as often as the neighbour at the server
    /// was.
    pub(super) fn step(&mut self) {
        self.count(0);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.wait();
        }
    }

    /// A session with the server, or elsewhere with none: asleep as often as a client waits for a server, until it has one.
    pub(super) fn session(&mut self) -> Result<Enemy, ConnectError> {
        self.count(1);
        match &self.elsewhere {
            None => Enemy::join(&self.address),
            Some(place) => Ok(Enemy::alone(|sleeps_left| place.sleep(place.steps + 1.0, sleeps_left))),
        }
    }

    /// Begins one session after the other, and does something in each until the server has ended it, or for so long: to begin it
    /// is a step, and each time is one.
    pub(super) fn again_and_again(&mut self, time: Duration, mut each: impl FnMut(&mut Enemy)) {
        let mut is_ready = false;
        // Until the server has ended.
        while let Ok(mut enemy) = self.session() {
            if !std::mem::replace(&mut is_ready, true) {
                ready();
            }
            self.step();
            let most_steps = self.elsewhere.as_ref().map(|place| place.pace.steps_per_s / place.pace.sessions_per_s);
            let (start, mut steps) = (Instant::now(), 1.0);
            let goes_on = |enemy: &Enemy, steps| match most_steps {
                Some(most) => steps < most,
                None => start.elapsed() < time && !enemy.is_gone(),
            };
            while goes_on(&enemy, steps) {
                each(&mut enemy);
                self.step();
                steps += 1.0;
            }
        }
    }

    /// A connection to the server, or elsewhere to this process itself: a step.
    pub(super) fn connect(
        &mut self,
        connect: fn(&Address) -> std::io::Result<UnixStream>,
    ) -> std::io::Result<UnixStream> {
        let stream = match &mut self.elsewhere {
            None => connect(&self.address),
            Some(place) => {
                let (address, listener) = match &mut place.listener {
                    Some(there) => there,
                    none => none.insert(listen()?),
                };
                let stream = connect(address);
                drop(listener.accept());
                stream
            }
        };
        self.step();
        stream
    }
}

impl Elsewhere {
    fn new(pace: Pace) -> Self {
        let now = Instant::now();
        Self { pace, start: now, steps: 0.0, awake: now, steps_awake: 0.0, sleeps: 0.0, listener: None }
    }

    /// How long that many steps take, or a second if they never come.
    fn time_of(&self, steps: f64) -> Duration {
        Duration::try_from_secs_f64(steps / self.pace.steps_per_s).unwrap_or(Duration::from_secs(1))
    }

    /// Sleeps for its part of what is left until that many steps were to be made, if so many sleeps are left.
    fn sleep(&self, steps: f64, sleeps_left: u32) {
        let time = self.time_of(steps).saturating_sub(self.start.elapsed()) / sleeps_left;
        if time >= MIN_SLEEP {
            std::thread::sleep(time);
        }
    }

    /// Steps come one after the other, as many as the neighbour at the server made between two sleeps, and then it sleeps until the
    /// next one is due.
    fn wait(&mut self) {
        self.steps += 1.0;
        self.steps_awake += 1.0;
        let is_awake_for = self.time_of(self.steps_awake).mul_f64(1.0 - self.pace.sleep_share);
        while self.awake.elapsed() < is_awake_for {
            std::hint::spin_loop();
        }
        self.sleeps += self.pace.sleeps_per_s / self.pace.steps_per_s;
        if self.sleeps >= 1.0 {
            let sleeps = (self.sleeps as u32).min(MAX_SLEEPS);
            (1..=sleeps).rev().for_each(|sleeps_left| self.sleep(self.steps, sleeps_left));
            (self.awake, self.steps_awake, self.sleeps) = (Instant::now(), 0.0, self.sleeps.fract());
        }
        if self.start.elapsed() > self.time_of(self.steps) + MAX_DELAY {
            (self.start, self.steps) = (Instant::now(), 0.0);
        }
    }
}

fn listen() -> std::io::Result<(Address, UnixListener)> {
    let name = format!("memcpy-select-elsewhere-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    Ok((Address::Abstract(name), listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As often as it can, all in one session.
    const UNLIMITED: Pace =
        Pace { steps_per_s: f64::INFINITY, sessions_per_s: 0.0, sleep_share: 0.0, sleeps_per_s: 0.0 };

    #[test]
    fn a_pace_is_read_back() {
        let some = Pace { steps_per_s: 12345.678, sessions_per_s: 0.25, sleep_share: 0.75, sleeps_per_s: 10.5 };
        for pace in [UNLIMITED, some] {
            assert_eq!(pace.to_string().parse(), Ok(pace));
        }
        assert!("any".parse::<Pace>().is_err() && "1/x/2/3".parse::<Pace>().is_err());
    }

    #[test]
    fn steps_between_two_sleeps_are_made_one_after_the_other() {
        let often = Pace { steps_per_s: 4e6, sessions_per_s: 0.0, sleep_share: 0.5, sleeps_per_s: 1e6 };
        let mut place = Elsewhere::new(often);
        let awake: Vec<f64> = (0..9).map(|_| (place.wait(), place.steps_awake).1).collect();
        assert_eq!(awake, [1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0]);
        // One that sleeps while it makes a step has no sleeps to catch up with.
        let mut place = Elsewhere::new(Pace { sleeps_per_s: 4e9, ..often });
        assert_eq!((place.wait(), place.steps_awake, place.sleeps).1, 0.0);
        assert!(place.sleeps < 1.0);
    }

    #[test]
    fn what_a_neighbour_does_is_counted_and_done_elsewhere_too() {
        let (mut tally, descriptor) = Tally::new().unwrap();
        let promise = Promise { len_bytes: TALLY_BYTES, sealing: Sealing::Size };
        let shared = Region::open(descriptor, promise, Access::ReadWrite).unwrap().into_memory();
        let nowhere = Address::Abstract("memcpy-select-nobody-is-there".to_owned());
        let mut place = Place::new(nowhere, Waiting::Sleep, Some(UNLIMITED));
        place.tally = Some(shared);
        place.step();
        tally.begin(std::process::id());
        for _ in 0..3 {
            place.connect(super::super::enemy::hello).unwrap();
        }
        place.session().unwrap().ring();
        let Pace { steps_per_s, sessions_per_s, .. } = tally.pace(std::process::id());
        assert!((steps_per_s / sessions_per_s - 3.0).abs() < 1e-3, "{steps_per_s} {sessions_per_s}");
    }
}
