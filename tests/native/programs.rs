//! Promise: whole programs are measured with what was asked for in front of them, what they make is compared, a program that
//! makes something else is left out by name, and nothing stays, however the run ends.

use crate::cases::Effort;
use crate::place::{Place, text};
use memcpy_select::lab::programs::{Arm, ProgramRecord, WORKLOADS};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells which process loads it, and compares the other way round if it is made so.
const LIBRARY: &str = r#"
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return result;
}
#ifdef REVERSED
int memcmp(const void *a, const void *b, size_t length) {
    const unsigned char *one = a, *other = b;
    for (size_t at = 0; at < length; at++) if (one[at] != other[at]) return other[at] - one[at];
    return 0;
}
#endif
__attribute__((constructor)) static void loaded(void) {
    int file = open(SEEN, O_WRONLY | O_CREAT | O_APPEND, 0644);
    char name[256];
    ssize_t length = readlink("/proc/self/exe", name, sizeof name - 1);
    if (length > 0) { name[length] = '\n'; (void)!write(file, name, length + 1); }
    close(file);
}
"#;

/// The verb, with its temporary files in that place.
fn verb(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.current_dir(&place.0).env("TMPDIR", &place.0).env("XDG_CACHE_HOME", &place.0);
    for variable in ["LD_PRELOAD", "MEMCPY_SELECT_PLAN", "MEMCPY_SELECT_LIBRARY", "GLIBC_TUNABLES"] {
        command.env_remove(variable);
    }
    // What is not there predicts nothing.
    command.env("MEMCPY_SELECT_RECORDER", "absent.so");
    command.args(["programs", "--effort", "quick", "--library", "library.so"]);
    command
}

fn library(place: &Place, options: &[&str]) -> Option<PathBuf> {
    let seen = place.path("seen");
    let seen_option = format!("-DSEEN=\"{}\"", seen.display());
    place.compile("library.so", LIBRARY, &[&["-shared", "-fPIC", "-O1", &seen_option], options].concat())?;
    Some(seen)
}

/// The one record under `results`.
fn record(place: &Place) -> ProgramRecord {
    let only = |folder: PathBuf| fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    ProgramRecord::read(&only(only(place.path("results")))).unwrap()
}

fn is_left(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.starts_with("memcpy-select-")).collect()
}

#[test]
fn a_program_is_measured_with_each_arm_and_nothing_stays() {
    let place = Place::new();
    let Some(seen) = library(&place, &[]) else { return };
    // A round sorts 64 MiB with each arm.
    let rounds = if Effort::chosen() < Effort::Full { 1 } else { 2 };
    let words = ["--only", "sort", "--rounds", &rounds.to_string(), "--out", "results"];
    let output = verb(&place).args(words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("sort"), "{}", text(&output.stdout));
    let record = record(&place);
    assert!(record.complete);
    let mut rows: Vec<(u32, &str)> = record.samples.iter().map(|sample| (sample.round, &*sample.arm)).collect();
    rows.sort_unstable();
    let mut arms = Arm::ALL.map(Arm::name);
    arms.sort_unstable();
    assert_eq!(rows, (0..rounds).flat_map(|round| arms.map(|arm| (round, arm))).collect::<Vec<_>>());
    assert!(record.samples.iter().all(|sample| sample.error.is_empty() && sample.wall_ns > 0 && sample.cpu_ns > 0));
    // The shell that starts it, and the program: in one arm of each round, and nothing else.
    let loaded = fs::read_to_string(seen).unwrap();
    assert_eq!(loaded.lines().filter(|line| line.ends_with("/sort")).count(), rounds as usize, "{loaded}");
    assert!(!loaded.contains("cksum"), "what checks is not what is checked: {loaded}");
    assert!(is_left(&place).is_empty(), "{:?}", is_left(&place));
    let [installed] = &record.installed[..] else { panic!("{:?}", record.installed) };
    assert!(installed.missing.is_empty() && installed.obstacle.is_empty(), "{installed:?}");
}

