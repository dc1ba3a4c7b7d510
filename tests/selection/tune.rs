//! The promise: the first start of a program calibrates and saves, the next one loads the same plan. A file that is not this
//! machine's plan is refused with the reason and replaced as a whole; where none can be saved, that is said, and the plan is in
//! force all the same.
//!
//! Environment variables are a whole process's: what depends on them is this test binary again, as [`a_start`].

use crate::turn::Turn;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{
    CpuName, LoadError, LoadFileCause, MAX_TEXT_BYTES, Origin, PlanText, Policy, SavePlanError, SavedPlan,
    TextErrorKind, Tuned, calibrate, load_file, plan_in_force, save_file, tune_at,
};
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

const CHILD: &str = "MEMCPY_SELECT_TEST_START";

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tune-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// A file in it, with this text.
    fn file(&self, text: impl AsRef<[u8]>) -> SavedPlan {
        let path = self.0.join("copy.plan");
        fs::write(&path, text).unwrap();
        SavedPlan::at(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a saved file holds.
fn saved_text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let scratch = Scratch::new("text");
        let saved = SavedPlan::at(scratch.0.join("made/copy.plan"));
        saved.save(&calibrate()).unwrap();
        fs::read_to_string(saved.path()).unwrap()
    });
    &TEXT
}

/// Its lines, the first of which has the version, with one changed.
fn with_line(number: usize, line: &str) -> String {
    let mut lines: Vec<&str> = saved_text().lines().collect();
    lines[number] = line;
    lines.join("\n")
}

/// Not a test: a program that starts, if the others start it.
#[test]
fn a_start() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let tuned = memcpy_select::tune();
    let plan = plan_in_force(Policy::User);
    match &tuned {
        Tuned::Loaded { .. } => assert_eq!(plan.origin(), Origin::Saved),
        Tuned::Calibrated { calibration, .. } => assert_eq!(*plan, calibration.plan),
        _ => unreachable!(),
    }
    println!("\n{tuned}\n{plan}");
}

fn program(command: &mut Command) -> &mut Command {
    command.args(["--exact", "tune::a_start", "--nocapture"]).env(CHILD, "1").stdout(Stdio::piped());
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME")
}

fn this_program() -> Command {
    Command::new(env::current_exe().unwrap())
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_first_start_calibrates_and_the_next_loads_the_same_plan() {
    let scratch = Scratch::new("starts");
    for (variable, folder) in [("HOME", ".cache"), ("XDG_CACHE_HOME", "")] {
        let home = scratch.0.join(variable);
        // What is relative does not count.
        let other = if variable == "HOME" { "XDG_CACHE_HOME" } else { "HOME" };
        let start = || printed(&program(&mut this_program()).env(other, "x").env(variable, &home).output().unwrap());
        let (first, second) = (start(), start());
        let folder = home.join(folder).join("memcpy-select");
        let all = names(&folder);
        let [name] = &all[..] else { panic!("one file in {all:?}") };
        let here = SavedPlan::here().map(|here| here.path().file_name().unwrap().to_owned());
        assert!(here.is_err() || here.is_ok_and(|here| here == name.as_str()));
        assert!(name.contains(env!("CARGO_PKG_VERSION")), "{name}");
        let path = folder.join(name);
        assert!(first.contains("calibrated in") && first.contains(&format!("from {}\n", path.display())), "{first}");
        assert!(second.contains(&format!("the plan saved in {} is in force", path.display())), "{second}");
        let plan = SavedPlan::at(&path).load().unwrap().unwrap().user.to_string();
        assert!(first.contains(&plan) && second.contains(&plan), "{plan}\n{first}\n{second}");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn without_a_home_nothing_is_saved_and_the_reason_is_said() {
    let scratch = Scratch::new("homeless");
    for relative in [None, Some(""), Some("x")] {
        let mut command = this_program();
        let command = program(&mut command).current_dir(&scratch.0);
        relative.iter().for_each(|path| _ = command.env("HOME", path).env("XDG_CACHE_HOME", path));
        let text = printed(&command.output().unwrap());
        assert!(text.contains("calibrates again: neither XDG_CACHE_HOME nor HOME has an absolute path"), "{text}");
        assert!(names(&scratch.0).is_empty());
    }
}

#[test]
fn of_programs_that_start_at_once_one_whole_file_stays() {
    let scratch = Scratch::new("at-once");
    let start = |_| program(&mut this_program()).env("XDG_CACHE_HOME", &scratch.0).spawn().unwrap();
    let mut children: Vec<_> = (0..3).map(start).collect();
    let folder = scratch.0.join("memcpy-select");
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        let entries = fs::read_dir(&folder).into_iter().flatten();
        for path in
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "plan"))
        {
            assert!(SavedPlan::at(path).load().expect("never half a file").is_some(), "once there, always there");
        }
    }
    children.into_iter().for_each(|child| drop(printed(&child.wait_with_output().unwrap())));
    let all = names(&folder);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(SavedPlan::at(folder.join(&all[0])).load().unwrap().is_some());
}

