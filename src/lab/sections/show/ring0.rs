//! Figures from ring 0, as core cycles of the record that they are in.

use super::text::wrapped;
use crate::lab::sections::ring0::{EMPTY, Machine, Ring0, Row};
use crate::lab::show::page::{HtmlTable, escape, figure, none};
use serde::Serialize;
use std::fmt::{self, Formatter, Write};

/// What a kernel measured in ring 0 of the record's CPU.
#[derive(Clone, Debug, Serialize)]
pub struct Ring0Figures {
    /// `bare`, or what the hypervisor or emulator is called.
    pub machine: String,
    /// Why figures that are not real are not; nothing where all are.
    pub not_real: Option<String>,
    /// Ticks of the time-stamp counter a second.
    pub tsc_hz: u64,
    /// The figures, in the order in which they were taken.
    pub rows: Vec<Ring0Row>,
}

/// A figure from ring 0. Times are without what timing nothing takes, but for the figure of that itself.
#[derive(Clone, Debug, Serialize)]
pub struct Ring0Row {
    /// What was timed.
    pub name: String,
    /// The median in core cycles, if the record knows the core clock.
    pub cycles: Option<f64>,
    /// The 5th percentile.
    pub p5_cycles: Option<f64>,
    /// The 95th percentile.
    pub p95_cycles: Option<f64>,
    /// The median in nanoseconds.
    pub ns: f64,
    /// How many samples.
    pub samples: u64,
    /// Whether it is what the CPU takes.
    pub real: bool,
}

impl Ring0Figures {
    pub(crate) fn of(ring0: &Ring0, core_cycles_per_ns: f64) -> Self {
        let Machine { machine, not_real, tsc_hz, .. } = &ring0.machine;
        let figure = |row: &Row| {
            let cycles = |ticks: f64| {
                let cycles = ring0.ns(row, ticks) * core_cycles_per_ns;
                (cycles.is_finite() && core_cycles_per_ns > 0.0).then_some(cycles)
            };
            let [median, p5, p95] = [row.ticks, row.p5_ticks, row.p95_ticks].map(cycles);
            Ring0Row {
                name: row.name.clone(),
                cycles: median,
                p5_cycles: p5,
                p95_cycles: p95,
                ns: ring0.ns(row, row.ticks),
                samples: row.samples,
                real: row.real,
            }
        };
        let is_real = ring0.rows.iter().all(|row| row.real);
        Self {
            machine: machine.clone(),
            not_real: (!is_real).then(|| not_real.clone()).filter(|why| !why.is_empty()),
            tsc_hz: *tsc_hz,
            rows: ring0.rows.iter().map(figure).collect(),
        }
    }

    /// What a copy that may fault costs more than one by the same kernel that may not: kernel and length, core cycles, and the
    /// same with `stac` and `clac`.
    fn fallible(&self) -> Vec<(&str, f64, Option<f64>)> {
        let cycles = |kind: &str, what: &str| {
            let name = format!("{kind}/{what}");
            self.rows.iter().find(|row| row.real && row.name == name)?.cycles
        };
        let more = |row: &'_ Ring0Row| -> Option<(usize, f64, Option<f64>)> {
            let what = row.name.strip_prefix("kernel/")?;
            let plain = cycles("kernel", what)?;
            let more = cycles("fallible", what)? - plain;
            Some((row.name.len() - what.len(), more, cycles("fallible_smap", what).map(|smap| smap - plain)))
        };
        let found = |row| more(row).map(|(from, more, smap)| (&row.name[from..], more, smap));
        self.rows.iter().filter_map(found).collect()
    }

    /// Where they were taken, and what is not real.
    fn sentence(&self) -> String {
        let Self { machine, not_real, tsc_hz, rows } = self;
        let place = if machine == "bare" { "without a hypervisor".to_owned() } else { format!("on {machine}") };
        let why = not_real.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
        let reals = rows.iter().filter(|row| row.real).count();
        let what = if reals == rows.len() {
            String::new()
        } else if reals == 0 {
            format!("; none of them is real{why}, and nothing is derived from them")
        } else {
            format!("; {} of {} are not real{why}, and nothing is derived from those", rows.len() - reals, rows.len())
        };
        format!(
            "measured in ring 0 by the kernel of tests/ring0, {place} (time-stamp counter {:.2} GHz), core cycles at the \
             clock of this record, without the {EMPTY} pair{what}",
            *tsc_hz as f64 / 1e9
        )
    }

    pub(super) fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        wrapped(f, &format!("{}:", self.sentence()), "")?;
        let are_all_real = self.rows.iter().all(|row| row.real);
        let mark = |text: &'static str| if are_all_real { "" } else { text };
        writeln!(f, "  {:<34}{:>9}{:>9}{:>9}{:>10}{}", "", "median", "5%", "95%", "ns", mark("  real"))?;
        let cell = |cycles: Option<f64>| cycles.map_or_else(|| "-".to_owned(), |cycles| format!("{cycles:.0}"));
        for row in &self.rows {
            let [median, p5, p95] = [row.cycles, row.p5_cycles, row.p95_cycles].map(cell);
            let mark = mark(if row.real { "   yes" } else { "    no" });
            writeln!(f, "  {:<34}{median:>9}{p5:>9}{p95:>9}{:>10.1}{mark}", row.name, row.ns)?;
        }
        let more = |(what, more, smap): (&str, f64, Option<f64>)| {
            let smap = smap.map_or_else(String::new, |smap| format!(", with stac and clac {smap:.0}"));
            format!("{what}: {more:.0}{smap}")
        };
        let fallible: Vec<String> = self.fallible().into_iter().map(more).collect();
        if !fallible.is_empty() {
            let text = format!("a copy that may fault costs more than by the same kernel: {}", fallible.join("; "));
            wrapped(f, &text, "")?;
        }
        writeln!(f)
    }

    /// Its part of the page.
    pub(super) fn html(&self) -> String {
        let mut table = HtmlTable::new(&["pair", "median", "5%", "95%", "ns", "samples", "real"]);
        for row in &self.rows {
            let [median, p5, p95] = [row.cycles, row.p5_cycles, row.p95_cycles].map(figure);
            let real = if row.real { "yes" } else { "no" };
            let cells =
                [escape(&row.name), median, p5, p95, figure(Some(row.ns)), row.samples.to_string(), real.to_owned()];
            table.row(&cells);
        }
        let is_warning = self.rows.iter().all(|row| !row.real);
        let class = if is_warning { "warning" } else { "note" };
        let sentence = escape(&self.sentence());
        let mut html = format!("<h2>Measured in ring 0</h2>\n<p class=\"{class}\">M{}.</p>\n", &sentence[1..]);
        html.push_str(&table.html());
        let fallible = self.fallible();
        if !fallible.is_empty() {
            let mut table = HtmlTable::new(&["a copy that may fault", "cycles more", "with stac and clac"]);
            for (what, more, smap) in fallible {
                table.row(&[escape(what), format!("{more:.0}"), smap.map_or_else(none, |smap| format!("{smap:.0}"))]);
            }
            let _ = writeln!(html, "{}", table.html().trim_end());
        }
        html
    }
}
