//! The model of the table's copying rows: what a request costs, what waking costs, and what each copy adds. Pure.
//!
//! A row is predicted from others than itself: half a round trip in place, polling, at the same length, which holds the
//! request's cost and the accesses of producer and consumer across cores; what the mode adds where hardly anything is
//! moved; and what the copies [add](Added), measured without the table.

#![forbid(unsafe_code)]

use crate::lab::paths::cell::Cell;
use crate::lab::paths::copies::{Added, Copies, is_modelled, named};
use crate::lab::paths::summary::{Row, Summary};
use crate::lab::paths::ways::{Mode, SHARED};

/// How far a prediction may be from the measurement, as a share of it.
pub const TOLERANCE: f64 = 0.15;

/// A prediction, term by term, in nanoseconds of half a round trip.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// Where.
    pub cell: Cell,
    /// The path.
    pub path: String,
    /// The kernel, where one was chosen.
    pub kernel: Option<String>,
    /// In place, polling: the request's cost, and producing and consuming across cores.
    pub in_place_ns: f64,
    /// What the mode adds to that.
    pub wake_up_ns: f64,
    /// What the copies add.
    pub added: Added,
    /// What was measured.
    pub measured_ns: f64,
}

impl Predicted {
    /// The sum.
    pub fn predicted_ns(&self) -> f64 {
        self.in_place_ns + self.wake_up_ns + self.added.all_ns
    }

    /// How far the sum is from the measurement, as a share of it; above 0 if it says too much.
    pub fn error(&self) -> f64 {
        self.predicted_ns() / self.measured_ns - 1.0
    }

    /// Whether that is within the [tolerance](TOLERANCE).
    pub fn holds(&self) -> bool {
        self.error().abs() <= TOLERANCE
    }
}

/// What the model says of each row of the table that copies, as far as what it needs was measured.
pub fn predictions(summary: &Summary, copies: &Copies) -> Vec<Predicted> {
    summary.rows.iter().filter_map(|row| predicted(summary, copies, row)).collect()
}

/// The share of predictions that hold.
pub fn share_that_holds(predictions: &[Predicted]) -> Option<f64> {
    let held = predictions.iter().filter(|one| one.holds()).count();
    (!predictions.is_empty()).then(|| held as f64 / predictions.len() as f64)
}

fn predicted(summary: &Summary, copies: &Copies, row: &Row) -> Option<Predicted> {
    let (way, suffix) = named(&row.path).filter(|(way, _)| way.has_kernel())?;
    let cell = row.cell;
    if !is_modelled(&cell) {
        return None;
    }
    let added = copies.added(way, suffix == SHARED, row.kernel.as_deref(), cell.payload_bytes, cell.touch)?;
    let in_place = format!("table_in_place{suffix}");
    let at = |cell: Cell| summary.rows.iter().find(|row| row.path == in_place && row.cell == cell)?.judged_ns();
    // A proxy does not poll: what its mode adds is in its row.
    let base = Cell {
        mode: if at(Cell { mode: Mode::Polling, ..cell }).is_some() { Mode::Polling } else { cell.mode },
        ..cell
    };
    let in_place_ns = at(base)?;
    let wake_up_ns = if base.mode == cell.mode { 0.0 } else { wake_up_ns(summary, &in_place, &cell)? };
    Some(Predicted {
        cell,
        path: row.path.clone(),
        kernel: row.kernel.clone(),
        in_place_ns,
        wake_up_ns,
        added,
        measured_ns: row.judged_ns()?,
    })
}