#[test]
fn what_is_not_this_machines_plan_is_refused_with_the_reason() {
    let scratch = Scratch::new("refused");
    let (version, cpu) = (saved_text().lines().next().unwrap(), saved_text().lines().nth(2).unwrap());
    assert!(version.starts_with("# memcpy-select ") && cpu.starts_with("cpu "), "{}", saved_text());
    let cause = |text: &str| scratch.file(text).load().expect_err(text).cause;
    let kind = |text: &str| match cause(text) {
        LoadFileCause::Refused(LoadError::Text(error)) => error.kind,
        cause => panic!("{cause}"),
    };
    assert_eq!(kind(""), TextErrorKind::NotAPlan);
    assert_eq!(kind(version), TextErrorKind::NotAPlan);
    assert!(matches!(kind(&with_line(3, "policy users")), TextErrorKind::UnknownPolicy(_)));
    let half = saved_text().split_once("above").unwrap().0;
    assert_eq!(kind(half), TextErrorKind::MissingAbove);
    let long = format!("{}{}", saved_text(), "#".repeat(MAX_TEXT_BYTES));
    assert!(matches!(kind(&long), TextErrorKind::TooLong(_)));

    let other_cpu = with_line(2, "cpu intel-4-1-1");
    assert!(matches!(cause(&other_cpu), LoadFileCause::Refused(LoadError::OtherCpu { .. })));
    // The version first: what another one says may mean something else.
    let LoadFileCause::OtherVersion(Some(found)) = cause(&other_cpu.replacen(version, "# memcpy-select 0.0.9", 1))
    else {
        panic!("another version")
    };
    assert_eq!(found.as_str(), "0.0.9");
    let unnamed = saved_text().split_once('\n').unwrap().1;
    assert!(matches!(cause(unnamed), LoadFileCause::OtherVersion(None)));
    let sections = format!("{version}\nmemcpy-select plan 1\n{cpu}\npolicy section\nabove portable\n");
    assert!(matches!(cause(&sections), LoadFileCause::MissingPlan(Policy::User)));
    let words = cause(&sections).to_string();
    assert!(words.contains("`user`") && words.ends_with("save one with this version"), "{words}");
    // One plan of the two, also as the first of another file.
    let (user, no_simd) = saved_text().split_at(saved_text().rfind("memcpy-select plan").unwrap());
    assert!(matches!(cause(user), LoadFileCause::MissingPlan(Policy::NoSimd)));
    let swapped = format!("{version}\n{no_simd}{}", user.split_once('\n').unwrap().1);
    assert!(matches!(cause(&swapped), LoadFileCause::MissingPlan(Policy::User)));
    // The line of an error is the file's.
    let LoadFileCause::Refused(LoadError::Text(error)) = cause(&format!("{user}{no_simd}x\n")) else {
        panic!("a word after the last plan")
    };
    assert_eq!(error.line, saved_text().lines().count() + 1);

    let saved = scratch.file([0xff, 0xfe, 0]);
    assert!(matches!(saved.load().unwrap_err().cause, LoadFileCause::Unreadable(_)));
    assert_eq!(SavedPlan::at(saved.path().join("below")).load().unwrap(), None, "there is nothing below a file");
    assert!(saved.forget().unwrap() && !saved.forget().unwrap());
    assert_eq!(saved.load().unwrap(), None);
}

