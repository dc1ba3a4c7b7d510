//! What each instruction does.

use super::registers::{RCX, RDI, RSI, RSP, STACK_ADDRESS, truncate};
use super::{Fault, Machine};
use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

impl Machine<'_> {
    /// Executes one instruction (of a repeated one, one repetition); true if it was the return.
    pub(super) fn step(&mut self, i: &Instruction) -> Result<bool, Fault> {
        use Mnemonic as M;
        let next = i.next_ip();
        let mut target = next;
        match i.mnemonic() {
            M::Endbr64 | M::Nop | M::Prefetcht0 | M::Prefetcht1 | M::Prefetcht2 | M::Prefetchnta | M::Prefetchw => {}
            M::Sfence | M::Mfence => self.unfenced = None,
            M::Cld => self.registers.direction = false,
            M::Std => self.registers.direction = true,
            M::Mov | M::Movzx => {
                let value = self.read(i, 1)?;
                self.write(i, 0, value)?;
            }
            M::Movnti => {
                let value = self.read(i, 1)?;
                self.write(i, 0, value)?;
                self.passed_the_caches(i);
            }
            M::Lea => {
                let address = self.address(i);
                self.registers.write(i.op0_register(), address);
            }
            M::Add | M::Sub | M::Cmp | M::And | M::Or | M::Xor | M::Test => self.arithmetic(i)?,
            M::Inc | M::Dec | M::Neg | M::Not => self.unary(i)?,
            M::Shl | M::Shr => self.shift(i)?,
            M::Push => {
                let value = self.read(i, 0)?;
                self.registers.gpr[RSP] -= 8;
                let address = self.registers.gpr[RSP];
                self.memory.store(address, &value.to_le_bytes(), || text(i))?;
            }
            M::Pop => {
                let mut bytes = [0; 8];
                self.memory.load(self.registers.gpr[RSP], &mut bytes, || text(i))?;
                self.registers.gpr[RSP] += 8;
                self.write(i, 0, u64::from_le_bytes(bytes))?;
            }
            M::Movsb => target = self.string(i, 1)?,
            M::Movsq => target = self.string(i, 8)?,
            M::Movups | M::Movdqu | M::Vmovups | M::Vmovdqu | M::Vmovdqu64 | M::Vmovdqu8 => self.vector(i, false)?,
            M::Movaps | M::Movdqa | M::Vmovaps | M::Vmovdqa | M::Vmovdqa64 => self.vector(i, true)?,
            M::Movntdq | M::Vmovntdq | M::Movntps | M::Vmovntps => {
                self.vector(i, true)?;
                self.passed_the_caches(i);
            }
            M::Vzeroupper => self.registers.vector[..16].iter_mut().for_each(|bytes| bytes[16..].fill(0)),
            M::Ret => {
                let is_balanced = self.registers.gpr[RSP] == STACK_ADDRESS;
                return if is_balanced { Ok(true) } else { Err(Fault::StackChanged) };
            }
            M::Jmp if i.op0_kind() == OpKind::NearBranch64 => target = i.near_branch64(),
            _ if i.condition_code() != ConditionCode::None && i.op0_kind() == OpKind::NearBranch64 => {
                if self.holds(i)? {
                    target = i.near_branch64();
                }
            }
            _ => return Err(unknown(i)),
        }
        self.ip = target;
        Ok(false)
    }

    fn passed_the_caches(&mut self, i: &Instruction) {
        self.non_temporal_stores += 1;
        self.unfenced = Some(text(i));
    }

    fn arithmetic(&mut self, i: &Instruction) -> Result<(), Fault> {
        let bits = operand_bits(i);
        let (a, b) = (self.read(i, 0)?, truncate(self.read(i, 1)?, bits));
        let registers = &mut self.registers;
        let result = match i.mnemonic() {
            Mnemonic::Add => registers.add(a, b, bits),
            Mnemonic::Sub | Mnemonic::Cmp => registers.subtract(a, b, bits),
            Mnemonic::And | Mnemonic::Test => registers.logical(a & b, bits),
            Mnemonic::Or => registers.logical(a | b, bits),
            _ => registers.logical(a ^ b, bits),
        };
        if matches!(i.mnemonic(), Mnemonic::Cmp | Mnemonic::Test) { Ok(()) } else { self.write(i, 0, result) }
    }

    fn unary(&mut self, i: &Instruction) -> Result<(), Fault> {
        let bits = operand_bits(i);
        let value = self.read(i, 0)?;
        let registers = &mut self.registers;
        let carry = registers.carry;
        let result = match i.mnemonic() {
            Mnemonic::Not => truncate(!value, bits),
            Mnemonic::Neg => registers.subtract(0, value, bits),
            // INC and DEC leave the carry flag alone.
            Mnemonic::Inc => registers.add(value, 1, bits),
            _ => registers.subtract(value, 1, bits),
        };
        if matches!(i.mnemonic(), Mnemonic::Inc | Mnemonic::Dec) {
            self.registers.carry = carry;
        }
        self.write(i, 0, result)
    }

    /// Shifts by a constant of at least one. The overflow flag is defined for a shift by one only and not kept here:
    /// [`Self::holds`] refuses conditions that read it.
    fn shift(&mut self, i: &Instruction) -> Result<(), Fault> {
        let bits = operand_bits(i);
        let (value, count) = (self.read(i, 0)?, self.read(i, 1)? as u32 & (bits - 1).max(31));
        if count == 0 || count >= bits {
            return Err(unknown(i));
        }
        let (result, carry) = match i.mnemonic() {
            Mnemonic::Shl => (truncate(value << count, bits), value >> (bits - count) & 1),
            _ => (value >> count, value >> (count - 1) & 1),
        };
        self.registers.carry = carry != 0;
        self.registers.zero_and_sign(result, bits);
        self.write(i, 0, result)
    }

    /// One element of a string copy; the address of what comes next.
    fn string(&mut self, i: &Instruction, bytes: usize) -> Result<u64, Fault> {
        if i.has_rep_prefix() {
            if self.registers.gpr[RCX] == 0 {
                return Ok(i.next_ip());
            }
            self.registers.gpr[RCX] -= 1;
        }
        let mut element = [0; 8];
        self.memory.load(self.registers.gpr[RSI], &mut element[..bytes], || text(i))?;
        self.memory.store(self.registers.gpr[RDI], &element[..bytes], || text(i))?;
        let step = if self.registers.direction { (bytes as u64).wrapping_neg() } else { bytes as u64 };
        for register in [RSI, RDI] {
            self.registers.gpr[register] = self.registers.gpr[register].wrapping_add(step);
        }
        Ok(if i.has_rep_prefix() { i.ip() } else { i.next_ip() })
    }

    /// A move between a vector register and memory or another one. Legacy encodings keep what lies above 16 bytes, VEX
    /// and EVEX ones clear it.
    fn vector(&mut self, i: &Instruction, is_aligned: bool) -> Result<(), Fault> {
        if i.op_mask() != Register::None {
            return Err(unknown(i));
        }
        let register = if i.op0_kind() == OpKind::Register { i.op0_register() } else { i.op1_register() };
        let bytes = register.size();
        if i.op_kinds().any(|kind| kind == OpKind::Memory)
            && is_aligned
            && !self.address(i).is_multiple_of(bytes as u64)
        {
            return Err(Fault::MisalignedAccess { at: text(i), address: self.address(i) });
        }
        let mut value = [0; 64];
        match i.op1_kind() {
            OpKind::Register => {
                value[..bytes].copy_from_slice(&self.registers.vector[i.op1_register().number()][..bytes])
            }
            OpKind::Memory => self.memory.load(self.address(i), &mut value[..bytes], || text(i))?,
            _ => return Err(unknown(i)),
        }
        if i.op0_kind() == OpKind::Memory {
            return self.memory.store(self.address(i), &value[..bytes], || text(i));
        }
        let number = i.op0_register().number();
        let kept = if i.encoding() == iced_x86::EncodingKind::Legacy { 16 } else { 64 };
        self.registers.vector[number][..kept].copy_from_slice(&value[..kept]);
        self.written_vectors[number] = true;
        self.widest_vector_bytes = self.widest_vector_bytes.max(bytes);
        Ok(())
    }

    fn holds(&self, i: &Instruction) -> Result<bool, Fault> {
        let r = &self.registers;
        Ok(match i.condition_code() {
            ConditionCode::b => r.carry,
            ConditionCode::ae => !r.carry,
            ConditionCode::e => r.zero,
            ConditionCode::ne => !r.zero,
            ConditionCode::be => r.carry || r.zero,
            ConditionCode::a => !r.carry && !r.zero,
            ConditionCode::s => r.sign,
            ConditionCode::ns => !r.sign,
            _ => return Err(unknown(i)),
        })
    }

    fn address(&self, i: &Instruction) -> u64 {
        let part = |register: Register| if register == Register::None { 0 } else { self.registers.read(register) };
        if i.is_ip_rel_memory_operand() {
            return i.ip_rel_memory_address();
        }
        let scaled = part(i.memory_index()).wrapping_mul(u64::from(i.memory_index_scale()));
        part(i.memory_base()).wrapping_add(scaled).wrapping_add(i.memory_displacement64())
    }

    fn read(&mut self, i: &Instruction, operand: u32) -> Result<u64, Fault> {
        match i.op_kind(operand) {
            OpKind::Register => Ok(self.registers.read(i.op_register(operand))),
            OpKind::Memory => {
                let mut bytes = [0; 8];
                let size = i.memory_size().size();
                let place = bytes.get_mut(..size).ok_or_else(|| unknown(i))?;
                self.memory.load(self.address(i), place, || text(i))?;
                Ok(u64::from_le_bytes(bytes))
            }
            _ => i.try_immediate(operand).map_err(|_| unknown(i)),
        }
    }

    fn write(&mut self, i: &Instruction, operand: u32, value: u64) -> Result<(), Fault> {
        match i.op_kind(operand) {
            OpKind::Register => {
                self.registers.write(i.op_register(operand), value);
                Ok(())
            }
            OpKind::Memory => {
                let bytes = value.to_le_bytes();
                let place = bytes.get(..i.memory_size().size()).ok_or_else(|| unknown(i))?;
                self.memory.store(self.address(i), place, || text(i))
            }
            _ => Err(unknown(i)),
        }
    }
}

/// The width of the first operand.
fn operand_bits(i: &Instruction) -> u32 {
    let bytes = if i.op0_kind() == OpKind::Register { i.op0_register().size() } else { i.memory_size().size() };
    8 * bytes as u32
}

fn unknown(i: &Instruction) -> Fault {
    Fault::UnknownInstruction { at: text(i) }
}

fn text(i: &Instruction) -> String {
    format!("{:#x}: {i}", i.ip())
}
