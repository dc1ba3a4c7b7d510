//! The memory of a run: a source that may be read, a destination that may be written, a little stack, nothing else.

use super::registers::STACK_ADDRESS;
use super::{Fault, Place};

/// Room below the return address.
const STACK_BYTES: usize = 256;

pub(crate) struct Memory<'a> {
    place: Place,
    src: &'a [u8],
    loaded: Vec<bool>,
    dst: Vec<u8>,
    stored: Vec<bool>,
    stack: [u8; STACK_BYTES],
}

impl<'a> Memory<'a> {
    pub fn new(place: Place, src: &'a [u8]) -> Self {
        let len = src.len();
        Self {
            place,
            src,
            loaded: vec![false; len],
            dst: vec![0xEE; len],
            stored: vec![false; len],
            stack: [0; STACK_BYTES],
        }
    }

    /// Fills `bytes` from `address`.
    pub fn load(&mut self, address: u64, bytes: &mut [u8], at: impl FnOnce() -> String) -> Result<(), Fault> {
        if let Some(offset) = inside(address, bytes.len(), self.place.src_address, self.src.len()) {
            bytes.copy_from_slice(&self.src[offset..offset + bytes.len()]);
            self.loaded[offset..offset + bytes.len()].fill(true);
            return Ok(());
        }
        if let Some(offset) = self.in_stack(address, bytes.len()) {
            bytes.copy_from_slice(&self.stack[offset..offset + bytes.len()]);
            return Ok(());
        }
        Err(Fault::LoadOutsideSource { at: at(), address, bytes: bytes.len() })
    }

    /// Writes `bytes` to `address`.
    pub fn store(&mut self, address: u64, bytes: &[u8], at: impl FnOnce() -> String) -> Result<(), Fault> {
        if let Some(offset) = inside(address, bytes.len(), self.place.dst_address, self.dst.len()) {
            self.dst[offset..offset + bytes.len()].copy_from_slice(bytes);
            self.stored[offset..offset + bytes.len()].fill(true);
            return Ok(());
        }
        if let Some(offset) = self.in_stack(address, bytes.len()) {
            self.stack[offset..offset + bytes.len()].copy_from_slice(bytes);
            return Ok(());
        }
        Err(Fault::StoreOutsideDestination { at: at(), address, bytes: bytes.len() })
    }

    /// The destination, if every byte of it was stored and every byte of the source loaded.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        if let Some(offset) = self.loaded.iter().position(|loaded| !loaded) {
            return Err(Fault::SourceByteNotLoaded { offset });
        }
        if let Some(offset) = self.stored.iter().position(|stored| !stored) {
            return Err(Fault::DestinationByteNotStored { offset });
        }
        Ok(self.dst)
    }

    /// Below the return address only: that and what lies above belong to the caller.
    fn in_stack(&self, address: u64, bytes: usize) -> Option<usize> {
        inside(address, bytes, STACK_ADDRESS - STACK_BYTES as u64, STACK_BYTES)
    }
}

/// The offset of a range in another, if it lies inside.
fn inside(address: u64, bytes: usize, start: u64, len: usize) -> Option<usize> {
    let offset = usize::try_from(address.checked_sub(start)?).ok()?;
    (offset.checked_add(bytes)? <= len).then_some(offset)
}
