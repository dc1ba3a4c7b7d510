//! `explain`: what a record says about a length, and what `memcpy_auto` picks for it and why.

use crate::policy::policy;
use crate::records::{self, RESULTS};
use crate::{caveats, json};
use clap::Args;
use clap::builder::PossibleValuesParser;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::copies::show::Explanation;
use memcpy_select::lab::instruments::words::length;
use memcpy_select::lab::question::{self, Found};
use memcpy_select::lab::show::{Explained, hanging, print, say, size};
use memcpy_select::lab::{Evidence, QUESTIONS, Question};
use memcpy_select::select::Policy;
use serde_json::{Value, json};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select explain 4096 --dst-offset 1 --src-offset 2048
      What memcpy_auto picks for such a copy, what limits it, and what was measured
  memcpy-select explain 64KiB --question paths
      What moving that much between two processes costs, by every path
  memcpy-select explain 4KiB --record results/intel-6-167-1-masked-kvm/2026-11-24.6
      What one record says of that length, whatever question it is of";

/// Say what memcpy_auto picks for a length on this CPU, what limits such a copy, and what was measured.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Explain {
    /// The length, as in 64, 4k or 1MiB (see `memcpy-select --help`)
    #[arg(value_parser = length)]
    len: usize,
    /// What is asked: of copies, copies in sections that save vector registers, paths between processes, neighbours of a
    /// server, the calls of a program, or whole programs [default: that of the record, or copies]
    #[arg(long, value_name = "QUESTION", value_parser = PossibleValuesParser::new(QUESTIONS.iter().map(|question| question.name)))]
    question: Option<String>,
    /// Where the destination of a copy starts in its page
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = length)]
    dst_offset: usize,
    /// Where its source starts in its page
    #[arg(long, value_name = "BYTES", default_value = "2048", value_parser = length)]
    src_offset: usize,
    /// What the caller of a copy may use
    #[arg(long, default_value = "user", value_parser = policy(&["user", "no-simd", "section"]))]
    policy: Policy,
    /// The folder of a record, instead of the newest of this CPU in results/
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// The record of a question that says most of a CPU. Without one there is nothing measured to tell, which is said; what is in
/// the way of reading it is said as well.
fn newest(question: &Question, signature: &str) -> Option<Found> {
    let results = Path::new(RESULTS);
    if !results.is_dir() {
        return None;
    }
    question.newest(results, signature).unwrap_or_else(|error| {
        say(format_args!("warning: {error}"));
        None
    })
}

impl Explain {
    pub fn run(self) -> Result<ExitCode, String> {
        let here = records::here();
        let asked = self.question.as_deref().and_then(Question::named);
        let record = match &self.record {
            Some(folder) => Some((folder.clone(), question::read(folder).map_err(|error| error.to_string())?)),
            None => newest(asked.unwrap_or(&QUESTIONS[0]), &here),
        };
        let found = record
            .as_ref()
            .map_or(asked.unwrap_or(&QUESTIONS[0]), |(_, evidence)| Question::of_bench(evidence.bench()));
        if let Some(asked) = asked.filter(|asked| asked.name != found.name) {
            let folder = self.record.unwrap_or_default();
            return Err(format!(
                "{}: this record is of {}, not of {}: nothing was read of it; name a record of `{}`",
                folder.display(),
                found.name,
                asked.name,
                asked.made_by
            ));
        }
        let evidence = record.as_ref().map(|(_, evidence)| &**evidence);
        let mut explained = if found.name == QUESTIONS[0].name {
            self.explain_copy(evidence, &here)
        } else {
            evidence.map_or_else(|| nothing(self.len, found), |evidence| evidence.explain(self.len))
        };
        let notes = record.as_ref().map(|(folder, evidence)| notes(folder, &**evidence, &here)).unwrap_or_default();
        let is_complete = evidence.is_none_or(Evidence::is_complete);
        let folder = record.as_ref().map(|(folder, _)| folder);
        if self.json {
            let document = &mut explained.document;
            document["question"] = json!(found.name);
            document["record"] = json!(folder);
            document["complete"] = json!(is_complete);
            document["notes"] = json!(notes);
            json::print(document)?;
        } else {
            print(format_args!("{}{}", caveats::text(&notes), explained.text))?;
            if let Some(folder) = folder {
                print(format_args!("  record    {}\n", folder.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What `memcpy_auto` picks here, and what a record of copies says; for sections what they cost, too.
    fn explain_copy(&self, evidence: Option<&dyn Evidence>, here: &str) -> Explained {
        let copies = evidence.and_then(|evidence| (evidence as &dyn Any).downcast_ref::<CopyRecord>());
        let place = (self.dst_offset, self.src_offset);
        let mut explained = Explanation::of(&Cpu::detect(), self.policy, self.len, place, copies).explained();
        let sections = Question::named("sections").filter(|_| self.policy == Policy::Section);
        if let Some((_, sections)) = sections.and_then(|sections| newest(sections, here)) {
            let Explained { text, document } = sections.explain(self.len);
            explained.text.push_str(text.split_once('\n').map_or("", |(_, rows)| rows));
            explained.document["sections"] = document["sections"].clone();
        }
        explained
    }
}

/// That nothing is known.
fn nothing(len_bytes: usize, question: &Question) -> Explained {
    let Question { name, made_by, .. } = question;
    let why = format!("  measured  nothing: there is no record of {name} of this CPU here; `{made_by}` makes one");
    let text = format!("{}\n{}", size(len_bytes), hanging(12, &why));
    Explained { text, document: json!({ "len_bytes": len_bytes, "measured": Value::Null }) }
}

/// What a reader has to know of the record before its figures.
fn notes(folder: &Path, evidence: &dyn Evidence, here: &str) -> Vec<String> {
    let mut notes = caveats::of(folder, evidence);
    notes.extend(caveats::other_cpu(folder, evidence.environment(), here));
    notes
}
