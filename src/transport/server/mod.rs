//! The table: takes clients in, gathers what they ask for, and sends the answers.
//!
//! [`Table::next`] returns one event after the other. What the program answers between two of them is published when a client
//! has nothing more or its turn is over, with one wake-up for each client that sleeps, and none for one that is awake.

mod offer;
mod served;
#[cfg(test)]
mod tests;

use crate::transport::blocks::AllocateError;
use crate::transport::chain::clamp;
use crate::transport::connect::{Address, Listener};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{Answer, Answered, ClientKey, Event, Job, Pushed};
use crate::transport::loan::{Lease, Payload};
use crate::transport::reactor::Reactor;
use crate::transport::request::{ErrorCode, Kind};
use crate::transport::session::{AnswerError, Reply};
use offer::TableService;
use served::Session;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub use offer::TableOptions;

/// A table of objects that other processes use.
///
/// A whole server, which serves one object:
///
/// ```no_run
/// use memcpy_select::transport::{Answer, ErrorCode, Event, Operation, Table, TableOptions};
/// use std::time::Duration;
///
/// let mut table = Table::create(&"@greetings".parse()?, TableOptions::default())?;
/// loop {
///     let Some(Event::Job(job)) = table.next(Duration::from_secs(1))? else { continue };
///     let answer = match job.operation() {
///         Operation::Open if table.payload(&job).to_vec() == b"hello.txt" => Answer::Handle(1),
///         Operation::Open => Answer::Error(ErrorCode::NOT_FOUND),
///         Operation::Read { handle: 1, amount, .. } => {
///             Answer::Bytes(&b"Hello from another process!"[..27.min(amount as usize)])
///         }
///         Operation::Read { .. } => Answer::Error(ErrorCode::WRONG_HANDLE),
///         _ => Answer::Error(ErrorCode::UNSUPPORTED),
///     };
///     table.answer(job, answer);
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Table {
    reactor: Reactor<TableService>,
}

impl Table {
    /// A table that listens at an address.
    ///
    /// # Errors
    ///
    /// [`TableError`]: the address is in use, or no session can have this geometry.
    pub fn create(address: &Address, options: TableOptions) -> Result<Self, TableError> {
        let listener = Listener::bind(address, options.peers)?;
        let mut table = Self::without_address(options)?;
        table.reactor.listen(listener)?;
        Ok(table)
    }

    /// A table that has only the clients that are [adopted](Self::adopt).
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn without_address(options: TableOptions) -> Result<Self, TableError> {
        let TableOptions { max_clients, connect_limit, waiting, .. } = options;
        let service = TableService::new(options)?;
        Ok(Self { reactor: Reactor::new(service, max_clients, connect_limit, waiting)? })
    }

    /// Takes the process at the other end of a socket as a client.
    ///
    /// # Errors
    ///
    /// [`TableError::Socket`] if the system cannot watch one more.
    pub fn adopt(&mut self, stream: UnixStream) -> Result<(), TableError> {
        Ok(self.reactor.adopt(stream)?)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.reactor.sessions.len()
    }

    /// The next event, waiting for at most the limit; `None` if there was none.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if the system refuses to wait. What a client does wrong is an [`Event::Left`].
    #[inline(always)]
    pub fn next(&mut self, limit: Duration) -> Result<Option<Event>, TableError> {
        if let Some(event) = self.reactor.events.pop_front() {
            return Ok(Some(event));
        }
        if !self.reactor.turn_goes_on() {
            self.flush();
            self.reactor.begin_turn();
        }
        match self.reactor.take_in_turn(TableService::take) {
            Some((client, incoming)) => Ok(Some(offer::event(client, incoming))),
            None => self.next_round(limit),
        }
    }

    /// As [`next`](Self::next), when all that was gathered is used up.
    #[cold]
    fn next_round(&mut self, limit: Duration) -> Result<Option<Event>, TableError> {
        self.reactor.round(limit)?;
        Ok(self.reactor.events.pop_front())
    }

    /// Publishes the answers so far, and wakes the clients that sleep. [`next`](Self::next) does it when it has used up what
    /// was gathered: only a program that does something else for long needs it.
    #[inline(always)]
    pub fn flush(&mut self) {
        while let Some(client) = self.reactor.service.touched.pop() {
            let can_go_on = self.with(client, |session, _| {
                session.is_touched = false;
                session.flush()?;
                Ok(session.side.can_go_on())
            });
            if can_go_on == Some(true) {
                self.reactor.sessions.poll(client);
            }
        }
    }

    /// Does something with a client's session, which ends if that fails; `None` if it has ended.
    #[inline(always)]
    fn with<T>(
        &mut self,
        client: ClientKey,
        act: impl FnOnce(&mut Session, &mut TableService) -> Result<T, SessionError>,
    ) -> Option<T> {
        let served = self.reactor.sessions.get_mut(client)?;
        act(&mut served.session, &mut self.reactor.service).map_err(|why| self.reactor.end(client, why)).ok()
    }

    /// Ends a client's session.
    ///
    /// # Errors
    ///
    /// [`TableError::NoSuchClient`] if it has left.
    pub fn disconnect(&mut self, client: ClientKey) -> Result<(), TableError> {
        if self.reactor.sessions.get(client).is_none() {
            return Err(TableError::NoSuchClient);
        }
        self.reactor.end(client, SessionError::PeerGone);
        Ok(())
    }

