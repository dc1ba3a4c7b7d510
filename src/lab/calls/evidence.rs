//! What a record of a program's copies says: its part of the page, JSON, what can be compared, what it says of a length.

use super::record::{BENCH, CallsRecord, Figure};
use super::show::{self as shown, Bucket, buckets, page};
use super::totals::{Kind, Range, Sum, Totals};
use crate::lab::calls::estimate::Estimate;
use crate::lab::evidence::{Evidence, Head, Place, Section, json_rows};
use crate::lab::record::RecordError;
use crate::lab::show::page::svg_file;
use crate::lab::show::{Cell, Comparable, Explained, Timed, size, time, wrap};
use serde_json::{Map, Value, json};

impl Evidence for CallsRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, rows, .. } = self;
        Head { bench: BENCH, environment, is_complete: *complete, is_empty: rows.is_empty() }
    }

    fn noise_floor(&self) -> f64 {
        self.totals().noise_floor()
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
        let totals = self.totals();
        let costs = totals.costs();
        let share = |ticks: Option<Estimate>| ticks.and_then(|ticks| totals.share(ticks)).map(of_estimate);
        let run = self.run.as_ref();
        Ok(Map::from_iter([
            ("command".to_owned(), json!(self.command)),
            ("end".to_owned(), json!(run.map(|run| &run.end))),
            ("elapsed_ns".to_owned(), json!(run.map(|run| run.elapsed_ns))),
            ("processes_going_on".to_owned(), json!(run.map(|run| run.going_on))),
            ("caveat".to_owned(), json!(run.map(|run| &run.caveat).filter(|caveat| !caveat.is_empty()))),
            ("cpu_ns".to_owned(), json!((totals.cpu_ns > 0).then_some(totals.cpu_ns))),
            ("recording_ns".to_owned(), json!(totals.recording_ns.round())),
            ("under".to_owned(), json!(self.processes.first().map(|process| &process.under))),
            ("calls".to_owned(), Kind::ALL.iter().map(|kind| of_sum(kind.name(), totals.calls(&[*kind]))).collect()),
            ("lengths".to_owned(), lengths(&totals)),
            ("share_of_cpu_by_libc".to_owned(), json!(share(costs.libc))),
            ("share_of_cpu_by_plan".to_owned(), json!(share(costs.plan))),
            ("plan_saves_of_cpu".to_owned(), json!(share(costs.covered_share().map(|_| costs.saved)))),
            ("share_with_timings".to_owned(), json!(costs.covered_share())),
            ("verdict".to_owned(), json!(shown::verdict(self, &totals))),
            ("ratios".to_owned(), totals.ratios().into_iter().map(of_ratio).collect()),
            ("unwatched".to_owned(), json!(self.unwatched())),
            ("sites".to_owned(), json!(self.sites)),
            ("choices".to_owned(), json!(self.choices)),
            ("processes".to_owned(), json!(self.processes)),
            ("samples".to_owned(), samples(&totals)),
            ("rows".to_owned(), json_rows(self.tables.iter())?),
        ]))
    }

    /// The plan's time over libc's for copies of each length, both timed in the program.
    fn comparable(&self) -> Comparable {
        let totals = self.totals();
        let ratios = totals.ratios();
        let figure = |(range, _, ratio): &(Range, f64, Estimate)| {
            let place =
                Map::from_iter([("from_bytes".to_owned(), json!(range.0)), ("up_to_bytes".to_owned(), json!(range.1))]);
            let cell = Cell { name: cell_name(*range), place };
            Timed { contender: super::Arm::Plan.name().to_owned(), cell, ratio: ratio.value }
        };
        Comparable {
            bench: BENCH.to_owned(),
            against: "against libc in the same program",
            baseline: Some(super::Arm::Libc.name()),
            noise_floor: totals.noise_floor(),
            figures: ratios.iter().map(figure).collect(),
            baselines: ratios
                .iter()
                .map(|(range, ticks, _)| (cell_name(*range), ticks / totals.ticks_per_ns))
                .collect(),
        }
    }

    fn explain(&self, len_bytes: usize) -> Explained {
        let totals = self.totals();
        let is_here = |from: u64, up_to: u64| (from..=up_to).contains(&(len_bytes as u64));
        let all = Sum::of(buckets(&totals).iter().map(|bucket| bucket.copies));
        let here = |kinds: &[Kind]| {
            let lengths = totals.by_length(kinds).into_iter();
            Sum::of(lengths.filter(|((from, up_to), _)| is_here(*from, *up_to)).map(|(_, sum)| sum))
        };
        let copies = here(&[Kind::Copy, Kind::MoveDown, Kind::MoveUp, Kind::Same]);
        let ratio = totals.ratios().into_iter().find(|((from, up_to), _, _)| is_here(*from, *up_to));
        let mut text = wrap(&format!(
            "{} made {} of its {} copies at about {}, {} bytes of {}",
            self.command,
            copies.calls,
            all.calls,
            size(len_bytes),
            copies.bytes,
            all.bytes
        ));
        text.push_str(&match ratio {
            Some((_, ticks, ratio)) => {
                let (low, high) = ratio.interval();
                wrap(&format!(
                    "there libc takes {} in the mean, and the plan {:.2} ({low:.2} to {high:.2}) times as long",
                    time(ticks / totals.ticks_per_ns),
                    ratio.value
                ))
            }
            None => "too few of them were timed\n".to_owned(),
        });
        let document = json!({
            "len_bytes": len_bytes, "command": self.command, "calls": copies.calls, "bytes": copies.bytes, "of_calls": all.calls,
            "of_bytes": all.bytes, "fills": here(&[Kind::Fill]).calls, "ratio": ratio.map(of_ratio),
        });
        Explained { text, document }
    }
}

