//! The registers, as wide as they come: a machine with AVX-512 whether or not this one has it.

use super::Place;
use iced_x86::Register;

/// Names and numbers of what the calling convention keeps.
pub(crate) const CALLEE_SAVED: [(&str, usize); 6] =
    [("rbx", 3), ("rbp", 5), ("r12", 12), ("r13", 13), ("r14", 14), ("r15", 15)];

pub(crate) const RCX: usize = 1;
pub(crate) const RDX: usize = 2;
pub(crate) const RSP: usize = 4;
pub(crate) const RSI: usize = 6;
pub(crate) const RDI: usize = 7;

/// Where the stack pointer stands at entry: the return address lies there.
pub(crate) const STACK_ADDRESS: u64 = 0x7000_0000_0008;

#[derive(Clone, Debug)]
pub(crate) struct Registers {
    pub gpr: [u64; 16],
    pub vector: [[u8; 64]; 32],
    pub carry: bool,
    pub zero: bool,
    pub sign: bool,
    pub overflow: bool,
    pub direction: bool,
}

impl Registers {
    /// As a caller leaves them: the arguments in place, rubbish everywhere else, no upper halves in use below 16.
    pub fn at_entry(place: Place, len: usize) -> Self {
        let mut gpr = [0; 16];
        for (number, value) in gpr.iter_mut().enumerate() {
            *value = 0xDEAD_0000_BEEF_0000 | (number as u64) << 4;
        }
        gpr[RDI] = place.dst_address;
        gpr[RSI] = place.src_address;
        gpr[RDX] = len as u64;
        gpr[RSP] = STACK_ADDRESS;
        let mut vector = [[0; 64]; 32];
        for (number, bytes) in vector.iter_mut().enumerate() {
            let in_use = if number < 16 { 16 } else { 64 };
            bytes[..in_use].fill(0xC0 | number as u8);
        }
        Self { gpr, vector, carry: true, zero: false, sign: true, overflow: true, direction: false }
    }

    pub fn read(&self, register: Register) -> u64 {
        let full = self.gpr[register.full_register().number()];
        match register.size() {
            8 => full,
            4 => full & 0xFFFF_FFFF,
            2 => full & 0xFFFF,
            _ if is_high_byte(register) => full >> 8 & 0xFF,
            _ => full & 0xFF,
        }
    }

    /// A write of 32 bits clears the upper half; shorter ones keep the rest.
    pub fn write(&mut self, register: Register, value: u64) {
        let full = &mut self.gpr[register.full_register().number()];
        *full = match register.size() {
            8 => value,
            4 => value & 0xFFFF_FFFF,
            2 => *full & !0xFFFF | value & 0xFFFF,
            _ if is_high_byte(register) => *full & !0xFF00 | (value & 0xFF) << 8,
            _ => *full & !0xFF | value & 0xFF,
        };
    }

    /// The flags of `a - b` in `bits` bits, and the difference.
    pub fn subtract(&mut self, a: u64, b: u64, bits: u32) -> u64 {
        let result = truncate(a.wrapping_sub(b), bits);
        self.carry = a < b;
        self.overflow = (a ^ b) & (a ^ result) & sign_bit(bits) != 0;
        self.zero_and_sign(result, bits);
        result
    }

    /// The flags of `a + b` in `bits` bits, and the sum.
    pub fn add(&mut self, a: u64, b: u64, bits: u32) -> u64 {
        let result = truncate(a.wrapping_add(b), bits);
        self.carry = result < a;
        self.overflow = !(a ^ b) & (a ^ result) & sign_bit(bits) != 0;
        self.zero_and_sign(result, bits);
        result
    }

    /// The flags of a logical operation's result.
    pub fn logical(&mut self, result: u64, bits: u32) -> u64 {
        (self.carry, self.overflow) = (false, false);
        self.zero_and_sign(result, bits);
        result
    }

    pub fn zero_and_sign(&mut self, result: u64, bits: u32) {
        self.zero = result == 0;
        self.sign = result & sign_bit(bits) != 0;
    }
}

pub(crate) fn truncate(value: u64, bits: u32) -> u64 {
    if bits == 64 { value } else { value & ((1 << bits) - 1) }
}

fn sign_bit(bits: u32) -> u64 {
    1 << (bits - 1)
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}
