//! Which of several records of copies says most of a CPU.

#![forbid(unsafe_code)]

use super::judge::can_judge;
use super::plan::is_held_back;
use super::{BENCH, CopyRecord};
use crate::lab::question::Question;
use crate::lab::record::{Listed, RecordError, age, is_record};
use std::path::{Path, PathBuf};

/// Of each CPU one record of copies.
#[derive(Debug, Default)]
pub struct Chosen {
    /// The records with their folders, by CPU.
    pub records: Vec<(PathBuf, CopyRecord)>,
    /// What was named and not chosen, and why.
    pub passed_over: Vec<(PathBuf, String)>,
    /// What could not be read.
    pub unreadable: Vec<RecordError>,
}

/// The question that a record is of, if it is not of copies.
fn other_question(folder: &Path) -> Option<&'static str> {
    let question = Question::of_bench(&Listed::read(folder).ok()?.bench);
    (!question.benches.contains(&BENCH)).then_some(question.name)
}

/// Of the records that these folders are, for each CPU the newest; one that is quick, or beside a tuned libc, after all
/// others, one of a grid of its maker's choice after those of `cargo bench`, and one without cells [from which no plan is
/// made](is_held_back) after those that have some.
pub fn one_of_each_cpu(folders: &[PathBuf]) -> Chosen {
    let mut chosen = Chosen::default();
    let mut ranked = Vec::new();
    for folder in folders {
        let mut pass_over = |why: &str| chosen.passed_over.push((folder.clone(), why.to_owned()));
        if !is_record(folder) {
            pass_over("this is no record");
        } else if let Some(other) = other_question(folder) {
            pass_over(&format!("a record of {other} has no copies by kernel"));
        } else {
            match CopyRecord::read(folder) {
                Err(error) => chosen.unreadable.push(error),
                Ok(record) if !record.complete => pass_over("its run did not come to its end"),
                Ok(record) if !can_judge(&record) => {
                    pass_over(&format!(
                        "this one of bench {} has no copies of libc and other kernels by length",
                        record.bench
                    ));
                }
                Ok(record) => {
                    let has_held_back = record.samples.iter().any(|sample| is_held_back(&sample.cell));
                    let is_whole = record.bench == BENCH;
                    let rank = (record.environment.is_first_rate(), is_whole, has_held_back, age(folder));
                    ranked.push((record.environment.cpu.signature.clone(), rank, folder.clone(), record));
                }
            }
        }
    }
    // The best of each CPU comes first.
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    for (signature, _, folder, record) in ranked {
        match chosen.records.last() {
            Some((better, of)) if of.environment.cpu.signature == signature => {
                let why = format!("{} says more of this CPU, or is newer", better.display());
                chosen.passed_over.push((folder, why));
            }
            _ => chosen.records.push((folder, record)),
        }
    }
    chosen
}
