//! Measured points and the straight lines between them.

#![forbid(unsafe_code)]

use core::fmt;

/// A cost in core cycles as a function of a size in bytes: of a copy's length, or of the vector state in use.
///
/// Between two points it goes straight, below the first it is the first, and above the last it goes on as between the
/// last two, never falling.
///
/// ```
/// use memcpy_select::xsave::Curve;
/// let curve = Curve::new(&[(64, 10.0), (128, 14.0), (256, 30.0)])?;
/// assert_eq!(curve.cycles(96), 12.0);
/// assert_eq!(curve.cycles(512), 62.0);
/// # Ok::<(), memcpy_select::xsave::CurveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve<'a> {
    points: &'a [(usize, f64)],
}

/// Why points are no curve.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CurveError {
    /// There is none.
    Empty,
    /// A size is not above the one before it.
    NotRising {
        /// The position of the point, from 0.
        point: usize,
    },
    /// A cost is negative or not a number.
    NotACost {
        /// The position of the point, from 0.
        point: usize,
    },
}

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a curve without points says nothing: give it one at least"),
            Self::NotRising { point } => {
                write!(f, "point {point} is not behind the one before it: give the points by rising size, each once")
            }
            Self::NotACost { point } => {
                write!(f, "the cost of point {point} is negative or no number: leave out what was not measured")
            }
        }
    }
}

impl core::error::Error for CurveError {}

impl<'a> Curve<'a> {
    /// The curve through points of size in bytes and cost in cycles.
    ///
    /// # Errors
    ///
    /// [`CurveError`] if there is no point, if the sizes do not rise, or if a cost is negative or not finite.
    pub const fn new(points: &'a [(usize, f64)]) -> Result<Self, CurveError> {
        if points.is_empty() {
            return Err(CurveError::Empty);
        }
        let mut at = 0;
        while at < points.len() {
            if at > 0 && points[at].0 <= points[at - 1].0 {
                return Err(CurveError::NotRising { point: at });
            }
            if !(points[at].1 >= 0.0 && points[at].1.is_finite()) {
                return Err(CurveError::NotACost { point: at });
            }
            at += 1;
        }
        Ok(Self { points })
    }

    /// The cost at a size.
    pub fn cycles(&self, bytes: usize) -> f64 {
        let [first, .., last] = self.points else {
            // One point alone: below it nothing is known, above it copies cost in proportion to their length.
            let (size, cycles) = self.points.first().copied().unwrap_or((1, 0.0));
            return cycles * (bytes as f64 / size.max(1) as f64).max(1.0);
        };
        if bytes <= first.0 {
            return first.1;
        }
        let behind = self.points.partition_point(|(size, _)| *size < bytes).min(self.points.len() - 1);
        let (from, to) = (self.points[behind - 1], self.points[behind]);
        let slope = (to.1 - from.1) / (to.0 - from.0) as f64;
        if bytes > last.0 {
            return last.1 + slope.max(0.0) * (bytes - last.0) as f64;
        }
        from.1 + slope * (bytes - from.0) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_points_it_goes_straight() {
        let points = [(100, 10.0), (200, 30.0), (400, 20.0)];
        let curve = Curve::new(&points).unwrap();
        for (bytes, cycles) in [(0, 10.0), (99, 10.0), (100, 10.0), (150, 20.0), (200, 30.0), (300, 25.0), (400, 20.0)]
        {
            assert!((curve.cycles(bytes) - cycles).abs() < 1e-9, "{bytes}: {}", curve.cycles(bytes));
        }
        // Behind a falling end it stays.
        assert!((curve.cycles(800) - 20.0).abs() < 1e-9, "{}", curve.cycles(800));
    }

    #[test]
    fn one_point_is_a_rate() {
        let curve = Curve::new(&[(100, 10.0)]).unwrap();
        assert_eq!((curve.cycles(50), curve.cycles(100), curve.cycles(1000)), (10.0, 10.0, 100.0));
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        assert_eq!(Curve::new(&[]), Err(CurveError::Empty));
        assert_eq!(Curve::new(&[(1, 1.0), (1, 2.0)]), Err(CurveError::NotRising { point: 1 }));
        for cost in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Curve::new(&[(1, cost)]), Err(CurveError::NotACost { point: 0 }));
        }
    }
}
