//! What has no answer of its own: the end of a handle, posted writes, and the messages of a stream with their credits.

use super::ClientSide;
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::{Args, Flags, JobId, Kind, Request, Response, Slice};
use crate::transport::session::outcome::SubmitError;
use crate::transport::session::tickets::{State, Ticket};
use crate::transport::violation::Violation;

impl<M: Memory + Clone> ClientSide<M> {
    /// Sends the end of a handle. There is no response.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    pub fn close(&mut self, handle: u32) -> Result<(), SubmitError> {
        let request =
            Request { kind: Kind::Close, flags: Flags::NONE, id: JobId::ZERO, handle, args: Args::from_raw(0) };
        if self.requests.push(request.to_entry())? { Ok(()) } else { Err(SubmitError::Full) }
    }

    /// Sends a write without an answer, whose bytes [fit](Self::fits) into the request; what is longer is cut.
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    #[inline(always)]
    pub fn post(&mut self, handle: u32, src: &[u8], copier: Copier) -> Result<(), SubmitError> {
        let src = src.get(..self.sending.room_bytes as usize).unwrap_or(src);
        let args = Args::slice(Slice::inline(src.len() as u32));
        let request = Request { kind: Kind::Write, flags: Flags::DATA, id: JobId::ZERO, handle, args };
        if self.requests.push_with(request.to_entry(), src, copier)? { Ok(()) } else { Err(SubmitError::Full) }
    }

    /// Takes a message of a stream in.
    pub(super) fn take_in(&mut self, ticket: Ticket, response: Response) -> Result<(), Violation> {
        let Some(slot) = self.tickets.get_mut(ticket).filter(|slot| slot.is_under_way() && slot.most_credits > 0)
        else {
            return Err(Violation::NoSuchJob { id: response.id.get() as u32 });
        };
        slot.admit(response.value.to_slice().length, true)?;
        let chain = self.bytes(response)?;
        match self.tickets.get_mut(ticket).filter(|slot| slot.state == State::Waiting) {
            Some(slot) => slot.messages.push_back(chain),
            None => self.release(chain)?,
        }
        Ok(())
    }

    /// Sends credits as far as there is room.
    #[inline(always)]
    pub(super) fn send_credits(&mut self) -> Result<(), Violation> {
        while let Some(&(id, credits)) = self.unsent_credits.front() {
            let (flags, args) = (Flags::NONE, Args::amount(credits));
            if !self.requests.push(Request { kind: Kind::Credit, flags, id, handle: 0, args }.to_entry())? {
                break;
            }
            self.unsent_credits.pop_front();
        }
        Ok(())
    }
}
