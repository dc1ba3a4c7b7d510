//! What a record of sections says: its part of the page, JSON, what can be compared, what it says about a length.

use super::SectionRecord;
use super::record::BENCH;
use super::ring0::EMPTY;
use super::show::{Figures, Parameters, at_length, core_cycles_per_ns, page};
use super::timings::Timings;
use super::{Key, Part};
use crate::lab::evidence::{Evidence, Head, Place, Section};
use crate::lab::record::RecordError;
use crate::lab::show::page::svg_file;
use crate::lab::show::{Cell, Comparable, Explained, Timed, size};
use crate::xsave::Verdict;
use serde_json::{Map, Value, json};
use std::fmt::Write;

impl Evidence for SectionRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, samples, .. } = self;
        Head { bench: BENCH, environment, is_complete: *complete, is_empty: samples.is_empty() }
    }

    fn noise_floor(&self) -> f64 {
        Timings::of(&self.samples).noise_floor()
    }

    fn text(&self) -> String {
        Figures::of(self, &Parameters::default()).to_string()
    }

    fn section(&self, _place: Place<'_>) -> Section {
        Section { answer: page::section(&Figures::of(self, &Parameters::default())), appendix: String::new() }
    }

    fn plot(&self, name: &str) -> Option<String> {
        svg_file(name, &self.environment, &page::map(&Figures::of(self, &Parameters::default())))
    }

    fn figures(&self) -> Result<Map<String, Value>, RecordError> {
        let figures = Figures::of(self, &Parameters::default());
        Ok(Map::from_iter([("xsave".to_owned(), json!(figures))]))
    }

    fn comparable(&self) -> Comparable {
        let timings = Timings::of(&self.samples);
        let figure = |key: &Key| {
            let cycles = match key.part {
                Part::Cost if key.subject != Key::SETUP => timings.cost(key)?.cycles,
                Part::Curve if key.len_bytes > 0 => timings.copy_cycles(key)?,
                _ => return None,
            };
            let (name, place) = match key.part {
                Part::Curve => {
                    let place = Map::from_iter([("len_bytes".to_owned(), json!(key.len_bytes))]);
                    (format!("copies of {}", size(key.len_bytes)), place)
                }
                _ => {
                    let (live, mask) = (key.live.to_string(), key.mask.to_string());
                    let (condition, area) = (key.condition.name(), key.area.name());
                    let name = format!("{live} in use, {condition}, {area}, of {mask}");
                    let place = json!({ "live": live, "condition": condition, "area": area, "mask": mask });
                    (name, place.as_object().cloned().unwrap_or_default())
                }
            };
            // Below a cycle there is nothing to take a ratio of.
            let cell = Cell { name, place };
            (cycles >= 1.0).then(|| Timed { contender: key.subject.to_string(), cell, ratio: cycles })
        };
        let per_ns = core_cycles_per_ns(self, &timings);
        let ring0 = self.ring0.iter().flat_map(|ring0| {
            ring0.rows.iter().filter(|row| row.name != EMPTY).filter_map(move |row| {
                let cell = Cell { name: "in ring 0".to_owned(), place: Map::new() };
                let cycles = ring0.cycles(&row.name, per_ns).filter(|cycles| *cycles >= 1.0)?;
                Some(Timed { contender: row.name.clone(), cell, ratio: cycles })
            })
        });
        Comparable {
            bench: BENCH.to_owned(),
            against: "in core cycles",
            noise_floor: timings.noise_floor(),
            figures: timings.keys().filter_map(figure).chain(ring0).collect(),
            ..Comparable::default()
        }
    }

    fn explain(&self, len_bytes: usize) -> Explained {
        let rows = at_length(self, &Parameters::default(), len_bytes);
        let is_ring0 = rows.first().is_some_and(|at| at.is_ring0);
        let source = if is_ring0 { ", which was measured in ring 0" } else { "" };
        let mut text =
            format!("{} in sections that save everything, and restore it at once{source}\n", size(len_bytes));
        for at in &rows {
            let verdict = match at.verdict {
                Verdict::Vector => "vector registers win",
                Verdict::Tie => "a tie",
                Verdict::Plain => "without is faster",
            };
            let _ = writeln!(
                text,
                "  sections  of {:>2}: {:.0} cycles a copy, {:.0} without: {verdict}",
                at.copies, at.section_cycles, at.plain_cycles
            );
        }
        if rows.is_empty() {
            text.push_str("  measured  nothing: `memcpy-select xsave` makes a record\n");
        }
        let row = |at: &super::show::AtLength| {
            json!({
                "copies": at.copies, "section_cycles": at.section_cycles, "plain_cycles": at.plain_cycles,
                "verdict": format!("{:?}", at.verdict).to_lowercase(),
            })
        };
        let mut document = json!({ "len_bytes": len_bytes, "sections": rows.iter().map(row).collect::<Vec<Value>>() });
        if is_ring0 {
            document["measured_in_ring0"] = json!(true);
        }
        Explained { text, document }
    }
}
