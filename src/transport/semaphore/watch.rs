//! Watching thousands of sockets, at a cost that depends only on how many have something.
//!
//! A member is either *polled*, and looked at in user space, or *armed*: it has told its other side that it waits for its
//! socket. A member that was ready stays polled until a poll finds nothing. What that means is for the user of this to say.

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Events taken from the system at a time.
const EVENTS: usize = 64;

/// The name of a member. It is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// A small number, unique among the members of this moment: an index for a table beside this one.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    const fn to_data(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    const fn from_data(data: u64) -> Self {
        Self { slot: data as u32, generation: (data >> 32) as u32 }
    }
}

/// What was seen at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whose it is.
    pub key: Key,
    /// Something came since it was last reported.
    pub has_input: bool,
    /// The other side hung up.
    pub is_gone: bool,
}

/// A set of sockets that are watched, and a list of those to look at.
#[derive(Debug)]
pub struct Watch {
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<u32>,
    members: usize,
    polled: VecDeque<Key>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    is_used: bool,
    is_polled: bool,
}

impl Watch {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// What the system says if there are no descriptors.
    pub fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, slots: Vec::new(), free: Vec::new(), members: 0, polled: VecDeque::new() })
    }

    /// Watches a descriptor: each time something comes, and when it is hung up. It may be watched twice over two descriptors,
    /// but not over one. The member starts polled.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be watched.
    pub fn add(&mut self, descriptor: BorrowedFd<'_>) -> Result<Key, Errno> {
        self.add_with(descriptor, each_time())
    }

    /// As [`add`](Self::add), but what comes is reported once, and then no more until [`once_more`](Self::once_more).
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_once(&mut self, descriptor: BorrowedFd<'_>) -> Result<Key, Errno> {
        self.add_with(descriptor, once())
    }

    fn add_with(&mut self, descriptor: BorrowedFd<'_>, events: epoll::EventFlags) -> Result<Key, Errno> {
        let slot = match self.free.last() {
            Some(slot) => *slot,
            None => u32::try_from(self.slots.len()).map_err(|_| Errno::NOMEM)?,
        };
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        let key = Key { slot, generation };
        epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(key.to_data()), events)?;
        if self.free.pop().is_none() {
            self.slots.push(Slot { generation, is_used: false, is_polled: false });
        }
        self.slots[slot as usize].is_used = true;
        self.members += 1;
        self.poll(key);
        Ok(key)
    }

    /// Reports what comes to a member once more, also if it has come already.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be watched.
    pub fn once_more(&self, key: Key, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
        self.change(key, descriptor, once())
    }

    /// From now on reports each time that something comes to a member, also if it has come already.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be watched.
    pub fn resume(&self, key: Key, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
        self.change(key, descriptor, each_time())
    }

    /// Reports of a member that it hung up, and nothing else, until [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be watched.
    pub fn pause(&self, key: Key, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
        self.change(key, descriptor, epoll::EventFlags::RDHUP | epoll::EventFlags::ET)
    }

    fn change(&self, key: Key, descriptor: BorrowedFd<'_>, events: epoll::EventFlags) -> Result<(), Errno> {
        if !self.contains(key) {
            return Err(Errno::NOENT);
        }
        epoll::modify(&self.epoll, descriptor, epoll::EventData::new_u64(key.to_data()), events)
    }

    /// Watches it no more. False if there is no such member.
    pub fn remove(&mut self, key: Key, descriptor: BorrowedFd<'_>) -> bool {
        if !self.contains(key) {
            return false;
        }
        let _ = epoll::delete(&self.epoll, descriptor);
        self.forget(key)
    }

    /// As [`remove`](Self::remove), for one whose descriptor is closed already, and so watched no more.
    pub fn forget(&mut self, key: Key) -> bool {
        if !self.contains(key) {
            return false;
        }
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            slot.is_used = false;
            slot.is_polled = false;
            // After 2^32 members in one slot it is used no more.
            if let Some(next) = slot.generation.checked_add(1) {
                slot.generation = next;
                self.free.push(key.slot);
            }
        }
        self.members -= 1;
        true
    }

    /// Whether there is such a member.
    #[inline(always)]
    pub fn contains(&self, key: Key) -> bool {
        self.slots.get(key.slot()).is_some_and(|slot| slot.is_used && slot.generation == key.generation)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// How many are polled, at most: a removed one counts until its turn.
    #[inline(always)]
    pub fn polled_len(&self) -> usize {
        self.polled.len()
    }

    /// Takes the next polled member off the list. Look at it; if it has something, [`poll`](Self::poll) it again, else arm it
    /// and look once more.
    #[inline(always)]
    pub fn next_polled(&mut self) -> Option<Key> {
        // Each turn takes one off.
        while let Some(key) = self.polled.pop_front() {
            if self.contains(key) {
                self.slots[key.slot()].is_polled = false;
                return Some(key);
            }
        }
        None
    }

    /// Puts a member at the end of the polled ones, if it is not among them.
    #[inline(always)]
    pub fn poll(&mut self, key: Key) {
        if self.contains(key) && !std::mem::replace(&mut self.slots[key.slot()].is_polled, true) {
            self.polled.push_back(key);
        }
    }

    /// Waits, for at most the limit, until something comes to one that is watched, and reports up to 64 of them.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot wait.
    pub fn wait(&self, limit: Duration) -> Result<impl Iterator<Item = Ready> + use<>, Errno> {
        let mut events = [MaybeUninit::uninit(); EVENTS];
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let count = match epoll::wait(&self.epoll, &mut events, Some(&limit)) {
            Ok((ready, _)) => ready.len(),
            Err(Errno::INTR) => 0,
            Err(cause) => return Err(cause),
        };
        Ok((0..count).map(move |index| {
            // SAFETY: the call has written the first `count` events.
            let event = unsafe { events[index].assume_init() };
            let flags = event.flags;
            let gone = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            let key = Key::from_data(event.data.u64());
            Ready { key, has_input: flags.contains(epoll::EventFlags::IN), is_gone: flags.intersects(gone) }
        }))
    }
}

/// At each arrival once: what is not read is not reported again, so that nobody's flood keeps others waiting.
fn each_time() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET
}

fn once() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ONESHOT
}

impl AsFd for Watch {
    /// Readable when a watched descriptor has something: a set can be watched itself.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
