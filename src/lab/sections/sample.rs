//! One timing of a loop, and what it was a timing of.

#![forbid(unsafe_code)]

use crate::cpu::Components;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Which part of the run a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Core cycles, counted by a chain of dependent instructions: the clock of the round.
    Clock,
    /// An instruction, or a pair of them.
    Cost,
    /// Copies by a kernel, nothing saved.
    Curve,
    /// Saving and restoring some registers by hand.
    Spill,
    /// Copies by a kernel, nothing saved, of lengths that the curves were not fitted on.
    HeldBack,
    /// Save, copies, restore: what the prediction is judged by.
    Composite,
    /// A round trip between two threads on one CPU.
    Switch,
    /// A signal to the own thread.
    Signal,
}

/// What had happened to the state before it was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing: it is in its initial configuration.
    Initial,
    /// It was restored from the same area and not touched.
    Unmodified,
    /// One register of each component was written.
    Dirtied,
}

/// Where the area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// In the first-level cache.
    Hot,
    /// In no cache.
    Cold,
}

/// Gives an enum's values names, both ways.
macro_rules! names {
    ($kind:ident: $($variant:ident $name:literal,)*) => {
        impl $kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in records.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

names!(Part: Clock "clock", Cost "cost", Curve "curve", Spill "spill", HeldBack "held-back", Composite "composite", Switch "switch",
       Signal "signal",);
names!(Condition: Initial "initial", Unmodified "unmodified", Dirtied "dirtied",);
names!(Area: Hot "hot", Cold "cold",);

/// What is timed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The part of the run.
    pub part: Part,
    /// What happens in the loop: instructions and a kernel, joined by `+`; [`SETUP`](Self::SETUP) for the loop without.
    pub subject: Cow<'static, str>,
    /// The components in use.
    pub live: Components,
    /// What had happened to them.
    pub condition: Condition,
    /// The components that are saved and restored.
    pub mask: Components,
    /// Where they are saved.
    pub area: Area,
    /// The length of a copy; 0 where there is none.
    pub len_bytes: usize,
    /// The number of copies in a turn.
    pub copies: u32,
}

impl Key {
    /// The subject of a loop that only sets up: what the others are compared with.
    pub const SETUP: &'static str = "setup";

    /// A key of a part, with no state in use and no copies.
    pub fn of(part: Part, subject: impl Into<Cow<'static, str>>) -> Self {
        Self {
            part,
            subject: subject.into(),
            live: Components::NONE,
            condition: Condition::Initial,
            mask: Components::NONE,
            area: Area::Hot,
            len_bytes: 0,
            copies: 0,
        }
    }

    /// The loop that does all but what this key is about.
    #[must_use]
    pub fn setup(&self) -> Self {
        Self {
            subject: Self::SETUP.into(),
            mask: Components::NONE,
            area: Area::Hot,
            len_bytes: 0,
            copies: 0,
            ..self.clone()
        }
    }
}

/// A timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of what.
    pub key: Key,
    /// The round: what has the same one ran right after each other.
    pub round: u32,
    /// How often the loop turned; core cycles for the clock.
    pub turns: u64,
    /// How many ticks of the time-stamp counter all turns took.
    pub ticks: u64,
}
