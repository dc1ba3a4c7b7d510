//! What a reader wants to have measured, as the command line spells it and as a record keeps it.

#![forbid(unsafe_code)]

use super::arms::TUNABLES;
use super::workloads::{WORKLOADS, Workload};
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::words::unknown;
use std::fmt;

/// What is to be measured. Its text reads back as the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// How much.
    pub effort: Effort,
    /// How many rounds.
    pub rounds: u32,
    /// The workloads, by their names.
    pub only: Vec<&'static Workload>,
    /// The settings of the tuned libc.
    pub tunables: String,
    /// The plan that the drop-in library follows, as text.
    pub plan: String,
}

/// Line breaks of a plan, in the line of a scope.
const BREAK: &str = "; ";

impl Scope {
    /// All that an effort measures, by a plan.
    pub fn of(effort: Effort, plan: String) -> Self {
        let rounds = match effort {
            Effort::Quick => 1,
            Effort::Default => 8,
            Effort::Full => 25,
        };
        Self { effort, rounds, only: WORKLOADS.iter().collect(), tunables: TUNABLES.to_owned(), plan }
    }

    /// The scope that [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] with the line that is none.
    pub fn read(text: &str) -> Result<Self, ScopeError> {
        let mut scope = Self::of(Effort::Default, String::new());
        for line in text.lines() {
            let refused = |cause: String| ScopeError { word: line.to_owned(), cause };
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "effort" => scope.effort = Effort::named(value).map_err(|error| refused(error.to_string()))?,
                "rounds" => scope.rounds = value.parse().map_err(|error| refused(format!("{error}")))?,
                "only" => scope.only = workloads(value)?,
                "tunables" => scope.tunables = value.to_owned(),
                "plan" => scope.plan = value.replace(BREAK, "\n") + "\n",
                _ => return Err(refused("there is no such line".to_owned())),
            }
        }
        Ok(scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "effort {}", self.effort.name())?;
        writeln!(f, "rounds {}", self.rounds)?;
        writeln!(f, "only {}", self.only.iter().map(|one| one.name).collect::<Vec<_>>().join(","))?;
        writeln!(f, "tunables {}", self.tunables)?;
        let lines = self.plan.lines().map(str::trim).filter(|line| !line.is_empty());
        writeln!(f, "plan {}", lines.collect::<Vec<_>>().join(BREAK))
    }
}

/// The workloads of a list of names, in the table's order.
///
/// # Errors
///
/// [`ScopeError`] with the name that there is not.
pub fn workloads(list: &str) -> Result<Vec<&'static Workload>, ScopeError> {
    let names: Vec<&str> = WORKLOADS.iter().map(|one| one.name).collect();
    let asked: Vec<&str> = list.split(',').map(str::trim).collect();
    for word in &asked {
        if !names.contains(word) {
            return Err(ScopeError { word: (*word).to_owned(), cause: unknown("workload", word, &names) });
        }
    }
    Ok(WORKLOADS.iter().filter(|one| asked.contains(&one.name)).collect())
}

/// What cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeError {
    word: String,
    cause: String,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: nothing was measured: {}", self.word, self.cause)
    }
}

impl std::error::Error for ScopeError {}

impl PartialEq for Workload {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Workload {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_and_others_are_refused_by_name() {
        let plan = "memcpy-select plan 1\ncpu amd-1-1-1\npolicy user\nabove libc\n".to_owned();
        let all = Scope::of(Effort::Quick, plan);
        let some = Scope { rounds: 7, only: workloads("sort, zstd").unwrap(), ..all.clone() };
        assert_eq!(some.only.iter().map(|one| one.name).collect::<Vec<_>>(), ["zstd", "sort"]);
        for scope in [all, some] {
            assert_eq!(Scope::read(&scope.to_string()), Ok(scope));
        }
        let message = workloads("redos").unwrap_err().to_string();
        assert!(message.contains("did you mean redis?"), "{message}");
        assert!(Scope::read("rounds many\n").is_err() && Scope::read("sizes 1\n").is_err());
    }
}
