//! candle's and cudarc's own tests, unmodified, with the stand-in under them: each test in a process of its own, so that
//! one that breaks its device breaks no other.

mod explained;
mod outcome;
mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::traps::Traps;
use super::{pinned, standin};
use crate::setup::{Need, Tools};
use crate::shell;
use outcome::{Outcome, Reason};
use workspace::Workspace;

pub(super) use workspace::copy;

/// How long one test may take. On two cores the longest takes a few seconds.
const TEST_LIMIT: Duration = Duration::from_secs(60);

/// A suite: tests of one owner.
pub(super) struct Suite {
    /// As its figures are called.
    pub(super) name: &'static str,
    /// What cargo is told to build.
    build: &'static [&'static str],
    /// The programs whose tests are meant, with the package they belong to.
    programs: &'static [(&'static str, &'static str)],
    /// Which of their tests.
    of_gpu: fn(&str) -> bool,
    /// Whether a finding of the stand-in is a failure. A suite of a driver's wrapper asks for wrong things on purpose.
    faultless: bool,
    /// At least as many must pass.
    floor: usize,
}

/// Tests of candle-core and candle-nn that use a GPU, outside the library for GGUF.
pub(super) const CANDLE: Suite = Suite {
    name: "candle",
    build: &[
        "--package=candle-core",
        "--package=candle-nn",
        "--features=candle-core/cuda,candle-nn/cuda",
        "--test=tensor_tests",
        "--test=matmul_tests",
        "--test=conv_tests",
        "--test=grad_tests",
        "--test=bilinear_tests",
        "--test=pool_tests",
        "--test=layout_tests",
        "--test=ops",
    ],
    programs: &[
        ("tensor_tests", "candle-core"),
        ("matmul_tests", "candle-core"),
        ("conv_tests", "candle-core"),
        ("grad_tests", "candle-core"),
        ("bilinear_tests", "candle-core"),
        ("pool_tests", "candle-core"),
        ("layout_tests", "candle-core"),
        ("ops", "candle-nn"),
    ],
    of_gpu: |name| name.contains("gpu") || name.contains("cuda"),
    faultless: true,
    floor: 92,
};

/// cudarc's unit tests, with the features that candle asks for.
pub(super) const CUDARC: Suite = Suite {
    name: "cudarc",
    build: &[
        "--package=cudarc",
        "--lib",
        "--no-default-features",
        "--features=std,cublas,cublaslt,curand,driver,nvrtc,f16,f8,cuda-version-from-build-system,dynamic-linking",
    ],
    programs: &[("cudarc", "cudarc")],
    of_gpu: |_| true,
    faultless: false,
    floor: 60,
};

/// A test to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    program: PathBuf,
    /// `tensor_tests`, for people.
    of: &'static str,
    name: String,
    /// Where it is started: some read files of their package.
    folder: PathBuf,
}

/// Runs a suite, prints every test that failed with the reason, and fails where one has none or too few passed.
pub(super) fn run(suite: &Suite, root: &Path, tools: &mut Tools) -> Result<()> {
    tools.provide(&[Need::Nvrtc])?;
    let toolkit = pinned(tools)?;
    let standin = standin::folder(root)?;
    let workspace = Workspace::lay_out(root)?;
    let programs = workspace.build(&toolkit, suite.build)?;
    let libraries = libraries(&standin, Path::new(tools.place(Need::Nvrtc)?), &workspace.traps)?;
    let tests = tests(suite, &workspace, &programs, &libraries)?;
    let reports = tempfile::tempdir().context("cannot make a temporary folder")?;
    let outcomes = run_all(&tests, &libraries, suite.faultless.then_some(reports.path()))?;
    conclude(suite, root, &tests, &outcomes)
}

/// The stand-in first; then the real library that compiles CUDA; then traps for what is nowhere.
fn libraries(standin: &Path, nvrtc: &Path, traps: &Traps) -> Result<String> {
    let folders = std::env::join_paths([standin, nvrtc, &traps.running]).context("a folder's name has a colon")?;
    folders.into_string().map_err(|_| anyhow!("a folder's name is no text"))
}

