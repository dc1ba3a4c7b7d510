//! Lengths as a reader wants to see them: by octaves.

#![forbid(unsafe_code)]

use crate::lab::calls::totals::{Kind, Sum, Totals};
use crate::lab::show::size;
use std::collections::BTreeMap;

/// Calls whose lengths are in one octave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The shortest length, in bytes.
    pub from_bytes: u64,
    /// The longest, in bytes.
    pub up_to_bytes: u64,
    /// Copies and moves.
    pub copies: Sum,
    /// Fills.
    pub fills: Sum,
}

impl Bucket {
    /// The lengths, in words.
    pub fn name(&self) -> String {
        let Self { from_bytes, up_to_bytes, .. } = *self;
        match usize::try_from(from_bytes) {
            Ok(from) if from_bytes == up_to_bytes => size(from),
            Ok(from) if up_to_bytes < 1024 => format!("{from} to {up_to_bytes} B"),
            Ok(from) if up_to_bytes < u64::MAX => format!("{} to {}", size(from), size(up_to_bytes as usize + 1)),
            Ok(from) => format!("{} and more", size(from)),
            Err(_) => "more".to_owned(),
        }
    }
}

/// The kinds that read memory.
pub const COPIES: [Kind; 4] = [Kind::Copy, Kind::MoveDown, Kind::MoveUp, Kind::Same];

/// The octaves that have calls, and those between them, shortest first.
pub fn buckets(totals: &Totals) -> Vec<Bucket> {
    let mut octaves: BTreeMap<u32, Bucket> = BTreeMap::new();
    let all = [(totals.by_length(&COPIES), false), (totals.by_length(&[Kind::Fill]), true)];
    for (lengths, are_fills) in all {
        for ((from, _), sum) in lengths {
            // 0 by itself.
            let octave = from.checked_ilog2().map_or(0, |log| log + 1);
            let bucket = octaves.entry(octave).or_insert_with(|| empty(octave));
            let place = if are_fills { &mut bucket.fills } else { &mut bucket.copies };
            *place = Sum::of([*place, sum]);
        }
    }
    let ends = octaves.keys().next().copied().zip(octaves.keys().last().copied());
    let between = ends.map_or(0..0, |(first, last)| first..last + 1);
    between.map(|octave| octaves.get(&octave).cloned().unwrap_or_else(|| empty(octave))).collect()
}

fn empty(octave: u32) -> Bucket {
    let (from_bytes, up_to_bytes) = octave.checked_sub(1).map_or((0, 0), |log| (1 << log, u64::MAX >> (63 - log)));
    Bucket { from_bytes, up_to_bytes, copies: Sum::default(), fills: Sum::default() }
}
