//! A guarded source and a guarded destination, painted, and the check of one copy between them.
//!
//! A case touches only what it needs: the payload is laid into the source, copied, compared with everything around it,
//! and painted over again, so that a short case costs about a hundred nanoseconds. [`Arena::check_paint`] looks at every
//! other byte from time to time.

use super::cases::Case;
use super::check::{Check, Failure};
use super::guarded::Guarded;
use super::oracle::first_difference;
use super::pattern::Pattern;
use super::routine::Routine;
use super::{fault, pattern};
use core::ops::Range;
use std::sync::Arc;

/// How many bytes on either side of both ranges are compared after every case.
const MARGIN: usize = 128;

pub struct Arena {
    dst: Guarded,
    src: Guarded,
    pattern: Arc<Pattern>,
    cases: u64,
}

impl Arena {
    pub fn new(pattern: Arc<Pattern>) -> Self {
        let mut dst = Guarded::new(pattern.region_bytes());
        let mut src = Guarded::new(pattern.region_bytes());
        assert_eq!(dst.len(), pattern.region_bytes(), "a pattern is made for whole regions");
        dst.as_mut_slice().copy_from_slice(pattern.dst_paint());
        src.as_mut_slice().copy_from_slice(pattern.src_paint());
        Self { dst, src, pattern, cases: 0 }
    }

    /// How many cases were checked.
    pub fn cases(&self) -> u64 {
        self.cases
    }

    /// Makes one copy and compares all of both ranges and the margins around them.
    pub fn check(&mut self, routine: &dyn Routine, case: Case) -> Result<(), Failure> {
        self.cases += 1;
        let region_bytes = self.pattern.region_bytes();
        let dst_at = case.dst.0.start(region_bytes, case.dst.1, case.len);
        let src_at = case.src.0.start(region_bytes, case.src.1, case.len);
        let payload = self.pattern.payload(self.cases, case.len);
        let src_range = src_at..src_at + case.len;
        let dst_range = dst_at..dst_at + case.len;

        self.src.as_mut_slice()[src_range.clone()].copy_from_slice(payload);
        fault::note(routine.name(), case);
        let dst = self.dst.as_mut_slice()[dst_range.clone()].as_mut_ptr();
        let src = self.src.as_slice()[src_range.clone()].as_ptr();
        // SAFETY: both ranges are `case.len` bytes inside two separate regions that this value owns.
        unsafe { routine.copy(dst, src, case.len) };

        let written = self.dst.as_slice();
        let paint = self.pattern.dst_paint();
        compare(Check::DestinationBytes, written, dst_range.clone(), payload)?;
        let around = dst_at.saturating_sub(MARGIN)..(dst_range.end + MARGIN).min(region_bytes);
        compare(Check::BytesBefore, written, around.start..dst_at, &paint[around.start..dst_at])?;
        compare(Check::BytesAfter, written, dst_range.end..around.end, &paint[dst_range.end..around.end])?;

        let read = self.src.as_slice();
        let paint = self.pattern.src_paint();
        let around = src_at.saturating_sub(MARGIN)..(src_range.end + MARGIN).min(region_bytes);
        compare(Check::SourceUnchanged, read, src_range.clone(), payload)?;
        compare(Check::SourceUnchanged, read, around.start..src_at, &paint[around.start..src_at])?;
        compare(Check::SourceUnchanged, read, src_range.end..around.end, &paint[src_range.end..around.end])?;

        self.dst.as_mut_slice()[dst_range.clone()].copy_from_slice(&self.pattern.dst_paint()[dst_range]);
        self.src.as_mut_slice()[src_range.clone()].copy_from_slice(&self.pattern.src_paint()[src_range]);
        Ok(())
    }

    /// As [`Self::check_paint`], unless the regions are so large that it would take longer than the cases.
    pub fn check_paint_if_small(&self) -> Result<(), Failure> {
        const SMALL: usize = 1 << 18;
        if self.pattern.region_bytes() <= SMALL { self.check_paint() } else { Ok(()) }
    }

    /// Compares every byte of both regions with what they were painted with, between two cases.
    pub fn check_paint(&self) -> Result<(), Failure> {
        let all = 0..self.pattern.region_bytes();
        compare(Check::BytesAfter, self.dst.as_slice(), all.clone(), self.pattern.dst_paint())?;
        compare(Check::SourceUnchanged, self.src.as_slice(), all, self.pattern.src_paint())
    }
}

/// Compares a range of a region; on a difference names its place and both bytes.
#[inline]
fn compare(check: Check, region: &[u8], range: Range<usize>, expected: &[u8]) -> Result<(), Failure> {
    let start = range.start;
    let found = &region[range];
    if found == expected { Ok(()) } else { Err(difference(check, start, found, expected)) }
}

#[cold]
fn difference(check: Check, start: usize, found: &[u8], expected: &[u8]) -> Failure {
    let at = first_difference(found, expected).unwrap_or(0);
    let wrong = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
    Failure::new(
        check,
        format!(
            "byte {at} of {} is {:#04x} instead of {:#04x}, {wrong} differ (place {} in the region)",
            found.len(),
            found[at],
            expected[at],
            start + at
        ),
    )
}

/// The region that lengths up to `largest` need, with room for any offset and payload.
pub fn region_bytes(largest: usize) -> usize {
    const { assert!(pattern::SHIFTS.is_multiple_of(super::guarded::GRANULE)) };
    (largest + 4096).next_multiple_of(super::guarded::GRANULE)
}
