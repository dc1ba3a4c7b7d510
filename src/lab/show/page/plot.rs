//! Lines against size, as SVG: a logarithmic axis of lengths, a linear axis of values.

#![forbid(unsafe_code)]

use crate::lab::show::format::size;
use crate::lab::show::page::escape;
use crate::lab::show::page::series::{Look, Series};
use std::fmt::Write;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 394.0;
/// Where labels start, and how far apart they stand at least.
const LABEL_X: f64 = 908.0;
const LABEL_STEP: f64 = 14.5;
const STRIP_TOP: f64 = BOTTOM + 30.0;
const STRIP_HEIGHT: f64 = 20.0;

/// A plot.
pub struct Plot<'a> {
    /// What it shows, for those who do not see it.
    pub title: &'a str,
    /// What the values are.
    pub unit: &'a str,
    /// The curves.
    pub series: Vec<Series>,
    /// The lengths to show at least: first and last.
    pub span: (usize, usize),
    /// Vertical lines: length in bytes, label.
    pub marks: Vec<(u64, String)>,
    /// Segments under the axis, if any.
    pub strip: Vec<Segment>,
    /// Values between which differences say nothing. The axis of such a plot starts at the least value and not at 0, for
    /// what counts is the distance from the shade.
    pub shade: Option<(f64, f64)>,
}

/// The axis of values: first and last line, and what is between two lines.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn y(&self, value: f64) -> f64 {
        BOTTOM - (value - self.low) / (self.high - self.low) * (BOTTOM - TOP)
    }
}

/// A range of lengths that one kernel serves.
pub struct Segment {
    /// Its last length in bytes; nothing for no end.
    pub to_bytes: Option<u64>,
    /// What serves it.
    pub name: String,
    /// The class of the style sheet that sets its colour.
    pub family: &'static str,
    /// What else there is to say.
    pub said: String,
}

