//! Bytes before time: a routine that copies wrongly gets no figure.

use crate::lab::copies::contender::Contender;
use std::fmt;

/// Bytes on either side of the destination that must stay as they were.
const MARGIN_BYTES: usize = 128;
/// What they hold.
const MARGIN: u8 = 0xEE;

/// Lengths that reach every path of every kernel: all short ones, then around the powers of two.
fn lengths() -> impl Iterator<Item = usize> {
    let around = |power: u32| {
        let bytes = 1_usize << power;
        [bytes - 1, bytes, bytes + 1, bytes + bytes / 2 + 7]
    };
    (0..=600).chain((10..=20).flat_map(around))
}

/// Copies every length at nine placements and compares each byte, around the destination too.
///
/// # Errors
///
/// [`WrongCopy`] with the first length and placement that came out wrong.
pub fn verify(contender: &Contender) -> Result<usize, WrongCopy> {
    let max_bytes = lengths().max().unwrap_or(0);
    // A period that is prime to every power of two: a block copied to the wrong place shows.
    let source: Vec<u8> = (0..max_bytes + 64).map(|at| (at % 251) as u8).collect();
    let mut target = vec![MARGIN; max_bytes + 64 + 2 * MARGIN_BYTES];
    let mut cases = 0;
    for len_bytes in lengths() {
        for (dst_offset, src_offset) in [(0, 0), (0, 1), (1, 0), (1, 2), (15, 0), (0, 32), (33, 31), (63, 63), (16, 8)]
        {
            let start = MARGIN_BYTES + dst_offset;
            let wanted = &source[src_offset..src_offset + len_bytes];
            contender.copy(&mut target[start..start + len_bytes], wanted);
            let is_right = target[start..start + len_bytes] == *wanted
                && target[start - MARGIN_BYTES..start].iter().all(|byte| *byte == MARGIN)
                && target[start + len_bytes..start + len_bytes + MARGIN_BYTES].iter().all(|byte| *byte == MARGIN);
            if !is_right {
                return Err(WrongCopy { name: contender.name().to_owned(), len_bytes, dst_offset, src_offset });
            }
            target[start..start + len_bytes].fill(MARGIN);
            cases += 1;
        }
    }
    Ok(cases)
}

/// A routine that did not copy what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCopy {
    name: String,
    len_bytes: usize,
    dst_offset: usize,
    src_offset: usize,
}

impl fmt::Display for WrongCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} copies {} bytes (destination +{}, source +{}) wrongly: it is left out, no figure of it would mean \
             anything; please report it with the CPU's name",
            self.name, self.len_bytes, self.dst_offset, self.src_offset
        )
    }
}

impl std::error::Error for WrongCopy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_copies_pass() {
        for contender in Contender::all_available() {
            assert!(verify(&contender).unwrap() > 5000, "{}", contender.name());
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_wrong_copy_is_named_with_its_length() {
        unsafe extern "sysv64" fn forgets_the_last_of_300(dst: *mut u8, src: *const u8, len: usize) {
            let copied = if len == 300 { 299 } else { len };
            // SAFETY: at most `len` bytes of ranges that the caller vouches for.
            unsafe { core::ptr::copy_nonoverlapping(src, dst, copied) }
        }
        // SAFETY: it stays inside both ranges and needs no CPU feature.
        let broken = unsafe { Contender::foreign("forgetful", forgets_the_last_of_300) };
        let wrong = verify(&broken).unwrap_err();
        assert_eq!((wrong.name.as_str(), wrong.len_bytes), ("forgetful", 300));
        assert!(wrong.to_string().contains("forgetful copies 300 bytes"));
    }
}
