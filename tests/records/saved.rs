//! The promise: `calibrate --save` without a name keeps the plan where `tune()` looks for it, `--show` says what is there and
//! `--forget` removes it; with `--json` each prints one document.

use crate::program::Scratch;
use memcpy_select::select::SavedPlan;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn calibrate(cache: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcpy-select"));
    command.arg("calibrate").args(arguments).env("XDG_CACHE_HOME", cache).env_remove("HOME").output().unwrap()
}

fn printed(cache: &Path, arguments: &[&str]) -> String {
    let output = calibrate(cache, arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn document(cache: &Path, argument: &str) -> Value {
    serde_json::from_str(&printed(cache, &[argument, "--json"])).unwrap()
}

fn refused(cache: &Path, arguments: &[&str]) -> String {
    let output = calibrate(cache, arguments);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_saved_plan_is_made_shown_and_forgotten() {
    let scratch = Scratch::new("saved");
    let cache = scratch.0.join("cache");
    let nothing = document(&cache, "--show");
    let path = nothing["path"].as_str().unwrap();
    assert!(Path::new(path).starts_with(cache.join("memcpy-select")) && !cache.exists(), "{path}");
    assert_eq!(
        (&nothing["exists"], &nothing["is_valid"], &nothing["plan"]),
        (&false.into(), &false.into(), &Value::Null)
    );
    assert_eq!(printed(&cache, &["--show"]), format!("{path}: there is no saved plan; --save makes one\n"));

    assert!(printed(&cache, &["--save"]).ends_with(&format!("\nsaved: {path}\n")));
    let plans = SavedPlan::at(path).load().unwrap().unwrap();
    let (plan, no_simd) = (plans.user, plans.no_simd);
    assert_eq!(
        printed(&cache, &["--show"]),
        format!("{path}: programs here use this plan:\n{plan}\nwithout SIMD this one:\n{no_simd}")
    );
    let shown = document(&cache, "--show");
    assert_eq!((&shown["is_valid"], &shown["refused"]), (&true.into(), &Value::Null));
    assert_eq!(shown["plan"].as_array().unwrap().len(), plan.bands().len());

    fs::write(path, "memcpy-select plan 2\n").unwrap();
    let text = printed(&cache, &["--show"]);
    assert!(text.contains("refuse the saved one") && text.contains("this is version `2`"), "{text}");
    let shown = document(&cache, "--show");
    assert_eq!((&shown["exists"], &shown["is_valid"], &shown["plan"]), (&true.into(), &false.into(), &Value::Null));
    assert!(shown["refused"].as_str().unwrap().starts_with("line 1: "), "{shown:#}");
    // What is there is replaced.
    let saved = document(&cache, "--save");
    assert_eq!((&saved["saved"], &document(&cache, "--show")["plan"]), (&path.into(), &saved["plan"]));

    assert_eq!(document(&cache, "--forget")["removed"], true);
    assert_eq!(document(&cache, "--forget")["removed"], false);
    assert_eq!(printed(&cache, &["--forget"]), format!("{path}: there was no saved plan\n"));
    assert_eq!(fs::read_dir(cache.join("memcpy-select")).unwrap().count(), 0, "nothing else is left");
}

#[test]
fn what_cannot_be_saved_or_removed_is_refused_before_anything_is_measured() {
    let scratch = Scratch::new("unsaved");
    let file = scratch.0.join("file");
    fs::write(&file, "mine").unwrap();
    assert!(refused(&file, &["--save"]).contains("the plan is not kept"));
    for verb in ["--save", "--show", "--forget"] {
        assert!(refused("relative".as_ref(), &[verb]).contains("neither XDG_CACHE_HOME nor HOME has an absolute path"));
    }
    for both in [["--show", "--save"], ["--show", "--forget"], ["--forget", "--save"]] {
        assert!(refused(&scratch.0, &both).contains("cannot be used with"), "{both:?}");
    }
    let path = document(&scratch.0, "--show")["path"].as_str().unwrap().to_owned();
    fs::create_dir_all(&path).unwrap();
    assert!(refused(&scratch.0, &["--forget"]).contains("nothing was removed"));
    assert!(refused(&scratch.0, &["--save"]).contains("this is no regular file"));
}
