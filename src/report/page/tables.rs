//! What else a record holds: its further files, each as a table, and the contenders that were left out.

#![forbid(unsafe_code)]

use super::format::count;
use super::{Shown, Table, escape, neighbour};
use std::collections::BTreeMap;
use std::fmt::Write;

/// More rows than these are for another program to read.
const ROWS_SHOWN: usize = 400;

/// Parts of the page for files that have a meaning of their own: the file's name without `.csv`, and what is shown of it
/// in the place of its bare rows, if it can be read.
type Section = (&'static str, fn(&Shown<'_>) -> Option<String>);

/// The sections.
const SECTIONS: &[Section] = &[
    ("neighbour", neighbour::section),
    ("safety", neighbour::safety),
    #[cfg(target_arch = "x86_64")]
    ("xsave", |shown| Some(super::xsave::section(shown))),
    // What the section above shows already.
    #[cfg(target_arch = "x86_64")]
    ("xsave-in-use", |_| Some(String::new())),
    #[cfg(target_arch = "x86_64")]
    ("xsave-prediction", |_| Some(String::new())),
];

/// Every further file of the record.
pub(super) fn all(shown: &Shown<'_>) -> String {
    let mut html = String::new();
    for table in &shown.record.tables {
        let section = SECTIONS.iter().find(|(name, _)| *name == table.name());
        html.push_str(&section.and_then(|(_, show)| show(shown)).unwrap_or_else(|| bare(table)));
    }
    html
}

/// The rows of a file as they are.
fn bare(file: &crate::record::Table) -> String {
    let name = format!("{}.csv", escape(file.name()));
    let mut html = format!("<h2><code>{name}</code></h2>\n");
    let rows = match file.cells() {
        Ok(rows) => rows,
        Err(error) => {
            let _ = writeln!(html, "<p>{}</p>", escape(&error.to_string()));
            return html;
        }
    };
    let Some((heads, rows)) = rows.split_first() else {
        html.push_str("<p>The file is empty.</p>\n");
        return html;
    };
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows.iter().take(ROWS_SHOWN) {
        table.row(&row.iter().map(|cell| escape(cell)).collect::<Vec<_>>());
    }
    html.push_str(&table.html());
    if rows.len() > ROWS_SHOWN {
        let _ = writeln!(html, "<p class=\"note\">The first {ROWS_SHOWN} of {} rows.</p>", rows.len());
    }
    html
}

/// The contenders that have no timing somewhere, and why.
pub(super) fn left_out(shown: &Shown<'_>) -> String {
    let mut causes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for failure in &shown.record.failures {
        *causes.entry((&failure.contender, &failure.cause)).or_default() += 1;
    }
    let mut html = String::new();
    for ((name, cause), cells) in causes {
        let (name, cause, cells) = (escape(name), escape(cause), count(cells, "cell"));
        let _ = writeln!(html, "<p class=\"warning\"><b>{name}</b> has no figure in {cells}: {cause}.</p>");
    }
    html
}
