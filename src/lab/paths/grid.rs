//! Which cells are measured, by effort or by lists.

#![forbid(unsafe_code)]

use crate::lab::instruments::effort::Effort;
use crate::lab::paths::cell::{Cell, Placement};
use crate::lab::paths::ways::{Mode, PAGE_BYTES};
use std::fmt;

/// The lengths of the grid: from what fits a register pair to what fits no cache.
const SIZES: [usize; 12] =
    [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];
/// The lengths at which two common circumstances are looked at by default: waiting in the kernel, and payloads that
/// nobody touches.
const FEWER_SIZES: [usize; 7] = [64, 1 << 10, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20];
/// The lengths of a quick run.
const QUICK_SIZES: [usize; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20];
/// The lengths at which less common circumstances are looked at.
const SOME_SIZES: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];
/// What a bare request carries: the paths that carry nothing else are compared at it.
const REQUEST_BYTES: usize = 8;
/// The lengths at which targets are judged by every path, and by how it is waited for.
const TARGET_SIZES: [usize; 9] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// Connections where there are several.
const SEVERAL: usize = 8;
/// A payload that the receiver wants elsewhere in its page than it was.
const MISALIGNED: (usize, usize) = (1, 64);

/// What is to be measured. Once any list is given, those that are not have one value each: polling, two cores, touched,
/// depth 1, one connection, no offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Lengths in bytes.
    pub sizes: Vec<usize>,
    /// How the sides wait.
    pub modes: Vec<Mode>,
    /// Where they run.
    pub placements: Vec<Placement>,
    /// Whether they write and read the payload.
    pub touches: Vec<bool>,
    /// How many messages may be under way.
    pub depths: Vec<usize>,
    /// Over how many connections.
    pub connections: Vec<usize>,
    /// Offsets of source and destination in their pages.
    pub offsets: Vec<(usize, usize)>,
}

impl Scope {
    /// The cells in the order of measuring: one circumstance after the other, each from short to long.
    ///
    /// # Errors
    ///
    /// [`BadScope`] if a list holds what cannot be.
    pub fn cells(&self, effort: Effort) -> Result<Vec<Cell>, BadScope> {
        if *self == Self::default() {
            return Ok(of_effort(effort));
        }
        let or = |list: &[usize], usual: &[usize]| if list.is_empty() { usual.to_vec() } else { list.to_vec() };
        let sizes = match effort {
            Effort::Quick => or(&self.sizes, &QUICK_SIZES),
            Effort::Default | Effort::Full => or(&self.sizes, &SIZES),
        };
        let (depths, connections) = (or(&self.depths, &[1]), or(&self.connections, &[1]));
        if let Some(depth) = depths.iter().find(|depth| !(1..=crate::lab::paths::ways::MAX_DEPTH).contains(*depth)) {
            return Err(BadScope(format!("a depth of {depth}: there are 1 to {}", crate::lab::paths::ways::MAX_DEPTH)));
        }
        if let Some(count) = connections.iter().find(|count| !(1..=64).contains(*count)) {
            return Err(BadScope(format!("{count} connections: there are 1 to 64")));
        }
        if let Some((src, dst)) = self.offsets.iter().find(|(src, dst)| *src >= PAGE_BYTES || *dst >= PAGE_BYTES) {
            return Err(BadScope(format!("offsets {src}:{dst}: they are places in a page, 0 to {}", PAGE_BYTES - 1)));
        }
        if let Some(size) = sizes.iter().find(|size| **size > crate::lab::paths::ways::MAX_BYTES) {
            return Err(BadScope(format!(
                "a payload of {size} bytes: there are 0 to {}",
                crate::lab::paths::ways::MAX_BYTES
            )));
        }
        let modes = if self.modes.is_empty() { vec![Mode::Polling] } else { self.modes.clone() };
        let placements = if self.placements.is_empty() { vec![Placement::TwoCores] } else { self.placements.clone() };
        let touches = if self.touches.is_empty() { vec![true] } else { self.touches.clone() };
        let offsets = if self.offsets.is_empty() { vec![(0, 0)] } else { self.offsets.clone() };
        let mut cells = Vec::new();
        for &placement in &placements {
            for &mode in &modes {
                for &touch in &touches {
                    for &depth in &depths {
                        for &connections in &connections {
                            for &(src_offset, dst_offset) in &offsets {
                                cells.extend(sizes.iter().map(|&payload_bytes| Cell {
                                    mode,
                                    placement,
                                    touch,
                                    depth,
                                    connections,
                                    src_offset,
                                    dst_offset,
                                    payload_bytes,
                                }));
                            }
                        }
                    }
                }
            }
        }
        Ok(cells)
    }
}