impl Plot<'_> {
    /// The plot as an `<svg>` that scrolls; a sentence where there is nothing to draw.
    pub fn svg(&self) -> String {
        self.drawing().map_or_else(
            || "<p>Nothing was measured that could be drawn here.</p>\n".to_owned(),
            |drawing| format!("<div class=\"scroll\">{drawing}</div>\n"),
        )
    }

    /// The plot as an `<svg>`.
    fn drawing(&self) -> Option<String> {
        let axis = self.axis()?;
        let y = |value: f64| axis.y(value);
        let height = if self.strip.is_empty() { BOTTOM + 30.0 } else { STRIP_TOP + STRIP_HEIGHT + 6.0 };
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n", escape(self.title));
        if let Some((from, to)) = self.shade {
            let (from, to) = (y(from), y(to));
            let _ = writeln!(
                svg,
                "<rect class=\"shade\" x=\"{LEFT}\" y=\"{to:.1}\" width=\"{}\" height=\"{:.1}\"/>",
                RIGHT - LEFT,
                from - to
            );
        }
        self.axes(&mut svg, &axis);
        let mut labels = Vec::new();
        let (thick, thin): (Vec<&Series>, Vec<&Series>) = self.series.iter().partition(|one| one.look.is_thick);
        for series in thin.into_iter().chain(thick) {
            if let Some(last) = series.points.last() {
                labels.push((series, y(last.value)));
            }
        }
        let ends: Vec<f64> = labels.iter().map(|(_, end)| *end).collect();
        for ((series, end), label_y) in labels.iter().zip(apart(&ends, TOP, BOTTOM)) {
            self.curve(&mut svg, series, y, *end, label_y);
        }
        self.segments(&mut svg);
        svg.push_str("</svg>");
        Some(svg)
    }

    fn x(&self, len_bytes: f64) -> f64 {
        let first = (self.span.0.max(1) as f64).log2();
        let last = (self.span.1.max(1) as f64).log2().max(first + 1.0);
        LEFT + (len_bytes.log2() - first) / (last - first) * (RIGHT - LEFT)
    }

    /// Nothing where there is nothing to draw.
    fn axis(&self) -> Option<Axis> {
        let values = || self.series.iter().flat_map(|series| series.points.iter().map(|point| point.value));
        let highest = values().fold(0.0, f64::max).max(self.shade.map_or(0.0, |shade| shade.1));
        if highest <= 0.0 {
            return None;
        }
        let lowest = self.shade.map_or(0.0, |shade| values().fold(shade.0, f64::min).max(0.0));
        let step = round_step((highest - lowest).max(highest / 1e6) / 6.0);
        Some(Axis { low: (lowest / step).floor() * step, high: (highest / step).ceil() * step, step })
    }

    fn axes(&self, svg: &mut String, axis: &Axis) {
        let Axis { low, high, step } = *axis;
        let lines = ((high - low) / step).round() as usize;
        let decimals = usize::from(step < 1.0) + usize::from(step < 0.1);
        for line in 0..=lines {
            let value = low + step * line as f64;
            let y = axis.y(value);
            let class = if line == 0 { "frame" } else { "grid" };
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"axis\" \
                 x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.decimals$}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(svg, "<text class=\"axis\" x=\"4\" y=\"14\">{}</text>", escape(self.unit));
        let first = self.span.0.clamp(1, 1 << 62).next_power_of_two().ilog2();
        let last = self.span.1.max(1).ilog2();
        for power in first..=last.min(62) {
            let x = self.x((1_u64 << power) as f64);
            let _ = writeln!(
                svg,
                "<line class=\"frame\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{}\"/>",
                BOTTOM + 4.0
            );
            if power.is_multiple_of(2) {
                let label = size(1 << power);
                let y = BOTTOM + 18.0;
                let _ =
                    writeln!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>");
            }
        }
        let mut free_x = LEFT + 60.0;
        for (bytes, label) in &self.marks {
            let x = self.x(*bytes as f64);
            if !(LEFT..=RIGHT).contains(&x) {
                continue;
            }
            // Half the width of the label at 12 pixels; caches lie factors of 16 apart, so labels seldom meet.
            let half = label.chars().count() as f64 * 3.2;
            let at = x.max(free_x + half);
            free_x = at + half + 8.0;
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"{BOTTOM}\"/><text class=\"axis\" \
                 x=\"{at:.1}\" y=\"14\" text-anchor=\"middle\">{}</text>",
                escape(label)
            );
        }
    }

    fn curve(&self, svg: &mut String, series: &Series, y: impl Fn(f64) -> f64, end: f64, label_y: f64) {
        let Look { family, dashes, is_thick } = series.look;
        let thick = if is_thick { " thick" } else { "" };
        let _ = write!(svg, "<g class=\"series {family} d{dashes}{thick}\"><polyline points=\"");
        for point in &series.points {
            let _ = write!(svg, "{:.1},{:.1} ", self.x(point.len_bytes as f64), y(point.value));
        }
        svg.push_str("\"/>\n");
        let radius = if is_thick { 3.0 } else { 2.0 };
        for point in &series.points {
            let (open, close) = match &point.id {
                Some(id) => (format!("<a href=\"#{id}\" tabindex=\"-1\">"), "</a>"),
                None => (String::new(), ""),
            };
            let _ = writeln!(
                svg,
                "{open}<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"><title>{}</title></circle>{close}",
                self.x(point.len_bytes as f64),
                y(point.value),
                escape(&point.said)
            );
        }
        let end_x = series.points.last().map_or(RIGHT, |point| self.x(point.len_bytes as f64));
        series.label(svg, (end_x, end), (LABEL_X, label_y));
    }

    fn segments(&self, svg: &mut String) {
        if self.strip.is_empty() {
            return;
        }
        svg.push_str("<g class=\"strip\">\n");
        let mut from = LEFT;
        for segment in &self.strip {
            let to = segment.to_bytes.map_or(RIGHT, |bytes| self.x(bytes.max(1) as f64)).clamp(from, RIGHT);
            let (width, middle) = (to - from, (from + to) / 2.0);
            if width > 0.0 {
                let _ = writeln!(
                    svg,
                    "<g class=\"{}\"><rect x=\"{from:.1}\" y=\"{STRIP_TOP}\" width=\"{width:.1}\" \
                     height=\"{STRIP_HEIGHT}\"><title>{}</title></rect>",
                    segment.family,
                    escape(&segment.said)
                );
                if width > segment.name.chars().count() as f64 * 7.0 {
                    let y = STRIP_TOP + 14.0;
                    let name = escape(&segment.name);
                    let _ = write!(svg, "<text x=\"{middle:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>");
                }
                svg.push_str("</g>\n");
            }
            from = to;
        }
        let y = STRIP_TOP + 14.0;
        let _ = writeln!(svg, "<text class=\"axis\" x=\"{LABEL_X}\" y=\"{y}\">plan of memcpy_auto</text></g>");
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(power)
}

/// Heights for labels that want to stand at these: in the same order of height, a step apart where there is room.
pub fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let step = LABEL_STEP.min((bottom - top) / wanted.len().max(1) as f64);
    let mut heights = wanted.to_vec();
    let mut free = top;
    for at in &order {
        heights[*at] = heights[*at].max(free);
        free = heights[*at] + step;
    }
    let mut free = bottom;
    for at in order.iter().rev() {
        heights[*at] = heights[*at].min(free);
        free = heights[*at] - step;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_their_distance() {
        let wanted = [390.0, 100.0, 391.0, 389.0, 101.0];
        let heights = apart(&wanted, 34.0, 394.0);
        assert!(
            heights[1] < heights[4] && heights[4] < heights[3] && heights[3] < heights[0] && heights[0] < heights[2]
        );
        let mut sorted = heights.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_STEP - 1e-9), "{sorted:?}");
        assert!(sorted.iter().all(|height| (34.0..=394.0).contains(height)));
    }

    #[test]
    fn more_labels_than_there_is_room_for_stay_inside() {
        let heights = apart(&[200.0; 60], 34.0, 394.0);
        assert!(heights.iter().all(|height| (27.0..=394.0).contains(height)));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.7, 1.0, 1.5, 3.0, 40.0].map(round_step), [1.0, 1.0, 2.0, 5.0, 50.0]);
    }
}
