//! What every verb that measures has in common: how much, where the record goes, and what is shown of it at the end.

use crate::{json, records};
use clap::Args;
use memcpy_select::lab::Evidence;
use memcpy_select::lab::experiment::Start;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::words::unknown;
use memcpy_select::lab::question::json_of;
use memcpy_select::lab::record::Progress;
use memcpy_select::lab::show::print;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Args, Clone)]
pub struct Measuring {
    /// How much: quick (under a minute), default (some minutes at most) or full (many) [default: default]
    #[arg(long, value_name = "EFFORT", value_parser = effort_named)]
    pub effort: Option<Effort>,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results/local")]
    pub out: PathBuf,
    /// Go on with the record in this folder, with the options it was started with: they need not be given again
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    pub json: bool,
}

impl Measuring {
    /// How much was asked for, or where a record is gone on with, what that was started with.
    pub fn effort(&self) -> Result<Effort, String> {
        let started = match (self.effort, self.started()?) {
            (Some(effort), _) => return Ok(effort),
            (None, grid) => grid.unwrap_or_default(),
        };
        let named = started.lines().find_map(|line| Effort::named(line.strip_prefix("effort ")?).ok());
        Ok(named.unwrap_or(Effort::Default))
    }

    /// What the record to go on with was started with.
    pub fn started(&self) -> Result<Option<String>, String> {
        let Some(folder) = &self.resume else { return Ok(None) };
        let grid = Progress::read(folder).map_err(|error| error.to_string())?.grid.ok_or_else(|| {
            format!("{}: this record does not say what was to be measured; start a new one", folder.display())
        })?;
        Ok(Some(grid))
    }

    /// A run on this logical CPU.
    pub fn start(&self, effort: Effort, pinned_to: Option<usize>) -> Start<'_> {
        Start { effort, pinned_to, out: &self.out, resume: self.resume.as_deref(), is_json: self.json }
    }

    /// Shows what was found, and where it is kept.
    pub fn show(&self, folder: &Path, evidence: Box<dyn Evidence>) -> Result<(), String> {
        if self.json { json::print(&document(folder, evidence)?) } else { print_text(folder, &evidence.text()) }
    }
}

/// What was found, as text, and where it is kept.
pub fn print_text(folder: &Path, text: &str) -> Result<(), String> {
    Ok(print(format_args!("{text}record: {}\n", folder.display()))?)
}

/// The same as a document.
pub fn document(folder: &Path, evidence: Box<dyn Evidence>) -> Result<Value, String> {
    let mut document = json_of(&(records::name(folder), evidence)).map_err(|error| error.to_string())?;
    document["record"] = json!(folder);
    Ok(document)
}

pub fn effort_named(word: &str) -> Result<Effort, String> {
    Effort::named(word).map_err(|_| unknown("effort", word, &Effort::ALL.map(Effort::name)))
}
