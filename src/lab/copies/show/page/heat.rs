//! Placements by sizes, coloured by a speed, as SVG.

#![forbid(unsafe_code)]

use crate::lab::copies::show::page::Shown;
use crate::lab::copies::show::page::series::placement;
use crate::lab::copies::show::terminal::{column, columns};
use crate::lab::copies::summary::CellSummary;
use crate::lab::instruments::statistics::is_tie;
use crate::lab::show::page::{HtmlTable, escape, none};
use crate::lab::show::size;
use std::collections::BTreeMap;
use std::fmt::Write;

const LEFT: f64 = 178.0;
const WIDTH: f64 = 1080.0;
const TOP: f64 = 26.0;
const ROW: f64 = 21.0;
/// A column must be as wide as this to hold its figure.
const FIGURE_WIDTH: f64 = 27.0;

/// Steps of colour: the class, the least speed that has it, and what the legend says.
const STEPS: [(&str, f64, &str); 8] = [
    ("f3", 1.5, "1.5 times as fast or more"),
    ("f2", 1.2, "from 1.2"),
    ("f1", 1.0, "from the noise floor"),
    ("tie", 1.0, "within the noise floor"),
    ("s1", 0.91, "from 0.91: slower"),
    ("s2", 0.8, "from 0.8"),
    ("s3", 0.67, "from 0.67"),
    ("s4", 0.0, "less"),
];

/// The class of a speed.
fn step(speed: f64, noise_floor: f64) -> &'static str {
    if is_tie(speed, noise_floor) {
        return "tie";
    }
    let fitting = STEPS.iter().filter(|(class, ..)| *class != "tie").find(|(_, least, _)| speed >= *least);
    fitting.map_or("s4", |(class, ..)| class)
}

/// What the colours mean.
pub(crate) fn legend() -> String {
    let mut html = String::from("<div class=\"swatches note\">");
    for (class, _, said) in STEPS {
        let _ = write!(html, "<span style=\"--b:var(--{class})\">{said}</span>");
    }
    html.push_str("</div>\n");
    html
}

/// A speed that can be shown, and what it compares with.
fn shown_speed(speed: Option<(f64, &str)>) -> Option<(f64, &str)> {
    speed.filter(|(speed, _)| speed.is_finite() && *speed > 0.0)
}

/// The figures of a heat map as a table in a closed element: for columns that are too narrow to hold them, and for those
/// who cannot point at them.
pub(crate) fn table<'a>(
    shown: &'a Shown<'_>,
    lengths: &[usize],
    speed: impl Fn(&'a CellSummary) -> Option<(f64, &'a str)>,
) -> String {
    let places = columns(&shown.summary);
    let mut names = vec![None; places.len()];
    let mut rows: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for cell in &shown.summary.cells {
        let Some(at) = places.iter().position(|place| *place == column(&cell.cell)) else {
            continue;
        };
        names[at].get_or_insert_with(|| placement(&cell.cell));
        let Some((speed, _)) = shown_speed(speed(cell)) else {
            continue;
        };
        let row = rows.entry(cell.cell.len_bytes).or_insert_with(|| vec![none(); places.len()]);
        row[at] = shown.link(&cell.cell, &format!("{speed:.2}"));
    }
    let names: Vec<String> = names.into_iter().map(Option::unwrap_or_default).collect();
    let heads: Vec<&str> = ["size"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = HtmlTable::new(&heads);
    for (len_bytes, row) in rows.into_iter().filter(|(len_bytes, _)| lengths.contains(len_bytes)) {
        table.row(&[vec![size(len_bytes)], row].concat());
    }
    format!("<details><summary>The figures of this map</summary>\n{}</details>\n", table.html())
}

/// A heat map of a speed; `speed` also names what it compares with.
pub(crate) fn svg<'a>(
    title: &str,
    shown: &'a Shown<'_>,
    lengths: &[usize],
    speed: impl Fn(&'a CellSummary) -> Option<(f64, &'a str)>,
) -> String {
    let summary = &shown.summary;
    let rows = columns(summary);
    if rows.is_empty() || lengths.is_empty() {
        return "<p>Nothing was measured that could be drawn here.</p>\n".to_owned();
    }
    let step_x = (WIDTH - LEFT - 4.0) / lengths.len() as f64;
    let height = TOP + ROW * rows.len() as f64 + 4.0;
    let mut svg = format!(
        "<div class=\"scroll\"><svg class=\"heat\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escape(title)
    );
    let mut free_x = 0.0;
    for (at, len_bytes) in lengths.iter().enumerate() {
        let x = LEFT + step_x * (at as f64 + 0.5);
        let label = short(*len_bytes);
        let half = label.chars().count() as f64 * 3.0;
        if len_bytes.is_power_of_two() && x - half >= free_x {
            free_x = x + half + 3.0;
            let _ = writeln!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{}\">{label}</text>", TOP - 8.0);
        }
    }
    let mut cells: BTreeMap<(usize, usize), &CellSummary> = BTreeMap::new();
    for cell in &summary.cells {
        let row = rows.iter().position(|row| *row == column(&cell.cell));
        let column = lengths.binary_search(&cell.cell.len_bytes);
        if let (Some(row), Ok(column)) = (row, column) {
            cells.entry((row, column)).or_insert(cell);
        }
    }
    for row in 0..rows.len() {
        let y = TOP + ROW * row as f64;
        let here = cells.range((row, 0)..(row + 1, 0));
        for (at, (&(_, column), cell)) in here.enumerate() {
            if at == 0 {
                let label = escape(&placement(&cell.cell));
                let (x, y) = (LEFT - 8.0, y + 14.0);
                let _ = writeln!(svg, "<text class=\"row\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
            }
            let Some((speed, other)) = shown_speed(speed(cell)) else {
                continue;
            };
            let class = step(speed, summary.noise_floor);
            let x = LEFT + step_x * column as f64;
            let _ = writeln!(
                svg,
                "<a href=\"#{}\" tabindex=\"-1\"><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{step_x:.1}\" height=\"{ROW}\"><title>{}, \
                 {}: {speed:.2} times as fast as {}</title></rect></a>",
                shown.id(&cell.cell),
                size(cell.cell.len_bytes),
                escape(&placement(&cell.cell)),
                escape(other)
            );
            if step_x >= FIGURE_WIDTH {
                let lit = match class {
                    "f3" | "s4" => " class=\"lit\"",
                    "s3" => " class=\"ink\"",
                    _ => "",
                };
                let (x, y) = (x + step_x / 2.0, y + 14.5);
                let _ = writeln!(svg, "<text{lit} x=\"{x:.1}\" y=\"{y:.1}\">{speed:.2}</text>");
            }
        }
    }
    svg.push_str("</svg></div>\n");
    svg
}

/// A length for the head of a narrow column.
fn short(bytes: usize) -> String {
    size(bytes).replace(" KiB", "K").replace(" MiB", "M").replace(" GiB", "G").replace(" B", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_at_their_limits() {
        let floor = 1.05;
        let expected = [
            (2.0, "f3"),
            (1.5, "f3"),
            (1.49, "f2"),
            (1.19, "f1"),
            (1.04, "tie"),
            (1.0, "tie"),
            (0.96, "tie"),
            (0.95, "s1"),
            (0.9, "s2"),
            (0.79, "s3"),
            (0.66, "s4"),
        ];
        for (speed, class) in expected {
            assert_eq!(step(speed, floor), class, "{speed}");
        }
    }
}
