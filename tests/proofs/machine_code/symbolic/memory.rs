//! The memory of a symbolic run: the source, the destination and the kernel's stack frame, each by offset from its base.

use super::Fault;
use super::value::{Byte, DST, SRC, STACK, Sum};

/// The frame that a kernel may use.
const STACK_BYTES: usize = 256;

/// Which overlaps of source and destination a run bears, at every distance at once.
///
/// With the destination D bytes below the source, a store at offset p overwrites the source's byte at p - D. So it is enough, for
/// all D, that no offset is loaded after a store at a higher one; with the destination above, after a store at a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlaps {
    pub below: bool,
    pub above: bool,
}

pub(crate) struct Memory {
    loaded: Vec<bool>,
    dst: Vec<Byte>,
    /// The lowest offset in the destination that was stored so far, and the one behind the highest.
    stored: (usize, usize),
    overlaps: Overlaps,
    /// The bytes below the return address; the last one is directly below it.
    stack: [Byte; STACK_BYTES],
}

impl Memory {
    pub fn new(len: usize) -> Self {
        Self {
            loaded: vec![false; len],
            dst: vec![Byte::Unwritten; len],
            stored: (usize::MAX, 0),
            overlaps: Overlaps { below: true, above: true },
            stack: [Byte::Unwritten; STACK_BYTES],
        }
    }

    /// The last store was one for each element, each after the load of the same element: what an overlap from above does not bear.
    pub fn went_upwards(&mut self) {
        self.overlaps.above = false;
    }

    /// Which overlaps the run so far bears.
    pub fn overlaps(&self) -> Overlaps {
        self.overlaps
    }

    /// Fills `bytes` from an address.
    pub fn load(
        &mut self,
        address: Sum,
        bytes: &mut [Byte],
        stack_pointer: Sum,
        at: impl Fn() -> String,
    ) -> Result<(), Fault> {
        match address.bases {
            SRC => {
                let Some(offset) = inside(address.plus, bytes.len(), self.loaded.len()) else {
                    return Err(Fault::LoadOutsideSource { at: at() });
                };
                let end = offset + bytes.len();
                self.loaded[offset..end].fill(true);
                // Is one of the loaded offsets below, or above, one that was stored before?
                self.overlaps.below &= self.stored.1 <= offset + 1;
                self.overlaps.above &= self.stored.0 >= end - 1;
                for (number, byte) in bytes.iter_mut().enumerate() {
                    *byte = Byte::Source((offset + number) as u32);
                }
            }
            STACK => {
                let offset = in_frame(address, bytes.len(), stack_pointer, at)?;
                bytes.copy_from_slice(&self.stack[offset..offset + bytes.len()]);
            }
            _ => return Err(Fault::LoadOutsideSource { at: at() }),
        }
        Ok(())
    }

    /// Writes `bytes` to an address.
    pub fn store(
        &mut self,
        address: Sum,
        bytes: &[Byte],
        stack_pointer: Sum,
        at: impl Fn() -> String,
    ) -> Result<(), Fault> {
        match address.bases {
            DST => {
                let Some(offset) = inside(address.plus, bytes.len(), self.dst.len()) else {
                    return Err(Fault::StoreOutsideDestination { at: at() });
                };
                let end = offset + bytes.len();
                self.dst[offset..end].copy_from_slice(bytes);
                self.stored = (self.stored.0.min(offset), self.stored.1.max(end));
            }
            STACK => {
                let offset = in_frame(address, bytes.len(), stack_pointer, at)?;
                self.stack[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            _ => return Err(Fault::StoreOutsideDestination { at: at() }),
        }
        Ok(())
    }

    /// Every byte of the destination is the source's of the same offset, and every byte of the source was loaded.
    pub fn at_return(&self) -> Result<(), Fault> {
        for (offset, byte) in self.dst.iter().enumerate() {
            if *byte != Byte::Source(offset as u32) {
                return Err(Fault::WrongByte { offset });
            }
        }
        self.loaded
            .iter()
            .position(|loaded| !loaded)
            .map_or(Ok(()), |offset| Err(Fault::SourceByteNotLoaded { offset }))
    }
}

/// The offset of an access in a range of `len` bytes, if all of it lies inside.
fn inside(offset: u64, bytes: usize, len: usize) -> Option<usize> {
    let offset = usize::try_from(offset).ok()?;
    (offset.checked_add(bytes)? <= len).then_some(offset)
}

/// The place of an access in the frame: at or above the stack pointer, below the return address.
fn in_frame(address: Sum, bytes: usize, stack_pointer: Sum, at: impl Fn() -> String) -> Result<usize, Fault> {
    let outside = |at: String| Fault::StoreOutsideDestination { at };
    let below = address.plus.wrapping_neg();
    let depth = stack_pointer.plus.wrapping_neg();
    if stack_pointer.bases != STACK || depth > STACK_BYTES as u64 || below > STACK_BYTES as u64 {
        return Err(outside(at()));
    }
    if below > depth {
        return Err(Fault::BelowStackPointer { at: at() });
    }
    if (bytes as u64) > below {
        return Err(outside(at()));
    }
    Ok(STACK_BYTES - below as usize)
}
