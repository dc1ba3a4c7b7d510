//! The table of targets: what the transport is to reach, and what one record says of it. Each target is a figure, or the
//! ratio of two, against a bound; what the record does not have is said to be absent, not met. Nothing is measured here.

mod ask;
mod list;
mod text;

pub use ask::Quantity;

use crate::lab::paths::{PartSample, Percentiles, Predicted, Summary};
use ask::{Ask, Found};

/// On which side of a number a ratio is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// No more than that.
    AtMost(f64),
    /// No less than that.
    AtLeast(f64),
}

impl Bound {
    /// Whether a ratio is on the right side.
    pub fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

/// One of the two figures behind a ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Whose it is: a path, a part, or a sum of several.
    pub name: String,
    /// In which circumstances.
    pub at: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub quantity: Quantity,
    /// Half a round trip of the same row, where there is one.
    pub half_rtt_ns: Option<Percentiles>,
}

/// What became of a target.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The record has what it takes.
    Found {
        /// The figure that is judged.
        found: Figure,
        /// What it is judged against; nothing if the figure itself is bounded.
        against: Option<Figure>,
        /// The first over the second, or the figure itself.
        ratio: f64,
    },
    /// The record lacks something.
    Absent {
        /// What.
        missing: String,
    },
}

/// A target, and what a record says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is about: targets of one theme stand together.
    pub theme: &'static str,
    /// What is compared.
    pub what: String,
    /// What is asked for.
    pub bound: Bound,
    /// What there is.
    pub outcome: Outcome,
}

impl Target {
    /// Whether it is met; nothing if the record cannot say.
    pub fn is_met(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Found { ratio, .. } => Some(self.bound.holds(ratio)),
            Outcome::Absent { .. } => None,
        }
    }

    /// One word: `met`, `missed`, or `absent`.
    pub fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "absent",
        }
    }
}

/// All targets of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// One after the other, themes together.
    pub list: Vec<Target>,
}

impl Targets {
    /// What these figures say.
    pub fn of(summary: &Summary, parts: &[PartSample], predictions: &[Predicted]) -> Self {
        let ask = Ask::new(summary, parts, predictions);
        let mut targets = Self { list: Vec::new() };
        list::requests(&ask, &mut targets);
        list::short(&ask, &mut targets);
        list::waiting(&ask, &mut targets);
        list::many(&ask, &mut targets);
        list::parts(&ask, &mut targets);
        list::copying(&ask, &mut targets);
        list::in_place(&ask, &mut targets);
        list::long(&ask, &mut targets);
        list::tiers_and_model(&ask, &mut targets);
        targets
    }

    /// How many are met, missed and absent.
    pub fn counts(&self) -> [usize; 3] {
        ["met", "missed", "absent"].map(|word| self.list.iter().filter(|target| target.verdict() == word).count())
    }

    /// Adds a target; `missing` is what the record lacks for it.
    fn add(&mut self, theme: &'static str, what: impl Into<String>, bound: Bound, found: Result<Found, String>) {
        let outcome = match found {
            Ok(Found { found, against, ratio }) => Outcome::Found { found, against, ratio },
            Err(missing) => Outcome::Absent { missing },
        };
        self.list.push(Target { theme, what: what.into(), bound, outcome });
    }
}
