//! Clients that connect to a proxy: taken in, asked for at the table behind, and refused.

use super::pending::{PendingClient, Progress};
use super::{ACCEPTS_PER_LOOK, Asked, MAX_STEPS, Member, Proxy};
use crate::transport::connect::{ConnectError, MAX_GREETINGS, Refusal, expendable};
use crate::transport::request::ErrorCode;
use crate::transport::semaphore::Key;
use std::os::fd::AsFd;

impl<R: FnMut(&Asked<'_>) -> Result<(), ErrorCode>> Proxy<R> {
    /// Takes in some of the clients that wait, and hears of the others at the next look.
    pub(super) fn accept(&mut self, listener: Key) {
        for _ in 0..ACCEPTS_PER_LOOK {
            if self.is_crowded() {
                break;
            }
            let Some(Some(Member::Listener(socket))) = self.members.get_mut(listener.slot()) else { return };
            match socket.accept(self.options.connect_limit) {
                Ok(Some(greeting)) => {
                    if self.pending.len() >= MAX_GREETINGS
                        && let Some(key) = self.expendable()
                    {
                        self.refuse(key, Refusal::Full);
                    }
                    let pending = PendingClient::new(greeting, self.options.connect_limit);
                    match self.add(Member::PendingClient(pending)) {
                        Ok(key) => self.greet(key),
                        Err(error) => self.tell(error),
                    }
                }
                Ok(None) => break,
                // That one was hung up on; the next may be welcome.
                Err(error) => self.tell(error),
            }
        }
        self.accept_again(listener);
    }

    /// Hears of the listener once more, when a client can be accepted.
    pub(super) fn accept_again(&mut self, listener: Key) {
        let is_crowded = self.is_crowded();
        let Self { watch, members, resting, .. } = self;
        let Some(Some(Member::Listener(socket))) = members.get_mut(listener.slot()) else { return };
        if is_crowded || socket.rest().is_some() {
            *resting = Some(listener);
        } else if watch.once_more(listener, socket.as_fd()).is_err() {
            self.remove(listener);
        }
    }

    /// Whether as many are connecting as can be, and all of them are new.
    pub(super) fn is_crowded(&self) -> bool {
        self.pending.len() >= MAX_GREETINGS && self.expendable().is_none()
    }

    /// A client that is connecting and has had its time.
    fn expendable(&self) -> Option<Key> {
        expendable(self.pending.iter().filter_map(|key| match self.member(*key) {
            Some(Member::PendingClient(pending)) => Some((*key, pending.greeting()?)),
            _ => None,
        }))
    }

    /// Hangs up on a client that is connecting, and says why.
    pub(super) fn refuse(&mut self, key: Key, reason: Refusal) {
        if let Some(Some(Member::PendingClient(pending))) = self.members.get_mut(key.slot()) {
            pending.refuse(reason);
        }
        self.remove(key);
    }

    /// Goes on with a client that connects, as far as it and the table have come.
    pub(super) fn greet(&mut self, key: Key) {
        if let Err(error) = self.try_greet(key) {
            self.remove(key);
            self.tell(error);
        }
    }

    /// A client was not taken in.
    pub(super) fn tell(&mut self, why: ConnectError) {
        /// The most events that are kept for the program.
        const MAX_EVENTS: usize = 64;
        if let Some(event) = self.notices.refused(why)
            && self.events.len() < MAX_EVENTS
        {
            self.events.push_back(event);
        }
    }

    fn try_greet(&mut self, key: Key) -> Result<(), ConnectError> {
        let is_full = self.clients >= self.options.max_clients;
        for _ in 0..MAX_STEPS {
            let Some(Some(Member::PendingClient(pending))) = self.members.get_mut(key.slot()) else { return Ok(()) };
            match pending.step(&self.behind, is_full)? {
                Progress::Waits => return Ok(()),
                Progress::GoesOn => {}
                Progress::Asks => {
                    let behind = self.add(Member::Behind(key))?;
                    if let Some(Some(Member::PendingClient(pending))) = self.members.get_mut(key.slot()) {
                        pending.behind_key = Some(behind);
                    }
                }
                Progress::Agrees => return self.promote(key),
            }
        }
        Ok(())
    }

    /// Makes a pair of a pending client.
    fn promote(&mut self, key: Key) -> Result<(), ConnectError> {
        let Some(Member::PendingClient(pending)) = self.members.get_mut(key.slot()).and_then(Option::take) else {
            return Err(ConnectError::PeerGone);
        };
        self.pending.retain(|other| *other != key);
        let behind = pending.behind_key;
        let pair = match pending.finish() {
            Ok(pair) => pair,
            Err(error) => {
                self.forget([Some(key), behind]);
                return Err(error);
            }
        };
        self.members[key.slot()] = Some(Member::Pair(Box::new(pair)));
        self.clients += 1;
        self.watch.poll(key);
        Ok(())
    }
}
