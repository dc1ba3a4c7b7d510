//! Runs a kernel's machine code on a destination, a source, contents and registers that are symbols: one run stands for
//! all of them at once.
//!
//! # What is known and what is not
//!
//! The length is a number, and so is the destination's residue modulo 64. Everything else is a symbol: the rest of the
//! destination's address, the source's address, each byte of the source, what the caller has in every register. A
//! register holds a sum of bases and a number (`dst + 48`, `src - dst + 7`), the lower half of one, or bytes that each
//! say where they come from (`value`). Where an instruction's result cannot be said exactly in these terms the run ends
//! with a fault; nothing is approximated and no path is guessed. So when a run ends well, each step of it holds for
//! every value of the symbols, and what it shows, it shows for
//!
//! - every source address and every destination address of that residue, whatever else the bits of both are: a branch or
//!   an address that depended on them would have been a fault;
//! - all contents: a branch or an address that depended on them would have been a fault too;
//! - all values of the caller's registers.
//!
//! One assumption: two addresses that belong to one range compare as their offsets do. That holds where no range touches
//! the first or the last page of the address space; the run keeps the offsets that were compared, and fails if they
//! are further away than a page. The other assumption is the contract's: source, destination and stack are apart; or, where the order of
//! all loads and stores [bears](Overlaps) it, source and destination overlap.
//!
//! # What is checked
//!
//! Each load lies in the source or in the kernel's own stack frame, each store in the destination or the frame; at the
//! end each byte of the destination is the source's of the same offset, each was loaded and stored; the caller's
//! registers are his, the stack pointer is back, the upper parts of vector registers are clear or the caller's,
//! registers 16 to 31 were not written; aligned moves are aligned; non-temporal stores are fenced; nothing lies below
//! the stack pointer, where an interrupt would overwrite it.
//!
//! The instructions are taught here again and independently of the interpreter in `interpreter`, which runs the
//! same code on plain numbers: a misreading of the manual would have to be made twice.
//!
//! Semantics: Intel SDM vol. 2, the page of each instruction; decoding by `iced-x86`.

mod execute;
mod memory;
mod value;

use super::code::text;
use iced_x86::Instruction;
use memcpy_select::cpu::Components;
use memory::Memory;
pub use memory::Overlaps;
use std::fmt;
use value::{Byte, DST, Known, SRC, STACK, Sum, Value};

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub len: usize,
    /// The destination modulo 64.
    pub dst_residue: u64,
}

/// What a run showed, where nothing was broken.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub steps: u64,
    /// The vector registers, one bit each, that do not hold what the caller had in them.
    pub changed_vectors: u32,
    /// Which overlaps it bears: all that is shown of ranges apart, it shows of these too.
    pub overlaps: Overlaps,
}

/// Why a run does not show what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    LoadOutsideSource {
        at: String,
    },
    StoreOutsideDestination {
        at: String,
    },
    BelowStackPointer {
        at: String,
    },
    MisalignedAccess {
        at: String,
    },
    WrongByte {
        offset: usize,
    },
    SourceByteNotLoaded {
        offset: usize,
    },
    NonTemporalStoreUnfenced,
    CallersRegisterChanged {
        register: usize,
    },
    StackPointerMoved,
    UpperStateDirty {
        register: usize,
    },
    HighRegisterWritten {
        register: usize,
    },
    /// A branch, an address or a result that depends on what is not known.
    Depends {
        at: String,
    },
    /// Compared addresses are so far from their range that they could wrap.
    ComparesFar {
        offset: i64,
    },
    UnknownInstruction {
        at: String,
    },
    /// The next instruction is none of those that a path reaches.
    LeftTheKernel {
        address: u64,
    },
    TooManySteps,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

const RSP: usize = 4;
/// Numbers of what the calling convention keeps.
const CALLEE_SAVED: [usize; 6] = [3, 5, 12, 13, 14, 15];
/// Addresses may be compared as offsets this far around a range.
const PAGE: i64 = 4096;

/// The flags that conditions read, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    carry: Option<bool>,
    zero: Option<bool>,
    sign: Option<bool>,
}

