//! The jobs of one session on the server's side: each has a place in a private table, and the program knows it by that place and
//! a generation, never by the client's number for it.
//!
//! What responses each of them may still have is counted, so that there is always room for all of them: one, or with a stream
//! one for each credit and one for the end, or for a posted write none.

use crate::transport::chain::Chain;
use crate::transport::request::{JobId, Kind, Request};
use crate::transport::slots::Key;
use crate::transport::violation::Violation;
use std::collections::HashMap;

/// A job of one session: its place and which job of that place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(Key);

/// A job that waits for an answer, or a stream that goes on.
#[derive(Debug, Default)]
pub struct Pending {
    /// Odd while it waits: of a job that does not there is no key.
    generation: u32,
    /// The client's number for it.
    pub id: JobId,
    /// How many bytes an answer, or a message of a stream, may have.
    pub asked: u32,
    /// The bytes, or the name, that came with it.
    pub payload: Chain,
    /// The most credits of a stream; of other jobs none.
    most_credits: u32,
    /// How many messages a stream may send now.
    pub credits: u32,
}

impl Pending {
    /// Whether it is a stream.
    #[inline(always)]
    pub fn is_stream(&self) -> bool {
        self.most_credits > 0
    }

    /// The responses that it may still have.
    #[inline(always)]
    fn promised(&self) -> u32 {
        if self.id == JobId::ZERO { 0 } else { self.credits + 1 }
    }
}

#[derive(Debug)]
pub(super) struct Jobs {
    jobs: Vec<Pending>,
    free: Vec<u32>,
    /// The places of streams, by their numbers.
    streams: HashMap<JobId, u32>,
    promised: u32,
}

impl Jobs {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            jobs: (0..capacity).map(|_| Pending::default()).collect(),
            free: (0..capacity).rev().collect(),
            streams: HashMap::new(),
            promised: 0,
        }
    }

    /// Responses that there must be room for.
    #[inline(always)]
    pub(super) fn promised(&self) -> u32 {
        self.promised
    }

    /// Jobs that wait for an answer.
    #[inline(always)]
    pub(super) fn waiting(&self) -> u32 {
        (self.jobs.len() - self.free.len()) as u32
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// The payload of the next job that [begins](Self::begin): nothing, until then.
    #[inline(always)]
    pub(super) fn next_payload(&mut self) -> Option<&mut Chain> {
        let slot = *self.free.last()?;
        self.jobs.get_mut(slot as usize).map(|job| &mut job.payload)
    }

    /// The job of a request; none if there is no place.
    #[inline(always)]
    pub(super) fn begin(&mut self, request: &Request) -> Option<JobKey> {
        let slot = self.free.pop()?;
        let job = self.jobs.get_mut(slot as usize)?;
        job.generation = job.generation.wrapping_add(1);
        job.id = request.id;
        job.asked = request.most_bytes();
        job.most_credits = request.credits();
        job.credits = job.most_credits;
        self.promised += job.promised();
        if request.kind == Kind::Stream {
            self.streams.insert(request.id, slot);
        }
        Some(JobKey(Key::new(slot, job.generation)))
    }

    #[inline(always)]
    pub(super) fn get(&self, key: JobKey) -> Option<&Pending> {
        self.jobs.get(key.0.slot()).filter(|job| job.generation == key.0.generation())
    }

    /// The stream of that number, if there is one.
    pub(super) fn stream(&self, id: JobId) -> Option<JobKey> {
        let slot = *self.streams.get(&id)?;
        self.jobs.get(slot as usize).map(|job| JobKey(Key::new(slot, job.generation)))
    }

    /// Gives a stream more credits; [`Violation::Credits`] if that are more than it can have.
    pub(super) fn give_credits(&mut self, key: JobKey, found: u32) -> Result<(), Violation> {
        let Some(job) = self.jobs.get_mut(key.0.slot()) else { return Err(Violation::Credits { found, most: 0 }) };
        let most = job.most_credits - job.credits;
        if found > most {
            return Err(Violation::Credits { found, most });
        }
        job.credits += found;
        self.promised += found;
        Ok(())
    }

    /// A credit of a stream is used.
    #[inline(always)]
    pub(super) fn use_credit(&mut self, key: JobKey) {
        if let Some(job) = self.jobs.get_mut(key.0.slot()) {
            job.credits -= 1;
            self.promised -= 1;
        }
    }

    /// Ends a job whose payload was given up.
    #[inline(always)]
    pub(super) fn end(&mut self, key: JobKey) {
        let Some(job) = self.jobs.get_mut(key.0.slot()) else { return };
        if job.is_stream() {
            self.streams.remove(&job.id);
        }
        self.promised -= job.promised();
        job.payload.clear();
        job.generation = job.generation.wrapping_add(1);
        self.free.push(key.0.slot() as u32);
    }
}
