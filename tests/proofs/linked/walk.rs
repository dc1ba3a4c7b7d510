//! What machine code can reach from a symbol: over every direct call and jump, whatever the conditions say, and over all that the
//! words of the plan can hold.

use crate::SYMBOLS;
use crate::image::{Image, Symbol};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Why a symbol of the image is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It calls one of the symbols, or jumps to one.
    ReachesSymbol { at: String, symbol: String },
    /// Nobody can say where an instruction leads.
    Unknown { at: String },
    /// A word holds the address of code that no plan can name.
    Word { target: String },
    /// Vector or x87 state is touched.
    Vectors { at: String },
    /// Memory is addressed that is neither an argument's, nor the stack, nor the words.
    Data { at: String },
}

/// The words of the plan and what they can hold.
pub struct Words {
    slot: Range<u64>,
    /// One byte: whether they count yet.
    flag: Range<u64>,
    targets: Vec<u64>,
    /// Code that jumps to what a word or a plan holds.
    jumps: Vec<Range<u64>>,
}

fn range(symbol: &Symbol) -> Range<u64> {
    symbol.address..symbol.address + symbol.bytes
}

impl Words {
    pub fn of(image: &Image) -> Self {
        let code = ["in_force7symbols", "in_force15symbols_by_step", "by_plan7by_plan"].map(|path| image.with(path));
        let plannable = memcpy_select::kernels().iter().filter(|kernel| kernel.writes().is_empty());
        let kernels = plannable.map(|kernel| kernel_in(image, kernel.name()).address);
        Self {
            slot: range(image.with("in_force7SYMBOLS")),
            flag: range(image.with("symbols8AT_START")),
            targets: kernels.chain(code.iter().map(|symbol| symbol.address)).collect(),
            jumps: code.iter().map(|symbol| range(symbol)).collect(),
        }
    }

    /// Whether what the words hold when an image at a fixed address starts is among what they can hold.
    pub fn check_start(&self, image: &mut Image) -> Result<(), Wrong> {
        let code: Vec<Range<u64>> = image
            .sections
            .iter()
            .filter(|section| section.is_code)
            .map(|section| section.address..section.address + section.bytes.len() as u64)
            .collect();
        for address in self.slot.clone().step_by(8) {
            let Some((section, at)) = image.bytes_at(address) else { continue };
            let word = u64::from_le_bytes(section.bytes[at..at + 8].try_into().expect("eight bytes"));
            if code.iter().any(|code| code.contains(&word)) && !self.targets.contains(&word) {
                let target = image.at(word).map_or_else(|| format!("{word:#x}"), |symbol| symbol.name.clone());
                return Err(Wrong::Word { target });
            }
        }
        Ok(())
    }
}

/// The kernel of that name: its symbol carries the crate's version.
fn kernel_in<'a>(image: &'a Image, name: &str) -> &'a Symbol {
    let is_kernel = |symbol: &&Symbol| {
        let stem = symbol.name.strip_prefix("memcpy_select_");
        stem.is_some_and(|stem| stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_') == name)
    };
    image.symbols.iter().find(is_kernel).unwrap_or_else(|| panic!("the image has no kernel {name}"))
}

/// Every instruction that can be reached from a symbol, or the first that must not be there.
pub fn walk(image: &mut Image, words: &Words, from: &str) -> Result<BTreeMap<u64, Instruction>, Wrong> {
    let symbols: Vec<Symbol> = SYMBOLS.iter().filter_map(|name| image.named(name).cloned()).collect();
    let start = image.named(from).unwrap_or_else(|| panic!("the image has no symbol {from}")).clone();
    let (mut reached, mut pending) = (BTreeMap::new(), vec![start.address]);
    while let Some(address) = pending.pop() {
        if reached.contains_key(&address) {
            continue;
        }
        let instruction = decode(image, address);
        check(&instruction, words)?;
        let next = successors(&instruction, words)?;
        for target in next {
            let is_next = target == instruction.next_ip();
            let is_within =
                range(&start).contains(&address) && range(&start).contains(&target) && target != start.address;
            if let Some(symbol) = symbols.iter().find(|symbol| range(symbol).contains(&target))
                && !(is_next || is_within)
            {
                return Err(Wrong::ReachesSymbol { at: text(&instruction), symbol: symbol.name.clone() });
            }
            pending.push(target);
        }
        reached.insert(address, instruction);
    }
    Ok(reached)
}

/// Where an instruction can go on.
fn successors(i: &Instruction, words: &Words) -> Result<Vec<u64>, Wrong> {
    let by_word = || {
        let is_word = i.is_ip_rel_memory_operand() && words.slot.contains(&i.ip_rel_memory_address());
        let is_in_jump = words.jumps.iter().any(|code| code.contains(&i.ip()));
        if is_word || is_in_jump { Ok(words.targets.clone()) } else { Err(Wrong::Unknown { at: text(i) }) }
    };
    match i.flow_control() {
        FlowControl::Next => Ok(vec![i.next_ip()]),
        FlowControl::Return => Ok(Vec::new()),
        FlowControl::UnconditionalBranch => Ok(vec![i.near_branch_target()]),
        FlowControl::ConditionalBranch | FlowControl::Call => Ok(vec![i.next_ip(), i.near_branch_target()]),
        FlowControl::IndirectBranch => by_word(),
        FlowControl::IndirectCall => by_word().map(|targets| targets.into_iter().chain([i.next_ip()]).collect()),
        _ => Err(Wrong::Unknown { at: text(i) }),
    }
}

/// No vector state, and no memory but what was passed and the words.
fn check(i: &Instruction, words: &Words) -> Result<(), Wrong> {
    let is_general = |number| {
        let register = i.op_register(number);
        i.op_kind(number) != OpKind::Register || register.is_gpr()
    };
    if i.is_invalid() || !(0..i.op_count()).all(is_general) || i.is_vsib() {
        return Err(Wrong::Vectors { at: text(i) });
    }
    let is_own = |address| words.slot.contains(&address) || words.flag.contains(&address);
    if i.is_ip_rel_memory_operand() && !is_own(i.ip_rel_memory_address()) {
        return Err(Wrong::Data { at: text(i) });
    }
    Ok(())
}

fn decode(image: &mut Image, address: u64) -> Instruction {
    let Some((section, at)) = image.bytes_at(address).filter(|(section, _)| section.is_code) else {
        return Instruction::default();
    };
    Decoder::with_ip(64, &section.bytes[at..], address, DecoderOptions::NONE).decode()
}

/// The symbols that reached instructions lie in.
pub fn functions<'a>(image: &'a Image, reached: &BTreeMap<u64, Instruction>) -> Vec<&'a Symbol> {
    let mut starts = BTreeSet::new();
    let found = reached.keys().filter_map(|address| image.at(*address));
    found.filter(|symbol| starts.insert(symbol.address)).collect()
}

pub fn text(i: &Instruction) -> String {
    format!("{:#x}: {i}", i.ip())
}
