//! How a side waits: looking, sleeping, or looking for a while and then sleeping. Every wait ends.

use crate::lab::paths::ways::{Config, Mode, PathError};
use std::time::{Duration, Instant};

/// After how long a side that hears nothing gives up.
const LIMIT: Duration = Duration::from_secs(10);
/// How long an adaptive side looks before it sleeps: about what going to sleep and being woken costs.
const LOOKING: Duration = Duration::from_micros(30);
/// How many looks there are between two readings of the clock.
const LOOKS_PER_READING: u32 = 64;

/// How a side waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    mode: Mode,
    one_core: bool,
    yields: u64,
}

impl Patience {
    /// As the configuration says.
    pub const fn of(config: &Config) -> Self {
        Self { mode: config.mode, one_core: config.one_core, yields: 0 }
    }

    /// How it waits.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How often it gave the core away: each is a system call.
    pub const fn yields(&self) -> u64 {
        self.yields
    }

    /// Looks with `attempt` until there is something. In between it sleeps, as the mode says, with `sleep`, which returns
    /// when there may be something, and no later than the time it is given.
    ///
    /// # Errors
    ///
    /// [`PathError::Timeout`] after ten seconds; what `attempt` and `sleep` return.
    #[inline]
    pub fn until<C, T>(
        &mut self,
        context: &mut C,
        mut attempt: impl FnMut(&mut C) -> Result<Option<T>, PathError>,
        mut sleep: impl FnMut(&mut C, Duration) -> Result<(), PathError>,
    ) -> Result<T, PathError> {
        if let Some(found) = attempt(context)? {
            return Ok(found);
        }
        let looking = match self.mode {
            Mode::Polling => LIMIT,
            Mode::Adaptive if !self.one_core => LOOKING,
            Mode::Adaptive | Mode::Blocking => Duration::ZERO,
        };
        // What comes soon is not made to wait for a reading of the clock.
        let mut start = None;
        if looking > Duration::ZERO {
            loop {
                for _ in 0..LOOKS_PER_READING {
                    self.relax();
                    if let Some(found) = attempt(context)? {
                        return Ok(found);
                    }
                }
                if start.get_or_insert_with(Instant::now).elapsed() >= looking {
                    break;
                }
            }
        }
        let start = start.unwrap_or_else(Instant::now);
        while self.mode != Mode::Polling && start.elapsed() < LIMIT {
            sleep(context, LIMIT)?;
            if let Some(found) = attempt(context)? {
                return Ok(found);
            }
        }
        Err(PathError::Timeout { after: LIMIT })
    }

    /// Between two looks.
    fn relax(&mut self) {
        if self.one_core {
            rustix::thread::sched_yield();
            self.yields += 1;
        } else {
            std::hint::spin_loop();
        }
    }
}
