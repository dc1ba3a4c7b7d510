//! What a plot draws: lines of points, and how each looks.

#![forbid(unsafe_code)]

/// A curve.
pub struct Series {
    /// What its end is labelled with.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// By rising length.
    pub points: Vec<Point>,
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
