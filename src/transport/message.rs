//! Messages packed bit by bit, least significant bit first: `struct`, `enum`, `union` and `alias` over widths from u1
//! to u64.
//!
//! Sizes and offsets are constants. What arrives is checked as it is unpacked: an enumerator that is not declared is an
//! error value. The table's own [`Request`](super::Request) and [`Response`](super::Response) are written with it; a
//! program may write its own messages the same way, and put them into blocks.
//!
//! ```
//! use memcpy_select::transport::message::widths::{u3, u5, u24};
//!
//! memcpy_select::message! {
//!     /// What a light shows.
//!     pub enum Colour: u3 {
//!         /// Stop.
//!         Red,
//!         /// Go.
//!         Green = 4,
//!     }
//!     /// A position in a strip of lights.
//!     pub alias Place = u24;
//!     /// How a light is to be set.
//!     pub union Setting: u32 {
//!         /// Brightness.
//!         LEVEL: u8,
//!         /// Another light to copy.
//!         LIKE: Place,
//!     }
//!     /// One change.
//!     pub struct Change {
//!         /// The new colour.
//!         colour: Colour,
//!         /// Not used.
//!         spare: u5,
//!         /// Which light.
//!         place: Place,
//!         /// The rest.
//!         setting: Setting,
//!     }
//! }
//!
//! let change = Change {
//!     colour: Colour::Green,
//!     spare: u5::ZERO,
//!     place: Place::new(0x123456).unwrap(),
//!     setting: Setting::of(Setting::LEVEL, 9),
//! };
//! assert_eq!(change.to_bytes(), [4, 0x56, 0x34, 0x12, 9, 0, 0, 0]);
//! assert_eq!(Change::from_bytes(change.to_bytes()), Ok(change));
//! assert_eq!(change.setting.get(Setting::LEVEL), Ok(9));
//! assert_eq!(Change::from_bytes([1; 8]).unwrap_err().value, 1);
//! ```

mod declare;

use std::fmt;
use std::marker::PhantomData;

/// What can stand in a message: a fixed number of bits.
pub trait Field: Copy {
    /// Its width in bits.
    const BITS: usize;

    /// Writes it at bit `at` of `words`, whose bits there are 0.
    fn put(self, words: &mut [u64], at: usize);

    /// Reads it at bit `at` of `words`.
    ///
    /// # Errors
    ///
    /// [`UnknownValue`] if the bits are an enumerator that was not declared.
    fn take(words: &[u64], at: usize) -> Taken<Self>;
}

/// An enumerator that is not declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownValue {
    /// The name of the enumeration.
    pub of: &'static str,
    /// What stood there.
    pub value: u64,
}

/// What was read, or why it cannot be.
#[doc(hidden)]
pub type Taken<T> = Result<T, UnknownValue>;

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} has no enumerator {}: the message is refused; send one that its declaration lists",
            self.of, self.value
        )
    }
}

impl std::error::Error for UnknownValue {}

/// An unsigned number of `N` bits, 1 to 64; [`widths`] has the names u1 to u63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits<const N: usize>(u64);

impl<const N: usize> Bits<N> {
    /// The largest value.
    pub const MAX: Self = Self(mask(N));
    /// 0.
    pub const ZERO: Self = Self(0);

    /// The number, if it fits.
    #[inline]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= mask(N) { Some(Self(value)) } else { None }
    }

    /// The low `N` bits of the number.
    #[inline]
    pub const fn truncated(value: u64) -> Self {
        Self(value & mask(N))
    }

    /// The value.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const N: usize> fmt::Display for Bits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const N: usize> Field for Bits<N> {
    const BITS: usize = {
        assert!(N >= 1 && N <= 64, "a width is from 1 to 64 bits");
        N
    };

    #[inline(always)]
    fn put(self, words: &mut [u64], at: usize) {
        put_bits(words, at, Self::BITS, self.0);
    }

    #[inline(always)]
    fn take(words: &[u64], at: usize) -> Taken<Self> {
        Ok(Self(take_bits(words, at, Self::BITS)))
    }
}

