//! Putting a library of ours in front of a program: where the library is, and what the program is started with.

#![forbid(unsafe_code)]

use super::executable::{NoLibrary, check_library};
use crate::select::{LoadFileError, Policy, load_file};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that the loader takes libraries from that come before all others.
pub const LD_PRELOAD: &str = "LD_PRELOAD";
/// The variable that the drop-in library takes the name of a plan from.
pub const PLAN_VARIABLE: &str = "MEMCPY_SELECT_PLAN";

/// A library that programs are started with.
#[derive(Debug)]
pub struct Library {
    /// What it is called in a sentence.
    pub name: &'static str,
    /// Its file.
    pub file: &'static str,
    /// The variable that says where it is.
    pub variable: &'static str,
    /// What it must export.
    pub symbol: &'static str,
    /// Its package in the repository.
    pub package: &'static str,
    /// Builds it there.
    pub build: &'static str,
}

/// The one with this crate's copies.
pub static DROP_IN: Library = Library {
    name: "drop-in library",
    file: "libmemcpy_select_preload.so",
    variable: "MEMCPY_SELECT_LIBRARY",
    symbol: "memcpy",
    package: "native/preload",
    build: "cargo build --release --manifest-path native/preload/Cargo.toml",
};

/// The one that counts and samples what a program copies.
pub static RECORDER: Library = Library {
    name: "recorder",
    file: "libmemcpy_select_recorder.so",
    variable: "MEMCPY_SELECT_RECORDER",
    symbol: "memcpy",
    package: "native/recorder",
    build: "cargo build --release --manifest-path native/recorder/Cargo.toml",
};

impl Library {
    /// The library: as [`locate`](Self::locate), and it exports what such a library must.
    ///
    /// # Errors
    ///
    /// [`LibraryError`] if it is in no place, or is no such library.
    pub fn find(&'static self, named: Option<&Path>) -> Result<PathBuf, LibraryError> {
        let path = self.locate(named)?;
        match check_library(&path, self.symbol) {
            Ok(()) => Ok(path),
            Err(cause) => Err(LibraryError::Refused { library: self, path, cause }),
        }
    }

    /// Where the library is: the file that was named, or that the variable names; otherwise beside this program, in `../lib` from
    /// there, or where its `build` puts it in the repository that this program was built in.
    ///
    /// # Errors
    ///
    /// [`LibraryError::Nowhere`] with the places that were looked at.
    pub fn locate(&'static self, named: Option<&Path>) -> Result<PathBuf, LibraryError> {
        let variable = std::env::var_os(self.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The program may have another working folder than its files.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        // What is named and there may be no library, and then that is what is wrong.
        let (places, is_there): (_, fn(&Path) -> bool) = match named.map(Path::to_owned).or(variable) {
            Some(path) => (vec![whole(path)], Path::exists),
            None => (self.places(), Path::is_file),
        };
        let found = places.iter().find(|path| is_there(path)).cloned();
        found.ok_or(LibraryError::Nowhere { library: self, places })
    }

    fn places(&self) -> Vec<PathBuf> {
        let Ok(program) = std::env::current_exe() else { return Vec::new() };
        let Some(folder) = program.parent() else { return Vec::new() };
        let packages = folder.ancestors().map(|folder| folder.join(self.package));
        let built = packages.filter(|package| package.join("Cargo.toml").is_file()).map(|it| it.join("target/release"));
        let beside = [folder.to_owned(), folder.join("../lib")];
        beside.into_iter().chain(built).map(|folder| folder.join(self.file)).collect()
    }
}

/// Why there is no library to put in front.
#[derive(Debug)]
#[non_exhaustive]
pub enum LibraryError {
    /// It is in no place where it was looked for.
    Nowhere {
        /// What was looked for.
        library: &'static Library,
        /// Where.
        places: Vec<PathBuf>,
    },
    /// A file that is no such library.
    Refused {
        /// What was looked for.
        library: &'static Library,
        /// The file.
        path: PathBuf,
        /// What stands against it.
        cause: NoLibrary,
    },
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere { library: Library { name, variable, build, .. }, places } => {
                write!(f, "the {name} is not there (looked for ")?;
                for (index, place) in places.iter().enumerate() {
                    write!(f, "{}{}", if index > 0 { ", " } else { "" }, place.display())?;
                }
                write!(f, "): build it with `{build}`, or name it with --library or {variable}")
            }
            Self::Refused { library: Library { name, build, .. }, path, cause } => {
                write!(f, "{}: {cause}; it is not the {name}, which `{build}` builds", path.display())
            }
        }
    }
}

impl std::error::Error for LibraryError {}

/// The plan that the drop-in library is to follow, if one is named here or by [`PLAN_VARIABLE`]: its whole path.
///
/// # Errors
///
/// [`LoadFileError`], or that it is for callers of another kind.
pub fn plan(named: Option<&Path>) -> Result<Option<PathBuf>, PlanRefused> {
    let variable = std::env::var_os(PLAN_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(path) = named.map(Path::to_owned).or(variable) else { return Ok(None) };
    match load_file(&path).map_err(PlanRefused::Load)? {
        (Policy::User, _) => Ok(Some(std::path::absolute(&path).unwrap_or(path))),
        _ => Err(PlanRefused::OtherPolicy(path)),
    }
}

/// Why a plan is not followed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlanRefused {
    /// It is none for this CPU.
    Load(LoadFileError),
    /// It is not for programs.
    OtherPolicy(PathBuf),
}

impl fmt::Display for PlanRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::OtherPolicy(path) => {
                write!(f, "{}: the plan is not of policy user, which programs follow", path.display())
            }
        }
    }
}

impl std::error::Error for PlanRefused {}

/// What `LD_PRELOAD` must be so that this library comes before those that are there.
pub fn in_front(library: &Path, before: Option<&OsStr>) -> OsString {
    let mut value = library.as_os_str().to_owned();
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        value.push(":");
        value.push(before);
    }
    value
}

/// Starts a command with that library in front, and, if one is given, a plan.
pub fn put_in_front(command: &mut Command, library: &Path, plan: Option<&Path>) {
    command.env(LD_PRELOAD, in_front(library, std::env::var_os(LD_PRELOAD).as_deref()));
    if let Some(plan) = plan {
        command.env(PLAN_VARIABLE, plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_looked_for_in_these_places() {
        let said = |named: Option<&str>| RECORDER.locate(named.map(Path::new)).unwrap_err().to_string();
        assert!(said(Some("/nowhere.so")).contains("(looked for /nowhere.so)"));
        let found = RECORDER.places();
        assert!(found.len() >= 2 && found.iter().all(|path| path.ends_with(RECORDER.file)));
    }
}
