//! One of the two processes: does what the conductor orders, and nothing else. It ends when the conductor does.

use crate::lab::instruments::affinity::pin_to;
use crate::lab::instruments::clock::Rates;
use crate::lab::paths::control::{Answer, Control, ControlError, Cost, Order, token};
use crate::lab::paths::traffic;
use crate::lab::paths::traffic::Ends;
use crate::lab::paths::ways::{End, Path, PathError, Stage};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Instant;

/// The environment variable by which a process knows that it is a side, and which.
pub const SIDE_VARIABLE: &str = "MEMCPY_SELECT_IPC_SIDE";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Makes the paths, sends first and reads the clock.
    Near,
    /// Follows.
    Far,
}

impl Side {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }
}

/// Serves as a side, if the environment says that this process is one, and then returns how it ended. A program whose
/// pairs [re-execute it](crate::lab::paths::Program) calls this before anything else, with all the paths it measures.
///
/// The control socket is the standard input.
pub fn serve_if_asked(paths: &[&dyn Path]) -> Option<ExitCode> {
    let side = match std::env::var(SIDE_VARIABLE).ok()?.as_str() {
        "near" => Side::Near,
        "far" => Side::Far,
        other => {
            eprintln!("{SIDE_VARIABLE}={other}: there is no such side; this variable is not for users to set");
            return Some(ExitCode::FAILURE);
        }
    };
    Some(match serve(side, paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("the {} side: {message}", side.name());
            ExitCode::FAILURE
        }
    })
}

/// A near end whose far side is joining.
type Pending = Box<dyn FnOnce() -> Result<Box<dyn End>, PathError>>;

struct Serving<'a> {
    side: Side,
    paths: &'a [&'a dyn Path],
    rates: Rates,
    slots: HashMap<usize, Ends>,
    pending: Option<Pending>,
}

fn serve(side: Side, paths: &[&dyn Path]) -> Result<(), String> {
    // Whatever ends the conductor ends this process too.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("PR_SET_PDEATHSIG: {error}"))?;
    let socket = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)
        .map_err(|error| format!("the standard input is no control socket: {error}"))?;
    let mut control = Control::new(socket);
    let mut serving = Serving { side, paths, rates: Rates::measure(), slots: HashMap::new(), pending: None };
    loop {
        let (order, descriptors) = match control.hear::<Order>(None) {
            Ok(heard) => heard,
            Err(ControlError::Closed) => return Ok(()),
            Err(error) => return Err(format!("{error:?}")),
        };
        let (answer, descriptors) =
            serving.obey(order, descriptors).unwrap_or_else(|error| (Answer::refusal(error), Vec::new()));
        match control.say(&answer, &descriptors) {
            Ok(()) => {}
            Err(ControlError::Closed) => return Ok(()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

impl Serving<'_> {
    fn obey(&mut self, order: Order, descriptors: Vec<OwnedFd>) -> Result<(Answer, Vec<OwnedFd>), PathError> {
        let start = Instant::now();
        let faults = traffic::page_faults();
        let cost =
            || Cost { ns: start.elapsed().as_nanos() as u64, faults: traffic::page_faults().saturating_sub(faults) };
        let answer = match order {
            Order::Pin { cpu } => {
                if !pin_to(cpu) {
                    return Err(PathError::protocol(format!("the system does not let it run on logical CPU {cpu}")));
                }
                self.rates = Rates::measure();
                Answer::Done
            }
            Order::Open { slot, path, config } => {
                let (token, finish) = self.with_path(&path, |path| path.open(&config))?.split();
                self.slots.entry(slot).or_default();
                self.pending = Some(Box::new(finish));
                return Ok((Answer::Opened { bytes: token.bytes, cost: cost() }, token.descriptors));
            }
            Order::Finish { slot } => {
                let finish = self.pending.take().ok_or_else(|| PathError::protocol("nothing to finish"))?;
                self.slots.entry(slot).or_default().push(finish()?);
                Answer::Ready { cost: cost() }
            }
            Order::Join { slot, path, config, bytes } => {
                let end = self.with_path(&path, |path| path.join(&config, token(bytes, descriptors)))?;
                self.slots.entry(slot).or_default().push(end);
                Answer::Ready { cost: cost() }
            }
            Order::Run { slot, traffic } => {
                let Some(ends) = self.slots.get_mut(&slot).filter(|ends| !ends.is_empty()) else {
                    return Err(PathError::protocol("a slot without ends"));
                };
                let moved = match self.side {
                    Side::Near => traffic::near(ends, &traffic, &self.rates)?,
                    Side::Far => traffic::far(ends, &traffic)?,
                };
                Answer::Moved(Box::new(moved))
            }
            Order::Close { slot } => {
                self.slots.remove(&slot);
                self.pending = None;
                Answer::Done
            }
        };
        Ok((answer, Vec::new()))
    }

    /// Does something with a path of the program's, or with a stage.
    fn with_path<T>(&self, name: &str, act: impl FnOnce(&dyn Path) -> Result<T, PathError>) -> Result<T, PathError> {
        if let Some(found) = self.paths.iter().find(|path| path.name() == name) {
            return act(*found);
        }
        let stage = Stage::named(name).ok_or_else(|| PathError::protocol(format!("there is no path {name}")))?;
        act(&stage)
    }
}