#[test]
fn what_is_refused_is_replaced_as_a_whole() {
    let _turn = Turn::take();
    let scratch = Scratch::new("replaced");
    let real = scratch.file(with_line(1, "memcpy-select plan 2"));
    let link = scratch.0.join("link.plan");
    symlink("copy.plan", &link).unwrap();
    let tuned = tune_at(&link);
    let words = tuned.to_string();
    let Tuned::Calibrated { calibration, refused: Some(refused), saved: Ok(path) } = tuned else { panic!("{words}") };
    assert_eq!((&refused.path, &path), (&link, &link));
    assert!(words.lines().count() == 2 && words.contains("not used") && words.contains("version 1"), "{words}");
    assert_eq!(*plan_in_force(Policy::User), calibration.plan);
    let saved = real.load().unwrap().unwrap();
    assert_eq!((saved.user, saved.no_simd), (calibration.plan, calibration.no_simd.0));
    assert_eq!(*plan_in_force(Policy::NoSimd), calibration.no_simd.0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    let tuned = tune_at(&link);
    assert!(matches!(&tuned, Tuned::Loaded { path } if *path == link), "{tuned}");
    assert_eq!(plan_in_force(Policy::User).origin(), Origin::Saved);
    assert_eq!(plan_in_force(Policy::NoSimd).origin(), Origin::Saved);
    assert_eq!(names(&scratch.0).len(), 2, "nothing else is left");
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_replaced() {
    let _turn = Turn::take();
    let scratch = Scratch::new("special");
    let (folder, pipe) = (scratch.0.join("folder"), scratch.0.join("pipe"));
    fs::create_dir(&folder).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [folder, pipe, PathBuf::from("/dev/full")] {
        let place = SavedPlan::at(&path);
        assert!(matches!(place.load().unwrap_err().cause, LoadFileCause::Unreadable(_)));
        assert!(matches!(load_file(&path).unwrap_err().cause, LoadFileCause::Unreadable(_)));
        assert!(place.may_save().is_err() && place.forget().is_err() && save_file(&path, &no_simd_plan()).is_err());
        let tuned = tune_at(&path);
        let words = tuned.to_string();
        let Tuned::Calibrated { calibration, refused: Some(_), saved: Err(SavePlanError::Unwritable { .. }) } = tuned
        else {
            panic!("{words}")
        };
        assert_eq!(*plan_in_force(Policy::User), calibration.plan, "in force all the same");
        assert!(words.contains("this is no regular file: the plan is not kept"), "{words}");
        assert!(!fs::metadata(&path).unwrap().is_file());
    }
    assert_eq!(names(&scratch.0).len(), 2, "nothing else is left");
}

/// The plan in force for callers without SIMD, as a file keeps it.
fn no_simd_plan() -> PlanText {
    let policy = Policy::NoSimd;
    PlanText { cpu: CpuName::of(&Cpu::detect().signature), policy, plan: *plan_in_force(policy) }
}

#[test]
fn one_plan_in_a_file_of_its_own_reads_back() {
    let _turn = Turn::take();
    let scratch = Scratch::new("single");
    let (file, plan) = (scratch.file("something else"), no_simd_plan());
    save_file(file.path(), &plan).unwrap();
    assert_eq!(load_file(file.path()).unwrap(), (Policy::NoSimd, plan.plan));
    let missing = scratch.0.join("none/copy.plan");
    assert!(matches!(save_file(&missing, &plan), Err(SavePlanError::Unwritable { path, .. }) if path == missing));
    assert_eq!(names(&scratch.0), ["copy.plan"], "nothing else is left");
}

/// Not by permissions, which do not hold for everybody.
#[test]
fn where_nothing_can_be_written_the_plan_is_in_force_all_the_same() {
    let _turn = Turn::take();
    let scratch = Scratch::new("unwritable");
    let file = scratch.file("mine");
    let below = file.path().join("memcpy-select/copy.plan");
    let mut cases = vec![(below, ErrorKind::NotADirectory)];
    if cfg!(target_os = "linux") {
        cases.push((PathBuf::from("/proc/self/copy.plan"), ErrorKind::NotFound));
    }
    for (path, kind) in cases {
        assert!(SavedPlan::at(&path).may_save().is_err());
        let tuned = tune_at(&path);
        let words = tuned.to_string();
        let Tuned::Calibrated { calibration, refused: None, saved: Err(SavePlanError::Unwritable { error, .. }) } =
            tuned
        else {
            panic!("{words}")
        };
        assert_eq!(error.kind(), kind, "{words}");
        assert_eq!(*plan_in_force(Policy::User), calibration.plan);
        assert!(words.contains(&path.display().to_string()) && words.contains("calibrates again"), "{words}");
    }
    assert_eq!(fs::read(file.path()).unwrap(), b"mine");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_file_that_was_there() {
    let scratch = Scratch::new("full");
    let start = |limit: &str| {
        let script = format!("trap '' XFSZ; {limit}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(env::current_exe().unwrap());
        printed(&program(&mut command).env("XDG_CACHE_HOME", &scratch.0).output().unwrap())
    };
    let folder = scratch.0.join("memcpy-select");
    let text = start("ulimit -f 0");
    assert!(text.contains("File too large") && names(&folder).is_empty(), "{text}");
    start(":");
    let path = folder.join(&names(&folder)[0]);
    fs::write(&path, "mine").unwrap();
    let text = start("ulimit -f 0");
    assert!(text.contains("not used: ") && text.contains("File too large"), "{text}");
    assert_eq!((fs::read(&path).unwrap(), names(&folder).len()), (b"mine".to_vec(), 1));
}
