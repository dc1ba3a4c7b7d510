//! What each address is relative to: a data flow over all paths of a kernel.

use super::{Code, successors, text};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use std::collections::BTreeMap;

/// What a general-purpose register is relative to, on every path that leads to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// So many times the destination's address and the source's, plus some number that comes from the length and from
    /// alignment alone. No base: such a number.
    Relative([i8; 2]),
    /// Relative to the stack pointer at entry by exactly so much.
    Frame(i64),
    /// Some bits of an address, with which one may only count.
    Part,
    /// Contents, or what the caller had there, or what two paths do not agree on.
    Unknown,
}

const NUMBER: Origin = Origin::Relative([0, 0]);
const DST: Origin = Origin::Relative([1, 0]);
const SRC: Origin = Origin::Relative([0, 1]);
const RSP: usize = 4;
const RETURN_ADDRESS_BYTES: usize = 8;

/// An access that is not relative to its own range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// A load that is relative neither to the source nor to the frame.
    Load { at: String },
    /// A store that is relative neither to the destination nor to the frame.
    Store { at: String },
    /// A stack access outside the frame, or a return with the stack pointer elsewhere than at entry.
    Frame { at: String },
}

type State = [Origin; 16];

/// All misuses, by the order of their instructions.
pub fn misuses(code: &Code) -> Vec<Misuse> {
    let states = fixed_point(code);
    code.instructions().flat_map(|instruction| of_instruction(instruction, &states[&instruction.ip()])).collect()
}

/// The state before each instruction. Origins only ever lose knowledge, so this ends.
fn fixed_point(code: &Code) -> BTreeMap<u64, State> {
    let mut entry = [Origin::Unknown; 16];
    (entry[7], entry[6], entry[2], entry[RSP]) = (DST, SRC, NUMBER, Origin::Frame(0));
    let by_address: BTreeMap<u64, &Instruction> = code.instructions().map(|i| (i.ip(), i)).collect();
    let mut states = BTreeMap::from([(code.range().start, entry)]);
    let mut pending = vec![code.range().start];
    while let Some(address) = pending.pop() {
        let instruction = by_address[&address];
        let after = after(instruction, states[&address]);
        for target in successors(instruction).expect("paths were followed before") {
            let joined = states.get(&target).map_or(after, |before| join(before, &after));
            if states.insert(target, joined) != Some(joined) {
                pending.push(target);
            }
        }
    }
    states
}

/// What two paths agree on.
fn join(a: &State, b: &State) -> State {
    std::array::from_fn(|register| if a[register] == b[register] { a[register] } else { Origin::Unknown })
}

fn of_instruction(i: &Instruction, state: &State) -> Vec<Misuse> {
    let mut misuses = Vec::new();
    if i.mnemonic() == Mnemonic::Ret && (state[RSP] != Origin::Frame(0) || i.op_count() != 0) {
        misuses.push(Misuse::Frame { at: text(i) });
    }
    let mut factory = InstructionInfoFactory::new();
    for memory in factory.info(i).used_memory() {
        let is_own_segment = matches!(memory.segment(), Register::DS | Register::ES | Register::SS);
        let (base, index) = (memory.base(), memory.index());
        let bytes = memory.memory_size().size();
        let is_load = matches!(memory.access(), OpAccess::Read | OpAccess::CondRead);
        let is_store = matches!(memory.access(), OpAccess::Write | OpAccess::CondWrite);
        let is_both = matches!(memory.access(), OpAccess::ReadWrite | OpAccess::ReadCondWrite);
        // A prefetch is a hint: it may name any address, but there is no reason for it to name another range's.
        let address = address(state, base, index, memory.scale());
        if let (Origin::Frame(depth), true) = (address, is_own_segment) {
            let place = depth.wrapping_add(memory.displacement().cast_signed());
            let Origin::Frame(pointer) = state[RSP] else { unreachable!("an address in the frame comes from it") };
            // PUSH writes below the pointer it finds; RET reads what the call pushed.
            let lowest = if i.mnemonic() == Mnemonic::Push { pointer - 8 } else { pointer };
            let is_return_address = i.mnemonic() == Mnemonic::Ret && place == 0 && bytes == RETURN_ADDRESS_BYTES;
            if !is_return_address && (place < lowest || place + bytes as i64 > 0) {
                misuses.push(Misuse::Frame { at: text(i) });
            }
            continue;
        }
        let is_in = |range: Origin| is_own_segment && address == range;
        if (is_store || is_both) && !is_in(DST) {
            misuses.push(Misuse::Store { at: text(i) });
        }
        // The destination is never read, not even by an instruction that stores as well.
        if !is_store && !is_in(SRC) {
            misuses.push(Misuse::Load { at: text(i) });
        }
        debug_assert!(is_load || is_store || is_both || memory.access() == OpAccess::NoMemAccess);
    }
    misuses
}

