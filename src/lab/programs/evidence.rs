//! What a record of programs says: its part of the page, JSON, what can be compared.

#![forbid(unsafe_code)]

use super::arms::Arm;
use super::record::{BENCH, ProgramRecord};
use super::show::{self as shown, page};
use super::summary::{Measured, Ratio};
use crate::lab::evidence::{Evidence, Head, Place, Section, json_rows};
use crate::lab::record::RecordError;
use crate::lab::show::page::svg_file;
use crate::lab::show::{Cell, Comparable, Explained, Timed};
use serde_json::{Map, Value, json};

impl Evidence for ProgramRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, samples, .. } = self;
        Head { bench: BENCH, environment, is_complete: *complete, is_empty: samples.is_empty() }
    }

    fn noise_floor(&self) -> f64 {
        ProgramRecord::noise_floor(self)
    }

    fn text(&self) -> String {
        shown::text(self)
    }

    fn section(&self, _place: Place<'_>) -> Section {
        Section { answer: page::section(self), appendix: String::new() }
    }

    fn plot(&self, name: &str) -> Option<String> {
        svg_file(name, &self.environment, &page::plot(self)?)
    }

    fn figures(&self) -> Result<Map<String, Value>, RecordError> {
        let floor = ProgramRecord::noise_floor(self);
        Ok(Map::from_iter([
            ("programs".to_owned(), self.measured().iter().map(|one| of_program(self, one, floor)).collect()),
            ("rows".to_owned(), json_rows(self.tables.iter())?),
        ]))
    }

    fn comparable(&self) -> Comparable {
        let measured = self.measured();
        let figure = |one: &Measured<'_>, arm: Arm| {
            let place = Map::from_iter([("program".to_owned(), json!(one.program))]);
            let cell = Cell { name: one.program.to_owned(), place };
            Some(Timed { contender: arm.name().to_owned(), cell, ratio: one.wall(arm)?.median })
        };
        let arms = [Arm::Tuned, Arm::DropIn];
        Comparable {
            bench: BENCH.to_owned(),
            against: "wall time against that with the installed libc in the same run",
            baseline: Some(Arm::Libc.name()),
            noise_floor: ProgramRecord::noise_floor(self),
            figures: measured.iter().flat_map(|one| arms.into_iter().filter_map(|arm| figure(one, arm))).collect(),
            baselines: measured
                .iter()
                .filter_map(|one| Some((one.program.to_owned(), one.wall_ns(Arm::Libc)?)))
                .collect(),
        }
    }

    /// A program copies many lengths, and which is not known here.
    fn explain(&self, len_bytes: usize) -> Explained {
        let floor = ProgramRecord::noise_floor(self);
        let programs: Vec<Value> = self.measured().iter().map(|one| of_program(self, one, floor)).collect();
        let document = json!({ "len_bytes": len_bytes, "programs": programs });
        Explained { text: format!("whole programs, which copy many lengths\n\n{}", shown::text(self)), document }
    }
}

fn of_program(record: &ProgramRecord, one: &Measured<'_>, floor: f64) -> Value {
    let ratio = |ratio: Option<Ratio>| {
        ratio.map(|ratio| {
            let [low, high] = ratio.interval.map_or([None; 2], |(low, high)| [Some(low), Some(high)]);
            json!({ "ratio": ratio.median, "low": low, "high": high, "verdict": ratio.verdict(floor).name() })
        })
    };
    let of_arm =
        |arm: Arm| json!({ "wall_ns": one.wall_ns(arm), "wall": ratio(one.wall(arm)), "cpu": ratio(one.cpu(arm)) });
    let copying = record.copying_of(one.program);
    json!({
        "program": one.program, "rounds": one.rounds(),
        "libc_wall_ns": one.wall_ns(Arm::Libc), "tuned": of_arm(Arm::Tuned), "drop_in": of_arm(Arm::DropIn),
        "libc_again": of_arm(Arm::LibcAgain),
        "copying_share": copying.and_then(|copying| copying.share),
        "predicted_ratio": copying.and_then(|copying| copying.predicted_ratio),
        "errors": one.errors.iter().map(|(arm, error)| json!({ "arm": arm, "error": error })).collect::<Vec<_>>(),
    })
}
