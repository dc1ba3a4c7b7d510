//! The conductor: starts two processes, orders them, and ends them. What a process does not answer within the bound, it
//! never will: then both are killed, by their process numbers, and the failure says which side it was.

use crate::lab::paths::cell::{Cell, Contender};
use crate::lab::paths::control::{Answer, Control, ControlError, Cost, Moved, Order, Pattern, Traffic};
use crate::lab::paths::failure::Failure;
use crate::lab::paths::side::{SIDE_VARIABLE, Side};
use crate::lab::paths::trace::Tracer;
use crate::lab::paths::traffic;
use crate::lab::paths::ways::{Config, Path};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a side may take for one order.
const BOUND: Duration = Duration::from_secs(20);
/// How much longer a side may take once the other has refused.
const AFTER_REFUSAL: Duration = Duration::from_millis(300);
/// How long a side that was told to end may take before it is killed.
const ENDING: Duration = Duration::from_millis(500);

/// The program that both sides run: one that calls [`serve_if_asked`](crate::lab::paths::serve_if_asked).
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub file: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This program itself, without arguments.
    ///
    /// # Errors
    ///
    /// If the system does not say where the program's file is.
    pub fn current() -> std::io::Result<Self> {
        Ok(Self { file: std::env::current_exe()?, arguments: Vec::new() })
    }
}

/// Two processes and what they are told by.
#[derive(Debug)]
pub struct Pair {
    near: Process,
    far: Process,
    bound: Duration,
}

#[derive(Debug)]
struct Process {
    child: Child,
    control: Control,
    status: Option<ExitStatus>,
}

impl Pair {
    /// Starts both sides, each on the logical CPU given for it, or on any.
    ///
    /// # Errors
    ///
    /// [`Failure`] if a process cannot be started or does not answer.
    pub fn start(program: &Program, near_cpu: Option<usize>, far_cpu: Option<usize>) -> Result<Self, Failure> {
        let near = Process::start(program, Side::Near)?;
        let far = Process::start(program, Side::Far)?;
        let mut pair = Self { near, far, bound: BOUND };
        for (side, cpu) in [(Side::Near, near_cpu), (Side::Far, far_cpu)] {
            if let Some(cpu) = cpu {
                pair.order(side, &Order::Pin { cpu }, Vec::new())?;
            }
        }
        Ok(pair)
    }

    /// Whether both processes are there. After most failures they are not.
    pub fn is_alive(&self) -> bool {
        self.near.status.is_none() && self.far.status.is_none()
    }

    /// How long a side may take for one order from now on.
    pub fn set_bound(&mut self, bound: Duration) {
        self.bound = bound;
    }

    /// The process number of a side.
    pub fn process_id(&self, side: Side) -> u32 {
        match side {
            Side::Near => self.near.child.id(),
            Side::Far => self.far.child.id(),
        }
    }

    /// Makes one more connection of a path in a slot, and returns what that took on both sides together.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the slot has one connection less than was asked for.
    pub fn connect(&mut self, slot: usize, path: &dyn Path, config: &Config) -> Result<Cost, Failure> {
        let name = path.name().to_owned();
        let open = Order::Open { slot, path: name.clone(), config: config.clone() };
        let (answer, descriptors) = self.order(Side::Near, &open, Vec::new())?;
        let Answer::Opened { bytes, cost: open_cost } = answer else {
            return Err(self.nonsense(Side::Near));
        };
        self.say(Side::Far, &Order::Join { slot, path: name, config: config.clone(), bytes }, &descriptors)?;
        drop(descriptors);
        self.say(Side::Near, &Order::Finish { slot }, &[])?;
        let [near, far] = self.hear_both()?;
        let mut total = open_cost;
        for (side, answer) in [(Side::Near, near), (Side::Far, far)] {
            let Answer::Ready { cost } = answer else {
                return Err(self.nonsense(side));
            };
            total = Cost { ns: total.ns + cost.ns, faults: total.faults + cost.faults };
        }
        Ok(total)
    }

