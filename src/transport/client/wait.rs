//! Answers on their way back: looked for, slept for, and taken.

use super::Client;
use crate::transport::completion::{Completion, Shared};
use crate::transport::connect::ConnectError;
use crate::transport::error::{ClientError, SessionError};
use crate::transport::loan::View;
use crate::transport::memory::{Copier, Mapped, between_looks};
use crate::transport::options::Waiting;
use crate::transport::request::JobId;
use crate::transport::session::{Came, ClientSide, Outcome, SubmitError, Ticket};
use crate::transport::violation::Violation;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// No sleep is longer before it is seen whether the server still lives: at most two of them pass until its death is noticed.
///
/// The first one of a wait is as long as the clock's tick on most systems. A shorter one would be the next thing that the
/// timer has to ring for, and setting the timer twice for each sleep costs a guest a tenth and more of a request.
const FIRST_SLEEP: Duration = Duration::from_millis(4);
/// The others: a part of what was waited already, between two limits, so that a long wait polls less often.
const SLEEPS_OF_WAIT: u32 = 16;
pub(super) const MIN_SLEEP: Duration = Duration::from_micros(500);
const MAX_SLEEP: Duration = Duration::from_millis(2);
/// An object is in the socket before the response that promises it: one that does not come within this does not come.
const OBJECT_LIMIT: Duration = Duration::from_millis(100);
/// Looks between two clock reads: about a microsecond, in which most answers of another CPU come.
const LOOKS_PER_CLOCK: u32 = 256;

impl Client {
    /// Requests under way, and answers that were not taken yet.
    pub fn in_flight(&self) -> u32 {
        self.side.in_flight()
    }

