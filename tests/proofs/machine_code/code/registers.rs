//! Which registers a kernel's code writes, and which its file says that it does.

use super::Code;
use iced_x86::{EncodingKind, InstructionInfoFactory, Mnemonic, OpAccess, Register};
use std::collections::BTreeSet;

/// The registers that some reachable instruction writes. The stack pointer is not among them: see `origin`.
pub struct Written {
    pub general: BTreeSet<String>,
    pub vectors: BTreeSet<usize>,
    /// Whether one of vector registers 0 to 15 is written by a VEX or EVEX encoding, that is in its whole width.
    pub is_vex: bool,
}

pub fn written(code: &Code) -> Written {
    let mut factory = InstructionInfoFactory::new();
    let mut written = Written { general: BTreeSet::new(), vectors: BTreeSet::new(), is_vex: false };
    // VZEROUPPER writes no register's lower part: it is what leaves the upper parts clear.
    for instruction in code.instructions().filter(|instruction| instruction.mnemonic() != Mnemonic::Vzeroupper) {
        for used in factory.info(instruction).used_registers() {
            let is_written = matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            let register = used.register();
            if !is_written || register.full_register() == Register::RSP {
                continue;
            }
            if register.is_vector_register() {
                written.vectors.insert(register.number());
                written.is_vex |= register.number() < 16 && instruction.encoding() != EncodingKind::Legacy;
            } else {
                written.general.insert(format!("{:?}", register.full_register()).to_lowercase());
            }
        }
    }
    written
}

/// The registers that a kernel's file declares under "State:".
#[derive(Debug)]
pub struct Declared {
    pub general: BTreeSet<String>,
    pub vectors: BTreeSet<usize>,
}

impl Declared {
    /// From the file's text; the line that cannot be read otherwise.
    pub fn parse(file: &str) -> Result<Self, String> {
        let line = file.lines().find_map(|line| line.split_once("State:")).ok_or("no line says \"State:\"")?.1.trim();
        let mut declared = Self { general: BTreeSet::new(), vectors: BTreeSet::new() };
        // "xmm0 to xmm11 (cleared above bit 127); rax, r8 to r10": what stands in brackets is for people.
        let mut plain = String::new();
        let mut depth = 0;
        for letter in line.chars() {
            depth += i32::from(letter == '(');
            if depth == 0 {
                plain.push(letter);
            }
            depth -= i32::from(letter == ')');
        }
        for part in plain.split([';', ',']).map(str::trim) {
            match part {
                "" | "no vector state" | "restored" => continue,
                _ => {}
            }
            let (first, last) = part.split_once(" to ").unwrap_or((part, part));
            let (first, last) = (split(first).ok_or(line)?, split(last).ok_or(line)?);
            match (first, last) {
                ((prefix, Some(from)), (same, Some(to))) if prefix == same && from <= to => {
                    for number in from..=to {
                        if ["xmm", "ymm", "zmm"].contains(&prefix) {
                            declared.vectors.insert(number);
                        } else {
                            declared.general.insert(format!("{prefix}{number}"));
                        }
                    }
                }
                ((name, None), (same, None)) if name == same => drop(declared.general.insert(name.to_owned())),
                _ => return Err(line.to_owned()),
            }
        }
        Ok(declared)
    }
}

/// A register's name apart from its number.
fn split(name: &str) -> Option<(&str, Option<usize>)> {
    let name = name.trim();
    let digits = name.find(|letter: char| letter.is_ascii_digit()).unwrap_or(name.len());
    let (prefix, number) = name.split_at(digits);
    let is_word = !prefix.is_empty() && prefix.chars().all(|letter| letter.is_ascii_lowercase());
    let number = if number.is_empty() { None } else { Some(number.parse().ok()?) };
    is_word.then_some((prefix, number))
}
