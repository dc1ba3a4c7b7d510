//! What a register or a byte of memory holds, as far as it can be said without knowing the addresses and the contents.

/// How many times each of the addresses that are given to the kernel, and of which only the lowest bits are known: the
/// destination's, the source's, and the stack pointer's at entry.
pub(crate) type Bases = [i8; 3];

pub(crate) const DST: Bases = [1, 0, 0];
pub(crate) const SRC: Bases = [0, 1, 0];
pub(crate) const STACK: Bases = [0, 0, 1];
const NONE: Bases = [0, 0, 0];

/// A sum of bases and a constant, modulo 2^64. Every sum of registers that hold such sums is one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub bases: Bases,
    pub plus: u64,
}

impl Sum {
    pub const fn number(plus: u64) -> Self {
        Self { bases: NONE, plus }
    }

    /// The number, if no base is in it.
    pub fn as_number(self) -> Option<u64> {
        (self.bases == NONE).then_some(self.plus)
    }

    /// `self + times * other`, unless the bases become too many to count.
    pub fn plus(self, other: Self, times: i8) -> Option<Self> {
        let mut bases = self.bases;
        for (mine, others) in bases.iter_mut().zip(other.bases) {
            *mine = mine.checked_add(others.checked_mul(times)?)?;
        }
        let plus = self.plus.wrapping_add(other.plus.wrapping_mul(i64::from(times).cast_unsigned()));
        Some(Self { bases, plus })
    }
}

/// What is known of the bases: the residue of each modulo a power of two (1: nothing).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known(pub [(u64, u64); 3]);

impl Known {
    /// The residue of a sum modulo a power of two, if it follows from what is known.
    pub fn residue(&self, sum: Sum, modulus: u64) -> Option<u64> {
        let mut residue = sum.plus;
        for (times, (known_modulus, known_residue)) in sum.bases.into_iter().zip(self.0) {
            if times != 0 {
                if known_modulus % modulus != 0 {
                    return None;
                }
                residue = residue.wrapping_add(known_residue.wrapping_mul(i64::from(times).cast_unsigned()));
            }
        }
        Some(residue % modulus)
    }
}

/// One byte of a register or of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Byte {
    /// The source's byte at that offset, whatever it is.
    Source(u32),
    /// What the caller had at that place of a vector register.
    Vector {
        register: u8,
        at: u8,
    },
    /// What the caller had at that place of a general-purpose register.
    General {
        register: u8,
        at: u8,
    },
    Constant(u8),
    /// A part of an address.
    OfAddress,
    /// Nobody wrote it.
    Unwritten,
}

/// What a general-purpose register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Sum(Sum),
    /// The lower half of a sum with bases, the upper half clear.
    LowHalf(Sum),
    /// Contents: they may be moved and nothing else.
    Bytes([Byte; 8]),
}

impl Value {
    pub const fn number(value: u64) -> Self {
        Self::Sum(Sum::number(value))
    }

    /// What the caller had in it.
    pub fn callers(register: usize) -> Self {
        Self::Bytes(std::array::from_fn(|at| Byte::General { register: register as u8, at: at as u8 }))
    }

    pub fn bytes(self) -> [Byte; 8] {
        match self {
            Self::Sum(sum) => sum.as_number().map_or([Byte::OfAddress; 8], |number| {
                let mut bytes = number.to_le_bytes().into_iter();
                std::array::from_fn(|_| Byte::Constant(bytes.next().expect("eight bytes")))
            }),
            Self::LowHalf(_) => [Byte::OfAddress; 8],
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Of bytes that were loaded. Constants are a number again.
    pub fn of_bytes(bytes: [Byte; 8]) -> Self {
        let mut number = 0;
        for byte in bytes.iter().rev() {
            let Byte::Constant(value) = byte else { return Self::Bytes(bytes) };
            number = number << 8 | u64::from(*value);
        }
        Self::number(number)
    }

    /// The value in the lowest `bits`, zero-extended, if that can be said.
    pub fn truncated(self, bits: u32) -> Option<Self> {
        match self {
            _ if bits == 64 => Some(self),
            Self::Sum(sum) => match sum.as_number() {
                Some(number) => Some(Self::number(number & ((1 << bits) - 1))),
                None => (bits == 32).then_some(Self::LowHalf(sum)),
            },
            Self::LowHalf(_) => (bits == 32).then_some(self),
            Self::Bytes(mut bytes) => {
                bytes[bits as usize / 8..].fill(Byte::Constant(0));
                Some(Self::Bytes(bytes))
            }
        }
    }
}
