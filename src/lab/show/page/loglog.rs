//! Lines against size where both span decades, as SVG: both axes logarithmic.

#![forbid(unsafe_code)]

use crate::lab::show::format::size;
use crate::lab::show::page::escape;
use crate::lab::show::page::plot::apart;
use crate::lab::show::page::series::{Look, Point, Series};
use std::fmt::Write;

/// The class of the others.
pub const REST: &str = "rest";

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 850.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 454.0;
/// Where labels start.
const LABEL_X: f64 = 878.0;

/// A plot.
pub struct LogLog<'a> {
    /// What it shows, for those who do not see it.
    pub title: &'a str,
    /// What the values are.
    pub unit: &'a str,
    /// How a value is written at the axis.
    pub tick: &'a dyn Fn(f64) -> String,
    /// The curves; values that are not positive are left out.
    pub series: Vec<Series>,
    /// Vertical lines: length in bytes, label.
    pub marks: Vec<(usize, String)>,
}

impl LogLog<'_> {
    /// The plot as an `<svg>`; a sentence where there is nothing to draw.
    pub fn svg(mut self) -> String {
        for series in &mut self.series {
            series.points.retain(|point| point.value > 0.0 && point.value.is_finite() && point.len_bytes > 0);
        }
        self.series.retain(|series| !series.points.is_empty());
        let points = || self.series.iter().flat_map(|series| &series.points);
        let Some(least) = points().map(|point| point.value).reduce(f64::min) else {
            return "<p>Nothing was measured that could be drawn here.</p>\n".to_owned();
        };
        let most = points().map(|point| point.value).fold(least, f64::max);
        let decades = (least.log10().floor(), (most.log10().ceil()).max(least.log10().floor() + 1.0));
        let lengths = (
            points().map(|point| point.len_bytes).min().unwrap_or(1),
            points().map(|point| point.len_bytes).max().unwrap_or(1),
        );
        let y = |value: f64| BOTTOM - (value.log10() - decades.0) / (decades.1 - decades.0) * (BOTTOM - TOP);
        let (first, last) = ((lengths.0 as f64).log2(), (lengths.1 as f64).log2());
        let x = |bytes: f64| LEFT + (bytes.log2() - first) / (last - first).max(1.0) * (RIGHT - LEFT);
        let mut svg = format!(
            "<div class=\"scroll\"><svg class=\"few\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\n",
            BOTTOM + 30.0,
            escape(self.title)
        );
        svg.insert_str(0, &self.keys());
        self.axes(&mut svg, decades, lengths, &x, &y);
        let (rest, named): (Vec<&Series>, Vec<&Series>) = self.series.iter().partition(|one| one.look.family == REST);
        for series in rest {
            line(&mut svg, series, &x, &y);
            svg.push_str("</g>\n");
        }
        let ends: Vec<f64> = named.iter().filter_map(|one| Some(y(one.points.last()?.value))).collect();
        for ((series, end), label_y) in named.iter().zip(&ends).zip(apart(&ends, TOP, BOTTOM)) {
            line(&mut svg, series, &x, &y);
            let end_x = series.points.last().map_or(RIGHT, |point| x(point.len_bytes as f64));
            series.label(&mut svg, (end_x, *end), (LABEL_X, label_y));
        }
        svg.push_str("</svg></div>\n");
        svg
    }

    /// The curves that have names, for windows so narrow that the names beside the plot are out of sight.
    fn keys(&self) -> String {
        let mut html = String::from("<div class=\"keys note\" aria-hidden=\"true\">");
        for Series { name, look, .. } in self.series.iter().filter(|one| one.look.family != REST) {
            let (Look { family, dashes, is_thick }, name) = (look, escape(name));
            let thick = if *is_thick { " thick" } else { "" };
            let _ = write!(
                html,
                "<span class=\"series {family} d{dashes}{thick}\"><svg viewBox=\"0 0 32 6\"><path class=\"key\" \
                 d=\"M0 3h32\"/></svg>{name}</span>"
            );
        }
        html + "</div>\n"
    }

    fn axes(
        &self,
        svg: &mut String,
        decades: (f64, f64),
        lengths: (usize, usize),
        x: &dyn Fn(f64) -> f64,
        y: &dyn Fn(f64) -> f64,
    ) {
        for decade in decades.0 as i32..=decades.1 as i32 {
            let value = 10_f64.powi(decade);
            let at = y(value);
            let class = if at >= BOTTOM - 0.5 { "frame" } else { "grid" };
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"axis\" \
                 x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                escape(&(self.tick)(value))
            );
        }
        let _ = writeln!(svg, "<text class=\"axis\" x=\"4\" y=\"14\">{}</text>", escape(self.unit));
        let powers = lengths.0.next_power_of_two().ilog2()..=lengths.1.ilog2();
        for power in powers.filter(|power| power % 2 == 0) {
            let at = x((1_u64 << power) as f64);
            let _ = writeln!(
                svg,
                "<line class=\"frame\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{BOTTOM}\" y2=\"{}\"/><text class=\"axis\" \
                 x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 18.0,
                size(1 << power)
            );
        }
        for (bytes, label) in &self.marks {
            let at = x((*bytes).max(1) as f64).clamp(LEFT, RIGHT);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"20\" y2=\"{BOTTOM}\"/><text class=\"axis\" \
                 x=\"{at:.1}\" y=\"14\" text-anchor=\"middle\">{}</text>",
                escape(label)
            );
        }
    }
}

/// A curve with its points, whose group is still open.
fn line(svg: &mut String, series: &Series, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
    let Look { family, dashes, is_thick } = series.look;
    let thick = if is_thick { " thick" } else { "" };
    let _ = write!(svg, "<g class=\"series {family} d{dashes}{thick}\"><polyline points=\"");
    for Point { len_bytes: bytes, value, .. } in &series.points {
        let _ = write!(svg, "{:.1},{:.1} ", x(*bytes as f64), y(*value));
    }
    svg.push_str("\"/>\n");
    for Point { len_bytes: bytes, value, said, .. } in &series.points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><title>{}</title></circle>",
            x(*bytes as f64),
            y(*value),
            escape(said)
        );
    }
}
