//! iceoryx2, by each of its services: publish-subscribe, request-response, and events alone. Here is what they share.

mod event;
mod messages;
mod request;

pub use event::Iceoryx2Event;
pub use messages::Iceoryx2;
pub use request::Iceoryx2Request;

use iceoryx2::port::listener::{Listener, ListenerWaitError};
use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;
use memcpy_select::lab::paths::ways::{PathError, Token};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Payloads start cache lines, as ours do.
const ALIGNMENT_BYTES: usize = 64;

fn failed(what: &'static str) -> impl Fn(&dyn std::fmt::Debug) -> PathError {
    move |error| PathError::Protocol { what: format!("iceoryx2, {what}: {error:?}") }
}

fn alignment() -> Result<Alignment, PathError> {
    Alignment::new(ALIGNMENT_BYTES).ok_or_else(|| failed("alignment")(&ALIGNMENT_BYTES))
}

/// One side's node, and how its services are called.
struct Home {
    node: Node<ipc::Service>,
    base: String,
    is_near: bool,
}

impl Home {
    /// The near side's, under a name that no other has.
    fn near() -> Result<Self, PathError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let base = format!("memcpy-select/{}/{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self::new(base, true)
    }

    /// The far side's.
    fn far(token_bytes: Vec<u8>) -> Result<Self, PathError> {
        Self::new(String::from_utf8(token_bytes).map_err(|error| failed("token")(&error))?, false)
    }

    fn new(base: String, is_near: bool) -> Result<Self, PathError> {
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(|error| failed("node")(&error))?;
        Ok(Self { node, base, is_near })
    }

    /// Its name, for the far side.
    fn token(&self) -> Token {
        Token { bytes: self.base.clone().into_bytes(), descriptors: Vec::new() }
    }

    /// The names of this side and of the other, in this order.
    fn sides(&self) -> (&'static str, &'static str) {
        if self.is_near { ("near", "far") } else { ("far", "near") }
    }

    fn name(&self, kind: &str, of: &str) -> Result<ServiceName, PathError> {
        ServiceName::new(&format!("{}/{kind}-of-{of}", self.base)).map_err(|error| failed("name")(&error))
    }

    /// What wakes the other side, and what this one sleeps in.
    fn events(&self) -> Result<Events, PathError> {
        let (own, other) = self.sides();
        let service = |of: &str| {
            let service = self.node.service_builder(&self.name("events", of)?).event().open_or_create();
            service.map_err(|error| failed("event")(&error))
        };
        let notifier = service(own)?.notifier_builder().create().map_err(|error| failed("notifier")(&error))?;
        let listener = service(other)?.listener_builder().create().map_err(|error| failed("listener")(&error))?;
        Ok(Events { notifier, listener })
    }
}

/// A side's ports of the event services, one for each direction.
struct Events {
    notifier: Notifier<ipc::Service>,
    listener: Listener<ipc::Service>,
}

impl Events {
    fn notify(&self) -> Result<(), PathError> {
        self.notifier.notify().map(drop).map_err(|error| failed("notify")(&error))
    }

    /// Sleeps until there was a notification; how many there were. A signal, or who traces this process, ends a sleep too.
    fn sleep(&self, limit: Duration) -> Result<u64, PathError> {
        match self.listener.timed_wait(|_| {}, limit) {
            Err(ListenerWaitError::InterruptSignal) => Ok(0),
            woken => woken.map_err(|error| failed("wait")(&error)),
        }
    }

    /// How many notifications there were since the last look.
    fn look(&self) -> Result<u64, PathError> {
        self.listener.try_wait(|_| {}).map_err(|error| failed("wait")(&error))
    }
}