struct Machine {
    general: [Value; 16],
    vectors: [[Byte; 64]; 32],
    flags: Flags,
    memory: Memory,
    known: Known,
    unfenced: bool,
    /// The vector registers, one bit each, that some instruction wrote.
    written_vectors: u32,
    compared: (i64, i64),
    ip: u64,
}

/// The instructions of one kernel, to be run as often as one likes.
pub struct Program {
    entry: u64,
    /// The vector state that it may write.
    writes: Components,
    by_offset: Vec<Option<Instruction>>,
    /// Which of them have run.
    visited: Vec<bool>,
}

impl Program {
    pub fn new(entry: u64, writes: Components, by_offset: Vec<Option<Instruction>>) -> Self {
        let visited = vec![false; by_offset.len()];
        Self { entry, writes, by_offset, visited }
    }

    /// The instructions that no run has come to.
    pub fn unvisited(&self) -> Vec<String> {
        let places = self.by_offset.iter().zip(&self.visited);
        places.filter(|(_, visited)| !**visited).filter_map(|(place, _)| place.as_ref().map(text)).collect()
    }

    /// Runs the kernel on one case.
    pub fn run(&mut self, case: Case) -> Result<Outcome, Fault> {
        let mut machine = Machine::at_entry(self.entry, case);
        let limit = 1000 + 4 * case.len as u64;
        for steps in 1..=limit {
            let offset = machine.ip.wrapping_sub(self.entry) as usize;
            let Some(Some(instruction)) = self.by_offset.get(offset) else {
                return Err(Fault::LeftTheKernel { address: machine.ip });
            };
            self.visited[offset] = true;
            if machine.step(instruction)? {
                let overlaps = machine.memory.overlaps();
                let outcome = |changed_vectors| Outcome { steps, changed_vectors, overlaps };
                return machine.at_return(case, self.writes).map(outcome);
            }
        }
        Err(Fault::TooManySteps)
    }
}

impl Machine {
    fn at_entry(entry: u64, case: Case) -> Self {
        let mut general = std::array::from_fn(Value::callers);
        general[7] = Value::Sum(Sum { bases: DST, plus: 0 });
        general[6] = Value::Sum(Sum { bases: SRC, plus: 0 });
        general[2] = Value::number(case.len as u64);
        general[RSP] = Value::Sum(Sum { bases: STACK, plus: 0 });
        Self {
            general,
            vectors: CALLERS_VECTORS.with(|vectors| *vectors),
            flags: Flags::default(),
            memory: Memory::new(case.len),
            // The calling convention has the stack aligned to 16 before the call, which pushed eight bytes.
            known: Known([(64, case.dst_residue), (1, 0), (16, 8)]),
            unfenced: false,
            written_vectors: 0,
            compared: (0, 0),
            ip: entry,
        }
    }

    fn at_return(&self, case: Case, writes: Components) -> Result<u32, Fault> {
        for register in CALLEE_SAVED {
            if self.general[register] != Value::callers(register) {
                return Err(Fault::CallersRegisterChanged { register });
            }
        }
        if self.unfenced {
            return Err(Fault::NonTemporalStoreUnfenced);
        }
        let mut changed_vectors = 0;
        for register in (0..32).filter(|register| self.written_vectors >> register & 1 != 0) {
            if register >= 16 && !writes.contains(Components::HI16_ZMM) {
                return Err(Fault::HighRegisterWritten { register });
            }
            let (bytes, before) = (&self.vectors[register], callers_vector(register));
            let is_kept_or_clear = |at: usize| bytes[at] == before[at] || bytes[at] == Byte::Constant(0);
            if register < 16 && !(16..64).all(is_kept_or_clear) {
                return Err(Fault::UpperStateDirty { register });
            }
            changed_vectors |= u32::from(*bytes != before) << register;
        }
        let (lowest, highest) = self.compared;
        if lowest < -PAGE || highest > case.len as i64 + PAGE {
            return Err(Fault::ComparesFar { offset: if lowest < -PAGE { lowest } else { highest } });
        }
        self.memory.at_return()?;
        Ok(changed_vectors)
    }
}

thread_local! {
    static CALLERS_VECTORS: [[Byte; 64]; 32] = std::array::from_fn(callers_vector);
}

fn callers_vector(register: usize) -> [Byte; 64] {
    std::array::from_fn(|at| Byte::Vector { register: register as u8, at: at as u8 })
}
