//! What the environment asks for.

use crate::say::Refusal;
use memcpy_select::recording::Under;
use memcpy_select_startup::environment::{PathBuffer, is_privileged, variables};

const PERIOD_DEFAULT: u32 = 512;
const PERIOD_MAX: u32 = 1_000_000;

/// What the environment asks for.
pub(crate) struct Asked {
    /// The folder in which the file is to be made.
    pub(crate) folder: PathBuffer,
    pub(crate) period: u32,
    pub(crate) under: Under,
}

impl Asked {
    pub(crate) fn read() -> Result<Self, Refusal> {
        if is_privileged() {
            return Err(Refusal::new(
                "the program has more rights than its user, or /proc is not mounted",
                "record it as a user that needs no others",
            ));
        }
        let [folder, period, under] = variables([
            b"MEMCPY_SELECT_RECORDING=",
            b"MEMCPY_SELECT_RECORDING_EVERY=",
            b"MEMCPY_SELECT_RECORDING_UNDER=",
        ]);
        let folder = folder
            .ok_or(Refusal::new("MEMCPY_SELECT_RECORDING names no folder", "start it by memcpy-select profile"))?;
        let period = match period {
            None => PERIOD_DEFAULT,
            Some(digits) => number(digits.as_bytes()).ok_or(Refusal::new(
                "MEMCPY_SELECT_RECORDING_EVERY is no number from 1 to 1000000",
                "give one, or none for 512",
            ))?,
        };
        let asked = under.as_ref().map(PathBuffer::as_bytes);
        let is_asked = |under: &Under| asked.is_none_or(|name| name == under.name().as_bytes());
        // Both, if nothing is asked for.
        let under = Under::ALL.into_iter().rev().find(is_asked).ok_or(Refusal::new(
            "MEMCPY_SELECT_RECORDING_UNDER is neither both nor libc nor plan",
            "give one of these",
        ))?;
        Ok(Self { folder, period, under })
    }
}

/// A period in decimal digits.
fn number(digits: &[u8]) -> Option<u32> {
    let add = |number: u32, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, add).filter(|period| (1..=PERIOD_MAX).contains(period))
}
