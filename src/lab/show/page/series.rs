//! What a plot draws: lines of points, and how each looks.

#![forbid(unsafe_code)]

use crate::lab::show::page::escape;
use std::fmt::Write;

/// A curve.
pub struct Series {
    /// What its end is labelled with.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// By rising length.
    pub points: Vec<Point>,
}

impl Series {
    /// What the curve is called, with a line from where it ends to its key at `label_x`; closes its group.
    pub(super) fn label(&self, svg: &mut String, (end_x, end_y): (f64, f64), (label_x, label_y): (f64, f64)) {
        let _ = writeln!(
            svg,
            "<path class=\"lead\" d=\"M{:.1} {end_y:.1}L{label_x} {label_y:.1}\"/><path class=\"key\" d=\"M{label_x} \
             {label_y:.1}h28\"/><text x=\"{}\" y=\"{:.1}\">{}</text></g>",
            end_x + 4.0,
            label_x + 34.0,
            label_y + 4.0,
            escape(&self.name)
        );
    }
}

/// A point of a curve.
#[derive(Clone)]
pub struct Point {
    /// Length in bytes.
    pub len_bytes: usize,
    /// Value.
    pub value: f64,
    /// What to say about it.
    pub said: String,
    /// The `id` of the rows that it was taken from, if it is of one cell.
    pub id: Option<String>,
}

/// Colour by family, dashes within it: no two curves are told apart by colour alone.
#[derive(Clone, Copy)]
pub struct Look {
    /// The class of the style sheet that sets the colour.
    pub family: &'static str,
    /// Which dashes, 0 to 4.
    pub dashes: usize,
    /// Whether it is one of the curves that the others are compared with.
    pub is_thick: bool,
}
