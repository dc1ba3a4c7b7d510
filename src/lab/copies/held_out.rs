//! The grid that judges plans: lengths and placements that nothing was chosen from, as programs have them.

#![forbid(unsafe_code)]

use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::instruments::effort::Effort;

/// Lengths between powers of two: five eighths of one, and what people write.
const BETWEEN: [usize; 27] = [
    40, 100, 160, 300, 640, 1000, 1500, 2560, 5000, 9000, 10_240, 20_000, 40_960, 65_000, 100_000, 163_840, 300_001,
    655_360, 1_000_000, 1_500_001, 2_621_440, 5_000_000, 10_485_760, 15_000_000, 30_000_001, 41_943_040, 63_000_000,
];
/// The shortest and the longest power of two, and by what power they rise.
const POWERS: (usize, usize, u32) = (16, 64 << 20, 2);
/// Placements of `malloc`: 16 bytes behind a multiple of 16 in a line, and, for what it maps, 16 bytes into a page.
const MALLOC: [Cell; 4] = [Cell::hot(0, 16, 48), Cell::hot(0, 48, 32), Cell::at(0, 16, 16), Cell::hot(0, 32, 16)];
/// Aligned, misaligned, the destination 33 bytes behind the source modulo 4096, and at the same place in its page.
const OTHERS: [Cell; 4] = [Cell::hot(0, 0, 0), Cell::hot(0, 1, 0), Cell::at(0, 33, 0), Cell::at(0, 0, 0)];
/// Longer copies are measured at two placements: they take long.
const LONG_BYTES: usize = 4 << 20;
/// Placements of long copies, and of cold ones.
const FEW: [Cell; 2] = [MALLOC[0], MALLOC[2]];
/// One of this many lengths is measured cold.
const COLD_STEP: usize = 4;

/// The lengths, ascending: no plan is made from those between powers of two, of which a quick run has every other.
pub fn lengths(effort: Effort) -> Vec<usize> {
    let (first, last, step) = POWERS;
    let powers = (0..).map(|count| first << (step * count)).take_while(|bytes| *bytes <= last);
    let mut lengths: Vec<usize> = powers.chain(between(effort)).collect();
    lengths.sort_unstable();
    lengths
}

fn between(effort: Effort) -> impl Iterator<Item = usize> {
    BETWEEN.into_iter().step_by(if effort == Effort::Quick { 2 } else { 1 })
}

/// The cells, a placement and way of use after the other: steady, used and read at all placements, cold at few.
pub fn grid(effort: Effort) -> Vec<Vec<Cell>> {
    let column = |place: &Cell, residency: Residency, lengths: &[usize]| -> Vec<Cell> {
        let fitting = lengths.iter().filter(|bytes| **bytes <= LONG_BYTES || FEW.contains(place));
        fitting.map(|bytes| Cell { len_bytes: *bytes, residency, ..*place }).collect()
    };
    let lengths = lengths(effort);
    let ways = [Residency::Hot, Residency::Used, Residency::Read].into_iter();
    let places = || MALLOC.iter().chain(&OTHERS);
    let near = ways.flat_map(|way| places().map(|place| column(place, way, &lengths)).collect::<Vec<_>>());
    let some: Vec<usize> = between(effort).step_by(COLD_STEP).collect();
    near.chain(FEW.iter().map(|place| column(place, Residency::Cold, &some))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn most_lengths_are_between_powers_of_two_and_no_cell_comes_twice() {
        for effort in Effort::ALL {
            let lengths = lengths(effort);
            assert!(lengths.is_sorted_by(|a, b| a < b) && (lengths[0], lengths[lengths.len() - 1]) == (16, 64 << 20));
            assert!(lengths.iter().filter(|bytes| bytes.is_power_of_two()).count() * 2 < lengths.len());
            let cells: Vec<Cell> = grid(effort).concat();
            assert_eq!(cells.iter().collect::<BTreeSet<_>>().len(), cells.len());
        }
        // Half as much again is where calibration measures, too.
        assert!(BETWEEN.iter().all(|bytes| !(bytes.is_multiple_of(3) && (bytes / 3).is_power_of_two())));
    }

    #[test]
    fn half_of_the_placements_are_those_of_malloc() {
        let cells = grid(Effort::Default).concat();
        let places: BTreeSet<(usize, usize)> = cells.iter().map(|cell| (cell.dst_offset, cell.src_offset)).collect();
        let is_inside = |offset: usize| !offset.is_multiple_of(64) && offset.is_multiple_of(16);
        let of_malloc = places.iter().filter(|place| is_inside(place.0) && is_inside(place.1));
        assert_eq!((places.len(), of_malloc.count()), (8, 4));
    }
}
