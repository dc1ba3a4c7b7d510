//! Plans from files, and plans that a program owns: what puts them in force in one call each.

#![forbid(unsafe_code)]

use super::Policy;
use super::dispatch::install;
use super::plan::{Plan, PlanError};
use super::stored::BUILD;
use super::text::{load, policy_name};
use super::text_error::MAX_TEXT_BYTES;
use super::text_error::{Excerpt, LoadError};
use super::whole_file::refuse_special;
use crate::cpu::Cpu;
use core::fmt;
use std::boxed::Box;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// Puts a plan in force that the program owns, as [`install`] does one that lives as long as the program.
///
/// ```
/// use memcpy_select::select::{Policy, calibrate, install_owned};
///
/// install_owned(Policy::User, calibrate().plan)?;
/// # Ok::<(), memcpy_select::select::PlanError>(())
/// ```
///
/// A plan that was in force once is kept to the end of the program, since another thread may be following it: some
/// two kilobytes for each plan that differs from all before.
///
/// # Errors
///
/// As for [`install`]. The previous plan stays in force then.
pub fn install_owned(policy: Policy, plan: Plan) -> Result<(), PlanError> {
    plan.check(policy, crate::cpu::features())?;
    install(policy, kept(plan))
}

/// The plan for the rest of the program: one that was kept before, if there is an equal one.
fn kept(plan: Plan) -> &'static Plan {
    static KEPT: Mutex<Vec<&'static Plan>> = Mutex::new(Vec::new());
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.iter().find(|known| ***known == plan && known.origin() == plan.origin());
    known.copied().unwrap_or_else(|| {
        let plan: &'static Plan = Box::leak(Box::new(plan));
        all.push(plan);
        plan
    })
}

/// Reads a plan for this CPU from a file, such as `memcpy-select calibrate --save` or `memcpy-select plan --save` writes.
/// It is not put in force.
///
/// # Errors
///
/// [`LoadFileError`] if the file cannot be read or is no regular one, or for what [`load`] refuses.
pub fn load_file(path: impl AsRef<Path>) -> Result<(Policy, Plan), LoadFileError> {
    let path = path.as_ref();
    let failed = |cause| LoadFileError { path: path.to_owned(), cause };
    // To open a pipe would wait for a writer.
    refuse_special(path).map_err(|error| failed(LoadFileCause::Unreadable(error)))?;
    let text = read(path).map_err(failed)?;
    load(&text, &Cpu::detect()).map_err(|error| failed(LoadFileCause::Refused(error)))
}

pub(super) fn read(path: &Path) -> Result<String, LoadFileCause> {
    let mut text = String::new();
    // A little more than a plan may have, so that a longer file is refused for its length.
    let most = MAX_TEXT_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.map(|_| text).map_err(LoadFileCause::Unreadable)
}

/// Reads a plan for this CPU from a file and puts it in force for the policy that it was made for, which is returned.
///
/// ```no_run
/// memcpy_select::select::install_file("copy.plan")?;
/// # Ok::<(), memcpy_select::select::LoadFileError>(())
/// ```
///
/// # Errors
///
/// As for [`load_file`]. The previous plan stays in force then.
pub fn install_file(path: impl AsRef<Path>) -> Result<Policy, LoadFileError> {
    let path = path.as_ref();
    let (policy, plan) = load_file(path)?;
    let refused =
        |error| LoadFileError { path: path.to_owned(), cause: LoadFileCause::Refused(LoadError::Plan(error)) };
    install_owned(policy, plan).map_err(refused)?;
    Ok(policy)
}

/// A file that gives no plan for this CPU.
#[derive(Debug)]
pub struct LoadFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub cause: LoadFileCause,
}

/// Why a file gives no plan for this CPU.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadFileCause {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It holds no plan, or none for this CPU.
    Refused(LoadError),
    /// [`SavedPlan::load`](super::SavedPlan::load): this version of the crate did not save it, but the one it names, if it
    /// names one.
    OtherVersion(Option<Excerpt>),
    /// [`SavedPlan::load`](super::SavedPlan::load): there is no plan for this policy, or not in its place.
    MissingPlan(Policy),
}

impl fmt::Display for LoadFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl fmt::Display for LoadFileCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => {
                write!(f, "{error}: no plan was read from it; name a file that `memcpy-select calibrate --save` wrote")
            }
            Self::Refused(error) => error.fmt(f),
            Self::OtherVersion(Some(version)) => write!(
                f,
                "memcpy-select {version} saved the plan and this is `{BUILD}`: it is refused; save one with this version"
            ),
            Self::OtherVersion(None) => write!(
                f,
                "its first line does not say which version saved the plan: it is refused; save one with this version, \
                 `{BUILD}`"
            ),
            Self::MissingPlan(policy) => write!(
                f,
                "there is no plan for policy `{}` where one has to be: the file is refused; save one with this version",
                policy_name(*policy)
            ),
        }
    }
}

impl std::error::Error for LoadFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            LoadFileCause::Unreadable(error) => Some(error),
            LoadFileCause::Refused(error) => Some(error),
            LoadFileCause::OtherVersion(_) | LoadFileCause::MissingPlan(_) => None,
        }
    }
}
