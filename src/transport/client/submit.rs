//! Requests on their way: blocks for them, and their entries in the ring.

use super::Client;
use crate::transport::blocks::AllocateError;
use crate::transport::chain::{Chain, clamp};
use crate::transport::completion::Handle;
use crate::transport::error::ClientError;
use crate::transport::geometry::Blocks;
use crate::transport::loan::Lease;
use crate::transport::memory::{Access, Copier};
use crate::transport::request::{Args, Flags, Kind, PageRange};
use crate::transport::session::Ticket;
use std::io::SeekFrom;

impl Client {
    /// The longest transfer to here.
    pub fn max_read_bytes(&self) -> usize {
        max_bytes(self.side.server_data().blocks())
    }

    /// The longest transfer from here.
    pub fn max_write_bytes(&self) -> usize {
        max_bytes(self.side.client_data().blocks())
    }

    /// Blocks for `len_bytes`, to be filled and sent without a copy. What fits into a request
    /// ([`Geometry::request_room_bytes`](crate::transport::Geometry::request_room_bytes)) is copied there and takes no block.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`], [`ClientError::OutOfBlocks`] or [`ClientError::Session`].
    #[inline]
    pub fn lease(&mut self, len_bytes: usize) -> Result<Lease, ClientError> {
        self.begin()?;
        let chain = self.allocate(len_bytes)?;
        Ok(Lease { loan: self.own.loan(chain) })
    }

    #[inline(always)]
    fn allocate(&mut self, len_bytes: usize) -> Result<Chain, ClientError> {
        let max_bytes = self.max_write_bytes();
        if len_bytes > max_bytes {
            return Err(ClientError::TooLarge { len_bytes, max_bytes });
        }
        self.side.allocate(clamp(len_bytes)).map_err(|error| match error {
            AllocateError::OutOfBlocks => ClientError::OutOfBlocks { len_bytes },
            AllocateError::Violation(violation) => self.end(violation.into()),
        })
    }

    /// Sends a request without a payload.
    #[inline(always)]
    pub(super) fn ask(&mut self, what: (Kind, Flags, u32), args: Args) -> Result<Ticket, ClientError> {
        self.begin()?;
        self.send(what, args, Chain::EMPTY)
    }

    #[inline(always)]
    fn send(&mut self, what: (Kind, Flags, u32), args: Args, payload: Chain) -> Result<Ticket, ClientError> {
        let (kind, flags, handle) = what;
        self.side.submit(kind, flags, handle, args, payload).map_err(|(error, payload)| {
            self.side.give_back(payload);
            self.refused(error)
        })
    }

    /// Submits an open, a create or a destroy, by a name.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_named(&mut self, kind: Kind, name: &[u8]) -> Result<Ticket, ClientError> {
        self.submit_bytes((kind, Flags::NONE, 0), name, Copier::AUTO)
    }

    /// Submits a create by a name that may be taken.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_create_or_replace(&mut self, name: &[u8]) -> Result<Ticket, ClientError> {
        self.submit_bytes((Kind::Create, Flags::META, 0), name, Copier::AUTO)
    }

    #[inline(always)]
    fn submit_bytes(&mut self, what: (Kind, Flags, u32), src: &[u8], copier: Copier) -> Result<Ticket, ClientError> {
        self.begin()?;
        if self.side.fits(src.len()) {
            let (kind, flags, handle) = what;
            return self.side.submit_copy(kind, flags, handle, src, copier).map_err(|error| self.refused(error));
        }
        let mut chain = self.allocate(src.len())?;
        chain.write(self.side.client_data(), 0, src, copier);
        self.send(what, Args::from_raw(0), chain)
    }

    /// Submits a read of that many bytes at most.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    #[inline]
    pub fn submit_read(&mut self, handle: Handle, amount: u32) -> Result<Ticket, ClientError> {
        self.ask((Kind::Read, Flags::DATA, handle.number()), Args::amount(amount))
    }

    /// Submits a write of a copy of `src`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    #[inline]
    pub fn submit_write(&mut self, handle: Handle, src: &[u8], copier: Copier) -> Result<Ticket, ClientError> {
        self.submit_bytes((Kind::Write, Flags::DATA, handle.number()), src, copier)
    }

    /// Submits a write of what is known about an object, not of what is in it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_write_meta(&mut self, handle: Handle, src: &[u8]) -> Result<Ticket, ClientError> {
        self.submit_bytes((Kind::Write, Flags::META, handle.number()), src, Copier::AUTO)
    }

    /// Submits a write of what is in a lease.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    #[inline]
    pub fn submit_write_in_place(&mut self, handle: Handle, lease: Lease) -> Result<Ticket, ClientError> {
        self.begin()?;
        let chain = self.own.take_back(lease.loan).ok_or(ClientError::NotOfThisSession)?;
        self.send((Kind::Write, Flags::DATA, handle.number()), Args::from_raw(0), chain)
    }

    /// Submits a move of the position.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    #[inline]
    pub fn submit_seek(&mut self, handle: Handle, to: SeekFrom) -> Result<Ticket, ClientError> {
        let (kind, args) = match to {
            SeekFrom::Start(offset) => (Kind::SeekStart, Args::from_raw(offset)),
            SeekFrom::Current(offset) => (Kind::SeekCurrent, Args::from_raw(offset as u64)),
            SeekFrom::End(offset) => (Kind::SeekEnd, Args::from_raw(offset as u64)),
        };
        self.ask((kind, Flags::NONE, handle.number()), args)
    }

    /// Submits a request for the memory of an object.
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share).
    pub fn submit_share(
        &mut self,
        handle: Handle,
        start_bytes: u64,
        len_bytes: u64,
        access: Access,
    ) -> Result<Ticket, ClientError> {
        let pages = PageRange::of_bytes(start_bytes, len_bytes, access)
            .ok_or(ClientError::Unaligned { start_bytes, len_bytes })?;
        self.ask((Kind::Share, Flags::NONE, handle.number()), Args::range(pages))
    }
}

/// The longest transfer in a region: all its blocks, but for those of the chain's lists.
fn max_bytes(blocks: Blocks) -> usize {
    let entries = blocks.block_bytes / 4;
    let data = match blocks.count {
        1 | 2 => 1,
        // Each list block but the last names one block less than it holds entries.
        count => count - (count - 1).div_ceil(entries).max(1),
    };
    (data as usize).saturating_mul(blocks.block_bytes as usize).min(u32::MAX as usize)
}
