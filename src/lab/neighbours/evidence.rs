//! What a record of neighbours says: its part of the page, JSON, what can be compared, what it says in short.

use super::NeighbourRecord;
use super::record::{AT_MOST, BENCH, SLOW, Seen, Verdict};
use super::roles::{BUSY, PAYLOAD_BYTES};
use super::show::{self as shown, page};
use crate::lab::evidence::{Evidence, Head, Place, Section, json_rows};
use crate::lab::record::RecordError;
use crate::lab::show::page::svg_file;
use crate::lab::show::{Cell, Comparable, Explained, Timed, size};
use serde_json::{Map, Value, json};

impl Evidence for NeighbourRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, samples, .. } = self;
        Head { bench: BENCH, environment, is_complete: *complete, is_empty: samples.is_empty() }
    }

    fn noise_floor(&self) -> f64 {
        NeighbourRecord::noise_floor(self)
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
        Ok(Map::from_iter([
            ("seen".to_owned(), self.seen().iter().map(of_seen).collect()),
            ("slow".to_owned(), json!(format!("over {SLOW} times the median beside an idle neighbour"))),
            ("verdicts".to_owned(), self.verdicts().iter().map(of_verdict).collect()),
            ("rows".to_owned(), json_rows(self.tables.iter())?),
        ]))
    }

    /// The 99th percentile beside each neighbour, over that beside an honest busy one in the same way to wait, and of hostile ones
    /// also over that beside a stranger that makes the same calls elsewhere.
    fn comparable(&self) -> Comparable {
        let seen = self.seen();
        let busy = |mode: &str| seen.iter().find(|one| one.mode == mode && one.neighbour == BUSY);
        let figure = |one: &Seen<'_>| {
            let place = Map::from_iter([("mode".to_owned(), json!(one.mode))]);
            let cell = Cell { name: one.mode.to_owned(), place };
            let ratio = one.over(busy(one.mode)?)?;
            (one.neighbour != BUSY).then(|| Timed { contender: one.neighbour.to_owned(), cell, ratio })
        };
        let verdict = |one: Verdict<'_>| {
            let place =
                Map::from_iter([("mode".to_owned(), json!(one.hostile.mode)), ("elsewhere".to_owned(), json!(true))]);
            let cell = Cell { name: format!("{}, against the same calls elsewhere", one.hostile.mode), place };
            Timed { contender: one.hostile.neighbour.to_owned(), cell, ratio: one.ratio.median }
        };
        let verdicts = self.verdicts();
        let own = seen.iter().filter(|one| one.neighbour == BUSY);
        Comparable {
            bench: BENCH.to_owned(),
            against: "p99 against that beside an honest busy neighbour in the same run",
            baseline: Some(BUSY),
            noise_floor: self.noise_floor(),
            figures: seen.iter().filter_map(figure).chain(verdicts.into_iter().map(verdict)).collect(),
            baselines: own.filter_map(|one| Some((one.mode.to_owned(), one.at_ns(0.99)?))).collect(),
        }
    }

    /// Requests have one length, which is said.
    fn explain(&self, len_bytes: usize) -> Explained {
        let head = format!("requests of {}, the length that neighbours are measured with\n\n", size(PAYLOAD_BYTES));
        let head = if len_bytes == PAYLOAD_BYTES { String::new() } else { head };
        let document = json!({
            "len_bytes": len_bytes, "measured_bytes": PAYLOAD_BYTES,
            "seen": self.seen().iter().map(of_seen).collect::<Vec<Value>>(),
            "verdicts": self.verdicts().iter().map(of_verdict).collect::<Vec<Value>>(),
        });
        Explained { text: head + &shown::text(self), document }
    }
}

fn of_seen(one: &Seen<'_>) -> Value {
    json!({
        "mode": one.mode, "neighbour": one.neighbour, "requests": one.count(), "p50_ns": one.at_ns(0.5),
        "p99_ns": one.at_ns(0.99), "p999_ns": one.at_ns(0.999),
    })
}

fn of_verdict(one: &Verdict<'_>) -> Value {
    let Verdict { hostile, stranger, ratio, slow } = one;
    let (low, high) = ratio.interval;
    json!({
        "mode": hostile.mode, "neighbour": hostile.neighbour, "ratio": ratio.median, "low": low, "high": high,
        "at_most": AT_MOST, "is_fair": one.is_fair(), "slow_share": slow[0], "slow_share_elsewhere": slow[1],
        "steps_per_s": hostile.steps_per_s(), "steps_per_s_elsewhere": stranger.steps_per_s(),
    })
}