/// The unsigned widths that Rust has no name for.
#[allow(non_camel_case_types, missing_docs)]
pub mod widths {
    macro_rules! widths {
        ($($name:ident $bits:literal)*) => { $(pub type $name = super::Bits<$bits>;)* };
    }
    widths! {
        u1 1 u2 2 u3 3 u4 4 u5 5 u6 6 u7 7 u9 9 u10 10 u11 11 u12 12 u13 13 u14 14 u15 15 u17 17 u18 18 u19 19 u20 20
        u21 21 u22 22 u23 23 u24 24 u25 25 u26 26 u27 27 u28 28 u29 29 u30 30 u31 31 u33 33 u34 34 u35 35 u36 36 u37 37
        u38 38 u39 39 u40 40 u41 41 u42 42 u43 43 u44 44 u45 45 u46 46 u47 47 u48 48 u49 49 u50 50 u51 51 u52 52 u53 53
        u54 54 u55 55 u56 56 u57 57 u58 58 u59 59 u60 60 u61 61 u62 62 u63 63
    }
}

macro_rules! plain_numbers {
    ($($number:ty: $bits:literal, $value:ident => $of:expr;)*) => {$(
        impl Field for $number {
            const BITS: usize = $bits;

            #[inline(always)]
            fn put(self, words: &mut [u64], at: usize) {
                put_bits(words, at, $bits, self as u64);
            }

            #[inline(always)]
            fn take(words: &[u64], at: usize) -> Taken<Self> {
                let $value = take_bits(words, at, $bits);
                Ok($of)
            }
        }
    )*};
}

plain_numbers! {
    bool: 1, value => value != 0;
    u8: 8, value => value as Self;
    u16: 16, value => value as Self;
    u32: 32, value => value as Self;
    u64: 64, value => value;
    i8: 8, value => value as Self;
    i16: 16, value => value as Self;
    i32: 32, value => value as Self;
    i64: 64, value => value as Self;
}

/// One way to read the bits of a union `U`: as a `T`.
pub struct View<U, T>(PhantomData<fn() -> (U, T)>);

impl<U: Field, T: Field> View<U, T> {
    /// For what [`message!`](crate::message) generates.
    #[doc(hidden)]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(T::BITS <= U::BITS, "a view is wider than its union");
        Self(PhantomData)
    }
}

impl<U, T> Clone for View<U, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U, T> Copy for View<U, T> {}

/// Refuses to compile an enumerator that is wider than its enumeration.
#[doc(hidden)]
pub const fn check_fits(value: u64, bits: usize) {
    assert!(value <= mask(bits), "an enumerator does not fit the width of its enumeration");
}

/// The largest number of that many bits.
#[doc(hidden)]
pub const fn mask(bits: usize) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Sets `width` bits from bit `at` on, which were 0. Bits beyond the words are dropped.
#[doc(hidden)]
#[inline(always)]
pub fn put_bits(words: &mut [u64], at: usize, width: usize, value: u64) {
    let value = value & mask(width);
    let shift = at % 64;
    if let Some(word) = words.get_mut(at / 64) {
        *word |= value << shift;
    }
    if shift + width > 64
        && let Some(word) = words.get_mut(at / 64 + 1)
    {
        *word |= value >> (64 - shift);
    }
}

/// `width` bits from bit `at` on. Bits beyond the words are 0.
#[doc(hidden)]
#[inline(always)]
pub fn take_bits(words: &[u64], at: usize, width: usize) -> u64 {
    let shift = at % 64;
    let mut value = words.get(at / 64).map_or(0, |word| word >> shift);
    if shift + width > 64 {
        value |= words.get(at / 64 + 1).map_or(0, |word| word << (64 - shift));
    }
    value & mask(width)
}

/// The words of a message as bytes, in order.
#[doc(hidden)]
#[inline(always)]
pub fn words_to_bytes<const BYTES: usize>(words: &[u64]) -> [u8; BYTES] {
    std::array::from_fn(|at| take_bits(words, 8 * at, 8) as u8)
}

/// The bytes of a message as words, in order.
#[doc(hidden)]
#[inline(always)]
pub fn bytes_to_words<const WORDS: usize>(bytes: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (at, byte) in bytes.iter().enumerate() {
        put_bits(&mut words, 8 * at, 8, u64::from(*byte));
    }
    words
}
