//! All of it for a terminal: what was asked first.

#![forbid(unsafe_code)]

use super::buckets::buckets;
use super::sentences::{overhead, paragraphs};
use super::tables::{kernels, lengths, places, processes, repetition, reuse, sites, timed};
use crate::lab::calls::CallsRecord;
use crate::lab::show::{FigureTable, count, wrap};

/// So many call sites and processes are in a terminal's text; the page has them all.
const MOST_ROWS: usize = 12;

/// Sentences, then tables.
pub fn text(record: &CallsRecord) -> String {
    let totals = record.totals();
    let mut text: String = paragraphs(record, &totals).iter().map(|said| wrap(said)).collect();
    let of_each = record.of_each();
    let mut add = |table: &FigureTable, columns: usize| {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.text(columns));
        }
    };
    add(&lengths(&buckets(&totals)), 5);
    add(&timed(&totals), usize::MAX);
    add(&kernels(&record.choices), usize::MAX);
    add(&places(&totals), usize::MAX);
    add(&sites(&record.sites, MOST_ROWS), 6);
    add(&reuse(&totals), usize::MAX);
    if record.processes.len() > 1 || record.is_by_process {
        let most = if record.is_by_process { usize::MAX } else { MOST_ROWS };
        add(&processes(&record.processes, &of_each, most), usize::MAX);
    }
    if record.processes.is_empty() {
        return text;
    }
    text.push('\n');
    if record.sites.len() > MOST_ROWS {
        text.push_str(&wrap(&format!(
            "{} are in the record; the page has them all.",
            count(record.sites.len(), "call site")
        )));
    }
    for said in repetition(&record.sites).into_iter().chain(record.unwatched()).chain([overhead(record, &totals)]) {
        text.push_str(&wrap(&said));
    }
    text
}
