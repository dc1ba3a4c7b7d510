//! What a client has still, and what it gives back of that when it leaves, where others take from the same list.

use super::{ClientSide, State, Ticket};
use crate::transport::memory::Memory;
use crate::transport::violation::Violation;

impl<M: Memory + Clone> ClientSide<M> {
    /// Whether a request has its response.
    #[doc(hidden)]
    pub fn is_done(&self, ticket: Ticket) -> bool {
        self.tickets.get(ticket).is_some_and(|slot| slot.state == State::Done)
    }

    /// Whether what this side has would be missing from a list that others take from, too. Not of a forked copy, whose parent has it
    /// still.
    pub(in crate::transport) fn owes_a_list(&self) -> bool {
        self.data.pool.gives_back()
    }

    /// The list is not to be touched any more.
    pub(in crate::transport) fn owe_nothing(&mut self) {
        self.data.pool.forget();
    }

    /// Takes in what was answered, and [gives up](Self::abandon) all there is.
    pub(in crate::transport) fn abandon_all(&mut self) -> Result<(), Violation> {
        while self.poll()?.is_some() {}
        self.tickets.all().into_iter().try_for_each(|ticket| self.abandon(ticket))
    }
}