    /// Moves payloads over a slot's connections; returns what the near and the far side saw, and how many messages count.
    pub(crate) fn run(&mut self, slot: usize, traffic: &Traffic) -> Result<([Moved; 2], u64), Failure> {
        for side in [Side::Far, Side::Near] {
            self.say(side, &Order::Run { slot, traffic: traffic.clone() }, &[])?;
        }
        match self.hear_both()? {
            [Answer::Moved(near), Answer::Moved(far)] => Ok(([*near, *far], traffic::counted(traffic))),
            [Answer::Moved(_), _] => Err(self.nonsense(Side::Far)),
            _ => Err(self.nonsense(Side::Near)),
        }
    }

    /// As [`run`](Self::run), but both sides are traced: how many system calls they made, with those of the order itself.
    /// Nothing if they cannot be traced here.
    pub(crate) fn trace(&mut self, slot: usize, traffic: &Traffic) -> Result<Option<u64>, Failure> {
        let Some(tracer) = Tracer::attach([self.near.child.id(), self.far.child.id()]) else {
            return Ok(None);
        };
        for side in [Side::Far, Side::Near] {
            self.say(side, &Order::Run { slot, traffic: traffic.clone() }, &[])?;
        }
        let calls = tracer.count(self.bound, || self.near.control.has_news() && self.far.control.has_news());
        drop(tracer);
        self.hear_both()?;
        Ok(calls)
    }

    /// Moves that many messages over a slot's connections; returns what the near and the far side saw, and how many
    /// messages that were: whole half windows.
    ///
    /// # Errors
    ///
    /// [`Failure`]; [`Failure::Wrong`] if payloads are not what was sent.
    pub fn moved(
        &mut self,
        slot: usize,
        contender: &Contender<'_>,
        cell: &Cell,
        pattern: Pattern,
        messages: u64,
    ) -> Result<([Moved; 2], u64), Failure> {
        right(self.run(slot, &Traffic::of(contender, cell, pattern, messages, 0))?)
    }

    /// Moves that many messages over a slot's connections, and returns the time that the near side took.
    ///
    /// # Errors
    ///
    /// As [`moved`](Self::moved).
    pub fn time(
        &mut self,
        slot: usize,
        contender: &Contender<'_>,
        cell: &Cell,
        pattern: Pattern,
        messages: u64,
    ) -> Result<Duration, Failure> {
        let ([near, _], moved) = self.moved(slot, contender, cell, pattern, messages)?;
        Ok(Duration::from_nanos((u128::from(near.total_ns) * u128::from(messages) / u128::from(moved.max(1))) as u64))
    }

    /// Drops the ends of a slot on both sides.
    ///
    /// # Errors
    ///
    /// [`Failure`] if a side does not answer.
    pub fn close(&mut self, slot: usize) -> Result<(), Failure> {
        for side in [Side::Near, Side::Far] {
            self.order(side, &Order::Close { slot }, Vec::new())?;
        }
        Ok(())
    }

    fn process(&mut self, side: Side) -> &mut Process {
        match side {
            Side::Near => &mut self.near,
            Side::Far => &mut self.far,
        }
    }

    fn say(&mut self, side: Side, order: &Order, descriptors: &[OwnedFd]) -> Result<(), Failure> {
        self.process(side).control.say(order, descriptors).map_err(|error| self.lost(side, error))
    }

    fn order(
        &mut self,
        side: Side,
        order: &Order,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>), Failure> {
        self.say(side, order, &descriptors)?;
        let bound = self.bound;
        let heard = self.process(side).control.hear::<Answer>(Some(bound));
        match heard {
            Ok((Answer::Unavailable { reason }, _)) => Err(Failure::Unavailable { reason }),
            Ok((Answer::Failed { what }, _)) => Err(Failure::Refused { side, what }),
            Ok(heard) => Ok(heard),
            Err(error) => Err(self.lost(side, error)),
        }
    }