/// What a mode adds to polling at the shortest length that both were measured at.
fn wake_up_ns(summary: &Summary, in_place: &str, cell: &Cell) -> Option<f64> {
    let of = |mode: Mode| {
        let like = Cell { mode, touch: true, ..*cell };
        summary.beside(&like).filter(|row| row.path == in_place).collect::<Vec<&Row>>()
    };
    let polling = of(Mode::Polling);
    let pairs = of(cell.mode).into_iter().filter_map(|row| {
        let beside = polling.iter().find(|other| other.cell.payload_bytes == row.cell.payload_bytes)?;
        Some((row.cell.payload_bytes, row.judged_ns()? - beside.judged_ns()?))
    });
    pairs.min_by_key(|(bytes, _)| *bytes).map(|(_, ns)| ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::paths::ways::{Stage, Way};
    use crate::lab::paths::{Moved, Pattern, Placement, Sample, What};

    const LIKE: Cell = Cell::simple(4096, Mode::Polling, Placement::TwoCores);

    /// A message there and back that takes twice that.
    fn trip(cell: Cell, path: &str, half_ns: u64) -> Sample {
        let near = Moved { total_ns: 2 * half_ns, round_trips: vec![(2 * half_ns, 1)], ..Moved::default() };
        let (near, far) = (Box::new(near), Box::new(Moved::default()));
        let what = What::Moved { pattern: Pattern::PingPong, messages: 1, near, far };
        Sample { cell, path: path.into(), kernel: None, round: 0, copies: 0, what }
    }

    fn copies() -> Copies {
        let ways =
            [(Way::Apart, 300), (Way::InPlace, 500), (Way::CopyIn, 700), (Way::CopyOut, 650), (Way::CopyBoth, 800)];
        let of = |cell: Cell, is_shared| ways.map(|(way, ns)| trip(cell, Stage::of(way, is_shared).path_name(), ns));
        Copies::of(&[of(LIKE, false), of(LIKE, true), of(Cell { touch: false, ..LIKE }, false)].concat())
    }

    #[test]
    fn a_row_is_the_sum_of_its_copies_less_what_they_replace() {
        let summary = Summary::of(&[trip(LIKE, "table_in_place", 900), trip(LIKE, "table_copy_copy", 1250)]);
        let [one] = &predictions(&summary, &copies())[..] else { panic!("one row copies") };
        // Apart 200 less than in place, and both kernels 500 by themselves.
        assert_eq!(one.added, Added { all_ns: 300.0, kernels_ns: Some(500.0), replaced_ns: Some(-200.0) });
        assert_eq!((one.in_place_ns, one.wake_up_ns, one.predicted_ns()), (900.0, 0.0, 1200.0));
        assert!((one.error() + 50.0 / 1250.0).abs() < 1e-12 && one.holds());
    }

    #[test]
    fn a_prediction_that_is_far_off_does_not_hold() {
        let cell = Cell { touch: false, ..LIKE };
        let held = |measured_ns: u64| {
            let summary = Summary::of(&[trip(cell, "table_in_place", 900), trip(cell, "table_copy_copy", measured_ns)]);
            let all = predictions(&summary, &copies());
            (all.len(), share_that_holds(&all))
        };
        // 1200 is 15% more than 1044, and 15% less than 1411.
        for (measured_ns, share) in [(1040, 0.0), (1048, 1.0), (1408, 1.0), (1420, 0.0)] {
            assert_eq!(held(measured_ns), (1, Some(share)), "{measured_ns}");
        }
    }

    #[test]
    fn another_mode_adds_what_it_adds_at_the_shortest_length() {
        let blocking = Cell { mode: Mode::Blocking, ..LIKE };
        let short = |cell: Cell| Cell { payload_bytes: 64, ..cell };
        let summary = Summary::of(&[
            trip(short(LIKE), "table_in_place_shared", 400),
            trip(short(blocking), "table_in_place_shared", 5400),
            trip(LIKE, "table_in_place_shared", 900),
            trip(blocking, "table_in_place_shared", 9999),
            trip(blocking, "table_write_copy_shared", 6000),
        ]);
        let [one] = &predictions(&summary, &copies())[..] else { panic!("one row copies") };
        assert_eq!((one.in_place_ns, one.wake_up_ns, one.added.all_ns), (900.0, 5000.0, 150.0));
    }

    #[test]
    fn what_is_missing_is_not_made_up() {
        let alone = Summary::of(&[trip(LIKE, "table_copy_copy", 1200)]);
        assert!(predictions(&alone, &copies()).is_empty());
        let cell = Cell { depth: 4, ..LIKE };
        let deep = Summary::of(&[trip(cell, "table_in_place", 900), trip(cell, "table_copy_copy", 1200)]);
        assert!(predictions(&deep, &copies()).is_empty());
        let summary = Summary::of(&[trip(LIKE, "table_in_place", 900), trip(LIKE, "table_copy_copy", 1200)]);
        assert!(predictions(&summary, &Copies::default()).is_empty());
        assert_eq!(share_that_holds(&[]), None);
    }
}
