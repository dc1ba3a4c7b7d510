//! The event service alone: what telling the other side costs. An event of iceoryx2 says which of a few it is and carries no
//! bytes, so the payload lies beside it in a cache line of memcpy-select's floor; that it is there is learnt from the event,
//! never by looking.

use super::{Events, Home};
use memcpy_select::lab::paths::ways::{
    Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Patience, Producer, Token, paths,
};
use std::time::Duration;

/// What the payload lies in.
const BESIDE: &str = "bare";
/// The longest payload that lies in one line with its number.
const MAX_BYTES: usize = 48;

pub struct Iceoryx2Event;

struct Ends {
    beside: Box<dyn End>,
    // Ports before the node that they belong to.
    events: Events,
    /// Notifications that were seen, and not received yet.
    seen: u64,
    patience: Patience,
    _home: Home,
}

/// The floor, and how it is asked for: it never has to wait.
fn beside(config: &Config) -> Result<(&'static dyn Path, Config), PathError> {
    let found = paths().iter().find(|path| path.name() == BESIDE);
    let missing = || PathError::Unavailable { reason: format!("there is no path {BESIDE}") };
    Ok((*found.ok_or_else(missing)?, Config { mode: Mode::Polling, ..config.clone() }))
}

fn ends(home: Home, config: &Config, beside: Box<dyn End>) -> Result<Ends, PathError> {
    let events = home.events()?;
    Ok(Ends { beside, events, seen: 0, patience: Patience::of(config), _home: home })
}

impl End for Ends {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        self.beside.send(len_bytes, producer)?;
        self.events.notify()
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let mut patience = self.patience;
        // Who sleeps does not look before: the look is a system call, as the sleep is.
        let is_looking = patience.mode() != Mode::Blocking;
        patience.until(
            self,
            |ends| {
                if ends.seen == 0 && is_looking {
                    ends.seen = ends.events.look()?;
                }
                Ok((ends.seen > 0).then_some(()))
            },
            |ends, limit: Duration| {
                ends.seen = ends.events.sleep(limit)?;
                Ok(())
            },
        )?;
        self.seen -= 1;
        self.beside.receive(len_bytes, consumer)
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for Iceoryx2Event {
    fn name(&self) -> &str {
        "iceoryx2_event"
    }

    fn about(&self) -> &str {
        "iceoryx2 event alone; it carries no bytes: they lie beside it, in a bare cache line"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 1, max_bytes: MAX_BYTES, max_depth: 1 }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (path, own) = beside(config)?;
        let (token, finish) = path.open(&own)?.split();
        let home = Home::near()?;
        let token = Token { bytes: home.token().bytes, descriptors: token.descriptors };
        let ends = ends(home, config, finish()?)?;
        Ok(Opening::ready(token, ends))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let (path, own) = beside(config)?;
        let home = Home::far(token.bytes)?;
        let beside = path.join(&own, Token { bytes: Vec::new(), descriptors: token.descriptors })?;
        Ok(Box::new(ends(home, config, beside)?))
    }
}
