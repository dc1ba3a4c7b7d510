//! The table as text: a line for each target first, then the figures behind them with their percentiles.

use crate::lab::paths::show::targets::{Bound, Figure, Outcome, Quantity, Target, Targets};
use crate::lab::show::{gb_per_s, time};
use std::fmt;

/// A ratio or a bound: as many digits as it takes to tell them apart.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {}", number(*most)),
            Self::AtLeast(least) => write!(f, ">= {}", number(*least)),
        }
    }
}

impl Figure {
    /// The value with its unit.
    pub fn value_text(&self) -> String {
        match self.quantity {
            Quantity::Ns => time(self.value),
            Quantity::PerSecond => format!("{} M/s", gb_per_s(self.value / 1e6)),
            Quantity::GbPerSecond => format!("{} GB/s", gb_per_s(self.value)),
            Quantity::Calls => format!("{:.2} system calls", self.value),
            Quantity::CpuPercent => format!("{:.2}% of a CPU", self.value),
        }
    }
}

/// What is compared, with both values; if it is absent, what the record lacks.
fn line(target: &Target) -> String {
    match &target.outcome {
        Outcome::Found { found, against: Some(against), .. } => {
            let (own, other) = (found.value_text(), against.value_text());
            format!("{}: {} {own} / {} {other}", target.what, found.name, against.name)
        }
        Outcome::Found { found, .. } => format!("{}: {} {}", target.what, found.name, found.value_text()),
        Outcome::Absent { missing } => format!("{}: lacks {missing}", target.what),
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [met, missed, absent] = self.counts();
        writeln!(f, "targets: {met} met, {missed} missed, {absent} not in this record")?;
        for (at, target) in self.list.iter().enumerate() {
            if at == 0 || self.list[at - 1].theme != target.theme {
                writeln!(f, "\n{}", target.theme)?;
            }
            let ratio = match target.outcome {
                Outcome::Found { ratio, .. } => number(ratio),
                Outcome::Absent { .. } => "-".to_owned(),
            };
            let text = line(target);
            writeln!(f, "  {:<7}{ratio:>7} {:<8} {text}", target.verdict(), target.bound.to_string())?;
        }
        let rows = self.rows();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nhalf round trips behind them")?;
        writeln!(f, "  {:<24}{:>9} {:>9} {:>9}  where", "row", "p50", "p99", "p99.9")?;
        for figure in rows {
            let Some(half) = figure.half_rtt_ns else { continue };
            let [p50, p99, p999] = [half.p50, half.p99, half.p999].map(time);
            writeln!(f, "  {:<24}{p50:>9} {p99:>9} {p999:>9}  {}", figure.name, figure.at)?;
        }
        Ok(())
    }
}

impl Targets {
    /// The rows with percentiles that stand behind the targets, each once.
    fn rows(&self) -> Vec<&Figure> {
        let mut rows: Vec<&Figure> = Vec::new();
        for target in &self.list {
            let Outcome::Found { found, against, .. } = &target.outcome else {
                continue;
            };
            for figure in [Some(found), against.as_ref()].into_iter().flatten() {
                let is_same = |known: &&&Figure| known.at == figure.at && known.half_rtt_ns == figure.half_rtt_ns;
                if figure.half_rtt_ns.is_some() && rows.iter().find(is_same).is_none() {
                    rows.push(figure);
                }
            }
        }
        rows
    }
}
