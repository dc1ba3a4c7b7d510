//! The signals that end the server in order; also where it is the first process of a container, which the system spares from
//! what it has no handler for.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which of them came.
pub struct Signals([(&'static str, Arc<AtomicBool>); 2]);

impl Signals {
    /// Waits for them from now on. The second one ends the server at once.
    pub fn register() -> io::Result<Self> {
        let signals = Self([("SIGINT", Arc::default()), ("SIGTERM", Arc::default())]);
        for ((_, flag), number) in signals.0.iter().zip([SIGINT, SIGTERM]) {
            flag::register_conditional_shutdown(number, 2, Arc::clone(flag))?;
            flag::register(number, Arc::clone(flag))?;
        }
        Ok(signals)
    }

    /// The name of one that came.
    pub fn received(&self) -> Option<&'static str> {
        self.0.iter().find(|(_, flag)| flag.load(Ordering::Relaxed)).map(|(name, _)| *name)
    }
}
