//! What each instruction does to symbols.

use super::value::{Byte, STACK, Sum, Value};
use super::{Fault, Flags, Machine, RSP, text};
use iced_x86::{ConditionCode, EncodingKind, Instruction, Mnemonic, OpKind, Register};

const RCX: usize = 1;
const RSI: usize = 6;
const RDI: usize = 7;

impl Machine {
    /// Executes one instruction (of a repeated one, all repetitions); true if it was the return.
    pub(super) fn step(&mut self, i: &Instruction) -> Result<bool, Fault> {
        use Mnemonic as M;
        let mut target = i.next_ip();
        match i.mnemonic() {
            M::Endbr64 | M::Nop | M::Prefetcht0 | M::Prefetcht1 | M::Prefetcht2 | M::Prefetchnta => {}
            M::Sfence | M::Mfence => self.unfenced = false,
            M::Mov | M::Movzx => {
                let value = self.read(i, 1)?;
                self.write(i, 0, value)?;
            }
            M::Movnti => {
                let value = self.read(i, 1)?;
                self.write(i, 0, value)?;
                self.unfenced = true;
            }
            M::Lea => {
                let value = Value::Sum(self.address(i)?);
                self.write(i, 0, value)?;
            }
            M::Add | M::Sub | M::Cmp | M::And | M::Test | M::Xor => self.arithmetic(i)?,
            M::Inc | M::Dec | M::Neg => self.unary(i)?,
            M::Shl | M::Shr => self.shift(i)?,
            M::Push => self.push(i)?,
            M::Pop => self.pop(i)?,
            M::Movsb => self.string(i, 1)?,
            M::Movsq => self.string(i, 8)?,
            M::Movups | M::Movdqu | M::Vmovups | M::Vmovdqu | M::Vmovdqu64 => self.vector(i, false)?,
            M::Movaps | M::Movdqa | M::Vmovaps | M::Vmovdqa | M::Vmovdqa64 => self.vector(i, true)?,
            M::Movntdq | M::Vmovntdq | M::Movntps | M::Vmovntps => {
                self.vector(i, true)?;
                self.unfenced = true;
            }
            M::Vzeroupper => {
                self.vectors[..16].iter_mut().for_each(|bytes| bytes[16..].fill(Byte::Constant(0)));
                self.written_vectors |= 0xFFFF;
            }
            M::Ret if i.op_count() == 0 => {
                let is_back = self.general[RSP] == Value::Sum(Sum { bases: STACK, plus: 0 });
                return if is_back { Ok(true) } else { Err(Fault::StackPointerMoved) };
            }
            M::Jmp if i.op0_kind() == OpKind::NearBranch64 => target = i.near_branch64(),
            _ if i.condition_code() != ConditionCode::None && i.op0_kind() == OpKind::NearBranch64 => {
                if self.holds(i)? {
                    target = i.near_branch64();
                }
            }
            _ => return Err(Fault::UnknownInstruction { at: text(i) }),
        }
        self.ip = target;
        Ok(false)
    }

    fn arithmetic(&mut self, i: &Instruction) -> Result<(), Fault> {
        use Mnemonic as M;
        let bits = operand_bits(i);
        let (a, b) = (self.read(i, 0)?, self.read(i, 1)?.truncated(bits).ok_or_else(|| depends(i))?);
        let is_same_register = i.op1_kind() == OpKind::Register && i.op0_register() == i.op1_register();
        let result = match i.mnemonic() {
            M::Xor if is_same_register => self.logical(0, bits),
            M::Add => self.sum(i, a, b, 1, bits)?,
            M::Sub | M::Cmp => self.sum(i, a, b, -1, bits)?,
            M::And | M::Test => self.masked(i, a, b, bits)?,
            _ => match (number(a), number(b)) {
                (Some(a), Some(b)) => self.logical(a ^ b, bits),
                _ => return Err(depends(i)),
            },
        };
        if matches!(i.mnemonic(), M::Cmp | M::Test) { Ok(()) } else { self.write(i, 0, result) }
    }

