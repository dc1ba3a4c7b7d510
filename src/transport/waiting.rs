//! How a side waits.

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Looks for as long as that has paid lately, then sleeps.
    #[default]
    Adaptive,
    /// Looks until the limit, and never sleeps: the quickest, for a CPU of its own.
    Poll,
    /// Sleeps at once.
    Sleep,
}