/// The cells that the table of targets is computed from, and no others: a run of minutes whatever the effort.
pub fn target_cells() -> Vec<Cell> {
    let like = Cell::simple(0, Mode::Polling, Placement::TwoCores);
    let one_core = Cell { placement: Placement::OneCore, ..like };
    let loaded = Cell { depth: 32, ..like };
    [
        row(&with_requests(&TARGET_SIZES), like),
        row(&with_requests(&SOME_SIZES), Cell { mode: Mode::Blocking, ..like }),
        row(&[REQUEST_BYTES], Cell { mode: Mode::Blocking, ..one_core }),
        row(&[REQUEST_BYTES], Cell { mode: Mode::Adaptive, ..like }),
        row(&[REQUEST_BYTES], loaded),
        row(&[REQUEST_BYTES], Cell { mode: Mode::Adaptive, ..loaded }),
    ]
    .concat()
}

fn with_requests(sizes: &[usize]) -> Vec<usize> {
    [&[REQUEST_BYTES], sizes].concat()
}

/// Cells of these lengths, as far as their windows can be held.
fn row(sizes: &[usize], like: Cell) -> Vec<Cell> {
    let window = |size: &&usize| **size * like.depth * like.connections <= crate::lab::paths::sweep::WINDOW_BYTES;
    sizes.iter().filter(window).map(|&payload_bytes| Cell { payload_bytes, ..like }).collect()
}

fn of_effort(effort: Effort) -> Vec<Cell> {
    let like = Cell::simple(0, Mode::Polling, Placement::TwoCores);
    let (sizes, fewer): (&[usize], &[usize]) = match effort {
        Effort::Quick => (&QUICK_SIZES, &QUICK_SIZES),
        Effort::Default => (&SIZES, &FEWER_SIZES),
        Effort::Full => (&SIZES, &SIZES),
    };
    let is_quick = effort == Effort::Quick;
    let judged = |sizes: &[usize]| if is_quick { sizes.to_vec() } else { with_requests(sizes) };
    let mut rows = vec![
        row(&judged(sizes), like),
        row(fewer, Cell { touch: false, ..like }),
        row(&judged(fewer), Cell { mode: Mode::Blocking, ..like }),
    ];
    if !is_quick {
        let some: &[usize] = if effort == Effort::Full { &SIZES } else { &SOME_SIZES };
        let (src_offset, dst_offset) = MISALIGNED;
        let one_core = Cell { placement: Placement::OneCore, ..like };
        let loaded = Cell { depth: 32, ..like };
        rows.extend([
            row(&judged(fewer), Cell { mode: Mode::Blocking, ..one_core }),
            row(some, one_core),
            row(&with_requests(some), Cell { mode: Mode::Adaptive, ..like }),
            row(some, Cell { mode: Mode::Blocking, touch: false, ..like }),
            row(some, Cell { depth: 4, ..like }),
            row(&with_requests(some), loaded),
            row(some, Cell { mode: Mode::Blocking, ..loaded }),
            row(&[REQUEST_BYTES], Cell { mode: Mode::Adaptive, ..loaded }),
            row(some, Cell { connections: SEVERAL, ..like }),
            row(some, Cell { src_offset, dst_offset, ..like }),
        ]);
    }
    rows.into_iter().flatten().collect()
}

/// A list holds what cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScope(String);

impl fmt::Display for BadScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; nothing was measured", self.0)
    }
}

impl std::error::Error for BadScope {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_cell_is_measured_twice() {
        for effort in Effort::ALL {
            let cells = of_effort(effort);
            let once: HashSet<Cell> = cells.iter().copied().collect();
            assert_eq!(once.len(), cells.len(), "{}", effort.name());
        }
    }

    #[test]
    fn what_targets_are_judged_by_is_in_the_usual_run_too() {
        let cells = target_cells();
        let once: HashSet<Cell> = cells.iter().copied().collect();
        assert_eq!(once.len(), cells.len());
        let groups = cells.chunk_by(|a, b| a.is_beside(b)).count();
        let kinds: HashSet<Cell> = cells.iter().map(|cell| Cell { payload_bytes: 0, ..*cell }).collect();
        assert_eq!(groups, kinds.len(), "limits of tiers are found once for each group");
        // The usual run has all of it, too.
        let usual: HashSet<Cell> = of_effort(Effort::Default).into_iter().collect();
        assert_eq!(once.difference(&usual).count(), 0);
    }

    #[test]
    fn a_list_leaves_the_others_at_one_value() {
        let scope = Scope { sizes: vec![8, 9], modes: vec![Mode::Blocking], ..Scope::default() };
        let cells = scope.cells(Effort::Default).unwrap();
        let like = Cell::simple(8, Mode::Blocking, Placement::TwoCores);
        assert_eq!(cells, [like, Cell { payload_bytes: 9, ..like }]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let with = |scope: Scope| scope.cells(Effort::Quick).unwrap_err().to_string();
        assert!(with(Scope { depths: vec![0], ..Scope::default() }).contains("a depth of 0"));
        assert!(with(Scope { connections: vec![65], ..Scope::default() }).contains("65 connections"));
        assert!(with(Scope { offsets: vec![(0, 4096)], ..Scope::default() }).contains("0:4096"));
        assert!(with(Scope { sizes: vec![usize::MAX], ..Scope::default() }).contains("bytes"));
    }
}
