//! A table, once for the terminal and for the page.

use super::page::{self, escape};
use std::fmt::Write;

/// Rows under heads. The first column names the row.
#[derive(Clone, Debug)]
pub struct FigureTable {
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl FigureTable {
    /// An empty one.
    pub const fn new(heads: &'static [&'static str]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push([name.to_owned()].into_iter().chain(cells).collect());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first columns for a terminal: names on the left, figures on the right. Nothing if there is no row.
    pub fn text(&self, columns: usize) -> String {
        let mut text = String::new();
        if self.is_empty() {
            return text;
        }
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let width = |at: usize| {
            let cells = self.rows.iter().chain([&heads]).filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.min(heads.len())).map(width).collect();
        for (number, row) in [&heads].into_iter().chain(&self.rows).enumerate() {
            // Rows stand under their head.
            let indent = if number == 0 { "" } else { "  " };
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match at {
                    0 => write!(text, "{indent}{cell:<0$}", width + 2 - indent.len()),
                    _ => write!(text, "  {cell:>width$}"),
                };
            }
            text.push('\n');
        }
        text
    }

    /// All of it as HTML; names as code where they are words of the program.
    pub fn html(&self, is_code: bool) -> String {
        let mut table = page::HtmlTable::new(self.heads);
        for row in &self.rows {
            let name = |name: &String| if is_code { format!("<code>{}</code>", escape(name)) } else { escape(name) };
            let cells = row.iter().enumerate().map(|(at, cell)| if at == 0 { name(cell) } else { escape(cell) });
            table.row(&cells.collect::<Vec<String>>());
        }
        table.html()
    }
}
