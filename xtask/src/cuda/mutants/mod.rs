//! Faults planted in our kernels and their launches, one at a time: the kernels' tests must fail, on the stand-in, of each.
//!
//! They are planted in a copy. It is compiled into the same target folder as the tests themselves, so that what one has
//! compiled of candle the other has.

mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::toolkit::Toolkit;
use super::{pinned, standin};
use crate::setup::Tools;
use crate::shell;
use list::{MUTANTS, Mutant};

/// Compiling one, and running the kernels' tests.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What the stand-in's findings begin with.
const FOUND: &str = "cuda-standin: ";

/// What is said where a fault came to no check.
const NO_CHECK: &[&str] = &[
    "could not compile",
    "failed to run custom build command",
    "cuda-standin: module refused",
    "a fault of the stand-in, not of its caller",
];

/// How a fault was noticed.
enum Caught {
    /// The stand-in said so.
    Reported(String),
    /// A test compared, and what it compared differed.
    Failed(String),
}

/// Plants each, prints how it was caught, and fails where one was not.
pub(super) fn run(root: &Path, tools: &mut Tools) -> Result<()> {
    let toolkit = pinned(tools)?;
    let world = World {
        copy: copied(root)?,
        target: std::path::absolute(shell::target(root))?,
        standin: standin::folder(root)?,
    };
    ensure!(world.tests(&toolkit, "suite")?.is_none(), "the kernels' tests fail without any fault");
    let mut survivors = Vec::new();
    for mutant in MUTANTS {
        let place = format!("{} ({})", mutant.what, mutant.file);
        match world.planted(mutant, &toolkit)? {
            Some(Caught::Reported(words)) => println!("{place:70} {words}"),
            Some(Caught::Failed(words)) => println!("{place:70} test: {words}"),
            None => {
                println!("{place:70} SURVIVED");
                survivors.push(place);
            }
        }
    }
    let figures = super::figures(root);
    fs::create_dir_all(&figures)?;
    let caught = MUTANTS.len() - survivors.len();
    fs::write(figures.join("mutations"), format!("mutations_caught={caught} mutations={}\n", MUTANTS.len()))?;
    if survivors.is_empty() { Ok(()) } else { bail!("not caught: {}", survivors.join("; ")) }
}

struct World {
    copy: PathBuf,
    target: PathBuf,
    standin: PathBuf,
}

impl World {
    fn planted(&self, mutant: &Mutant, toolkit: &Toolkit) -> Result<Option<Caught>> {
        let file = self.copy.join("kernels/src").join(mutant.file);
        let right = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::write(&file, right.replacen(mutant.right, mutant.wrong, 1))?;
        let caught = self.tests(toolkit, mutant.tests());
        fs::write(&file, right)?;
        caught
    }

    /// Runs the kernels' tests of this name; `None` where they pass and the stand-in found nothing.
    fn tests(&self, toolkit: &Toolkit, which: &str) -> Result<Option<Caught>> {
        let mut build = shell::cargo(&self.copy);
        toolkit.export(&mut build)?;
        build.env("CUDA_COMPUTE_CAP", "75").env("CUDARC_CUDA_VERSION", "13000").env("RUST_BACKTRACE", "0");
        build.env("CARGO_TARGET_DIR", &self.target).env("LD_LIBRARY_PATH", &self.standin);
        build.args(["test", "--quiet", "--package=kernels", "--lib", "--features=kernels/cuda", "--no-fail-fast"]);
        // One after the other, so that what is said first is of the test that failed first.
        build.args(["--", which, "--test-threads=1", "--nocapture"]);
        let (said, status) = shell::said(&mut build, LIMIT)?;
        let status = status.context("the kernels' tests did not end")?;
        // By rustc, by nvcc, which a build script calls, or by the stand-in: that would be no proof of any check.
        let unfit = NO_CHECK.iter().find(|words| said.contains(**words));
        ensure!(unfit.is_none(), "a fault is none that a check could find:\n{said}");
        let caught = caught(status.success(), &said);
        ensure!(status.success() || caught.is_some(), "the tests ended with {status}, and no check says why:\n{said}");
        Ok(caught)
    }
}

/// What was said first of a fault: by the stand-in, else by a test.
fn caught(passed: bool, said: &str) -> Option<Caught> {
    if let Some(line) = said.lines().find(|line| line.starts_with(FOUND)) {
        return Some(Caught::Reported(shortened(line)));
    }
    if passed {
        return None;
    }
    // A case answers an error, which its test ends with; what panics says so in the line after the place.
    let answered = said.lines().find(|line| line.starts_with("Error: "));
    let panicked = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    answered.or(panicked).map(|words| Caught::Failed(shortened(words)))
}

fn shortened(line: &str) -> String {
    line.chars().take(160).collect()
}

/// A workspace of the kernels alone, with everything that decides how they are compiled.
fn copied(root: &Path) -> Result<PathBuf> {
    let copy = std::path::absolute(shell::target(root))?.join("cuda-mutants");
    super::suites::copy(&root.join("kernels"), &copy.join("kernels"))?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    fs::write(copy.join("Cargo.toml"), of_kernels(&manifest).context("Cargo.toml has no members")?)?;
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock"))?;
    Ok(copy)
}

/// The root's manifest, with the kernels as the only members.
fn of_kernels(manifest: &str) -> Option<String> {
    let (before, rest) = manifest.split_once("members = [")?;
    let (_, after) = rest.split_once(']')?;
    let after: String =
        after.lines().filter(|line| !line.starts_with("default-members")).map(|line| format!("{line}\n")).collect();
    Some(format!("{before}members = [\"kernels\", \"kernels/cuda-lazy\"]{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_are_members_of_the_copy() {
        let manifest =
            "[workspace]\nmembers = [\n  \"server\", \"xtask\",\n]\ndefault-members = [\"server\"]\n[profile]\n";
        let expected = "[workspace]\nmembers = [\"kernels\", \"kernels/cuda-lazy\"]\n[profile]\n";
        assert_eq!(of_kernels(manifest).unwrap(), expected);
    }

    #[test]
    fn a_finding_counts_even_where_the_tests_pass() {
        let words = |it| match it {
            Some(Caught::Reported(words)) => format!("reported {words}"),
            Some(Caught::Failed(words)) => format!("failed {words}"),
            None => "survived".to_owned(),
        };
        assert_eq!(words(caught(true, "noise\n")), "survived");
        assert_eq!(words(caught(true, "cuda-standin: race: x\n")), "reported cuda-standin: race: x");
        assert_eq!(words(caught(false, "thread 'a' panicked at b:1:\nleft differs\n")), "failed left differs");
        assert_eq!(
            words(caught(false, "test x ... Error: no\nError: Msg(\"1 for 2\")\n")),
            "failed Error: Msg(\"1 for 2\")"
        );
        assert_eq!(words(caught(false, "killed\n")), "survived", "an end that no check is behind is no proof");
    }
}
