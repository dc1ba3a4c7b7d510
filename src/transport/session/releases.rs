//! Blocks that a client gives back, on their way to the server.

use crate::transport::memory::Memory;
use crate::transport::ring::Producer;
use crate::transport::violation::Violation;
use std::collections::VecDeque;

/// Releases: a block each, which stands for its chain.
#[derive(Debug)]
pub(super) struct Releases<M> {
    ring: Producer<M, 1>,
    unsent: VecDeque<u32>,
    /// What they give back, at most.
    unsent_blocks: u32,
    /// Blocks of the server's.
    most: u32,
}

impl<M: Memory> Releases<M> {
    pub(super) fn new(ring: Producer<M, 1>, most: u32) -> Self {
        Self { ring, unsent: VecDeque::new(), unsent_blocks: 0, most }
    }

    /// One more, of a chain of so many blocks.
    ///
    /// # Errors
    ///
    /// [`Violation::BlockTwice`] if the server lends what it did not take back.
    #[inline(always)]
    pub(super) fn add(&mut self, block: u32, blocks: u32) -> Result<(), Violation> {
        // No block is lent again before its release was taken in, so that there are never more than blocks.
        if self.unsent.len() >= self.most as usize {
            return Err(Violation::BlockTwice { block });
        }
        self.unsent.push_back(block);
        self.unsent_blocks += blocks;
        Ok(())
    }

    /// How many blocks wait to be given back, at most.
    #[inline(always)]
    pub(super) fn unsent_blocks(&self) -> u32 {
        self.unsent_blocks
    }

    /// Sends them as far as there is room.
    #[inline]
    pub(super) fn send(&mut self) -> Result<(), Violation> {
        while let Some(&block) = self.unsent.front() {
            if !self.ring.push([block])? {
                break;
            }
            self.unsent.pop_front();
        }
        if self.unsent.is_empty() {
            self.unsent_blocks = 0;
        }
        self.ring.publish();
        Ok(())
    }
}
