//! The requests of a client that are under way: each has a place in a private table, and its number on the ring is that place
//! with a generation.

use super::Outcome;
use crate::transport::chain::Chain;
use crate::transport::completion::Handle;
use crate::transport::request::{JobId, Kind, Response};
use crate::transport::violation::Violation;
use std::collections::VecDeque;

/// A request under way, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(super) JobId);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Free,
    Waiting,
    /// The response is not wanted any more.
    Abandoned,
    Done,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The number of its request, or of the next one: in the low bits the place, above them a generation.
    id: JobId,
    pub(super) state: State,
    pub(super) kind: Kind,
    /// The most that an honest response can say.
    pub(super) asked: u32,
    pub(super) payload: Chain,
    /// The credits of a stream in all, and those that the server has. The others are of messages that were not taken, or not given back.
    pub(super) most_credits: u32,
    pub(super) credits: u32,
    /// The messages of a stream that were not taken yet.
    pub(super) messages: VecDeque<Chain>,
    pub(super) outcome: Option<Outcome>,
}

impl Slot {
    /// Whether the next response, or message, of a request is the next to be taken.
    #[inline(always)]
    pub(super) fn is_next(&self, is_message: bool) -> bool {
        let kind = if is_message { Kind::Stream } else { Kind::Read };
        self.state == State::Waiting && self.kind == kind && self.messages.is_empty()
    }

    /// Takes so many bytes in: what was asked for, or a message, which uses a credit.
    #[inline(always)]
    pub(super) fn admit(&mut self, length: u32, is_message: bool) -> Result<(), Violation> {
        if is_message {
            self.credits = self.credits.checked_sub(1).ok_or(Violation::Credits { found: 1, most: 0 })?;
        }
        if length > self.asked {
            return Err(Violation::MoreThanAsked { got: length.into(), asked: self.asked.into() });
        }
        Ok(())
    }

    /// What a response means that is no error and brings no bytes, if it can be an answer to this request.
    #[inline(always)]
    pub(super) fn outcome(&self, response: Response) -> Result<Outcome, Violation> {
        let (raw, id) = (response.value.0, response.id.0);
        let at_most =
            |asked: u64| if raw <= asked { Ok(raw as u32) } else { Err(Violation::MoreThanAsked { got: raw, asked }) };
        Ok(match self.kind {
            Kind::Write => Outcome::Amount(at_most(self.asked.into())?),
            Kind::Open | Kind::Create => {
                let handle = Handle(at_most(u32::MAX.into())?);
                Outcome::Opened(handle, response.has_object.then_some(response.id))
            }
            Kind::SeekStart | Kind::SeekCurrent | Kind::SeekEnd => Outcome::Position(raw),
            Kind::Share if response.has_object => Outcome::Shared(response.id),
            Kind::Share => return Err(Violation::NoObject { id }),
            Kind::Stream => match response.value.to_slice().length.into() {
                0 => Outcome::Ended,
                got => return Err(Violation::MoreThanAsked { got, asked: 0 }),
            },
            Kind::Destroy | Kind::Close | Kind::Credit | Kind::Read => Outcome::Amount(at_most(0)?),
        })
    }

    /// A message of a stream was taken; how many credits are to be given back for it: all that are owed, when half are used.
    #[inline(always)]
    pub(super) fn take_message(&mut self) -> u32 {
        let owed = self.most_credits - self.credits - self.messages.len() as u32;
        let is_due = self.state == State::Waiting && 2 * owed >= self.most_credits;
        let given = if is_due { owed } else { 0 };
        self.credits += given;
        given
    }
}

#[derive(Debug)]
pub(super) struct Tickets {
    /// A power of two.
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Responses that may still come: one for each request, and one for each credit of a stream.
    promised: u32,
}

impl Tickets {
    /// Places for as many requests: a power of two.
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            slots: (0..capacity).map(|place| Slot { id: JobId(capacity | place), ..Slot::default() }).collect(),
            free: (0..capacity).rev().collect(),
            promised: 0,
        }
    }

    /// All requests.
    pub(super) fn all(&self) -> Vec<Ticket> {
        self.slots.iter().map(|slot| Ticket(slot.id)).collect()
    }

    /// How many are taken.
    #[inline(always)]
    pub(super) fn taken(&self) -> u32 {
        (self.slots.len() - self.free.len()) as u32
    }

    /// A place for a request of which an honest response says so much at most, and that has so many credits. None if there is none,
    /// or not as much room for responses.
    #[inline(always)]
    pub(super) fn begin(&mut self, kind: Kind, asked: u32, credits: u32) -> Option<Ticket> {
        if credits >= self.slots.len() as u32 - self.promised {
            return None;
        }
        let place = self.free.pop()?;
        let slot = self.slots.get_mut(place as usize)?;
        slot.state = State::Waiting;
        slot.kind = kind;
        slot.asked = asked;
        slot.most_credits = credits;
        slot.credits = credits;
        self.promised += 1 + credits;
        Some(Ticket(slot.id))
    }

    #[inline(always)]
    fn place(&self, ticket: Ticket) -> usize {
        ticket.0.0 as usize & (self.slots.len() - 1)
    }

    #[inline(always)]
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Slot> {
        self.slots.get(self.place(ticket)).filter(|slot| slot.id == ticket.0)
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let place = self.place(ticket);
        self.slots.get_mut(place).filter(|slot| slot.id == ticket.0)
    }

    /// The request that a response is for, if it is to one that is under way, and a message if it is of a stream.
    #[inline(always)]
    pub(super) fn answered_by(&mut self, response: Response) -> Result<&mut Slot, Violation> {
        let can_be = |slot: &&mut Slot| {
            matches!(slot.state, State::Waiting | State::Abandoned) && (slot.most_credits > 0 || !response.has_more)
        };
        self.get_mut(Ticket(response.id)).filter(can_be).ok_or(Violation::NoSuchJob { id: response.id.0 })
    }

    /// The outcome of a request that has one, whose place is free then.
    #[inline(always)]
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        let (place, capacity) = (self.place(ticket), self.slots.len() as u32);
        let slot = self.get_mut(ticket).filter(|slot| slot.state == State::Done)?;
        slot.state = State::Free;
        // Of the next generation, from 1 on: a number has 24 bits, and is never 0.
        let next = (slot.id.0 + capacity) & 0xFF_FFFF;
        slot.id = JobId(if next < capacity { next + capacity } else { next });
        let (outcome, credits) = (slot.outcome.take(), slot.most_credits);
        self.promised -= 1 + credits;
        self.free.push(place as u32);
        outcome
    }
}
