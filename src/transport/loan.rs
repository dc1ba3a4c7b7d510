//! Bytes in the hands of a program: a [`Lease`] to fill and send, [received](Received) bytes to read. Dropped, their blocks go
//! back by themselves. Short ones, which travel in an entry, are in memory of this side's own.

use super::blocks::BlockMemory;
use super::chain::{Chain, clamp};
use super::memory::{Copier, Mapped};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A region of a session, and what was given back to it and not yet taken in.
#[derive(Debug)]
pub struct Place {
    blocks: BlockMemory<Mapped>,
    /// Whether this side alone can write here.
    is_exclusive: bool,
    /// The region as a file, for calls that take one.
    file: Option<OwnedFd>,
    has_returned: AtomicBool,
    returned: Mutex<Vec<Chain>>,
}

impl Place {
    pub(super) fn new(blocks: &BlockMemory<Mapped>, is_exclusive: bool, file: Option<OwnedFd>) -> Self {
        let (blocks, has_returned, returned) = (blocks.clone(), AtomicBool::new(false), Mutex::default());
        Self { blocks, is_exclusive, file, has_returned, returned }
    }

    /// Offset in the region and length of each part of a chain.
    #[inline(always)]
    fn runs(&self, chain: &Chain) -> impl Iterator<Item = (usize, usize)> {
        chain.runs(self.blocks.blocks(), 0, chain.length())
    }

    /// Start and length of each part of a chain.
    #[inline(always)]
    fn parts(&self, chain: &Chain) -> impl Iterator<Item = (NonNull<u8>, usize)> {
        let own = chain.inline().map(|bytes| (NonNull::from(bytes).cast(), bytes.len()));
        let memory = self.blocks.memory();
        let parts = self.runs(chain).filter_map(|(at, len_bytes)| Some((memory.pointer(at, len_bytes)?, len_bytes)));
        own.into_iter().chain(parts)
    }

    fn give_back(&self, chain: Chain) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).push(chain);
        self.has_returned.store(true, Ordering::Release);
    }

    #[cold]
    fn pop_returned(&self) -> Option<Chain> {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = returned.pop();
        if returned.is_empty() {
            self.has_returned.store(false, Ordering::Relaxed);
        }
        chain
    }
}

/// References that a lender keeps for loans to come.
const SPARE_REFERENCES: usize = 64;

/// Lends blocks of a place to a program, and gets them back.
///
/// What the session itself takes back costs no atomic operation: one of those between filling a block and publishing it
/// would have to wait until the other CPU has given up the lines of the block, and only then would the ring's line be asked
/// for.
#[derive(Debug)]
pub(super) struct Lender {
    place: Arc<Place>,
    spare: Vec<Arc<Place>>,
}

impl Lender {
    pub(super) fn new(blocks: &BlockMemory<Mapped>, is_exclusive: bool, file: Option<OwnedFd>) -> Self {
        Self { place: Arc::new(Place::new(blocks, is_exclusive, file)), spare: Vec::new() }
    }

    #[inline(always)]
    pub(super) fn loan(&mut self, chain: Chain) -> Loan {
        let place = self.spare.pop().unwrap_or_else(|| Arc::clone(&self.place));
        Loan { chain, place: Some(place) }
    }

    /// The blocks of a loan, if they are of this place.
    #[inline(always)]
    pub(super) fn take_back(&mut self, mut loan: Loan) -> Option<Chain> {
        let place = loan.place.take_if(|place| Arc::ptr_eq(place, &self.place))?;
        if self.spare.len() < SPARE_REFERENCES {
            self.spare.push(place);
        }
        Some(std::mem::take(&mut loan.chain))
    }

    /// The next chain that was given back. Costs a load if there is none.
    #[inline(always)]
    pub(super) fn take_returned(&self) -> Option<Chain> {
        if self.place.has_returned.load(Ordering::Acquire) { self.place.pop_returned() } else { None }
    }
}

/// Blocks of a place, until they are taken out or go back.
#[derive(Debug)]
pub struct Loan {
    chain: Chain,
    /// None once the blocks were taken out.
    place: Option<Arc<Place>>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(place) = self.place.take()
            && self.chain.length() > 0
        {
            place.give_back(std::mem::take(&mut self.chain));
        }
    }
}

/// Blocks to fill, and then to send without a copy; or, for bytes that travel in an entry, memory to fill, which is copied there.
///
/// Dropped without being sent, they are free again.
pub struct Lease {
    pub(super) loan: Loan,
}

impl Lease {
    /// How many bytes it holds.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.loan.chain.length() as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes in, from the offset on; how many: less than `src` has where the lease ends.
    pub fn write_at(&mut self, offset: usize, src: &[u8]) -> usize {
        self.write_with(offset, src, Copier::AUTO)
    }

