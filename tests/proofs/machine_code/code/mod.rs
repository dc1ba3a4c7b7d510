//! A kernel's machine code as it lies in this program: every instruction that can be reached from its entry.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod origin;
pub mod registers;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Every instruction that some path from the entry reaches, by address. Both ways of each condition count, whatever the
/// condition says: no path is left out.
pub struct Code {
    entry: u64,
    instructions: BTreeMap<u64, Instruction>,
}

/// Why the paths cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// A call, an indirect branch, a system call, a trap: it leaves the kernel, or nobody knows where it leads.
    LeavesTheKernel { at: String },
    /// What was reached is no instruction.
    NoInstruction { address: u64 },
    /// A branch leads before the entry or further than any kernel is long.
    BranchTooFar { at: String, target: u64 },
    /// A path leads into the middle of an instruction that another path reaches.
    Overlapping { at: String },
    /// Between reachable instructions lies something else than padding: the kernel is not one piece.
    NotOnePiece { at: String },
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Longer than any kernel, in bytes.
const MAX_KERNEL_BYTES: u64 = 1 << 13;

impl Code {
    /// Follows every path from `entry`.
    pub fn reachable_from(entry: *const u8) -> Result<Self, CodeError> {
        let entry = entry.addr() as u64;
        let mut code = Self { entry, instructions: BTreeMap::new() };
        let mut pending = vec![entry];
        while let Some(address) = pending.pop() {
            if code.instructions.contains_key(&address) {
                continue;
            }
            let instruction = decode(address);
            if instruction.is_invalid() {
                return Err(CodeError::NoInstruction { address });
            }
            for target in successors(&instruction)? {
                if !(entry..entry + MAX_KERNEL_BYTES).contains(&target) {
                    return Err(CodeError::BranchTooFar { at: text(&instruction), target });
                }
                pending.push(target);
            }
            code.instructions.insert(address, instruction);
        }
        code.check_one_piece()?;
        Ok(code)
    }

    /// From the entry to the end of the last reachable instruction.
    pub fn range(&self) -> Range<u64> {
        let last = self.instructions.values().next_back().expect("the entry is reachable");
        self.entry..last.next_ip()
    }

    /// The reachable instructions in the order of their addresses.
    pub fn instructions(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.values()
    }

    /// By offset from the entry, for those who run them: `None` where no reachable instruction starts.
    pub fn by_offset(&self) -> Vec<Option<Instruction>> {
        let range = self.range();
        let mut places = vec![None; (range.end - range.start) as usize];
        for (address, instruction) in &self.instructions {
            places[(address - range.start) as usize] = Some(*instruction);
        }
        places
    }

    /// Reachable instructions follow each other without overlap, and what lies between two of them is padding.
    fn check_one_piece(&self) -> Result<(), CodeError> {
        let mut expected = self.entry;
        for (address, instruction) in &self.instructions {
            while expected < *address {
                let padding = decode(expected);
                if padding.mnemonic() != Mnemonic::Nop {
                    return Err(CodeError::NotOnePiece { at: text(&padding) });
                }
                expected = padding.next_ip();
            }
            if expected != *address {
                return Err(CodeError::Overlapping { at: text(instruction) });
            }
            expected = instruction.next_ip();
        }
        Ok(())
    }
}

/// Where an instruction can go on.
pub fn successors(instruction: &Instruction) -> Result<Vec<u64>, CodeError> {
    match instruction.flow_control() {
        FlowControl::Next => Ok(vec![instruction.next_ip()]),
        FlowControl::UnconditionalBranch => Ok(vec![instruction.near_branch_target()]),
        FlowControl::ConditionalBranch => Ok(vec![instruction.next_ip(), instruction.near_branch_target()]),
        FlowControl::Return => Ok(Vec::new()),
        _ => Err(CodeError::LeavesTheKernel { at: text(instruction) }),
    }
}

pub fn text(instruction: &Instruction) -> String {
    format!("{:#x}: {instruction}", instruction.ip())
}

fn decode(address: u64) -> Instruction {
    /// The longest instruction.
    const MAX_BYTES: usize = 15;
    // SAFETY: the address is one of this program's code, which reaches further than the last 15 bytes of any kernel: the
    // crate's Rust code and the C library's start files follow.
    let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, MAX_BYTES) };
    Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode()
}
