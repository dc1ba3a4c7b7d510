//! The requests of a client that are under way: each has a place in a private table, and its number on the ring is that place
//! with a generation.

use super::outcome::Outcome;
use crate::transport::chain::Chain;
use crate::transport::request::{JobId, Kind};

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    slot: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Waiting,
    /// The response is not wanted any more.
    Abandoned,
    Done,
}

#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    pub(super) state: State,
    pub(super) kind: Kind,
    /// The most that an honest response can say.
    pub(super) asked: u32,
    pub(super) payload: Chain,
    pub(super) outcome: Option<Outcome>,
}

#[derive(Debug)]
pub(super) struct Tickets {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The bits of a number that say which slot.
    slot_bits: u32,
}

impl Tickets {
    /// Places for as many requests: a power of two.
    pub(super) fn new(capacity: u32) -> Self {
        let slot = || Slot {
            generation: 1,
            state: State::Free,
            kind: Kind::Read,
            asked: 0,
            payload: Chain::EMPTY,
            outcome: None,
        };
        Self {
            slots: (0..capacity).map(|_| slot()).collect(),
            free: (0..capacity).rev().collect(),
            slot_bits: capacity.trailing_zeros(),
        }
    }

    /// How many are taken.
    #[inline(always)]
    pub(super) fn taken(&self) -> u32 {
        (self.slots.len() - self.free.len()) as u32
    }

    /// The next free place, and its number; it stays free until it is [taken](Self::occupy).
    #[inline(always)]
    pub(super) fn next_free(&self) -> Option<(Ticket, JobId)> {
        let slot = *self.free.last()?;
        let generation = self.slots.get(slot as usize)?.generation;
        let id = JobId::truncated(u64::from(generation << self.slot_bits | slot));
        Some((Ticket { slot, generation }, id))
    }

    /// Takes the [next free](Self::next_free) place.
    #[inline(always)]
    pub(super) fn occupy(&mut self, kind: Kind, asked: u32) {
        if let Some(slot) = self.free.pop().and_then(|slot| self.slots.get_mut(slot as usize)) {
            slot.state = State::Waiting;
            slot.kind = kind;
            slot.asked = asked;
        }
    }

    /// The request that has this number, if one has.
    #[inline(always)]
    pub(super) fn named(&self, id: JobId) -> Ticket {
        let id = id.get() as u32;
        Ticket { slot: id & ((1 << self.slot_bits) - 1), generation: id >> self.slot_bits }
    }

    #[inline(always)]
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Slot> {
        self.slots.get(ticket.slot as usize).filter(|slot| slot.generation == ticket.generation)
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slots.get_mut(ticket.slot as usize).filter(|slot| slot.generation == ticket.generation)
    }

    #[inline(always)]
    pub(super) fn state(&self, ticket: Ticket) -> State {
        self.get(ticket).map_or(State::Free, |slot| slot.state)
    }

    /// The outcome of a request that has one, whose place is free then.
    #[inline(always)]
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        let last_generation = (1 << (24 - self.slot_bits)) - 1;
        let slot = self.get_mut(ticket).filter(|slot| slot.state == State::Done)?;
        slot.state = State::Free;
        // From 1 on: a job id is never 0.
        slot.generation = if slot.generation == last_generation { 1 } else { slot.generation + 1 };
        let outcome = slot.outcome.take();
        self.free.push(ticket.slot);
        outcome
    }
}
