//! Where the blocks of one direction are.

use super::BlockGeometry;

/// The blocks of a region: its memory, and how it is cut.
#[derive(Clone, Debug)]
pub struct BlockMemory<M> {
    memory: M,
    geometry: BlockGeometry,
}

impl<M> BlockMemory<M> {
    /// The blocks of that memory.
    pub const fn new(memory: M, geometry: BlockGeometry) -> Self {
        Self { memory, geometry }
    }

    /// The memory that they are in.
    #[inline(always)]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// How it is cut.
    #[inline(always)]
    pub const fn geometry(&self) -> BlockGeometry {
        self.geometry
    }
}
