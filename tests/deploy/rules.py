#!/usr/bin/env python3
"""Checks the Prometheus rules: that promtool takes them, that every alert is tested, that what they name exists.

    rules.py --folder deploy/dashboards --metrics docs/metrics.md --promtool PROGRAM (--sluice PROGRAM | --exposition FILE…)
    rules.py --folder deploy/dashboards --write

`--sluice` starts `sluice quickstart` and reads its real /metrics; `--exposition` takes what was saved of it (`--save`).
`--write` makes `prometheus-rule.yaml` of `rules.yaml`, and checks nothing.
"""

import argparse
import copy
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

import exposition
import promql
from tally import Tally

HERE = Path(__file__).parent
TESTS = HERE / "rules" / "alerts.yaml"
SCHEMA = HERE / "schemas" / "monitoring" / "prometheusrule.json"
ANNOTATIONS = ("summary", "description", "runbook")
SEVERITIES = ("critical", "warning", "info")

HEAD = """\
# The rules of rules.yaml for the Prometheus operator. Made by `tests/deploy/rules.py --write`; do not edit.
# yamllint disable rule:line-length
"""


def operator_rule(groups):
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "sluice",
            "namespace": "monitoring",
            "labels": {"app.kubernetes.io/name": "sluice", "app.kubernetes.io/component": "alerts"},
        },
        "spec": {"groups": groups},
    }


class Dumper(yaml.SafeDumper):
    """Lists are indented under their key, and texts of several lines are written as such."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def text(dumper, value):
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, text)


def written(rule):
    return HEAD + yaml.dump(rule, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)


def rules_of(source):
    return [rule for group in source["groups"] for rule in group["rules"]]


def operator_problems(rule, source):
    """Whether the operator's object is strict, and says what the source says."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for error in validator.iter_errors(rule):
        yield f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
    if rule.get("spec", {}).get("groups") != source["groups"]:
        yield "prometheus-rule.yaml differs from rules.yaml: run `rules.py --write`"


def promtool(program, *arguments, given=None):
    done = subprocess.run([program, *arguments], input=given, text=True, capture_output=True, timeout=120)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        yield from said or [f"promtool exits with {done.returncode}"]


def metric_problems(program, texts):
    """What promtool's linter says of the real /metrics. Triton's names are Triton's."""
    for text in texts:
        for line in promtool(program, "check", "metrics", given=exposition.older_format(text)):
            if not line.startswith("nv_inference_"):
                yield line


def expression_problems(source, families, documented):
    """Names and types in every expression; labels in every annotation."""
    recorded = {}
    for rule in rules_of(source):
        name = rule.get("record") or rule["alert"]
        problems, labels = promql.judge(rule["expr"], families, documented, recorded)
        yield from (f"{name}: {problem}" for problem in problems)
        if "record" in rule:
            recorded[name] = labels
        for annotation in rule.get("annotations", {}).values():
            for label in re.findall(r"\$labels\.(\w+)", annotation):
                if label not in labels:
                    yield f"{name}: an annotation shows the label `{label}`, which the alert does not have"


def recorded_labels(source, families, documented):
    """Labels of what the recording rules make, for who uses it."""
    recorded = {}
    for rule in rules_of(source):
        if "record" in rule:
            recorded[rule["record"]] = promql.judge(rule["expr"], families, documented, recorded)[1]
    return recorded


def form_problems(source):
    for rule in rules_of(source):
        if "alert" in rule:
            name, annotations = rule["alert"], rule.get("annotations", {})
            yield from (f"{name} has no {key}" for key in ANNOTATIONS if not annotations.get(key, "").strip())
            if rule.get("labels", {}).get("severity") not in SEVERITIES:
                yield f"{name} has no severity of {', '.join(SEVERITIES)}"


def untested(source, tests):
    """Alerts without a test in which they fire, or without one in which they do not."""
    seen = {True: set(), False: set()}
    for test in tests["tests"]:
        for case in test["promql_expr_test"]:
            for name in alert_names(case["expr"]):
                seen[bool(case["exp_samples"])].add(name)
    for rule in rules_of(source):
        if "alert" in rule:
            for fires, words in ((True, "fires"), (False, "does not fire")):
                if rule["alert"] not in seen[fires]:
                    yield f"no test in which {rule['alert']} {words}"


def alert_names(expression):
    match = re.search(r'alertname=~?"([^"]+)"', expression)
    return match.group(1).split("|") if match else []


