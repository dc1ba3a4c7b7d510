//! The questions, and what a record of any of them can say. A new question is a folder beside this file and a row in
//! [`QUESTIONS`].

use super::evidence::{Evidence, Place, Section};
use super::record::{Record, RecordError, newest};
#[cfg(target_arch = "x86_64")]
use super::sections;
use super::show::page::{HtmlTable, caveat, document, environment_table, escape, figure, machine, percent};
use super::{calls, copies, neighbours, paths, programs};
use serde_json::{Value, json};
use std::any::Any;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A question that is measured, kept and shown.
pub struct Question {
    /// Its name, by which a reader asks for it.
    pub name: &'static str,
    /// The benches whose records are of it, the one that says most first. What no question claims is taken for copies.
    pub benches: &'static [&'static str],
    /// What makes a record.
    pub made_by: &'static str,
    /// What a record says.
    read: fn(Record, &Path) -> Read,
}

/// What a record says, or why it cannot be read.
pub type Read = Result<Box<dyn Evidence>, RecordError>;
/// The folder of a record, and what it says.
pub type Found = (PathBuf, Box<dyn Evidence>);

/// Every question.
pub static QUESTIONS: &[Question] = &[
    Question {
        name: "copies",
        benches: &[copies::BENCH, copies::SWEEP, "validate", "distributions", "bodies", "nontemporal"],
        made_by: "cargo bench",
        read: |record, folder| Ok(Box::new(copies::CopyRecord::of(record, folder)?)),
    },
    #[cfg(target_arch = "x86_64")]
    Question {
        name: "sections",
        benches: &[sections::BENCH],
        made_by: "memcpy-select xsave",
        read: |record, _| Ok(Box::new(sections::SectionRecord::of(record)?)),
    },
    Question {
        name: "paths",
        benches: &[paths::BENCH],
        made_by: "memcpy-select ipc",
        read: |record, _| Ok(Box::new(paths::PathRecord::of(record)?)),
    },
    Question {
        name: "neighbours",
        benches: &[neighbours::BENCH],
        made_by: "memcpy-select neighbour",
        read: |record, _| Ok(Box::new(neighbours::NeighbourRecord::of(record)?)),
    },
    Question {
        name: "calls",
        benches: &[calls::BENCH],
        made_by: "memcpy-select profile",
        read: |record, _| Ok(Box::new(calls::CallsRecord::of(record)?)),
    },
    Question {
        name: "programs",
        benches: &[programs::BENCH],
        made_by: "memcpy-select programs",
        read: |record, _| Ok(Box::new(programs::ProgramRecord::of(record)?)),
    },
];

impl Question {
    /// The question of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        QUESTIONS.iter().find(|question| question.name == name)
    }

    /// The record of this question that says most of the CPU of that signature.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if one cannot be read.
    pub fn newest(&self, results: &Path, signature: &str) -> Result<Option<Found>, RecordError> {
        let Some(folder) = newest(results, signature, self.benches[0])? else { return Ok(None) };
        let evidence = read(&folder)?;
        Ok(Some((folder, evidence)))
    }

    /// The question that records of a bench are of.
    pub fn of_bench(bench: &str) -> &'static Self {
        QUESTIONS.iter().find(|question| question.benches.contains(&bench)).unwrap_or(&QUESTIONS[0])
    }
}

/// A record, and the name to show it under: `<machine>/<date>.<n>`.
pub type Named = (String, Box<dyn Evidence>);

/// Reads a record back, of whatever question it is.
///
/// # Errors
///
/// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
pub fn read(folder: &Path) -> Read {
    let record = Record::read(folder)?;
    (Question::of_bench(&record.bench).read)(record, folder)
}

