//! What each program took with each arm, over the installed libc in the same round. Pure.

#![forbid(unsafe_code)]

use super::arms::Arm;
use super::sample::Sample;
use crate::lab::instruments::statistics::{bootstrap_median, median};

/// Resamples of a bootstrap: enough for an interval that is the same in the second digit.
const RESAMPLES: usize = 2000;
/// From so many rounds on the interval can hold the true median with 95%: all of `n` values lie on one side of it with a probability
/// of 2 · 2^-n.
pub const LEAST_ROUNDS: usize = 6;
/// Slower than this, beyond its interval, no program should be.
pub const SLOWEST: f64 = 1.01;

/// A gain that a program should show where it is predicted, as a share of its processor time.
pub const LEAST_GAIN: f64 = 0.03;

/// Whether a predicted ratio is within a third of the gain that was measured, or within one percentage point of it.
pub fn is_right(predicted: f64, measured: f64) -> bool {
    (predicted - measured).abs() <= ((1.0 - measured).abs() / 3.0).max(0.01)
}

/// What one program took.
#[derive(Clone, Debug)]
pub struct Measured<'a> {
    /// The workload.
    pub program: &'a str,
    /// Of each round, what each arm took, where it has a time.
    rounds: Vec<(u32, [Option<&'a Sample>; 4])>,
    /// Why there is no time, of each arm that has none.
    pub errors: Vec<(&'a str, &'a str)>,
}

/// A time over the installed libc's, the median over rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Below 1 is faster.
    pub median: f64,
    /// In which the medians of 95% of the resamples lie; nothing for fewer than six rounds.
    pub interval: Option<(f64, f64)>,
}

/// What a ratio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its interval is below 1.
    Faster,
    /// Neither.
    Tie,
    /// Its interval is above 1.
    Slower,
}

impl Verdict {
    /// As a table has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Tie => "=",
            Self::Slower => "slower",
        }
    }
}

impl Ratio {
    /// What it says: a tie where there is no interval, or where the installed libc differs as much from itself.
    pub fn verdict(&self, noise_floor: f64) -> Verdict {
        let Some((low, high)) = self.interval else { return Verdict::Tie };
        let limit = noise_floor.max(1.0);
        match () {
            () if high < 1.0 && self.median < 1.0 / limit => Verdict::Faster,
            () if low > 1.0 && self.median > limit => Verdict::Slower,
            () => Verdict::Tie,
        }
    }

    /// Whether it is above [`SLOWEST`] beyond its interval.
    pub fn is_too_slow(&self) -> bool {
        self.interval.is_some_and(|(low, _)| low > SLOWEST)
    }
}

impl Measured<'_> {
    /// The wall time with an arm over that with the installed libc.
    pub fn wall(&self, arm: Arm) -> Option<Ratio> {
        self.ratio(arm, |sample| sample.wall_ns)
    }

    /// The same of the processor time.
    pub fn cpu(&self, arm: Arm) -> Option<Ratio> {
        self.ratio(arm, |sample| sample.cpu_ns)
    }

    fn ratio(&self, arm: Arm, time: impl Fn(&Sample) -> u64) -> Option<Ratio> {
        let of_round = |(_, times): &(u32, [Option<&Sample>; 4])| {
            let [own, libc] = [arm, Arm::Libc].map(|arm| times[arm as usize].map(&time));
            Some(own? as f64 / libc.filter(|ns| *ns > 0)? as f64)
        };
        let ratios: Vec<f64> = self.rounds.iter().filter_map(of_round).collect();
        let estimate = bootstrap_median(&ratios, RESAMPLES)?;
        Some(Ratio { median: estimate.median, interval: (ratios.len() >= LEAST_ROUNDS).then_some(estimate.interval) })
    }

    /// The median wall time with an arm, in nanoseconds.
    pub fn wall_ns(&self, arm: Arm) -> Option<f64> {
        let times = self.rounds.iter().filter_map(|(_, times)| Some(times[arm as usize]?.wall_ns as f64));
        median(&times.collect::<Vec<f64>>())
    }

    /// How many rounds there are.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }
}

