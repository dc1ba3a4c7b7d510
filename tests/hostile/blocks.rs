//! A set of blocks, of which a drive has few.

/// Blocks below 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockSet(u128);

impl BlockSet {
    /// The set of all of them; `None` if one is there twice.
    pub fn of(blocks: &[u32]) -> Option<Self> {
        let mut set = Self::default();
        blocks.iter().all(|block| set.insert(*block)).then_some(set)
    }

    /// Puts one in; false if it is there already.
    pub fn insert(&mut self, block: u32) -> bool {
        assert!(block < u128::BITS, "block {block}: more than a drive has");
        let is_new = !self.contains(block);
        self.0 |= 1 << block;
        is_new
    }

    pub fn contains(self, block: u32) -> bool {
        block < u128::BITS && self.0 >> block & 1 != 0
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Takes the first ones out, at most so many.
    pub fn take(&mut self, most: usize) -> Vec<u32> {
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most && self.0 != 0 {
            taken.push(self.0.trailing_zeros());
            self.0 &= self.0 - 1;
        }
        taken
    }
}