/// A page of these records.
///
/// The page is complete HTML, encoded as UTF-8, with its style and its plots inside; it asks for no network and has no
/// script. Figures lead to the rows that name their samples. Ratios are speeds throughout: above 1 is faster.
pub fn page(records: &[Named]) -> String {
    let title = match records {
        [(name, _)] => name.clone(),
        several => format!("{} records", several.len()),
    };
    let mut body = String::new();
    match records {
        [] => body.push_str("<h1>memcpy-select</h1>\n<p>No record was given.</p>\n"),
        [_] => {}
        several => body.push_str(&side_by_side(several)),
    }
    for (at, (name, evidence)) in records.iter().enumerate() {
        body.push_str(&section(Place { name, number: at + 1 }, &**evidence));
    }
    document(&title, &body)
}

fn section(place: Place<'_>, evidence: &dyn Evidence) -> String {
    let environment = evidence.environment();
    let Section { answer, appendix } = evidence.section(place);
    format!(
        "<section id=\"record-{}\">\n<h1>{}</h1>\n{}{}{answer}<h2>Environment</h2>\n{}{appendix}</section>\n",
        place.number,
        escape(place.name),
        caveat(evidence.is_complete(), evidence.is_empty()),
        machine(environment),
        environment_table(environment, evidence.noise_floor())
    )
}

/// The records beside each other, and what to use where several cover the grid of lengths.
fn side_by_side(records: &[Named]) -> String {
    let mut html = String::from("<h1>memcpy-select: records side by side</h1>\n");
    let mut facts = HtmlTable::new(&["record", "bench", "CPU", "core GHz", "libc", "noise floor", "effort"]);
    for (at, (name, evidence)) in records.iter().enumerate() {
        let environment = evidence.environment();
        facts.row(&[
            format!(
                "<a href=\"#record-{}\">{}</a>{}",
                at + 1,
                escape(name),
                if evidence.is_complete() { "" } else { ", <b>unfinished</b>" }
            ),
            escape(evidence.bench()),
            escape(&format!("{} ({})", environment.cpu.name, environment.cpu.microarchitecture)),
            figure(Some(environment.clock.core_cycles_per_ns)),
            escape(environment.system.libc.as_deref().unwrap_or("not known")),
            percent(evidence.noise_floor()),
            escape(&environment.effort),
        ]);
    }
    let _ =
        write!(html, "{}{}", facts.html(), copies::show::page::side_by_side(&places::<copies::CopyRecord>(records)));
    html
}

/// The records of one kind, with their places.
fn places<T: Evidence>(records: &[Named]) -> Vec<(Place<'_>, &T)> {
    let mut found = Vec::new();
    for (at, (name, evidence)) in records.iter().enumerate() {
        let evidence: &dyn Any = &**evidence;
        found.extend(evidence.downcast_ref::<T>().map(|record| (Place { name, number: at + 1 }, record)));
    }
    found
}

/// One JSON document of a record: where and how it ran, and its figures.
///
/// # Errors
///
/// As for [`Evidence::figures`].
pub fn json_of((name, evidence): &Named) -> Result<Value, RecordError> {
    let environment = evidence.environment();
    let cpu = &environment.cpu;
    let mut all = json!({
        "name": name,
        "question": Question::of_bench(evidence.bench()).name,
        "bench": evidence.bench(),
        "complete": evidence.is_complete(),
        "machine": environment.machine,
        "date": environment.date,
        "effort": environment.effort,
        "cpu": {
            "name": cpu.name,
            "microarchitecture": cpu.microarchitecture,
            "signature": cpu.signature,
            "hypervisor": cpu.hypervisor,
            "features": cpu.features,
            "l1d_bytes": cpu.l1d_bytes,
            "l2_bytes": cpu.l2_bytes,
            "l3_bytes": cpu.l3_bytes,
            "core_cycles_per_ns": environment.clock.core_cycles_per_ns,
        },
        "libc": environment.system.libc,
        "plan": environment.plan,
        "conditions": environment.conditions,
        "noise_floor": evidence.noise_floor(),
    });
    if let Value::Object(all) = &mut all {
        all.extend(evidence.figures()?);
    }
    Ok(all)
}