fn cell_name((from, up_to): Range) -> String {
    if from == up_to { format!("copies of {from} bytes") } else { format!("copies of {from} to {up_to} bytes") }
}

fn of_estimate(estimate: Estimate) -> Value {
    let (low, high) = estimate.interval();
    json!({ "value": estimate.value, "interval": [low, high] })
}

fn of_sum(name: &str, sum: Sum) -> Value {
    json!({ "kind": name, "calls": sum.calls, "bytes": sum.bytes })
}

fn of_ratio((range, libc_ticks, ratio): (Range, f64, Estimate)) -> Value {
    json!({
        "from_bytes": range.0, "up_to_bytes": range.1, "libc_ticks": libc_ticks, "plan_over_libc": of_estimate(ratio),
    })
}

/// Calls and bytes by octave of length.
fn lengths(totals: &Totals) -> Value {
    let of = |bucket: &Bucket| {
        json!({
            "from_bytes": bucket.from_bytes, "up_to_bytes": bucket.up_to_bytes, "copies": bucket.copies.calls,
            "bytes": bucket.copies.bytes, "fills": bucket.fills.calls, "filled_bytes": bucket.fills.bytes,
        })
    };
    buckets(totals).iter().map(of).collect()
}

/// What was sampled, by figure.
fn samples(totals: &Totals) -> Value {
    let figures = [
        ("dst_offset", Figure::DstOffset),
        ("src_offset", Figure::SrcOffset),
        ("fill_offset", Figure::FillOffset),
        ("distance", Figure::Distance),
        ("class", Figure::Class),
        ("reuse_ns", Figure::Reuse),
        ("unused_ns", Figure::Unused),
        ("interrupted", Figure::Interrupted),
    ];
    let of = |figure| -> Value {
        let row = |(what, (from, up_to), sum): (&str, Range, Sum)| json!({ "what": what, "from": from, "up_to": up_to, "calls": sum.calls, "bytes": sum.bytes });
        totals.figure(figure).map(row).collect()
    };
    Value::Object(figures.into_iter().map(|(name, figure)| (name.to_owned(), of(figure))).collect())
}
