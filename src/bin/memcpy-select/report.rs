//! `report`: one HTML page, or one JSON document, from records.

use crate::{caveats, json, records};
use clap::Args;
use memcpy_select::lab::page;
use memcpy_select::lab::question::{Named, json_of, read};
use memcpy_select::lab::record::{file, is_record};
use memcpy_select::lab::show::page::PAGE_GENERATOR;
use memcpy_select::lab::show::{count, print, say};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write one self-contained HTML page from records, or list the records in a folder.
///
/// The page needs no network and no script. It shows records of every kind, with plots; several beside each other.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Report {
    /// Folders of records: results/<machine>/<date>.<n>; or a folder that has some, which are listed
    #[arg(required_unless_present = "targets", value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Print what a record of paths between processes says of the transport's targets, and write no page; without a record,
    /// the newest of this CPU under results/
    #[arg(long, conflicts_with_all = ["out", "svg"])]
    targets: bool,
    /// Where the page goes; an older page is replaced, any other file is not
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Also write the plot of the one record as a file of its own, as for a README
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the figures as JSON instead, and write no page
    #[arg(long, conflicts_with_all = ["out", "svg"])]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  memcpy-select report results
      The records that there are: machine, CPU, bench, date, and whether each is complete
  memcpy-select report results/amd-26-2-1-kvm/2026-11-23.12
      The page of one, report.html
  memcpy-select report results/*/* --out machines.html
      All of them beside each other; what is no record is passed over with a note
  memcpy-select report results/intel-6-167-1-masked-kvm/2026-11-24.6 --json
      The figures of one, of whatever bench it is";

impl Report {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.targets {
            return crate::targets::run(&self.records, self.json);
        }
        let within: Vec<Vec<PathBuf>> = self.records.iter().map(|folder| records::within(folder)).collect();
        if within.iter().all(|found| !found.is_empty()) {
            return records::list(&within.concat(), self.json);
        }
        let (records, is_whole) = self.read(&within)?;
        if self.json {
            let records: Result<Vec<Value>, _> = records.iter().map(json_of).collect();
            json::print(&json!({
                "generator": format!("{PAGE_GENERATOR}{}", env!("CARGO_PKG_VERSION")),
                "records": records.map_err(|error| error.to_string())?,
            }))?;
        } else {
            self.write_pages(&records)?;
        }
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }

    /// What was named, and whether all of it could be read. Where several are, one that is no record is passed over, and so is
    /// one that cannot be read, which is an error all the same.
    fn read(&self, within: &[Vec<PathBuf>]) -> Result<(Vec<Named>, bool), String> {
        let (mut records, mut is_whole) = (Vec::new(), true);
        let is_alone = self.records.len() == 1;
        for (folder, within) in self.records.iter().zip(within) {
            if !is_alone && !is_record(folder) {
                let why = match within.len() {
                    0 => "this is no record".to_owned(),
                    some => format!("this is no record, but has {}: name them, or it alone", count(some, "record")),
                };
                say(format_args!("note: {}: {why}; it is passed over", folder.display()));
                continue;
            }
            match read(folder) {
                Ok(findings) => {
                    caveats::of(folder, &*findings).iter().for_each(|note| say(format_args!("note: {note}")));
                    records.push((records::name(folder), findings));
                }
                Err(error) if is_alone => return Err(error.to_string()),
                Err(error) => {
                    say(format_args!("error: {error}"));
                    is_whole = false;
                }
            }
        }
        if records.is_empty() {
            return Err(
                "there is no record among what was named: nothing was written; `memcpy-select report results` lists \
                        those in a folder"
                    .to_owned(),
            );
        }
        Ok((records, is_whole))
    }

    fn write_pages(&self, records: &[Named]) -> Result<(), String> {
        let mut pages: Vec<(&Path, String, &str)> = Vec::new();
        if let Some(path) = &self.svg {
            let [(name, findings)] = records else {
                return Err(format!("{}: a plot is of one record: nothing was written; name one", path.display()));
            };
            let plot = findings.plot(name).ok_or_else(|| {
                format!("{name}: it has no figures of several sizes to draw: nothing was written; name another")
            })?;
            pages.push((path, plot, "plot"));
        }
        pages.push((&self.out, page(records), "page"));
        // All of them can be written, or none is.
        pages.iter().try_for_each(|(path, ..)| may_write(path))?;
        for (path, page, what) in &pages {
            write(path, page)?;
            print(format_args!("{what}: {}\n", path.display()))?;
        }
        Ok(())
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}: the page is not kept; name a file that can be written with --out", path.display())
}

/// Whether a page can be written there: nothing is there, or an older page.
fn may_write(path: &Path) -> Result<(), String> {
    file::may_replace(path).map_err(|error| failed(path, &error))?;
    if path.exists() && !is_page(path).map_err(|error| failed(path, &error))? {
        return Err(format!(
            "{}: there is a file that this verb has not written: it is left as it is; name another with --out",
            path.display()
        ));
    }
    Ok(())
}

/// Writes the page to a new file, or in the place of an older page.
fn write(path: &Path, page: &str) -> Result<(), String> {
    let written =
        if path.exists() { file::replace(path, page.as_bytes()) } else { file::create(path, page.as_bytes()) };
    written.map_err(|error| failed(path, &error))
}

/// Whether a file is a page or a plot of ours, by its head.
fn is_page(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let marks = ["<meta name=\"generator\" content=\"", "<metadata>"];
    Ok(marks.iter().any(|mark| head.contains(&format!("{mark}{PAGE_GENERATOR}"))))
}