fn of(state: &State, register: Register) -> Origin {
    match register {
        Register::None => NUMBER,
        _ if register.is_gpr64() => state[register.number()],
        _ => Origin::Unknown,
    }
}

/// `base + scale * index`.
fn address(state: &State, base: Register, index: Register, scale: u32) -> Origin {
    let times = if index == Register::None { 0 } else { scale };
    (0..times).fold(of(state, base), |sum, _| sum_of(sum, of(state, index), 1))
}

/// `a + times * b`, where `times` is 1 or -1.
fn sum_of(a: Origin, b: Origin, times: i8) -> Origin {
    match (a, b) {
        (Origin::Relative(a), Origin::Relative(b)) => {
            let mut sum = a;
            for (mine, others) in sum.iter_mut().zip(b) {
                let Some(more) = mine.checked_add(others * times) else { return Origin::Unknown };
                *mine = more;
            }
            Origin::Relative(sum)
        }
        _ => Origin::Unknown,
    }
}

/// The state after an instruction.
fn after(i: &Instruction, mut state: State) -> State {
    use Mnemonic as M;
    let before = state;
    let mut factory = InstructionInfoFactory::new();
    for used in factory.info(i).used_registers() {
        let is_written = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
        if is_written && used.register().is_gpr() {
            // Until the instruction is known to do better.
            state[used.register().full_register().number()] = Origin::Unknown;
        }
    }
    let immediate = i.try_immediate(1).ok();
    let second = match i.op1_kind() {
        OpKind::Register => of_operand(&before, i.op1_register()),
        OpKind::Memory => Origin::Unknown,
        _ => NUMBER,
    };
    let first = i.op0_register();
    let has_register = i.op0_kind() == OpKind::Register && first.is_gpr();
    let old = if has_register { of_operand(&before, first) } else { Origin::Unknown };
    let frame = |origin: Origin, by: i64| match origin {
        Origin::Frame(depth) => Origin::Frame(depth + by),
        other => other,
    };
    let result = match i.mnemonic() {
        M::Mov => second,
        M::Lea if first.is_gpr64() => {
            // The displacement is dropped: from the stack pointer, that would be a wrong place in the frame.
            match address(&before, i.memory_base(), i.memory_index(), i.memory_index_scale()) {
                Origin::Frame(_) => Origin::Unknown,
                origin => origin,
            }
        }
        M::Add | M::Sub => {
            let times = if i.mnemonic() == M::Add { 1 } else { -1 };
            match (old, immediate) {
                (Origin::Frame(_), Some(by)) => frame(old, i64::from(times) * by.cast_signed()),
                (Origin::Part, _) if second == NUMBER => Origin::Part,
                _ => sum_of(old, second, times),
            }
        }
        // The lowest bits of an address are a number; without them it is an address still.
        M::And => match immediate {
            Some(mask) if mask < 4096 && matches!(old, Origin::Relative(_) | Origin::Part) => NUMBER,
            Some(mask) if first.is_gpr64() && mask.cast_signed() < 0 => old,
            _ => Origin::Unknown,
        },
        M::Shr | M::Shl if old == NUMBER => NUMBER,
        M::Inc | M::Dec if matches!(old, Origin::Relative(_)) => old,
        M::Neg => match old {
            NUMBER | Origin::Part => old,
            _ => Origin::Unknown,
        },
        M::Movsb | M::Movsq => {
            let count_is_number = !i.has_rep_prefix() || before[1] == NUMBER;
            if count_is_number {
                (state[7], state[6]) = (before[7], before[6]);
            }
            state[1] = NUMBER;
            return state;
        }
        M::Push => {
            state[RSP] = frame(before[RSP], -8);
            return state;
        }
        M::Pop => {
            state[RSP] = frame(before[RSP], 8);
            Origin::Unknown
        }
        _ => return state,
    };
    if has_register {
        let is_half = !first.is_gpr64();
        let result = match result {
            Origin::Relative(bases) if is_half && bases != [0, 0] => Origin::Part,
            Origin::Frame(_) if is_half => Origin::Unknown,
            result => result,
        };
        // CMP and TEST write nothing; they do not come here.
        state[first.full_register().number()] = result;
    }
    state
}

/// A register as an operand: 32 bits of an address are a part of it.
fn of_operand(state: &State, register: Register) -> Origin {
    if !register.is_gpr() {
        return Origin::Unknown;
    }
    match state[register.full_register().number()] {
        Origin::Relative(bases) if register.size() < 8 && bases != [0, 0] => Origin::Part,
        Origin::Frame(_) if register.size() < 8 => Origin::Unknown,
        origin => origin,
    }
}
