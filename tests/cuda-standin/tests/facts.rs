//! The stand-in, held against a real driver: `driver-facts` asks it what it asked the H100 of `recorded/`, and each answer
//! that differs is named in `facts/differences.txt` with the reason.
//!
//! Compared is what a program can rely on: codes, flags, what an allocation takes. Not compared are addresses and sizes of
//! the card, and the compiler's own words.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use cuda_standin::install;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A line each: probe, numbers of the steps that differ or `all` or `not run`, reason; fields are separated by ` | `.
const DIFFERENCES: &str = include_str!("facts/differences.txt");

/// Keys of a step that hold sizes and addresses of the card, or the compiler's words.
const OF_THE_CARD: &[&str] = &["free", "total", "addresses", "plain", "async", "host", "info", "error", "log_sizes"];

#[derive(Debug, PartialEq, Eq)]
enum Differs {
    NotRun,
    All,
    Steps(Vec<usize>),
}

fn differences() -> BTreeMap<&'static str, Differs> {
    let mut read = BTreeMap::new();
    for line in DIFFERENCES.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(" | ").collect();
        let &[probe, steps, reason] = fields.as_slice() else { panic!("{line:?} has not three fields") };
        assert!(!reason.trim().is_empty(), "{probe}: no reason");
        let steps = match steps.trim() {
            "not run" => Differs::NotRun,
            "all" => Differs::All,
            numbers => Differs::Steps(numbers.split_whitespace().map(|number| number.parse().unwrap()).collect()),
        };
        assert!(read.insert(probe.trim(), steps).is_none(), "{probe} twice");
    }
    read
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Builds the program, which is a workspace of its own, with optimisation: it ends each of its probes after ten seconds.
fn driver_facts() -> PathBuf {
    let target = folder("driver-facts");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/driver-facts/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target-dir"])
        .arg(&target)
        .status()
        .unwrap();
    assert!(built.success());
    target.join("release/driver-facts")
}

/// What the stand-in answers to these probes.
fn ask(probes: &[&str]) -> Map<String, Value> {
    let library = install::beside(&std::env::current_exe().unwrap()).expect("cargo built the library for this test");
    let names = folder("names");
    install::lay_out(&library, &names).unwrap();
    let answers = folder("facts.json");
    let asked = Command::new(driver_facts())
        .arg("facts")
        .arg(&answers)
        .args(probes)
        .env("DRIVER_FACTS_LIBRARY", names.join("libcuda.so.1"))
        .env("LD_LIBRARY_PATH", &names)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .env_remove("CUDA_LAUNCH_BLOCKING")
        .status()
        .unwrap();
    assert!(asked.success());
    read(&answers)
}

fn read(path: &Path) -> Map<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A step without what is the card's.
fn plain(step: &Value) -> Value {
    let Value::Object(fields) = step else { return step.clone() };
    let kept = fields.iter().filter(|(key, _)| !OF_THE_CARD.contains(&key.as_str()));
    let cut = |value: &Value| match value {
        Value::String(text) => Value::String(text.split("0x").next().unwrap_or_default().to_owned()),
        other => other.clone(),
    };
    Value::Object(kept.map(|(key, value)| (key.clone(), cut(value))).collect())
}

/// Numbers of the steps that differ. Where the real driver crashed, what it would have answered next is not known.
fn differing(recorded: &Value, here: &Value) -> Vec<usize> {
    let steps = |probe: &Value| probe["steps"].as_array().cloned().unwrap_or_default();
    let (recorded_steps, here_steps) = (steps(recorded), steps(here));
    let count = match recorded["end"] == "exit status: 0" {
        true => recorded_steps.len().max(here_steps.len()),
        false => recorded_steps.len(),
    };
    (0..count).filter(|step| recorded_steps.get(*step).map(plain) != here_steps.get(*step).map(plain)).collect()
}

#[test]
fn answers_are_those_of_a_real_driver_but_for_what_is_named() {
    let recorded = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/recorded/facts.json")));
    let differences = differences();
    let run = |probe: &&String| differences.get(probe.as_str()) != Some(&Differs::NotRun);
    let probes: Vec<&str> = recorded.keys().filter(run).map(String::as_str).collect();
    let here = ask(&probes);
    let mut wrong = Vec::new();
    for probe in &probes {
        let answer = here.get(*probe).unwrap_or(&Value::Null);
        let differ = differing(&recorded[*probe], answer);
        let named = differences.get(probe);
        let as_named = match named {
            None => differ.is_empty(),
            Some(Differs::All) => !differ.is_empty(),
            Some(Differs::Steps(steps)) => *steps == differ,
            Some(Differs::NotRun) => true,
        };
        let ended = answer["end"] == "exit status: 0";
        if !as_named || !ended {
            let step = differ.iter().find(|step| !matches!(named, Some(Differs::Steps(steps)) if steps.contains(step)));
            let shown = step.map(|step| (&recorded[*probe]["steps"][step], &answer["steps"][step]));
            wrong.push(format!("{probe} | {differ:?} named {named:?}, ended {}, first {shown:?}", answer["end"]));
        }
    }
    let unknown: Vec<_> = differences.keys().filter(|probe| !recorded.contains_key(**probe)).collect();
    assert!(wrong.is_empty() && unknown.is_empty(), "{}\nno such probes: {unknown:?}", wrong.join("\n"));
}