    /// The answers of the near and the far side, in whatever order they come. Where one refuses, the other may be waiting
    /// for it, and is given no more than a moment.
    fn hear_both(&mut self) -> Result<[Answer; 2], Failure> {
        let start = Instant::now();
        let mut answers = [None, None];
        let mut limit = self.bound;
        let mut refusal = None;
        // A side that ends while the other waits for it is noticed at once, not when the bound is over.
        let step = Duration::from_millis(50);
        while answers.iter().any(Option::is_none) {
            for (at, side) in [Side::Near, Side::Far].into_iter().enumerate() {
                if answers[at].is_some() {
                    continue;
                }
                match self.process(side).control.hear::<Answer>(Some(step)) {
                    Ok((answer, _)) => answers[at] = Some(answer),
                    Err(ControlError::Silent) if start.elapsed() < limit => {}
                    Err(error) => {
                        let failure = self.lost(side, error);
                        return Err(refusal.unwrap_or(failure));
                    }
                }
                let refused = match &answers[at] {
                    Some(Answer::Unavailable { reason }) => Failure::Unavailable { reason: reason.clone() },
                    Some(Answer::Failed { what }) => Failure::Refused { side, what: what.clone() },
                    _ => continue,
                };
                limit = limit.min(start.elapsed() + AFTER_REFUSAL);
                // That something is not to be had explains what the other side says; not the other way round.
                if refusal.is_none() || matches!(refused, Failure::Unavailable { .. }) {
                    refusal = Some(refused);
                }
            }
        }
        match (refusal, answers) {
            (Some(refusal), _) => Err(refusal),
            (None, [Some(near), Some(far)]) => Ok([near, far]),
            (None, _) => Err(self.nonsense(Side::Near)),
        }
    }

    /// A side that cannot be relied on any longer: both are ended.
    fn lost(&mut self, side: Side, error: ControlError) -> Failure {
        let bound = self.bound;
        let process = self.process(side);
        let process_id = process.child.id();
        let failure = match error {
            ControlError::Silent => Failure::Silent { side, process_id, bound },
            ControlError::Closed => {
                process.end(ENDING);
                let status = process.status.map_or_else(|| "it is not known how".to_owned(), |s| s.to_string());
                Failure::Died { side, process_id, status }
            }
            ControlError::Broken(what) => Failure::Refused { side, what },
        };
        for side in [Side::Near, Side::Far] {
            self.process(side).end(Duration::ZERO);
        }
        failure
    }

    fn nonsense(&mut self, side: Side) -> Failure {
        self.lost(side, ControlError::Broken("an answer to another question".to_owned()))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for side in [Side::Near, Side::Far] {
            self.process(side).end(ENDING);
        }
    }
}

impl Process {
    fn start(program: &Program, side: Side) -> Result<Self, Failure> {
        let failed = |what: String| Failure::NotStarted { side, what };
        let (control, theirs) = Control::pair().map_err(|error| failed(format!("socketpair: {error}")))?;
        let child = Command::new(&program.file)
            .args(&program.arguments)
            .env(SIDE_VARIABLE, side.name())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", program.file.display())))?;
        Ok(Self { child, control, status: None })
    }

    /// Ends the process: it is told by the closed socket, and killed if that takes longer than it may.
    fn end(&mut self, may_take: Duration) {
        if self.status.is_some() {
            return;
        }
        // The far end of a new pair; dropping the old one closes it.
        if let Ok((spare, _)) = Control::pair() {
            self.control = spare;
        }
        let start = Instant::now();
        while start.elapsed() < may_take {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.status = Some(status);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Not reaped yet, so the number is still this child's.
        let _ = self.child.kill();
        self.status = self.child.wait().ok();
    }
}

/// A run, if every payload was what was sent.
pub(crate) fn right(run: ([Moved; 2], u64)) -> Result<([Moved; 2], u64), Failure> {
    let payloads = run.0.iter().map(|moved| moved.wrong).sum();
    if payloads == 0 { Ok(run) } else { Err(Failure::Wrong { payloads }) }
}
