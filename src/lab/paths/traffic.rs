//! The loops: what each side does while it is timed. Both sides follow the same [`Traffic`], so that neither has to ask.

use crate::lab::instruments::clock;
use crate::lab::instruments::clock::Rates;
use crate::lab::instruments::round_trips::RoundTrips;
use crate::lab::paths::control::{Moved, Pattern, Traffic};
use crate::lab::paths::ways::payload::FIRST_SEED;
use crate::lab::paths::ways::{Consumer, End, PathError, Producer};
use rustix::time::ClockId;
use std::time::Instant;

/// Core cycles counted beside each run: a few microseconds.
const CLOCK_CYCLES: u64 = 20_000;
/// What the far side's payloads begin with: others than the near side's.
const FAR_SEED: u64 = FIRST_SEED ^ 0x5555_5555_5555_5554;

/// The ends of one path between two processes, one for each connection; messages take turns.
pub(crate) type Ends = Vec<Box<dyn End>>;

/// What a process has used so far.
struct Used {
    cpu_ns: u64,
    faults: u64,
    system_calls: Option<u64>,
    beside: (u64, u64),
}

impl Used {
    fn now(ends: &Ends) -> Self {
        let cpu = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
        Self {
            cpu_ns: cpu.tv_sec.unsigned_abs() * 1_000_000_000 + cpu.tv_nsec.unsigned_abs(),
            faults: page_faults(),
            system_calls: ends.iter().map(|end| end.system_calls()).sum(),
            beside: ends.iter().map(|end| end.beside()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        }
    }

    fn since(&self, ends: &Ends) -> Moved {
        let now = Self::now(ends);
        Moved {
            cpu_ns: now.cpu_ns - self.cpu_ns,
            faults: now.faults - self.faults,
            system_calls: now.system_calls.zip(self.system_calls).map(|(now, then)| now - then),
            beside: (now.beside.0 - self.beside.0, now.beside.1 - self.beside.1),
            ..Moved::default()
        }
    }
}

/// Page faults of this process that needed no disk.
pub(crate) fn page_faults() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.minor_page_faults().unsigned_abs())
}

/// How many messages one credit stands for: half a window, so that the sender seldom waits for it.
fn credit(depth: usize) -> u64 {
    (depth as u64 / 2).max(1)
}

/// Both counts in whole credits.
fn whole_credits(traffic: &Traffic) -> [u64; 2] {
    let credit = if traffic.pattern == Pattern::OneWay { credit(traffic.depth) } else { 1 };
    [traffic.settling, traffic.messages].map(|count| count.next_multiple_of(credit))
}

/// How many messages of this traffic count.
pub(crate) fn counted(traffic: &Traffic) -> u64 {
    whole_credits(traffic)[1]
}

/// The near side: sends first, and reads the clock.
pub(crate) fn near(ends: &mut Ends, traffic: &Traffic, rates: &Rates) -> Result<Moved, PathError> {
    let mut producer = Producer::new(traffic.touch, FIRST_SEED);
    let mut consumer = Consumer::new(traffic.touch, FAR_SEED);
    let [settling, messages] = whole_credits(traffic);
    let mut trips = RoundTrips::new(rates.tsc_ticks_per_ns);
    near_part(ends, traffic, settling, &mut producer, &mut consumer, &mut trips)?;
    trips.clear();

    let start = Instant::now();
    let cycles = clock::core_cycles(CLOCK_CYCLES);
    let clock = (cycles, start.elapsed().as_nanos() as u64);

    let used = Used::now(ends);
    let start = Instant::now();
    near_part(ends, traffic, messages, &mut producer, &mut consumer, &mut trips)?;
    let total_ns = start.elapsed().as_nanos() as u64;
    Ok(Moved { total_ns, wrong: consumer.wrong(), round_trips: trips.counts(), clock, ..used.since(ends) })
}

fn near_part(
    ends: &mut Ends,
    traffic: &Traffic,
    messages: u64,
    producer: &mut Producer,
    consumer: &mut Consumer,
    trips: &mut RoundTrips,
) -> Result<(), PathError> {
    match traffic.pattern {
        Pattern::PingPong => {
            let count = ends.len();
            for (at, _) in (0..count).cycle().zip(0..messages) {
                let start = trips.now();
                let end = &mut ends[at];
                end.send(traffic.len_bytes, producer)?;
                end.receive(traffic.len_bytes, consumer)?;
                trips.ended(start);
            }
        }
        Pattern::OneWay => {
            let credit = credit(traffic.depth);
            let mut nothing = Consumer::new(false, 0);
            let several = ends.len() > 1;
            // When each credit's last message was sent, as far as the credit has not come back.
            let mut sent_at = std::collections::VecDeque::with_capacity(traffic.depth + 1);
            let (mut sent, mut back) = (0, 0);
            while back < messages {
                if sent < messages && sent - back < traffic.depth as u64 {
                    if (sent + 1) % credit == 0 {
                        sent_at.push_back(trips.now());
                    }
                    let count = ends.len() as u64;
                    let end = &mut ends[(sent % count) as usize];
                    end.send(traffic.len_bytes, producer)?;
                    if several {
                        end.flush()?;
                    }
                    sent += 1;
                } else {
                    receive_credit(ends, back / credit, traffic.back_bytes, &mut nothing)?;
                    back += credit;
                    if let Some(start) = sent_at.pop_front() {
                        trips.ended(start);
                    }
                }
            }
        }
    }
    Ok(())
}

fn receive_credit(ends: &mut Ends, turn: u64, bytes: usize, nothing: &mut Consumer) -> Result<(), PathError> {
    let count = ends.len() as u64;
    ends[(turn % count) as usize].receive(bytes, nothing)
}

/// The far side: follows.
pub(crate) fn far(ends: &mut Ends, traffic: &Traffic) -> Result<Moved, PathError> {
    let mut producer = Producer::new(traffic.touch, FAR_SEED);
    let mut consumer = Consumer::new(traffic.touch, FIRST_SEED);
    let [settling, messages] = whole_credits(traffic);
    far_part(ends, traffic, settling, &mut producer, &mut consumer)?;
    let used = Used::now(ends);
    let start = Instant::now();
    far_part(ends, traffic, messages, &mut producer, &mut consumer)?;
    let total_ns = start.elapsed().as_nanos() as u64;
    Ok(Moved { total_ns, wrong: consumer.wrong(), ..used.since(ends) })
}

fn far_part(
    ends: &mut Ends,
    traffic: &Traffic,
    messages: u64,
    producer: &mut Producer,
    consumer: &mut Consumer,
) -> Result<(), PathError> {
    let count = ends.len();
    match traffic.pattern {
        Pattern::PingPong => {
            for (at, _) in (0..count).cycle().zip(0..messages) {
                let end = &mut ends[at];
                end.receive(traffic.len_bytes, consumer)?;
                end.send(traffic.len_bytes, producer)?;
                // The other side's next message may come over another connection.
                if count > 1 {
                    end.flush()?;
                }
            }
        }
        Pattern::OneWay => {
            let credit = credit(traffic.depth);
            let mut nothing = Producer::new(false, 0);
            for at in 0..messages {
                ends[(at % count as u64) as usize].receive(traffic.len_bytes, consumer)?;
                if (at + 1) % credit == 0 {
                    let turn = at / credit;
                    let end = &mut ends[(turn % count as u64) as usize];
                    end.send(traffic.back_bytes, &mut nothing)?;
                    if count > 1 {
                        end.flush()?;
                    }
                }
            }
        }
    }
    ends.iter_mut().try_for_each(|end| end.flush())
}