    /// The bytes, or the name, that came with a job. Empty if there are none, or if the client has left.
    #[inline]
    pub fn payload(&self, job: &Job) -> Payload<'_> {
        self.reactor.sessions.get(job.client).map_or(Payload { blocks: None }, |served| served.session.payload(job))
    }

    /// Blocks for an answer of `len_bytes`, to be filled and sent without a copy. What fits into a response
    /// ([`Geometry::response_room_bytes`](crate::transport::Geometry::response_room_bytes)) is copied there and takes no block.
    ///
    /// # Errors
    ///
    /// [`TableError::OutOfBlocks`] if the client holds too many, [`TableError::TooLarge`] if it asked for less, or
    /// [`TableError::NoSuchClient`].
    #[inline]
    pub fn lease(&mut self, job: &Job, len_bytes: usize) -> Result<Lease, TableError> {
        let lease = self.with(job.client, |session, _| match session.side.job(job.key).map(|job| job.asked as usize) {
            None => Ok(Err(TableError::NoSuchJob)),
            Some(max_bytes) if len_bytes > max_bytes => Ok(Err(TableError::TooLarge { len_bytes, max_bytes })),
            Some(_) => match session.lend(clamp(len_bytes)) {
                Ok(chain) => Ok(Ok(Lease { loan: session.place.loan(chain) })),
                Err(AllocateError::OutOfBlocks) => Ok(Err(TableError::OutOfBlocks { len_bytes })),
                Err(AllocateError::Violation(violation)) => Err(violation.into()),
            },
        });
        lease.unwrap_or(Err(TableError::NoSuchClient))
    }

    /// Sends a message of a stream: [`Answer::Bytes`], [`Answer::BytesWith`] or [`Answer::Lease`]. It never waits, and what is not
    /// sent is said: without a credit the answer comes back.
    // In line, where it is known which answer it is: moved, it is read in wider pieces than it was just written in, which stores do
    // not forward.
    #[inline(always)]
    pub fn push<'a>(&mut self, job: &Job, answer: Answer<'a>) -> Pushed<'a> {
        let pushed = self.with(job.client, |session, service| {
            match session.side.job(job.key).filter(|found| found.is_stream()).map(|found| found.credits) {
                None => return Ok(Pushed::Ended),
                Some(0) => return Ok(Pushed::NoCredit(answer)),
                Some(_) => {}
            }
            let reply = match answer {
                Answer::Bytes(_) | Answer::BytesWith(..) | Answer::Lease(_) => session.reply(job, answer)?,
                _ => Reply::Value(ErrorCode::UNSUPPORTED.value()),
            };
            if let Reply::Value(value) = reply {
                return Ok(Pushed::Refused(ErrorCode::of(value).unwrap_or(ErrorCode::IO)));
            }
            match session.side.push(job.key, reply) {
                Ok(()) => {
                    service.touch(job.client, session);
                    Ok(Pushed::Sent)
                }
                Err(AnswerError::Violation(violation)) => Err(violation.into()),
                // It was seen that there is a credit.
                Err(_) => Ok(Pushed::Refused(ErrorCode::TOO_LARGE)),
            }
        });
        pushed.unwrap_or(Pushed::Ended)
    }

    /// Answers a job. What cannot be sent is refused to the client, which is always answered, unless it posted a write. The answer
    /// to a stream ends it: [`Answer::Done`] or an error.
    // In line, as `push`.
    #[inline(always)]
    pub fn answer(&mut self, job: Job, answer: Answer<'_>) -> Answered {
        if !job.wants_answer() {
            return self.end_post(&job);
        }
        // An error of the program's own is what is sent; another one is sent instead.
        let can_fail = !matches!(answer, Answer::Error(_));
        let answered = self.with(job.client, |session, service| {
            let ends_stream = matches!(answer, Answer::Error(_) | Answer::Done);
            let reply = if !ends_stream && job.request.kind == Kind::Stream {
                Reply::Value(ErrorCode::UNSUPPORTED.value())
            } else {
                session.reply(&job, answer)?
            };
            let mut refused = match &reply {
                Reply::Value(value) if can_fail => ErrorCode::of(*value),
                _ => None,
            };
            let mut answered = session.side.answer(job.key, reply);
            if let Err(AnswerError::MoreThanAsked { .. }) = answered {
                refused = Some(ErrorCode::TOO_LARGE);
                answered = session.side.answer(job.key, Reply::Value(ErrorCode::TOO_LARGE.value()));
            }
            match answered {
                Ok(()) => {
                    service.touch(job.client, session);
                    Ok(refused.map_or(Answered::Sent, Answered::Instead))
                }
                Err(AnswerError::Violation(violation)) => Err(violation.into()),
                // A job is used up by its answer, so that there is none twice.
                Err(_) => Ok(Answered::Left),
            }
        });
        answered.unwrap_or(Answered::Left)
    }

    /// Ends a posted write, whose client hears nothing of it.
    #[inline(always)]
    fn end_post(&mut self, job: &Job) -> Answered {
        let ended = self.with(job.client, |session, service| {
            service.touch(job.client, session);
            Ok(session.side.end_post(job.key))
        });
        if ended == Some(true) { Answered::Sent } else { Answered::Left }
    }
}
