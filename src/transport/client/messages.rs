//! One request for one message: writes without an answer, and streams of messages that are asked for once.

use super::Client;
use super::wait::{LOOKS_PER_CLOCK, MIN_SLEEP};
use crate::transport::completion::{Completion, Handle};
use crate::transport::error::{ClientError, SessionError};
use crate::transport::memory::{Copier, between_looks};
use crate::transport::options::Waiting;
use crate::transport::request::{Args, Flags, Kind};
use crate::transport::session::{SubmitError, Ticket};
use std::time::Instant;

impl Client {
    /// Sends a copy of `src` to where the handle is, with the next [`flush`](Self::flush), poll or wait. There is no answer: what
    /// becomes of it is not said. Waits for room in the ring, until the limit.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`] if it does not fit into a request
    /// ([`Geometry::request_room_bytes`](crate::transport::Geometry::request_room_bytes)), [`ClientError::Full`] if the table
    /// takes nothing until the limit, or [`ClientError::Session`].
    #[inline]
    pub fn post(&mut self, handle: Handle, src: &[u8]) -> Result<(), ClientError> {
        self.begin()?;
        let (len_bytes, max_bytes) = (src.len(), self.geometry.request_room_bytes());
        if len_bytes > max_bytes {
            return Err(ClientError::TooLarge { len_bytes, max_bytes });
        }
        match self.side.post(handle.number(), src, Copier::AUTO) {
            Err(SubmitError::Full) => {
                self.wait_for_room()?;
                self.side.post(handle.number(), src, Copier::AUTO)
            }
            posted => posted,
        }
        .map_err(|error| self.refused(error))
    }

    /// Waits for room in the ring for one more request.
    #[cold]
    fn wait_for_room(&mut self) -> Result<(), ClientError> {
        self.flush()?;
        let start = Instant::now();
        let mut checked = start;
        loop {
            for _ in 0..LOOKS_PER_CLOCK {
                if self.side.has_room().map_err(|violation| self.end(violation.into()))? {
                    return Ok(());
                }
                between_looks();
            }
            // Answers are taken in, so that the table has room for more of them. Bounded by what is under way.
            while let Some(ticket) = self.look()? {
                self.done.push_back(ticket);
            }
            self.flush()?;
            let now = Instant::now();
            if now - start >= self.limit {
                return Err(ClientError::Full);
            }
            if now - checked >= MIN_SLEEP {
                checked = now;
                if self.channel.is_gone() {
                    return Err(self.end(SessionError::PeerGone));
                }
            }
            // The table rings when it has given places back: what it did just before this is seen after a moment.
            if self.waiting != Waiting::Poll {
                let side = &self.side;
                self.own_bell.sleep_unless(MIN_SLEEP, || side.is_ready().then_some(()));
            }
        }
    }

    /// Asks for messages of at most `max_bytes` each, as long as the table has some. So many are on their way at most as there are
    /// `credits`, 1 or more and fewer than the ring has entries; those that were taken are given back by themselves.
    ///
    /// Each message comes as [`Completion::Read`] by [`poll`](Self::poll), [`wait`](Self::wait) or
    /// [`next_message`](Self::next_message), and the last is [`Completion::Ended`] or [`Completion::Refused`]. The ticket is good
    /// until then.
    ///
    /// ```no_run
    /// # use memcpy_select::transport::{Client, ClientOptions, Completion};
    /// # let mut client = Client::connect(&"@prices".parse()?, ClientOptions::default())?;
    /// let prices = client.open("prices")?;
    /// let ticket = client.stream(prices, 48, 16)?;
    /// while let Completion::Read(view) = client.next_message(ticket)? {
    ///     println!("{:?}", view.to_vec());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClientError::Full`] if the ring has no room for as many responses beside those that are under way, or
    /// [`ClientError::Session`].
    pub fn stream(&mut self, handle: Handle, max_bytes: u32, credits: u32) -> Result<Ticket, ClientError> {
        let args = Args::stream(max_bytes, credits.max(1));
        self.ask((Kind::Stream, Flags::NONE, handle.number()), args)
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
        if let Some(len_bytes) = self.copy_soon(ticket, dst, Copier::AUTO)? {
            return Ok(Some(len_bytes));
        }
        self.wait_until(ticket)?;
        match self.complete(ticket)? {
            Completion::Read(view) => {
                let len_bytes = view.read_at(0, dst);
                self.release(view)?;
                Ok(Some(len_bytes))
            }
            Completion::Ended => Ok(None),
            other => Err(other.unexpected()),
        }
    }

    /// Gives a request up, or ends a stream: what comes of it is dropped.
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
}