    /// `a + times * b` and its flags, as far as they are known.
    fn sum(&mut self, i: &Instruction, a: Value, b: Value, times: i8, bits: u32) -> Result<Value, Fault> {
        if let (Some(a), Some(b)) = (number(a), number(b)) {
            let result = truncate(if times < 0 { a.wrapping_sub(b) } else { a.wrapping_add(b) }, bits);
            let carry = if times < 0 { a < b } else { result < a };
            self.flags = of_result(result, bits);
            self.flags.carry = Some(carry);
            return Ok(Value::number(result));
        }
        self.flags = Flags::default();
        let (a, b) = match (a, b, bits) {
            (Value::Sum(a), Value::Sum(b), 64) => (a, b),
            // The lower half of a sum is the sum of the lower halves.
            (Value::LowHalf(a), Value::LowHalf(b), 32) => (a, b),
            (Value::LowHalf(a), Value::Sum(b), 32) | (Value::Sum(a), Value::LowHalf(b), 32) => (a, b),
            _ => return Err(depends(i)),
        };
        let result = a.plus(b, times).ok_or_else(|| depends(i))?;
        if bits == 32 {
            return Ok(Value::LowHalf(result));
        }
        let is_address = |sum: Sum| sum.bases == super::DST || sum.bases == super::SRC;
        if times < 0 && a.bases == b.bases && is_address(a) {
            // Two addresses of one range: they compare as their offsets do, see the head of this folder.
            let (a, b) = (a.plus.cast_signed(), b.plus.cast_signed());
            self.compared = (self.compared.0.min(a).min(b), self.compared.1.max(a).max(b));
            self.flags.carry = Some(a < b);
            self.flags.zero = Some(a == b);
        }
        Ok(Value::Sum(result))
    }

    /// `a & b`, where one of them is a number: the lowest bits of an address, or an address without them.
    fn masked(&mut self, i: &Instruction, a: Value, b: Value, bits: u32) -> Result<Value, Fault> {
        if let (Some(a), Some(b)) = (number(a), number(b)) {
            return Ok(self.logical(a & b, bits));
        }
        let (value, mask) = match (number(a), number(b)) {
            (None, Some(mask)) => (a, mask),
            (Some(mask), None) => (b, mask),
            _ => return Err(depends(i)),
        };
        let (Value::Sum(sum) | Value::LowHalf(sum)) = value else { return Err(depends(i)) };
        if mask < 4096 && (mask + 1).is_power_of_two() {
            let residue = self.known.residue(sum, mask + 1).ok_or_else(|| depends(i))?;
            return Ok(self.logical(residue, bits));
        }
        let modulus = mask.wrapping_neg();
        if bits == 64 && modulus.is_power_of_two() && matches!(value, Value::Sum(_)) {
            let residue = self.known.residue(sum, modulus).ok_or_else(|| depends(i))?;
            self.flags = Flags { carry: Some(false), ..Flags::default() };
            return Ok(Value::Sum(Sum { plus: sum.plus.wrapping_sub(residue), ..sum }));
        }
        Err(depends(i))
    }

    fn logical(&mut self, result: u64, bits: u32) -> Value {
        self.flags = Flags { carry: Some(false), ..of_result(result, bits) };
        Value::number(result)
    }

    fn unary(&mut self, i: &Instruction) -> Result<(), Fault> {
        let (bits, value, carry) = (operand_bits(i), self.read(i, 0)?, self.flags.carry);
        let one = Value::number(1);
        let result = match i.mnemonic() {
            Mnemonic::Neg => self.sum(i, Value::number(0), value, -1, bits)?,
            Mnemonic::Inc => self.sum(i, value, one, 1, bits)?,
            _ => self.sum(i, value, one, -1, bits)?,
        };
        if i.mnemonic() != Mnemonic::Neg {
            // INC and DEC leave the carry flag alone.
            self.flags.carry = carry;
        }
        self.write(i, 0, result)
    }

    /// Shifts numbers by a constant of at least one.
    fn shift(&mut self, i: &Instruction) -> Result<(), Fault> {
        let bits = operand_bits(i);
        let (Some(value), Ok(count)) = (number(self.read(i, 0)?), i.try_immediate(1)) else { return Err(depends(i)) };
        if count == 0 || count >= u64::from(bits) {
            return Err(Fault::UnknownInstruction { at: text(i) });
        }
        let is_left = i.mnemonic() == Mnemonic::Shl;
        let result = if is_left { truncate(value << count, bits) } else { value >> count };
        let out = if is_left { value >> (u64::from(bits) - count) } else { value >> (count - 1) };
        self.flags = Flags { carry: Some(out & 1 != 0), ..of_result(result, bits) };
        self.write(i, 0, Value::number(result))
    }

