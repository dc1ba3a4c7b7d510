//! Where a plan stays from one start of a program to the next: one small file for each kind of CPU and each version of
//! this crate.

#![forbid(unsafe_code)]

use super::Policy;
use super::calibrate::Calibration;
use super::cpu_name::CpuName;
use super::file::{LoadFileCause, LoadFileError, read};
use super::plan::Plan;
use super::stored::{BUILD, MARK, Stored};
use super::text::{PlanText, load};
use super::text_error::{Excerpt, LoadError, MAX_TEXT_BYTES};
use super::whole_file::{folder_of, may_replace, refuse_special, replace};
use crate::cpu::Cpu;
use core::fmt;
use std::env;
use std::ffi::OsString;
use std::format;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::string::ToString;

/// The file in which [`tune`](super::tune()) keeps a plan for the next start.
///
/// It holds the [texts](super::PlanText) of a plan for [`Policy::User`] and of one for [`Policy::NoSimd`], after a line with
/// the version of this crate that saved them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPlan {
    path: PathBuf,
}

/// The plans of such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plans {
    /// For [`Policy::User`].
    pub user: Plan,
    /// For [`Policy::NoSimd`].
    pub no_simd: Plan,
}

impl SavedPlan {
    /// The file of this machine, for the user whom this process belongs to: `memcpy-select/<cpu>-<version>.plan` in
    /// `$XDG_CACHE_HOME`, or in `$HOME/.cache` where that is not set, empty or relative. So machines that share a home
    /// have a file for each kind of CPU, and programs with other versions of this crate have their own.
    ///
    /// # Errors
    ///
    /// [`SavePlanError::NoHome`] if neither variable has an absolute path.
    pub fn here() -> Result<Self, SavePlanError> {
        let cache = cache(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")).ok_or(SavePlanError::NoHome)?;
        let cpu = CpuName::of(&Cpu::detect().signature);
        Ok(Self::at(cache.join("memcpy-select").join(format!("{cpu}-{BUILD}.plan"))))
    }

    /// A file of that name.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the plans, if there is such a file. They are not put in force.
    ///
    /// # Errors
    ///
    /// [`LoadFileError`] if it cannot be read or is no regular file, if a text in it is no plan for this CPU, if it was not
    /// saved by this version of the crate, or if one of the two plans is missing.
    pub fn load(&self) -> Result<Option<Plans>, LoadFileError> {
        match self.try_load() {
            Ok(plans) => Ok(Some(plans)),
            Err(LoadFileCause::Unreadable(error)) if is_absence(&error) => Ok(None),
            Err(cause) => Err(self.refused(cause)),
        }
    }

    fn try_load(&self) -> Result<Plans, LoadFileCause> {
        // To open a pipe would wait for a writer.
        refuse_special(&self.path).map_err(LoadFileCause::Unreadable)?;
        let text = read(&self.path)?;
        let stored = Stored::split(&text);
        if let Some(other) = stored.version.filter(|version| *version != BUILD) {
            return Err(LoadFileCause::OtherVersion(Some(Excerpt::new(other))));
        }
        if text.len() > MAX_TEXT_BYTES {
            // Which says so.
            PlanText::parse(&text).map_err(|error| LoadFileCause::Refused(LoadError::Text(error)))?;
        }
        let cpu = Cpu::detect();
        let user = of_policy(load(stored.first, &cpu), Policy::User);
        if stored.version.is_none() {
            return user.and(Err(LoadFileCause::OtherVersion(None)));
        }
        let no_simd = if stored.second.is_empty() {
            Err(LoadFileCause::MissingPlan(Policy::NoSimd))
        } else {
            of_policy(stored.load_second(&cpu), Policy::NoSimd)
        };
        Ok(Plans { user: user?, no_simd: no_simd? })
    }

    /// Saves the plans, in the place of those that are there. Folders that are missing are made, for this user alone.
    /// A process that reads meanwhile finds the old file or the new one; of several that save, the last one's stays.
    ///
    /// # Errors
    ///
    /// [`SavePlanError::Unwritable`] if the file cannot be made or written; the old one stays as it is.
    pub fn save(&self, calibration: &Calibration) -> Result<(), SavePlanError> {
        let text = format!("{MARK}{BUILD}\n{}{}", calibration.text(), calibration.no_simd_text());
        self.make_folder().and_then(|()| replace(&self.path, text.as_bytes())).map_err(|error| self.unwritable(error))
    }

    /// Whether [`save`](Self::save) can write the file, as far as can be told before there is a plan. The folders are made.
    ///
    /// # Errors
    ///
    /// As for [`save`](Self::save).
    pub fn may_save(&self) -> Result<(), SavePlanError> {
        self.make_folder().and_then(|()| may_replace(&self.path)).map_err(|error| self.unwritable(error))
    }

    /// Removes the file; whether there was one. The next [`tune`](super::tune()) calibrates.
    ///
    /// # Errors
    ///
    /// What the system says, or that this is no regular file.
    pub fn forget(&self) -> io::Result<bool> {
        match refuse_special(&self.path).and_then(|()| fs::remove_file(&self.path)) {
            Err(error) if is_absence(&error) => Ok(false),
            result => result.map(|()| true),
        }
    }

    pub(super) fn refused(&self, cause: LoadFileCause) -> LoadFileError {
        LoadFileError { path: self.path.clone(), cause }
    }

    fn unwritable(&self, error: io::Error) -> SavePlanError {
        SavePlanError::Unwritable { path: self.path.clone(), error }
    }

    fn make_folder(&self) -> io::Result<()> {
        let mut folders = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
        folders.recursive(true).create(folder_of(&self.path))
    }
}

/// Saves the text of a plan in a file, in the place of the one that is there, as [`load_file`](super::load_file) reads it. The
/// folder has to exist. A process that reads meanwhile finds the old file or the new one.
///
/// ```no_run
/// use memcpy_select::{cpu::Cpu, select::{CpuName, PlanText, Policy, calibrate, save_file}};
///
/// let cpu = CpuName::of(&Cpu::detect().signature);
/// save_file("copy.plan", &PlanText { cpu, policy: Policy::User, plan: calibrate().plan })?;
/// # Ok::<(), memcpy_select::select::SavePlanError>(())
/// ```
///
/// # Errors
///
/// [`SavePlanError::Unwritable`] if the file cannot be made or written; the old one stays as it is.
pub fn save_file(path: impl AsRef<Path>, plan: &PlanText) -> Result<(), SavePlanError> {
    let saved = SavedPlan::at(path.as_ref());
    replace(&saved.path, plan.to_string().as_bytes()).map_err(|error| saved.unwritable(error))
}

/// The plan that was read, if it is for the policy.
fn of_policy(read: Result<(Policy, Plan), LoadError>, wanted: Policy) -> Result<Plan, LoadFileCause> {
    match read {
        Ok((policy, plan)) if policy == wanted => Ok(plan),
        Ok(_) => Err(LoadFileCause::MissingPlan(wanted)),
        Err(error) => Err(LoadFileCause::Refused(error)),
    }
}

/// Under a name that leads through a file there is nothing either.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Where a user's programs keep what can be made again, by the rules of the XDG base directories: what is not absolute
/// does not count.
fn cache(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg_cache_home).or_else(|| absolute(home).map(|home| home.join(".cache")))
}

/// Why a plan is not kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum SavePlanError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where.
    NoHome,
    /// The file cannot be made or written.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for SavePlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => f.write_str(
                "neither XDG_CACHE_HOME nor HOME has an absolute path: there is no place to keep a plan; set one of them, or \
                 name a file",
            ),
            Self::Unwritable { path, error } => write!(
                f,
                "{}: {error}: the plan is not kept; name a file that this user may write",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SavePlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoHome => None,
            Self::Unwritable { error, .. } => Some(error),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_rules_of_xdg() {
        let cases: [(Option<&str>, Option<&str>, Option<&str>); 8] = [
            (Some("/c"), Some("/h"), Some("/c")),
            (Some("/c"), None, Some("/c")),
            (None, Some("/h"), Some("/h/.cache")),
            (Some(""), Some("/h"), Some("/h/.cache")),
            (Some("c"), Some("/h"), Some("/h/.cache")),
            (Some("./c"), Some("h"), None),
            (None, Some(""), None),
            (None, None, None),
        ];
        for (xdg, home, folder) in cases {
            assert_eq!(cache(xdg.map(Into::into), home.map(Into::into)), folder.map(Into::into), "{xdg:?} {home:?}");
        }
    }
}
