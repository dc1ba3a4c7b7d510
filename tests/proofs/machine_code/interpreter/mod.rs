//! Runs a kernel's machine code instruction by instruction, on addresses of its own.
//!
//! Guard pages cannot see a load that goes a byte too far inside a page, and a CPU cannot run instructions that it does
//! not have. This sees every load and store, byte by byte, and runs AVX-512 anywhere. It knows the instructions that
//! the kernels use and no others: a new one has to be taught here, with its manual at hand, before it can ship.
//!
//! Semantics: Intel SDM vol. 2, the page of each instruction; decoding by `iced-x86`.

#![allow(dead_code, reason = "each test binary uses its part")]

mod execute;
mod memory;
mod registers;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use memcpy_select::cpu::Components;
use memory::Memory;
use registers::{CALLEE_SAVED, Registers};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

/// Where the copy lies. Both addresses are only numbers: nothing is there.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub dst_address: u64,
    pub src_address: u64,
}

/// What a run did, where it kept the contract.
#[derive(Debug)]
pub struct Outcome {
    /// The destination's bytes.
    pub dst: Vec<u8>,
    /// How many instructions ran, each repetition of a string instruction counted.
    pub steps: u64,
    /// Whether a vector register was written, by number.
    pub written_vectors: [bool; 32],
    /// The widest vector write, in bytes.
    pub widest_vector_bytes: usize,
    /// How many stores went past the caches.
    pub non_temporal_stores: u64,
}

/// How a run broke the contract. Each variant is one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    LoadOutsideSource { at: String, address: u64, bytes: usize },
    StoreOutsideDestination { at: String, address: u64, bytes: usize },
    MisalignedAccess { at: String, address: u64 },
    SourceByteNotLoaded { offset: usize },
    DestinationByteNotStored { offset: usize },
    NonTemporalStoreUnfenced { at: String },
    DirectionFlagSet,
    CalleeSavedChanged { register: &'static str },
    StackChanged,
    UpperStateDirty { register: usize },
    HighRegisterWritten { register: usize },
    UnknownInstruction { at: String },
    TooManySteps,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A copy of this length takes fewer instructions than this, however it is done.
fn step_limit(len: usize) -> u64 {
    1000 + 4 * len as u64
}

/// Runs the kernel at `entry`, which may write vector state, on a copy of all of `src`.
pub fn run(entry: *const u8, writes: Components, place: Place, src: &[u8]) -> Result<Outcome, Fault> {
    let mut machine = Machine {
        registers: Registers::at_entry(place, src.len()),
        memory: Memory::new(place, src),
        unfenced: None,
        non_temporal_stores: 0,
        widest_vector_bytes: 0,
        written_vectors: [false; 32],
        ip: entry.addr() as u64,
    };
    let before = machine.registers.clone();
    let limit = step_limit(src.len());
    let mut steps = 0;
    loop {
        let instruction = fetch(machine.ip);
        steps += 1;
        if steps > limit {
            return Err(Fault::TooManySteps);
        }
        if machine.step(&instruction)? {
            break;
        }
    }
    machine.at_return(&before, writes)?;
    let dst = machine.memory.finish()?;
    Ok(Outcome {
        dst,
        steps,
        written_vectors: machine.written_vectors,
        widest_vector_bytes: machine.widest_vector_bytes,
        non_temporal_stores: machine.non_temporal_stores,
    })
}

/// The state of a run.
pub(crate) struct Machine<'a> {
    registers: Registers,
    memory: Memory<'a>,
    /// The last non-temporal store, while no fence has followed it.
    unfenced: Option<String>,
    non_temporal_stores: u64,
    widest_vector_bytes: usize,
    written_vectors: [bool; 32],
    ip: u64,
}

impl Machine<'_> {
    /// What the contract asks of the state at the return.
    fn at_return(&self, before: &Registers, writes: Components) -> Result<(), Fault> {
        let registers = &self.registers;
        for (name, number) in CALLEE_SAVED {
            if registers.gpr[number] != before.gpr[number] {
                return Err(Fault::CalleeSavedChanged { register: name });
            }
        }
        if registers.direction {
            return Err(Fault::DirectionFlagSet);
        }
        if let Some(at) = &self.unfenced {
            return Err(Fault::NonTemporalStoreUnfenced { at: at.clone() });
        }
        for (register, bytes) in registers.vector.iter().enumerate() {
            if register < 16 && bytes[16..].iter().any(|byte| *byte != 0) {
                return Err(Fault::UpperStateDirty { register });
            }
            let is_changed = self.written_vectors[register] || *bytes != before.vector[register];
            if register >= 16 && is_changed && !writes.contains(Components::HI16_ZMM) {
                return Err(Fault::HighRegisterWritten { register });
            }
        }
        Ok(())
    }
}

thread_local! {
    /// What was decoded: a kernel runs the same few instructions millions of times.
    static DECODED: RefCell<HashMap<u64, Instruction>> = RefCell::new(HashMap::new());
}

fn fetch(ip: u64) -> Instruction {
    DECODED.with_borrow_mut(|decoded| {
        *decoded.entry(ip).or_insert_with(|| {
            /// The longest instruction.
            const MAX_BYTES: usize = 15;
            // SAFETY: the address is that of an instruction in this program's code. Code is followed by more code or by
            // the rest of its page: kernels are aligned to 64 bytes and none ends on a page's last 15.
            let code = unsafe { std::slice::from_raw_parts(ip as *const u8, MAX_BYTES) };
            Decoder::with_ip(64, code, ip, DecoderOptions::NONE).decode()
        })
    })
}