    fn push(&mut self, i: &Instruction) -> Result<(), Fault> {
        let value = self.read(i, 0)?;
        let pointer = Sum { plus: self.stack_pointer(i)?.plus.wrapping_sub(8), bases: STACK };
        self.general[RSP] = Value::Sum(pointer);
        self.memory.store(pointer, &value.bytes(), pointer, || text(i))
    }

    fn pop(&mut self, i: &Instruction) -> Result<(), Fault> {
        let (pointer, mut bytes) = (self.stack_pointer(i)?, [Byte::Unwritten; 8]);
        self.memory.load(pointer, &mut bytes, pointer, || text(i))?;
        self.general[RSP] = Value::Sum(Sum { plus: pointer.plus.wrapping_add(8), bases: STACK });
        self.write(i, 0, Value::of_bytes(bytes))
    }

    /// All elements of a string copy at once. The direction flag is clear: the caller promised it and no instruction
    /// that is known here sets it.
    fn string(&mut self, i: &Instruction, bytes: u64) -> Result<(), Fault> {
        let times = if i.has_rep_prefix() { number(self.general[RCX]).ok_or_else(|| depends(i))? } else { 1 };
        let (Value::Sum(dst), Value::Sum(src)) = (self.general[RDI], self.general[RSI]) else {
            return Err(depends(i));
        };
        let total = times.checked_mul(bytes).filter(|total| *total < 1 << 32);
        let total = total.ok_or_else(|| Fault::StoreOutsideDestination { at: text(i) })?;
        if total > 0 {
            let mut elements = vec![Byte::Unwritten; total as usize];
            let pointer = self.stack_pointer(i)?;
            self.memory.load(src, &mut elements, pointer, || text(i))?;
            self.memory.store(dst, &elements, pointer, || text(i))?;
            if times > 1 {
                self.memory.went_upwards();
            }
        }
        for register in [RSI, RDI] {
            let Value::Sum(sum) = self.general[register] else { return Err(depends(i)) };
            self.general[register] = Value::Sum(Sum { plus: sum.plus.wrapping_add(total), ..sum });
        }
        if i.has_rep_prefix() {
            self.general[RCX] = Value::number(0);
        }
        Ok(())
    }

    /// A move between a vector register and memory or another one. Legacy encodings keep what lies above 16 bytes, VEX
    /// and EVEX ones clear it.
    fn vector(&mut self, i: &Instruction, is_aligned: bool) -> Result<(), Fault> {
        if i.op_mask() != Register::None || i.op_count() != 2 {
            return Err(Fault::UnknownInstruction { at: text(i) });
        }
        let is_store = i.op0_kind() == OpKind::Memory;
        let register = if is_store { i.op1_register() } else { i.op0_register() };
        let bytes = register.size();
        let has_memory = is_store || i.op1_kind() == OpKind::Memory;
        let address = if has_memory { Some(self.address(i)?) } else { None };
        if is_aligned && address.is_some_and(|address| self.known.residue(address, bytes as u64) != Some(0)) {
            return Err(Fault::MisalignedAccess { at: text(i) });
        }
        let pointer = self.stack_pointer(i)?;
        if let (Some(address), true) = (address, is_store) {
            let value = &self.vectors[register.number()][..bytes];
            return self.memory.store(address, value, pointer, || text(i));
        }
        let mut value = [Byte::Constant(0); 64];
        match address {
            Some(address) => self.memory.load(address, &mut value[..bytes], pointer, || text(i))?,
            None => value[..bytes].copy_from_slice(&self.vectors[i.op1_register().number()][..bytes]),
        }
        let number = register.number();
        let written = if i.encoding() == EncodingKind::Legacy { 16 } else { 64 };
        self.vectors[number][..written].copy_from_slice(&value[..written]);
        self.written_vectors |= 1 << number;
        Ok(())
    }

    fn holds(&self, i: &Instruction) -> Result<bool, Fault> {
        let Flags { carry, zero, sign } = self.flags;
        let holds = match i.condition_code() {
            ConditionCode::b => carry,
            ConditionCode::ae => carry.map(|flag| !flag),
            ConditionCode::e => zero,
            ConditionCode::ne => zero.map(|flag| !flag),
            ConditionCode::be => carry.zip(zero).map(|(carry, zero)| carry || zero),
            ConditionCode::a => carry.zip(zero).map(|(carry, zero)| !carry && !zero),
            ConditionCode::s => sign,
            ConditionCode::ns => sign.map(|flag| !flag),
            _ => return Err(Fault::UnknownInstruction { at: text(i) }),
        };
        holds.ok_or_else(|| depends(i))
    }

