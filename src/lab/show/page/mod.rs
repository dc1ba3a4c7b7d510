//! The frame of every page: one HTML file, in which nothing is loaded and nothing runs; tables, plots, and how figures are
//! written.

#![forbid(unsafe_code)]

mod environment;
pub mod loglog;
pub mod plot;
pub mod ranges;
pub mod series;

pub use environment::{bare, environment_table, machine};

use super::format;
use crate::lab::record::Environment;
use std::fmt::Write;

/// The start of the `content` of the page's `<meta name="generator">`, and of a plot's `<metadata>`: by it a file is known
/// as one of ours.
pub const PAGE_GENERATOR: &str = "memcpy-select ";

pub const STYLE: &str = include_str!("style.css");

/// A whole page around its body.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" \
         content=\"{PAGE_GENERATOR}{}\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>memcpy-select: {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escape(title)
    )
}

/// The last plot of a part of a page as a file of its own; nothing where there is none.
///
/// The file is complete SVG, readable on light and on dark paper, and asks for no network.
pub fn svg_file(name: &str, environment: &Environment, html: &str) -> Option<String> {
    let drawing = &html[html.rfind("<svg ")?..];
    let drawing = &drawing[..drawing.find("</svg>")?];
    let (tag, inside) = drawing.split_once('>')?;
    let about = escape(&format!("{name}, {}", environment.cpu.name));
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{tag} xmlns=\"http://www.w3.org/2000/svg\">\n<metadata>{PAGE_GENERATOR}{}: \
         {about}</metadata>\n<style>\n{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" style=\"fill:var(--paper)\"/>{inside}\
         </svg>\n",
        env!("CARGO_PKG_VERSION"),
    ))
}

/// What a reader must know before any figure: that the run did not come to its end, or that it holds nothing.
pub fn caveat(is_complete: bool, is_empty: bool) -> &'static str {
    match (is_complete, is_empty) {
        (true, false) => "",
        (true, true) => {
            "<p class=\"warning\"><b>This record is empty.</b> Nothing was measured: it gives no advice.</p>\n"
        }
        (false, true) => {
            "<p class=\"warning\"><b>This record is unfinished and empty.</b> Its run was ended, or goes on, and nothing was \
             measured by then: it gives no advice.</p>\n"
        }
        (false, false) => {
            "<p class=\"warning\"><b>This record is unfinished.</b> Its run was ended, or goes on: what follows is what it \
             had measured by then, and what is missing may change the answer.</p>\n"
        }
    }
}

/// A table that scrolls in a container of its own. Cells are HTML; heads are text, and may be missing.
pub struct HtmlTable {
    html: String,
}

impl HtmlTable {
    pub fn new(heads: &[&str]) -> Self {
        let mut html = String::from("<div class=\"scroll\"><table>\n");
        for (at, head) in heads.iter().enumerate() {
            let _ = write!(html, "{}<th>{}", if at == 0 { "<thead><tr>" } else { "" }, escape(head));
        }
        html.push_str(if heads.is_empty() { "<tbody>\n" } else { "</thead>\n<tbody>\n" });
        Self { html }
    }

    pub fn row(&mut self, cells: &[String]) {
        self.html.push_str("<tr>");
        for cell in cells {
            let _ = write!(self.html, "<td>{cell}");
        }
        self.html.push('\n');
    }

    /// A line over the whole width, above the rows that it names.
    pub fn heading(&mut self, columns: usize, id: &str, text: &str) {
        let _ = writeln!(self.html, "<tr class=\"group\" id=\"{id}\"><th colspan=\"{columns}\">{}", escape(text));
    }

    /// The same where no figure leads to it.
    pub fn caption(&mut self, columns: usize, text: &str) {
        let _ = writeln!(self.html, "<tr class=\"group\"><th colspan=\"{columns}\">{}", escape(text));
    }

    pub fn html(mut self) -> String {
        self.html.push_str("</tbody></table></div>\n");
        self.html
    }
}

/// Text as it may stand in HTML, between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in format::printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// What stands where there is no figure.
pub fn none() -> String {
    "–".to_owned()
}

/// A value that can be shown and drawn.
pub fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Three significant digits.
pub fn figure(value: Option<f64>) -> String {
    finite(value).map_or_else(none, format::gb_per_s)
}

pub fn positive(value: Option<f64>) -> Option<f64> {
    finite(value).filter(|value| *value > 0.0)
}

/// A ratio above 1 as what it is more than 1.
pub fn percent(ratio: f64) -> String {
    finite(Some((ratio - 1.0) * 100.0)).map_or_else(none, |percent| format!("{percent:.1}%"))
}
