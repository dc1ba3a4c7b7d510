//! Figures of parts from samples. Pure.

#![forbid(unsafe_code)]

use crate::lab::instruments::statistics::{median, quantile};
use crate::lab::paths::parts::{Part, PartSample};

/// What a part costs.
#[derive(Clone, Debug, PartialEq)]
pub struct PartFigure {
    /// Which part.
    pub part: Part,
    /// In which variant.
    pub subject: String,
    /// How many there are of what the part is about.
    pub members: u32,
    /// The length of a block in bytes; otherwise 0.
    pub bytes: u32,
    /// Time of a turn in nanoseconds: the median of the rounds.
    pub ns: f64,
    /// Its quartiles.
    pub quartiles_ns: (f64, f64),
    /// What share of the time the processor worked for it: the median of the rounds.
    pub cpu_share: f64,
}

/// The figures of these samples, in the order of measuring.
pub fn part_figures(samples: &[PartSample]) -> Vec<PartFigure> {
    let is_same = |a: &PartSample, b: &PartSample| {
        (a.part, &a.subject, a.members, a.bytes) == (b.part, &b.subject, b.members, b.bytes)
    };
    let mut firsts: Vec<&PartSample> = Vec::new();
    for sample in samples {
        if !firsts.iter().any(|first| is_same(first, sample)) {
            firsts.push(sample);
        }
    }
    let figure = |first: &&PartSample| {
        let rounds = || samples.iter().filter(|sample| is_same(first, sample));
        let turns: Vec<f64> = rounds().map(|round| round.total_ns as f64 / round.turns.max(1) as f64).collect();
        let shares: Vec<f64> = rounds().map(|round| round.cpu_ns as f64 / round.total_ns.max(1) as f64).collect();
        Some(PartFigure {
            part: first.part,
            subject: first.subject.clone(),
            members: first.members,
            bytes: first.bytes,
            ns: median(&turns)?,
            quartiles_ns: (quantile(&turns, 0.25)?, quantile(&turns, 0.75)?),
            cpu_share: median(&shares)?,
        })
    };
    firsts.iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(subject: &str, members: u32, round: u32, turns: u64, total_ns: u64) -> PartSample {
        let cpu_ns = total_ns / 4;
        PartSample { part: Part::Block, subject: subject.into(), members, bytes: 64, round, turns, total_ns, cpu_ns }
    }

    #[test]
    fn a_figure_is_the_median_of_its_own_rounds() {
        let rounds = [(0, 10, 100), (1, 10, 900), (2, 20, 240)];
        let mut samples: Vec<PartSample> =
            rounds.into_iter().map(|(round, turns, ns)| sample("owned", 1, round, turns, ns)).collect();
        samples.push(sample("owned", 32, 0, 1, 7));
        samples.push(sample("shared", 1, 0, 1, 8));
        let figures = part_figures(&samples);
        let found: Vec<(&str, u32, f64)> =
            figures.iter().map(|figure| (figure.subject.as_str(), figure.members, figure.ns)).collect();
        assert_eq!(found, [("owned", 1, 12.0), ("owned", 32, 7.0), ("shared", 1, 8.0)]);
        assert_eq!((figures[0].quartiles_ns, figures[0].cpu_share), ((11.0, 51.0), 0.25));
        assert_eq!(part_figures(&[]), []);
    }
}
