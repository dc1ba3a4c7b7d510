//! How far a record got.

use serde::{Deserialize, Serialize};

/// How far a record got, and what is to be found in it. It stands in `env.toml`, before the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether the run came to its end; so it is where the file does not say.
    #[serde(default = "complete_unless_said")]
    pub complete: bool,
    /// The bench; records of format 1 say it in their rows alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<String>,
    /// How many rows `samples.csv` has, once the run has come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What was to be measured, if the run said so, in the words of [`Scope`](crate::lab::copies::scope::Scope).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<String>,
}

const fn complete_unless_said() -> bool {
    true
}

impl Progress {
    /// Its keys in `env.toml`: the rest is the environment's.
    pub(super) const KEYS: [&str; 4] = ["complete", "bench", "rows", "grid"];
}