    /// Sends what was submitted, and wakes the server if it sleeps.
    ///
    /// # Errors
    ///
    /// [`ClientError::Session`].
    #[inline(always)]
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let is_published = self.side.flush().map_err(|violation| self.end(violation.into()))?;
        if is_published && self.server_bell.ring() {
            self.channel.wake().map_err(|error| self.lost(error))?;
        }
        Ok(())
    }

    /// The next answer, of whichever request; none if there is none yet. Does not wait.
    // In line: a completion that is moved is read in wider pieces than it was just written in, which stores do not forward.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Option<(Ticket, Completion)>, ClientError> {
        self.begin()?;
        self.flush()?;
        let ticket = match self.done.pop_front() {
            Some(ticket) => Some(ticket),
            None => self.side.poll().map_err(|violation| self.end(violation.into()))?,
        };
        ticket.map(|ticket| Ok((ticket, self.complete(ticket)?))).transpose()
    }

    /// The next answer, of whichever request, waiting for it until the limit.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::NotOfThisSession`] if nothing is under way.
    pub fn wait(&mut self) -> Result<(Ticket, Completion), ClientError> {
        if self.in_flight() == 0 {
            return Err(ClientError::NotOfThisSession);
        }
        self.begin()?;
        self.flush()?;
        let ticket = match self.done.pop_front() {
            Some(ticket) => ticket,
            None => self.wait_for(FIRST_SLEEP, &mut None, |side, _| side.poll())?,
        };
        Ok((ticket, self.complete(ticket)?))
    }

    /// The answer to one request, waiting for it until the limit. Others that come meanwhile are kept.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. A request that was not answered in time is given up: see [`abandon`](Self::abandon).
    // In line, as `poll`.
    #[inline(always)]
    pub fn finish(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        self.begin()?;
        self.answer_to(ticket)
    }

    /// The next message of a stream, waiting for it until the limit. Answers to others that come meanwhile are kept.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; after a [`ClientError::Timeout`] the stream goes on.
    pub fn next_message(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        self.begin()?;
        self.wait_until(ticket)?;
        self.complete(ticket)
    }

    /// As [`next_message`](Self::next_message), but copies it into `dst`, which has room for the longest that was asked for; its length,
    /// or none if the stream has ended. One that travels in its entry is copied once, from there.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`] if `dst` is shorter than a message may be; [`ClientError::Refused`] with the table's reason if it
    /// ended the stream with one; else as [`next_message`](Self::next_message).
    #[inline]
    pub fn receive(&mut self, ticket: Ticket, dst: &mut [u8]) -> Result<Option<usize>, ClientError> {
        self.begin()?;
        let len_bytes = self.side.asked(ticket).ok_or(ClientError::NotOfThisSession)? as usize;
        if len_bytes > dst.len() {
            return Err(ClientError::TooLarge { len_bytes, max_bytes: dst.len() });
        }
        self.copy_out(ticket, dst, Copier::AUTO)
    }

    /// Gives a request up, or ends a stream: what comes of it is dropped. A handle that comes is ended with the next request,
    /// and what was created with it is not wanted: the table hears so
    /// ([`Event::Closed`](crate::transport::Event::Closed)).
    ///
    /// # Errors
    ///
    /// [`ClientError::Session`].
    pub fn abandon(&mut self, ticket: Ticket) -> Result<(), ClientError> {
        self.begin()?;
        self.done.retain(|done| *done != ticket);
        self.side.abandon(ticket).map_err(|violation| self.end(violation.into()))?;
        self.flush()
    }

    /// As [`finish`](Self::finish), in a call that has [begun](Self::begin).
    #[inline(always)]
    pub(super) fn answer_to(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        let waited = self.wait_until(ticket);
        self.or_abandon(ticket, waited)?;
        match self.complete(ticket)? {
            Completion::Refused(code) => Err(ClientError::Refused(code)),
            completion => Ok(completion),
        }
    }

    /// Gives a request up that was waited for in vain.
    #[inline(always)]
    pub(super) fn or_abandon<T>(&mut self, ticket: Ticket, result: Result<T, ClientError>) -> Result<T, ClientError> {
        if let Err(ClientError::Timeout { .. } | ClientError::Session(_)) = result {
            self.side.abandon(ticket).map_err(|violation| self.end(violation.into()))?;
        }
        result
    }

    /// Waits until a request has its answer, or a message. Answers to others that come meanwhile are kept.
    #[inline(always)]
    pub(super) fn wait_until(&mut self, ticket: Ticket) -> Result<(), ClientError> {
        self.wait_until_some(ticket, |side| Ok(side.poll()?.map(Came::Response))).map(drop)
    }

    /// As [`wait_until`](Self::wait_until), where `look` takes in one response, and may copy out what it brings.
    #[inline(always)]
    fn wait_until_some(
        &mut self,
        ticket: Ticket,
        mut look: impl FnMut(&mut ClientSide<Mapped>) -> Result<Option<Came>, Violation>,
    ) -> Result<Came, ClientError> {
        self.flush()?;
        if !self.done.is_empty()
            && let Some(at) = self.done.iter().position(|done| *done == ticket)
        {
            self.done.remove(at);
            return Ok(Came::Response(ticket));
        }
        if !self.side.is_waiting(ticket) {
            return Err(ClientError::NotOfThisSession);
        }
        // One limit holds for all that comes meanwhile.
        let mut start = None;
        // Bounded: each turn takes in one request that was under way.
        loop {
            match self.wait_for(FIRST_SLEEP, &mut start, |side, _| look(side))? {
                Came::Response(other) if other != ticket => self.done.push_back(other),
                came => return Ok(came),
            }
        }
    }

    /// Copies what a read asked for, or the next message of a stream, into `dst`, which has room for as many bytes as were asked for;
    /// how many, or none if the stream has ended. What travels in an entry is copied once, from there.
    #[inline(always)]
    pub(super) fn copy_out(
        &mut self,
        ticket: Ticket,
        dst: &mut [u8],
        copier: Copier,
    ) -> Result<Option<usize>, ClientError> {
        if let Came::Bytes(len_bytes) = self.wait_until_some(ticket, |side| side.poll_into(ticket, dst, copier))? {
            return Ok(Some(len_bytes));
        }
        match self.side.take(ticket) {
            Some(Outcome::Read(chain)) => {
                let dst = dst.get_mut(..chain.length() as usize).unwrap_or_default();
                let copied = chain.read(&self.side.data.theirs, 0, dst, copier);
                self.side.release(chain).map_err(|violation| self.end(violation.into()))?;
                Ok(Some(copied))
            }
            Some(Outcome::Ended) => Ok(None),
            Some(Outcome::Refused(code)) => Err(ClientError::Refused(code)),
            _ => Err(ClientError::NotOfThisSession),
        }
    }

    /// Waits, as this side does, until `look` finds something: for the limit from `start` on, which is now if no clock was read before.
    #[inline(always)]
    pub(super) fn wait_for<T>(
        &mut self,
        first_sleep: Duration,
        start: &mut Option<Instant>,
        mut look: impl FnMut(&mut ClientSide<Mapped>, &mut VecDeque<Ticket>) -> Result<Option<T>, Violation>,
    ) -> Result<T, ClientError> {
        // The usual case of a server that is quick: no clock is read.
        for _ in 0..LOOKS_PER_CLOCK {
            if let Some(found) = look(&mut self.side, &mut self.done).map_err(|violation| self.end(violation.into()))? {
                return Ok(found);
            }
            if self.waiting == Waiting::Sleep {
                break;
            }
            between_looks();
        }
        self.wait_longer(first_sleep, start, look)
    }

    /// As [`wait_for`](Self::wait_for), when the clock is read.
    fn wait_longer<T>(
        &mut self,
        first_sleep: Duration,
        start: &mut Option<Instant>,
        mut look: impl FnMut(&mut ClientSide<Mapped>, &mut VecDeque<Ticket>) -> Result<Option<T>, Violation>,
    ) -> Result<T, ClientError> {
        let mut checked = Instant::now();
        let start = *start.get_or_insert(checked);
        loop {
            // What had no room in the ring may have some now, and what was taken in makes room.
            self.flush()?;
            let mut find = || look(&mut self.side, &mut self.done).map_err(SessionError::from).transpose();
            let mut found = match self.waiting {
                Waiting::Poll => (0..LOOKS_PER_CLOCK).find_map(|_| {
                    between_looks();
                    find()
                }),
                Waiting::Adaptive => self.spin.find(self.limit, &mut find),
                Waiting::Sleep => None,
            };
            if found.is_none() && self.waiting != Waiting::Poll {
                let slept = Instant::now();
                let waited = slept - start;
                let longest = (waited / SLEEPS_OF_WAIT).clamp(MIN_SLEEP, MAX_SLEEP);
                let longest = if waited < MIN_SLEEP { first_sleep } else { longest };
                // Until the server rings, but not for long.
                let left = self.limit.saturating_sub(waited).min(longest);
                found = self.own_bell.sleep_unless(left, &mut find).or_else(&mut find);
                if self.waiting == Waiting::Adaptive {
                    self.spin.slept(slept.elapsed());
                }
            }
            let now = Instant::now();
            if found.is_none() && now - checked >= MIN_SLEEP {
                checked = now;
                if self.channel.is_gone() {
                    // What it answered before it went is still an answer.
                    found = find().or(Some(Err(SessionError::PeerGone)));
                }
            }
            if let Some(found) = found {
                return found.map_err(|over| self.end(over));
            }
            if now - start >= self.limit {
                return Err(ClientError::Timeout { limit: self.limit });
            }
        }
    }

    /// What became of a request that has its response.
    #[inline(always)]
    pub(super) fn complete(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        Ok(match self.side.take(ticket).ok_or(ClientError::NotOfThisSession)? {
            Outcome::Refused(code) => Completion::Refused(code),
            Outcome::Read(chain) => Completion::Read(View { blocks: self.theirs.loan(chain) }),
            Outcome::Ended => Completion::Ended,
            Outcome::Amount(amount) => Completion::Amount(amount),
            Outcome::Opened(handle, object) => {
                let received = object.map(|id| self.receive_object(id)).transpose();
                Completion::Opened(handle, received.inspect_err(|_| self.side.discard_handle(handle.0, None))?)
            }
            Outcome::Position(position) => Completion::Position(position),
            Outcome::Shared(id) => Completion::Shared(self.receive_object(id)?),
        })
    }

    /// The object that the server passed for a job, before it answered.
    pub(super) fn receive_object(&mut self, id: JobId) -> Result<Shared, ClientError> {
        // Of requests under way, and of those that were given up.
        let most = 1 + self.in_flight() as usize + self.side.unwanted.len();
        match self.channel.accept_parcel(id.0.into(), most, OBJECT_LIMIT) {
            Ok((parcel, descriptor)) => Ok(Shared { parcel, descriptor }),
            Err(ConnectError::Timeout { .. }) => Err(self.end(Violation::NoObject { id: id.0 }.into())),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Begins a call of the program's: takes in what was given back, and objects that are not wanted any more; an error if the session is over.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> Result<(), ClientError> {
        if let Some(over) = self.over {
            return Err(ClientError::Session(over));
        }
        self.take_returned().map_err(|violation| self.end(violation.into()))?;
        while let Some(id) = self.side.unwanted.pop() {
            match self.receive_object(id) {
                // What finds no descriptor is as good as closed.
                Ok(_) | Err(ClientError::Socket(ConnectError::Resources { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes in the blocks of views and leases that were dropped.
    #[inline(always)]
    pub(super) fn take_returned(&mut self) -> Result<(), Violation> {
        while let Some(chain) = self.theirs.take_returned() {
            self.side.release(chain)?;
        }
        while let Some(chain) = self.own.take_returned() {
            self.side.data.give_back(chain);
        }
        Ok(())
    }

    #[cold]
    pub(super) fn refused(&mut self, error: SubmitError) -> ClientError {
        match error {
            // What is sent makes room, perhaps for the next one.
            SubmitError::Full => self.flush().err().unwrap_or(ClientError::Full),
            SubmitError::Violation(violation) => self.end(violation.into()),
        }
    }

    /// Ends the session.
    #[cold]
    pub(super) fn end(&mut self, error: SessionError) -> ClientError {
        ClientError::Session(*self.over.insert(error))
    }

    #[cold]
    pub(super) fn lost(&mut self, error: ConnectError) -> ClientError {
        match error {
            ConnectError::PeerGone => self.end(SessionError::PeerGone),
            error => ClientError::Socket(error),
        }
    }
}
