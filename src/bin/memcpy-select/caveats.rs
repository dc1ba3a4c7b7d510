//! What a reader has to know of a record before its figures: that it is of another CPU, of another bench, not complete, or
//! empty.

use memcpy_select::lab::Evidence;
use memcpy_select::lab::record::Environment;
use memcpy_select::lab::show::hanging;
use std::path::Path;

/// What there is to say of one record, whatever it is for.
pub fn of(folder: &Path, evidence: &dyn Evidence) -> Vec<String> {
    let folder = folder.display();
    let mut notes = Vec::new();
    if !evidence.is_complete() {
        notes.push(format!("{folder} is not complete: its run was ended before its time, or is still under way"));
    }
    if evidence.is_empty() {
        notes.push(format!("{folder} is empty: nothing was measured before its run ended"));
    }
    notes
}

/// That a record is not of the CPU that this program runs on, where a reader asks about that.
pub fn other_cpu(folder: &Path, environment: &Environment, here: &str) -> Option<String> {
    let there = &environment.cpu;
    (there.signature != here).then(|| {
        format!(
            "{} is of another CPU, {} ({}); this is {here}: its figures say nothing of this one",
            folder.display(),
            there.name,
            there.signature
        )
    })
}

/// What there is to say of two records that are compared.
pub fn of_pair(pair: [(&Path, &dyn Evidence); 2]) -> Vec<String> {
    let mut notes: Vec<String> = pair.iter().flat_map(|(folder, evidence)| of(folder, *evidence)).collect();
    let [first, second] = pair.map(|(_, evidence)| &evidence.environment().cpu);
    if first.signature != second.signature {
        notes.push(format!(
            "the records are of two CPUs, {} ({}) and {} ({}): what differs need not be a change of the program",
            first.name, first.signature, second.name, second.signature
        ));
    }
    notes
}

/// Notes as lines to stand before anything else.
pub fn text(notes: &[String]) -> String {
    let lines: String = notes.iter().map(|note| hanging(6, &format!("note: {note}"))).collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}