    /// As [`write_at`](Self::write_at), with a kernel of the caller's choice.
    pub fn write_with(&mut self, offset: usize, src: &[u8], copier: Copier) -> usize {
        let Some(place) = &self.loan.place else { return 0 };
        self.loan.chain.write(&place.blocks, clamp(offset), src, copier)
    }

    /// The bytes, in as many parts as the blocks are not neighbours; `None` if the other side can write the blocks too, where
    /// there is no such thing as a slice of them: use [`parts`](Self::parts).
    ///
    /// What they hold before they are written is of no meaning.
    pub fn slices_mut(&mut self) -> Option<impl Iterator<Item = &mut [u8]>> {
        let is_exclusive = self.loan.place.as_ref().is_some_and(|place| place.is_exclusive);
        let is_exclusive = is_exclusive || self.loan.chain.inline().is_some();
        is_exclusive.then(|| {
            self.parts().map(|(start, len_bytes)| {
                // SAFETY: this side alone can write the region; these blocks, or the lease's own bytes, are this lease's alone,
                // which is borrowed exclusively; parts of one chain do not overlap; the memory is mapped as long as the place,
                // which the lease keeps, or as long as the lease, and initialised, as all shared memory is and its own.
                unsafe { slice::from_raw_parts_mut(start.as_ptr(), len_bytes) }
            })
        })
    }

    /// Start and length of each part. The other side may be writing there: use the kernels or volatile accesses.
    #[inline(always)]
    pub fn parts(&mut self) -> impl Iterator<Item = (NonNull<u8>, usize)> + '_ {
        let Loan { chain, place } = &mut self.loan;
        let own = chain.inline_mut().map(|bytes| (NonNull::from(&mut *bytes).cast(), bytes.len()));
        let place = place.as_ref().filter(|_| own.is_none());
        own.into_iter().chain(place.into_iter().flat_map(|place| place.parts(chain)))
    }
}

/// Bytes of the other side, to be read where they are: a [`View`] or a [`Payload`].
///
/// The other side can change the bytes at any time, so that there is no `&[u8]` of them: copy out what is to be believed,
/// once, and look at the copy.
pub struct Received<H> {
    pub(super) blocks: H,
}

/// Bytes that a client read. Dropped, their blocks go back to the server.
pub type View = Received<Loan>;

/// The bytes, or the name, that came with a job: blocks that a session holds until the job is answered.
pub type Payload<'a> = Received<Option<(&'a Chain, &'a Place)>>;

/// What has the blocks of received bytes, and knows the region that they are in.
pub trait Holder {
    /// Both; none where there are no bytes.
    fn found(&self) -> Option<(&Chain, &Place)>;
}

impl Holder for Loan {
    #[inline(always)]
    fn found(&self) -> Option<(&Chain, &Place)> {
        self.place.as_ref().map(|place| (&self.chain, &**place))
    }
}

impl Holder for Option<(&Chain, &Place)> {
    #[inline(always)]
    fn found(&self) -> Option<(&Chain, &Place)> {
        *self
    }
}

impl<H: Holder> Received<H> {
    /// How many bytes there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.blocks.found().map_or(0, |(chain, ..)| chain.length() as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out, from the offset on; how many: less than `dst` has room for where they end.
    pub fn read_at(&self, offset: usize, dst: &mut [u8]) -> usize {
        self.read_with(offset, dst, Copier::AUTO)
    }

    /// As [`read_at`](Self::read_at), with a kernel of the caller's choice.
    pub fn read_with(&self, offset: usize, dst: &mut [u8], copier: Copier) -> usize {
        self.blocks.found().map_or(0, |(chain, place)| chain.read(&place.blocks, clamp(offset), dst, copier))
    }

    /// A copy of all of it: at most what the other side's region holds.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read_at(0, &mut bytes);
        bytes
    }

    /// Offset in the other side's region and length of each part, for calls that take a descriptor. None of bytes that came in
    /// an entry.
    #[inline(always)]
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.blocks.found().into_iter().flat_map(|(chain, place)| place.runs(chain))
    }

    /// The other side's region as a file: the offsets of [`runs`](Self::runs) are in it. None if both sides write the region.
    pub fn region_file(&self) -> Option<BorrowedFd<'_>> {
        self.blocks.found()?.1.file.as_ref().map(OwnedFd::as_fd)
    }

    /// Start and length of each part. The other side may be writing there: use the kernels or volatile reads.
    #[inline(always)]
    pub fn parts(&self) -> impl Iterator<Item = (NonNull<u8>, usize)> + '_ {
        self.blocks.found().into_iter().flat_map(|(chain, place)| place.parts(chain))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<H: Holder> fmt::Debug for Received<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("len", &self.len()).finish_non_exhaustive()
    }
}