fn tests(
    suite: &Suite,
    workspace: &Workspace,
    programs: &BTreeMap<String, PathBuf>,
    libraries: &str,
) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for (of, package) in suite.programs {
        let program = programs.get(*of).with_context(|| format!("cargo has built no test program {of}"))?;
        let folder = workspace.package(package);
        let listed = |more: &[&str]| {
            let mut command = Command::new(program);
            command.args(["--list", "--format=terse"]).args(more).env("LD_LIBRARY_PATH", libraries);
            shell::text(&mut command).map(|said| names(&said))
        };
        // What its authors switched off is not counted.
        let ignored = listed(&["--ignored"])?;
        let meant = listed(&[])?.into_iter().filter(|name| (suite.of_gpu)(name) && !ignored.contains(name));
        tests.extend(meant.map(|name| Test { program: program.clone(), of, name, folder: folder.clone() }));
    }
    tests.sort();
    Ok(tests)
}

/// Of lines such as `ops::softmax: test`.
fn names(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Runs them, as many at once as there are cores; outcomes are in the order of the tests. What the stand-in finds counts
/// where there is a folder for its reports.
fn run_all(tests: &[Test], libraries: &str, reports: Option<&Path>) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || -> Result<Vec<(usize, Outcome)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(test) = tests.get(index) else { return Ok(done) };
            let report = reports.map(|folder| folder.join(format!("{index}.json")));
            done.push((index, run_one(test, libraries, report.as_deref())?));
        }
    };
    let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|it| it.join().map_err(|_| anyhow!("running a test panicked"))?);
        joined.collect::<Result<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
    })?;
    outcomes.sort_by_key(|(index, _)| *index);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn run_one(test: &Test, libraries: &str, report: Option<&Path>) -> Result<Outcome> {
    let mut command = Command::new(&test.program);
    command.args(["--exact", &test.name, "--test-threads=1", "--nocapture"]);
    command.current_dir(&test.folder).env("LD_LIBRARY_PATH", libraries).env("RUST_BACKTRACE", "0");
    command.stdout(Stdio::null());
    if let Some(report) = report {
        command.env("CUDA_STANDIN_REPORT", report);
    }
    let (said, status) = shell::said(&mut command, TEST_LIMIT)?;
    let ended = status.is_some_and(|status| status.success());
    let found = report.filter(|_| ended).map(standin::first_finding).transpose()?.flatten();
    Ok(Outcome::of(status, &said, found))
}

fn conclude(suite: &Suite, root: &Path, tests: &[Test], outcomes: &[Outcome]) -> Result<()> {
    let passed = outcomes.iter().filter(|it| **it == Outcome::Passed).count();
    let mut unexplained = Vec::new();
    println!("\n{} of {} tests of {} passed on the stand-in; the others:", passed, tests.len(), suite.name);
    for (test, outcome) in tests.iter().zip(outcomes) {
        let Outcome::Failed(why) = outcome else { continue };
        let reason = explained::reason(suite.name, &test.name, why);
        println!("  {:14} {:72} {}", test.of, test.name, reason.words());
        if let Reason::Unknown(_) = reason {
            unexplained.push(test.name.as_str());
        }
    }
    let figures = super::figures(root);
    fs::create_dir_all(&figures)?;
    fs::write(figures.join(suite.name), format!("{0}={passed} {0}_of={1}\n", suite.name, tests.len()))?;
    if !unexplained.is_empty() {
        bail!("not explained: {}", unexplained.join(", "));
    }
    if passed < suite.floor {
        bail!("{passed} passed, and {} have", suite.floor);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_listed() {
        assert_eq!(names("a::b: test\nc: benchmark\n\nd_gpu: test\n"), ["a::b", "d_gpu"]);
    }
}