def planted(tally, source, tests, families, documented, program):
    def changed(name, key, value):
        copied = copy.deepcopy(source)
        next(rule for rule in rules_of(copied) if rule.get("alert", rule.get("record")) == name)[key] = value
        return copied

    def judged(expression):
        return expression_problems(changed("SluiceNothingServes", "expr", expression), families, documented)

    tally.refused("no PromQL", judged("sum("), "does not parse")
    tally.refused("a metric that is not there", judged("sluice_rollout_wait == 0"), "no metric `sluice_rollout_wait`")
    tally.refused("a label that is not there", judged('sluice_rollout_weight{role="stable"} == 0'), "no label `role`")
    tally.refused("a value that is not there", judged('sluice_rollout_phase{phase="Broken"} == 1'), 'no phase="Broken"')
    tally.refused("a rate of a gauge", judged("rate(sluice_queue_depth[5m]) > 0"), "is for counters")
    tally.refused("a counter as it is", judged('sluice_requests_total{code="ok"} > 0'), "only rises")
    no_buckets = "histogram_quantile(0.9, sum by (model) (rate(sluice_request_duration_seconds_bucket[5m]))) > 1"
    tally.refused("a quantile without buckets", judged(no_buckets), "needs the label `le`")
    tally.refused(
        "a sum by a label that is not there", judged("sum by (node) (sluice_queue_depth) > 0"), "names `node`"
    )
    wrong = changed("SluiceNothingServes", "annotations", {"summary": "{{ $labels.pod }}"})
    tally.refused("a label in an annotation", expression_problems(wrong, families, documented), "shows the label `pod`")
    tally.refused("an alert without a runbook", form_problems(wrong), "SluiceNothingServes has no runbook")
    misspelt = operator_rule(copy.deepcopy(source["groups"]))
    misspelt["spec"]["groups"][0]["rules"][0]["exrp"] = "1"
    tally.refused("a PrometheusRule with a misspelling", operator_problems(misspelt, source), "exrp")
    mistyped = operator_rule(copy.deepcopy(source["groups"]))
    mistyped["spec"]["groups"][0]["interval"] = 30
    tally.refused("a PrometheusRule with a wrong type", operator_problems(mistyped, source), "is not of type 'string'")
    tally.refused("another PrometheusRule", operator_problems(operator_rule([]), source), "differs from rules.yaml")
    fewer = {"tests": [test for test in tests["tests"] if "SluiceValuesRefused" not in str(test)]}
    tally.refused("an alert without a test", untested(source, fewer), "no test in which SluiceValuesRefused fires")
    bare = "# TYPE sluice_made_up gauge\nsluice_made_up 1\n"
    tally.refused("a metric without help", metric_problems(program, [bare]), "no help text")
    for name in [rule["alert"] for rule in rules_of(source) if "alert" in rule]:
        silent = changed(name, "expr", "vector(0) == 1")
        tally.refused(f"{name} that never fires", tested(program, silent), name)


def tested(program, source):
    """`promtool test rules` with another rule file."""
    with tempfile.TemporaryDirectory() as folder:
        rules, tests = Path(folder) / "rules.yaml", Path(folder) / "alerts.yaml"
        rules.write_text(yaml.safe_dump(source), encoding="utf-8")
        cases = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
        tests.write_text(yaml.safe_dump({**cases, "rule_files": [str(rules)]}), encoding="utf-8")
        yield from promtool(program, "test", "rules", str(tests))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--metrics", type=Path, help="docs/metrics.md")
    parser.add_argument("--promtool")
    exposition.arguments(parser)
    arguments = parser.parse_args()

    source = yaml.safe_load((arguments.folder / "rules.yaml").read_text(encoding="utf-8"))
    target = arguments.folder / "prometheus-rule.yaml"
    if arguments.write:
        target.write_text(written(operator_rule(source["groups"])), encoding="utf-8")
        return 0

    texts = exposition.obtain(arguments)
    families, documented = exposition.families(texts), exposition.documented_values(arguments.metrics)
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
    alerts = [rule["alert"] for rule in rules_of(source) if "alert" in rule]
    tally = Tally()
    names = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in families}
    tally.check(f"promtool lints {len(names)} real metrics", metric_problems(arguments.promtool, texts))
    checked = promtool(arguments.promtool, "check", "rules", str(arguments.folder / "rules.yaml"))
    tally.check(f"promtool takes {len(rules_of(source))} rules", checked)
    tally.check(f"promtool tests {len(alerts)} alerts", tested(arguments.promtool, source))
    tally.check("every alert is tested to fire and not to", untested(source, tests))
    tally.check("every metric, label and type is real", expression_problems(source, families, documented))
    tally.check("every alert has a severity and a runbook", form_problems(source))
    rule = yaml.safe_load(target.read_text(encoding="utf-8"))
    tally.check("the PrometheusRule is strict, and the same", operator_problems(rule, source))
    planted(tally, source, tests, families, documented, arguments.promtool)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
