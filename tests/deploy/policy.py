#!/usr/bin/env python3
"""No finding of checkov but those that are skipped for a reason (checkov-skips.txt).

It looks at what is rendered, in its namespace, at the pipelines in their place, at Terraform's files, and for secrets in
every file.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tally import Tally
from tree import Tree, arguments, documents

FRAMEWORKS = ("kubernetes", "github_actions", "gitlab_ci", "terraform")
REASON_MIN = 20


def skips():
    lines = (Path(__file__).parent / "checkov-skips.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return {name: " ".join(reason) for name, *reason in words}


def lay_out(tree, folder):
    """A repository as it is after `helm template` and the copying that the README asks for."""
    shutil.copytree(tree.folder, folder / "tree", ignore=shutil.ignore_patterns("charts", "templates"))
    shutil.copytree(tree.folder / "infrastructure/terraform", folder / "terraform")
    shutil.copytree(tree.folder / "ci/github/workflows", folder / ".github/workflows")
    shutil.copy(tree.folder / "ci/gitlab/.gitlab-ci.yml", folder)
    for model, environment in tree.instances():
        objects = [it for part in ("server", "witness") for it in documents(tree.helm(model, environment, part=part))]
        for document in objects:
            # Argo CD's destination.
            document["metadata"]["namespace"] = f"ml-{environment}"
        (folder / f"{model}-{environment}.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")


def findings(checkov, folder):
    """(check, resource, what it asks for) of each failed check, and how many passed."""
    always = [checkov, "--directory", folder, "--skip-download", "--quiet", "--compact", "--output", "json"]
    command = [*always, "--skip-path", "tree/", "--framework", *FRAMEWORKS]
    secrets = [*always, "--framework", "secrets"]
    failed, passed = [], 0
    for words in (command, secrets):
        done = subprocess.run(words, capture_output=True, text=True, timeout=240)
        reports = json.loads(done.stdout)
        for report in reports if isinstance(reports, list) else [reports]:
            # Where a framework finds nothing to look at, there is a summary only.
            results = report.get("results", {"failed_checks": []})
            failed += [(it["check_id"], it["resource"], it["check_name"]) for it in results["failed_checks"]]
            passed += report.get("summary", report)["passed"]
    return failed, passed


def unreasoned(failed, reasons):
    yield from (f"{check} {resource}: {name}" for check, resource, name in failed if check not in reasons)


def bare(reasons):
    yield from (f"{name} has no reason" for name, reason in reasons.items() if len(reason) < REASON_MIN)


def main():
    given = arguments(__doc__, "--checkov")
    tally = Tally()
    reasons = skips()
    with Tree(given.deploy).copy() as tree, tempfile.TemporaryDirectory(prefix="sluice-policy-") as folder:
        lay_out(tree, Path(folder))
        failed, passed = findings(given.checkov, folder)
        tally.check(f"{passed} checks", unreasoned(failed, reasons) if passed else ["nothing was checked"])
        unused = reasons.keys() - {check for check, *_ in failed}
        tally.check(f"each of {len(reasons)} skips is needed", [f"{it} finds nothing any more" for it in sorted(unused)])
        tally.check("each skip has its reason", bare(reasons))
        tally.refused("a skip without a reason", bare({"CKV_K8S_11": "too strict"}), "CKV_K8S_11")
        planted = plant(Path(folder))
        failed, _ = findings(given.checkov, planted)
        said = list(unreasoned(failed, reasons))
        tally.refused("a privileged container", said, "CKV_K8S_16")
        tally.refused("a key in a file", said, "AWS Access Key")
        tally.refused("authorization beside RBAC", said, "CKV_GCP_7 ")
    return tally.finish()


def plant(folder):
    """A folder of its own, with a container that may do everything, a cloud's key, and a cluster that obeys two masters."""
    planted = folder / "planted"
    planted.mkdir()
    text = (folder / "fraud-detection-production.yaml").read_text(encoding="utf-8")
    (planted / "all.yaml").write_text(text.replace("privileged: false", "privileged: true"), encoding="utf-8")
    # In two pieces, so that nobody's scanner finds it here.
    key = "AKIA" + "QYLPMN5HHHFPZAM2"
    (planted / "settings.yaml").write_text(f"env: [{{name: AWS_ACCESS_KEY_ID, value: {key}}}]\n", encoding="utf-8")
    text = (folder / "terraform/gke-cluster.tf").read_text(encoding="utf-8")
    legacy = re.sub(r"enable_legacy_abac( *)= false", r"enable_legacy_abac\1= true", text)
    (planted / "gke-cluster.tf").write_text(legacy, encoding="utf-8")
    return planted


if __name__ == "__main__":
    sys.exit(main())