#[test]
fn a_program_that_makes_something_else_is_left_out_by_name() {
    let place = Place::new();
    if library(&place, &["-DREVERSED"]).is_none() {
        return;
    }
    let output = verb(&place).args(["--only", "sort", "--rounds", "3", "--out", "results"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("sort with drop_in: left out: it made something else"), "{said}");
    let record = record(&place);
    let failed: Vec<&str> = record.samples.iter().filter(|row| !row.error.is_empty()).map(|row| &*row.arm).collect();
    assert_eq!((failed, record.samples.len()), (vec!["drop_in"], 4), "one round, after which it is left out");
    assert!(is_left(&place).is_empty());
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_runs() {
    let place = Place::new();
    if library(&place, &[]).is_none() {
        return;
    }
    for (words, said) in [
        (&["--only", "sorts"][..], "did you mean sort?"),
        (&["--rounds", "0"], "--rounds"),
        (&["--plan", "absent.plan"], "absent.plan"),
        (&["--only", "sort", "--resume", "nowhere"], "nowhere"),
    ] {
        let output = verb(&place).args(words).output().unwrap();
        let message = text(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains(said), "{words:?}: {message}");
        assert!(is_left(&place).is_empty() && !place.path("results").exists(), "{words:?}");
    }
    fs::remove_file(place.path("library.so")).unwrap();
    let output = verb(&place).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("native/preload/Cargo.toml"));
}

/// Whether any process works in a folder below that place.
fn works_in(place: &Path) -> bool {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path().join("cwd")).ok());
    processes.into_iter().any(|folder| folder.starts_with(place) && folder != place)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

/// A run that works. Ctrl-C ends it, also where these tests run in the background of a shell, which has its children ignore that.
fn begun(place: &Place, only: &str) -> Child {
    let mut command = verb(place);
    command.args(["--only", only, "--rounds", "1000", "--out", "results"]);
    let not_ignored = || {
        // SAFETY: 2 is `SIGINT` and 0 `SIG_DFL`, which needs nothing. POSIX lets a child call this before it starts a program.
        unsafe { signal(2, 0) };
        Ok(())
    };
    // SAFETY: the closure calls nothing else, and allocates nothing.
    unsafe { command.pre_exec(not_ignored) };
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("a program works", || works_in(&place.0));
    child
}

#[test]
fn nothing_stays_when_the_run_is_killed() {
    // A program, and a server with one, where there is one.
    let has_redis = ["redis-server", "redis-benchmark", "redis-cli"].map(|name| Path::new("/usr/bin").join(name));
    let has_redis = has_redis.iter().all(|path| path.is_file());
    if !has_redis {
        println!("skipped for servers: redis is not installed");
    }
    for (only, signal) in [("sort", "INT"), ("sort", "KILL"), ("redis", "KILL")] {
        if only == "redis" && !has_redis {
            continue;
        }
        let place = Place::new();
        if library(&place, &[]).is_none() {
            return;
        }
        let mut child = begun(&place, only);
        if only == "redis" {
            until("the server listens", || {
                place.0.read_dir().unwrap().any(|entry| entry.unwrap().path().join("redis/redis.sock").exists())
            });
        }
        let killed = Command::new("sh").args(["-c", &format!("kill -s {signal} {}", child.id())]).status().unwrap();
        assert!(killed.success());
        child.wait().unwrap();
        until(&format!("{only} has ended after {signal}"), || !works_in(&place.0));
        until("its files are gone", || is_left(&place).is_empty());
    }
}

#[test]
fn the_script_installs_every_package() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs/install");
    let script = fs::read_to_string(script).unwrap();
    let list = script.split("packages=(").nth(1).unwrap().split(')').next().unwrap();
    let listed: Vec<&str> = list.split_whitespace().collect();
    for one in WORKLOADS {
        assert!(one.packages.iter().all(|package| listed.contains(package)), "{}: {listed:?}", one.name);
    }
}
