//! A plan that stays: one call at the start of a program, which measures at the first start and reads a file at the others.

#![forbid(unsafe_code)]

use super::Policy;
use super::calibrate::{Calibration, calibrate};
use super::file::{LoadFileCause, LoadFileError, install_owned};
use super::saved::{Plans, SavePlanError, SavedPlan};
use super::text_error::LoadError;
use core::fmt;
use std::boxed::Box;
use std::path::PathBuf;

/// Puts the best plans for this machine in force, for [`Policy::User`] and for [`Policy::NoSimd`]: the saved ones, or else
/// new ones, which [`calibrate`] measures in under 300 ms and which are saved for the next start.
///
/// Call it once, early in `main`. It always returns with plans in force; what it did, and why it did not do more, is in
/// what it returns.
///
/// ```no_run
/// let tuned = memcpy_select::tune();
/// eprintln!("{tuned}"); // a plan was calibrated in 214 ms and is in force; the next start loads it from /home/…
/// ```
///
/// The file is `memcpy-select/<cpu>-<version>.plan` in `$XDG_CACHE_HOME` or `$HOME/.cache` ([`SavedPlan::here`]). No other
/// call of this crate reads or writes it. A program that runs with more rights than its user lets that user name
/// that folder: it calls [`tune_at`] instead.
///
/// A saved plan is used if it is whole, if it was saved by this version of the crate, and if it names this CPU (vendor,
/// family, model, stepping, and whether the model is masked) and only kernels that this CPU has. Any other is measured
/// anew and then replaced. What is not looked at: the hypervisor and how much of the caches a guest has, which of several
/// kinds of cores the program runs on, memory, microcode, the system, libc, and how busy the machine was when the plan was
/// measured. After such a change `memcpy-select calibrate --save` makes a new one, and [`SavedPlan::forget`] removes it.
#[must_use = "it says whether the plan stays"]
pub fn tune() -> Tuned {
    tuned(SavedPlan::here())
}

/// As [`tune`], with the plan in a file of the program's choice. Folders that are missing are made.
///
/// ```no_run
/// let tuned = memcpy_select::select::tune_at("/var/cache/example/copy.plan");
/// eprintln!("{tuned}");
/// ```
#[must_use = "it says whether the plan stays"]
pub fn tune_at(path: impl Into<PathBuf>) -> Tuned {
    tuned(Ok(SavedPlan::at(path)))
}

fn tuned(place: Result<SavedPlan, SavePlanError>) -> Tuned {
    let mut refused = None;
    if let Ok(saved) = &place {
        match install(saved) {
            Ok(true) => return Tuned::Loaded { path: saved.path().to_owned() },
            Ok(false) => {}
            Err(error) => refused = Some(error),
        }
    }
    let calibration = Box::new(calibrate());
    // This CPU has just run every kernel of it: there is none to refuse.
    let _ = install_owned(Policy::User, calibration.plan);
    let _ = install_owned(Policy::NoSimd, calibration.no_simd.0);
    let saved = place.and_then(|saved| saved.save(&calibration).map(|()| saved.path().to_owned()));
    Tuned::Calibrated { calibration, refused, saved }
}

/// Puts the saved plans in force, if there are some.
fn install(saved: &SavedPlan) -> Result<bool, LoadFileError> {
    let Some(Plans { user, no_simd }) = saved.load()? else { return Ok(false) };
    let refused = |error| saved.refused(LoadFileCause::Refused(LoadError::Plan(error)));
    install_owned(Policy::User, user).and_then(|()| install_owned(Policy::NoSimd, no_simd)).map_err(refused)?;
    Ok(true)
}

/// What [`tune`] did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Tuned {
    /// The saved plan is in force.
    Loaded {
        /// The file that it is from.
        path: PathBuf,
    },
    /// A plan that was measured just now is in force.
    Calibrated {
        /// The plan, and what was measured.
        calibration: Box<Calibration>,
        /// Why the file that was there was not used; nothing, if there was none.
        refused: Option<LoadFileError>,
        /// Where the plan is for the next start, or why it is nowhere.
        saved: Result<PathBuf, SavePlanError>,
    },
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded { path } => write!(f, "the plan saved in {} is in force", path.display()),
            Self::Calibrated { calibration, refused, saved } => {
                write!(f, "a plan was calibrated in {} ms and is in force; ", calibration.took.as_millis())?;
                match saved {
                    Ok(path) => write!(f, "the next start loads it from {}", path.display())?,
                    Err(error) => write!(f, "the next start calibrates again: {error}")?,
                }
                refused.iter().try_for_each(|error| write!(f, "\nthe earlier plan was not used: {error}"))
            }
        }
    }
}