/// Each program, in the order of measuring.
pub fn summary(samples: &[Sample]) -> Vec<Measured<'_>> {
    let mut all: Vec<Measured<'_>> = Vec::new();
    for sample in samples {
        let at = all.iter().position(|one| one.program == sample.program).unwrap_or_else(|| {
            all.push(Measured { program: &sample.program, rounds: Vec::new(), errors: Vec::new() });
            all.len() - 1
        });
        let of_program = &mut all[at];
        if !sample.error.is_empty() {
            of_program.errors.push((&sample.arm, &sample.error));
            continue;
        }
        let Some(arm) = Arm::ALL.iter().position(|arm| arm.name() == sample.arm) else { continue };
        let rounds = &mut of_program.rounds;
        let round = rounds.iter().position(|(round, _)| *round == sample.round).unwrap_or_else(|| {
            rounds.push((sample.round, [None; 4]));
            rounds.len() - 1
        });
        rounds[round].1[arm] = Some(sample);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: &[(Arm, &[u64])]) -> Vec<Sample> {
        let of_arm = |(arm, times): &(Arm, &[u64])| {
            let arm = arm.name();
            let sample = |(round, ns): (usize, &u64)| Sample {
                program: "it".to_owned(),
                arm: arm.to_owned(),
                round: round as u32,
                wall_ns: *ns,
                cpu_ns: ns / 2,
                error: String::new(),
            };
            times.iter().enumerate().map(sample).collect::<Vec<_>>()
        };
        times.iter().flat_map(of_arm).collect()
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let samples = samples(&[
            (Arm::Libc, &[100, 200, 1000, 100, 200, 300]),
            (Arm::DropIn, &[90, 180, 900, 90, 180, 270]),
            (Arm::Tuned, &[120, 240, 1200, 120, 240, 360]),
            (Arm::LibcAgain, &[101, 198, 1000, 99, 202, 300]),
        ]);
        let all = summary(&samples);
        let [one] = &all[..] else { panic!("{all:?}") };
        let faster = one.wall(Arm::DropIn).unwrap();
        assert!((faster.median - 0.9).abs() < 1e-9 && one.rounds() == LEAST_ROUNDS);
        assert_eq!([faster.verdict(1.02), faster.verdict(1.2)], [Verdict::Faster, Verdict::Tie]);
        let slower = one.wall(Arm::Tuned).unwrap();
        assert!(slower.verdict(1.02) == Verdict::Slower && slower.is_too_slow() && !faster.is_too_slow());
        assert_eq!(one.wall(Arm::LibcAgain).unwrap().verdict(1.0), Verdict::Tie);
        assert_eq!(one.wall_ns(Arm::Libc), Some(200.0));
        assert!((one.cpu(Arm::DropIn).unwrap().median - 0.9).abs() < 0.02);
    }

    #[test]
    fn predictions_are_right_within_a_third_or_a_percentage_point() {
        for (predicted, measured, right) in
            [(0.80, 0.72, true), (0.80, 0.68, false), (1.0, 0.991, true), (1.0, 0.98, false), (0.94, 1.06, false)]
        {
            assert_eq!(is_right(predicted, measured), right, "{predicted} {measured}");
        }
    }

    #[test]
    fn what_has_no_time_has_no_ratio_and_few_rounds_say_nothing() {
        let mut samples = samples(&[(Arm::Libc, &[100; 5]), (Arm::DropIn, &[50; 5])]);
        samples.push(Sample { arm: "tuned".to_owned(), wall_ns: 0, error: "ended".to_owned(), ..samples[0].clone() });
        let all = summary(&samples);
        let drop_in = all[0].wall(Arm::DropIn).unwrap();
        assert_eq!((drop_in.interval, drop_in.verdict(1.0)), (None, Verdict::Tie));
        assert_eq!((all[0].wall(Arm::Tuned), &all[0].errors[..]), (None, &[("tuned", "ended")][..]));
        assert!(summary(&[]).is_empty());
    }
}