    fn stack_pointer(&self, i: &Instruction) -> Result<Sum, Fault> {
        match self.general[RSP] {
            Value::Sum(sum) if sum.bases == STACK => Ok(sum),
            _ => Err(depends(i)),
        }
    }

    fn address(&self, i: &Instruction) -> Result<Sum, Fault> {
        if i.is_ip_rel_memory_operand() || i.segment_prefix() != Register::None {
            return Err(Fault::UnknownInstruction { at: text(i) });
        }
        let part = |register: Register| match register {
            Register::None => Ok(Sum::number(0)),
            _ if register.size() != 8 => Err(Fault::UnknownInstruction { at: text(i) }),
            _ => match self.general[register.number()] {
                Value::Sum(sum) => Ok(sum),
                _ => Err(depends(i)),
            },
        };
        let (base, index) = (part(i.memory_base())?, part(i.memory_index())?);
        let scale = i.memory_index_scale() as i8;
        let sum = base.plus(index, scale).ok_or_else(|| depends(i))?;
        Ok(Sum { plus: sum.plus.wrapping_add(i.memory_displacement64()), ..sum })
    }

    fn read(&mut self, i: &Instruction, operand: u32) -> Result<Value, Fault> {
        match i.op_kind(operand) {
            OpKind::Register => {
                let register = i.op_register(operand);
                if !register.is_gpr() || is_high_byte(register) {
                    return Err(Fault::UnknownInstruction { at: text(i) });
                }
                let full = self.general[register.full_register().number()];
                full.truncated(8 * register.size() as u32).ok_or_else(|| depends(i))
            }
            OpKind::Memory => {
                let mut bytes = [Byte::Constant(0); 8];
                let (address, pointer) = (self.address(i)?, self.stack_pointer(i)?);
                let size = i.memory_size().size();
                let place = bytes.get_mut(..size).ok_or_else(|| Fault::UnknownInstruction { at: text(i) })?;
                self.memory.load(address, place, pointer, || text(i))?;
                Ok(Value::of_bytes(bytes))
            }
            _ => match i.try_immediate(operand) {
                Ok(immediate) => Ok(Value::number(immediate)),
                Err(_) => Err(Fault::UnknownInstruction { at: text(i) }),
            },
        }
    }

    fn write(&mut self, i: &Instruction, operand: u32, value: Value) -> Result<(), Fault> {
        match i.op_kind(operand) {
            OpKind::Register => {
                let register = i.op_register(operand);
                // Shorter writes keep the rest of the register: no kernel needs one.
                if !register.is_gpr64() && !register.is_gpr32() {
                    return Err(Fault::UnknownInstruction { at: text(i) });
                }
                let value = value.truncated(8 * register.size() as u32).ok_or_else(|| depends(i))?;
                self.general[register.full_register().number()] = value;
                Ok(())
            }
            OpKind::Memory => {
                let (address, pointer) = (self.address(i)?, self.stack_pointer(i)?);
                let bytes = value.bytes();
                let size = i.memory_size().size();
                let place = bytes.get(..size).ok_or_else(|| Fault::UnknownInstruction { at: text(i) })?;
                self.memory.store(address, place, pointer, || text(i))
            }
            _ => Err(Fault::UnknownInstruction { at: text(i) }),
        }
    }
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Sum(sum) => sum.as_number(),
        _ => None,
    }
}

fn of_result(result: u64, bits: u32) -> Flags {
    Flags { carry: None, zero: Some(result == 0), sign: Some(result >> (bits - 1) & 1 != 0) }
}

fn truncate(value: u64, bits: u32) -> u64 {
    if bits == 64 { value } else { value & ((1 << bits) - 1) }
}

/// The width of the first operand.
fn operand_bits(i: &Instruction) -> u32 {
    let bytes = if i.op0_kind() == OpKind::Register { i.op0_register().size() } else { i.memory_size().size() };
    8 * bytes as u32
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

fn depends(i: &Instruction) -> Fault {
    Fault::Depends { at: text(i) }
}
