//! What a record can say, whatever question it is of.

use super::record::{CsvFile, Environment, RecordError};
use super::show::{Comparable, Explained};
use serde_json::{Map, Value, json};
use std::any::Any;

/// What a record says.
pub trait Evidence: Any + Send + Sync {
    /// What it says of itself.
    fn head(&self) -> Head<'_>;

    /// The bench that ran.
    fn bench(&self) -> &str {
        self.head().bench
    }

    /// Where and how it ran.
    fn environment(&self) -> &Environment {
        self.head().environment
    }

    /// Whether the run came to its end.
    fn is_complete(&self) -> bool {
        self.head().is_complete
    }

    /// Whether nothing was measured before it ended.
    fn is_empty(&self) -> bool {
        self.head().is_empty
    }

    /// How far what was measured differs from itself: a ratio above 1, under which a difference is a tie.
    fn noise_floor(&self) -> f64;

    /// All that it says, for a terminal.
    fn text(&self) -> String;

    /// Its part of the page.
    fn section(&self, place: Place<'_>) -> Section;

    /// A plot as a file of its own, if there is anything to draw.
    fn plot(&self, _name: &str) -> Option<String> {
        None
    }

    /// The figures as JSON. What was not measured is null.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if a file of the record cannot be what a run has written.
    fn figures(&self) -> Result<Map<String, Value>, RecordError>;

    /// What can be compared with another record of the same bench.
    fn comparable(&self) -> Comparable;

    /// What it says about a length.
    fn explain(&self, len_bytes: usize) -> Explained;
}

/// What every record says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The bench that ran.
    pub bench: &'a str,
    /// Where and how it ran.
    pub environment: &'a Environment,
    /// Whether the run came to its end.
    pub is_complete: bool,
    /// Whether nothing was measured before it ended.
    pub is_empty: bool,
}

/// Where on a page a record stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What the record is called.
    pub name: &'a str,
    /// Its number on the page, from 1: its section and what is in it are found by that.
    pub number: usize,
}

/// A question's part of the page, as HTML.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The answer, and what it was seen from.
    pub answer: String,
    /// What stands behind the environment: how it was measured, every figure.
    pub appendix: String,
}

/// The rows of further files, each as an object with the names of its columns.
pub(super) fn json_rows<'a>(tables: impl Iterator<Item = &'a CsvFile>) -> Result<Value, RecordError> {
    let mut files = Map::new();
    for table in tables {
        let cells = table.cells()?;
        let Some((heads, rows)) = cells.split_first() else { continue };
        let value = |cell: &String| match (cell.parse::<i64>(), cell.parse::<f64>()) {
            (Ok(number), _) => json!(number),
            (_, Ok(number)) if number.is_finite() => json!(number),
            _ => json!(cell),
        };
        let row = |row: &Vec<String>| -> Value {
            heads.iter().zip(row).map(|(head, cell)| (head.clone(), value(cell))).collect::<Map<_, _>>().into()
        };
        files.insert(table.name().to_owned(), rows.iter().map(row).collect());
    }
    Ok(files.into())
}
