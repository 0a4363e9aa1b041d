//! The steps of `cargo xtask test`, as data: add a row and it runs here, in CI and in `fresh`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::setup::{Need, Tools};

/// How long one benchmark program may take.
pub(crate) const BENCH_LIMIT: Duration = minutes(15);

/// One check that CI makes.
pub(crate) struct Step {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What holds when it passes.
    pub(crate) holds: &'static str,
    /// Tools set up before it.
    pub(crate) needs: &'static [Need],
    /// Programs run one after the other; the first that fails ends the step.
    pub(crate) runs: &'static [Run],
    /// How long each program may take. Generous: it is there to end a hang, not to judge speed.
    pub(crate) limit: Duration,
}

/// One program of a step, started in the root of the repository.
pub(crate) enum Run {
    /// `cargo ARGS`.
    Cargo(&'static [&'static str]),
    /// `cargo ARGS` with one more environment variable.
    CargoWith((&'static str, &'static str), &'static [&'static str]),
    /// A program that an earlier run has built for tests, with ARGS.
    Built(&'static str, &'static [&'static str]),
    /// The Python of [`Need::Python`] with ARGS: a script of `tests/python`, or a module.
    Python(&'static [&'static str]),
    /// A program of `tests/deploy` in the Python of [`Need::Deploy`], told by flags where things are.
    Deploy(&'static str, &'static [Given]),
    /// The same in the Python of [`Need::Mlflow`].
    Mlflow(&'static str, &'static [Given]),
    /// The quickstart of the release build, played as a newcomer would.
    Quickstart,
    /// What this crate does itself: starts programs, and judges what they say.
    Own(fn(&Path, &mut Tools) -> Result<()>),
}

/// A flag of a program of `tests/deploy`, and what it is told.
pub(crate) enum Given {
    /// A file or folder of the repository.
    Path(&'static str, &'static str),
    /// A program of the environment.
    Tool(&'static str, &'static str),
    /// Where something else is that the step needs.
    Need(&'static str, Need),
    /// The `sluice` that was built beside this program.
    Sluice(&'static str),
}

/// Every check of the program, in this order: what fails soonest comes first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "deny",
        holds: "one version of what must be one, licences we may ship, crates from the registry only",
        needs: &[Need::Deny],
        runs: &[Run::Cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"])],
        limit: minutes(10),
    },
    Step {
        name: "fmt",
        holds: "the code is formatted",
        needs: &[],
        runs: &[
            Run::Cargo(&["fmt", "--all", "--check"]),
            Run::Cargo(&["fmt", "--manifest-path", DRIVER_FACTS, "--check"]),
        ],
        limit: minutes(2),
    },
    Step {
        name: "clippy",
        holds: "no warning in any target",
        needs: &[],
        runs: &[
            Run::Cargo(&["clippy", "--workspace", "--all-targets", "--keep-going", FAILPOINTS, "--", "-D", "warnings"]),
            Run::Cargo(&["clippy", "--locked", "--manifest-path", DRIVER_FACTS, "--", "-D", "warnings"]),
        ],
        limit: minutes(40),
    },
    Step {
        name: "doc",
        holds: "the documentation builds, and its links lead somewhere",
        needs: &[],
        runs: &[Run::CargoWith(
            ("RUSTDOCFLAGS", "-D warnings"),
            &["doc", "--workspace", "--no-deps", "--keep-going", FAILPOINTS],
        )],
        limit: minutes(20),
    },
    Step {
        name: "test",
        holds: "every Rust test passes, those that drive real clients among them",
        needs: &[Need::Libraries, Need::Python, Need::PythonKserve, Need::Node],
        runs: &[Run::Cargo(&["test", "--workspace", "--no-fail-fast", FAILPOINTS])],
        limit: minutes(60),
    },
    Step {
        name: "clients",
        holds: "the pinned Python packages agree with each other",
        needs: &[Need::Python],
        runs: &[Run::Python(&["-m", "pip", "check"])],
        limit: minutes(5),
    },
    Step {
        name: "build",
        holds: "the program that ships builds, without fail points",
        needs: &[],
        runs: &[Run::Cargo(&["build", "--release"])],
        limit: minutes(40),
    },
    // Unoptimised, so that it shares what the tests have compiled: optimising takes ten minutes, for figures that nobody reads.
    Step {
        name: "bench",
        holds: "the programs behind the README's figures run, in their short forms",
        needs: &[],
        runs: &[
            Run::Cargo(&["build", "--workspace", "--bin=benches", FAILPOINTS]),
            Run::Built("benches", &["swap", "--short"]),
            Run::Built("benches", &["crash", "--short"]),
            Run::Built("benches", &["overhead", "--short"]),
        ],
        limit: BENCH_LIMIT,
    },
    Step {
        name: "quickstart",
        holds: "what the quickstart prints works as printed, and costs its callers no request",
        needs: &[],
        runs: &[Run::Quickstart],
        limit: minutes(10),
    },
];

/// Tests stop the process and break its disk at named places. All steps but the release build share this feature, so that
/// they share what they compile.
pub(crate) const FAILPOINTS: &str = "--features=server/failpoints";

/// The workspace that the root excludes. It is read, formatted and compiled like the others.
const DRIVER_FACTS: &str = "tests/cuda-standin/driver-facts/Cargo.toml";

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// How many names the steps of a table have together.
#[cfg(test)]
pub(crate) fn unique(steps: &[Step]) -> usize {
    steps.iter().map(|step| step.name).collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        assert_eq!(unique(STEPS), STEPS.len());
    }

    #[test]
    fn a_step_that_runs_python_asks_for_it() {
        for step in STEPS {
            let runs_python = step.runs.iter().any(|run| matches!(run, Run::Python(_)));
            assert!(!runs_python || step.needs.contains(&Need::Python), "{}", step.name);
        }
    }
}
