//! The checks of `cargo xtask test-deploy`, as data: a row for each program of `tests/deploy`.

use std::time::Duration;

use crate::setup::Need;
use crate::steps::{FAILPOINTS, Given, Run, Step};

/// Generous: it is there to end a hang. Checking policy, the slowest, takes half a minute.
const LIMIT: Duration = Duration::from_secs(5 * 60);

const TREE: Given = Given::Path("--deploy", "deploy");
const METRICS: Given = Given::Path("--metrics", "docs/metrics.md");
const OTHER_KEY: Given = Given::Path("--other-key", "server/src/store/testdata/oms/other.pub");
const NODE_MODULES: Given = Given::Need("--node-modules", Need::DeployNode);
const PROMTOOL: Given = Given::Need("--promtool", Need::Promtool);

/// Everything that is checked, in this order.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "sluice",
        holds: "the program that reads the values builds",
        needs: &[],
        // As `cargo xtask test` builds it, so that what one compiled the other has.
        runs: &[Run::Cargo(&["build", "--workspace", "--bin", "sluice", FAILPOINTS])],
        limit: Duration::from_secs(40 * 60),
    },
    check(
        "style",
        "every YAML file is well formed, and no key stands twice",
        &[Run::Deploy("style.py", &[TREE, Given::Path("--style", "tests/deploy/yamllint.yaml")])],
    ),
    check(
        "values",
        "sluice and the schema take every values file, and the server runs as the Deployment starts it",
        &[Run::Deploy("values.py", &[TREE, Given::Path("--zoo", "models/zoo"), Given::Sluice("--sluice")])],
    ),
    check(
        "manifests",
        "Kustomize and Helm render the same objects for every model and environment, and a cluster would take them",
        &[Run::Deploy("manifests.py", &[TREE, Given::Tool("--kubectl", "kubectl")])],
    ),
    check(
        "chart",
        "the chart does what a values file says, and refuses what would do nothing or contradict the file",
        &[Run::Deploy("chart.py", &[TREE])],
    ),
    check(
        "bump",
        "a new version changes the mounted bytes and nothing of a pod",
        &[Run::Deploy("bump.py", &[TREE, Given::Tool("--kubectl", "kubectl"), Given::Sluice("--sluice")])],
    ),
    check(
        "argocd",
        "Argo CD's files agree with its fields, with each other and with the tree, and nothing holds up a revert",
        &[Run::Deploy(
            "argocd.py",
            &[TREE, Given::Tool("--kubectl", "kubectl"), Given::Tool("--lint", "argocd-source-lint")],
        )],
    ),
    check(
        "health",
        "the health script says what the annotations say, in a Lua like Argo CD's",
        &[Run::Deploy("lua_health.py", &[TREE])],
    ),
    check(
        "ci",
        "the pipelines are valid, name what is required, and are red when a command is",
        &[Run::Deploy(
            "ci.py",
            &[
                TREE,
                Given::Tool("--check-jsonschema", "check-jsonschema"),
                Given::Tool("--kubectl", "kubectl"),
                Given::Sluice("--sluice"),
            ],
        )],
    ),
    Step {
        needs: &[Need::Mlflow],
        runs: &[Run::Mlflow("gate.py", &[Given::Path("--zoo", "models/zoo"), OTHER_KEY, Given::Sluice("--sluice")])],
        ..check(
            "gate",
            "against a real MLflow server `sluice check` is red for each fault by itself, and green else",
            &[],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::DeployNode, Need::Mlflow, Need::Python],
        limit: Duration::from_secs(15 * 60),
        ..check(
            "six-steps",
            "train, bump, check, merge, canary and roll back work as the tree's README tells it, with real parts",
            &[Run::Deploy(
                "six_steps.py",
                &[
                    TREE,
                    Given::Path("--zoo", "models/zoo"),
                    OTHER_KEY,
                    Given::Sluice("--sluice"),
                    Given::Tool("--kubectl", "kubectl"),
                    Given::Need("--mlflow", Need::Mlflow),
                    Given::Need("--clients", Need::Python),
                    NODE_MODULES,
                ],
            )],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::DeployNode],
        ..check(
            "terraform",
            "Terraform's files are as it would write them, fit the provider's schema, and keep the promised numbers",
            &[Run::Deploy("terraform.py", &[TREE, NODE_MODULES])],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::DeployNode],
        ..check(
            "crossplane",
            "every field of Crossplane's objects is known, and nothing is made by Terraform too",
            &[Run::Deploy("crossplane.py", &[TREE, NODE_MODULES])],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::DeployNode],
        ..check(
            "agreement",
            "Terraform, Crossplane, the base, the models and the dashboards name each other rightly",
            &[Run::Deploy("agreement.py", &[TREE, Given::Tool("--kubectl", "kubectl"), NODE_MODULES])],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::Promtool, Need::Certificates],
        ..check(
            "rules",
            "Prometheus takes the rules, every alert fires when it should, and asks for what a running server exposes",
            &[Run::Deploy("rules.py", &[TREE, METRICS, PROMTOOL, Given::Sluice("--sluice")])],
        )
    },
    Step {
        needs: &[Need::Deploy, Need::Promtool, Need::Certificates],
        ..check(
            "dashboards",
            "every panel is complete, and asks for what a running server exposes",
            &[Run::Deploy("dashboards.py", &[TREE, METRICS, PROMTOOL, Given::Sluice("--sluice")])],
        )
    },
    check(
        "policy",
        "no finding of checkov but those that are skipped for a reason",
        &[Run::Deploy("policy.py", &[TREE, Given::Tool("--checkov", "checkov")])],
    ),
];

const fn check(name: &'static str, holds: &'static str, runs: &'static [Run]) -> Step {
    Step { name, holds, needs: &[Need::Deploy], runs, limit: LIMIT }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique() {
        assert_eq!(crate::steps::unique(STEPS), STEPS.len());
    }

    #[test]
    fn what_is_named_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (step, run) in STEPS.iter().flat_map(|step| step.runs.iter().map(move |run| (step, run))) {
            let (Run::Deploy(program, given) | Run::Mlflow(program, given)) = run else { continue };
            assert!(root.join("tests/deploy").join(program).is_file(), "{program}");
            for given in *given {
                match given {
                    Given::Path(_, path) => assert!(root.join(path).exists(), "{program}: {path}"),
                    Given::Need(_, need) => assert!(step.needs.contains(need), "{program}: {need:?}"),
                    Given::Tool(..) => assert!(step.needs.contains(&Need::Deploy), "{program}"),
                    Given::Sluice(_) => {}
                }
            }
        }
    }

    #[test]
    fn every_program_is_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/deploy");
        let run = |name: &str| {
            let runs = STEPS.iter().flat_map(|step| step.runs);
            let named =
                |run: &Run| matches!(run, Run::Deploy(program, _) | Run::Mlflow(program, _) if *program == name);
            runs.into_iter().any(named)
        };
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".py") && std::fs::read_to_string(&path).unwrap().contains("tally.finish()") {
                assert!(run(name), "{name} is no step");
            }
        }
    }
}
