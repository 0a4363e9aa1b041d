#!/usr/bin/env python3
"""Checks the Prometheus rules: that promtool takes them, that every alert is tested, that what they name exists.

What exists is what `sluice quickstart` exposes, taken through a refused version and a canary, and what a server with
TLS and an access file does.
"""

import copy
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import exposition
import programs
import promql
import schemas
from tally import Tally
from tree import arguments

FOLDER = "dashboards"
TESTS = Path(__file__).parent / "rules/alerts.yaml"
ANNOTATIONS = ("summary", "description", "runbook")
SEVERITIES = ("critical", "warning", "info")

def rules_of(source):
    return [rule for group in source["groups"] for rule in group["rules"]]


def operator_problems(held, made):
    """Whether the operator's object is strict, and says what rules.yaml says."""
    yield from schemas.problems(yaml.safe_load(held))
    if held != made:
        yield "prometheus-rule.yaml is not what prometheus_rule.py makes of rules.yaml: run it"


def promtool(program, *arguments, given=None):
    done = subprocess.run([program, *arguments], input=given, text=True, capture_output=True, timeout=120)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        yield from said or [f"promtool exits with {done.returncode}"]


def metric_problems(program, texts):
    """What promtool's linter says of the real /metrics, in the older text format, which it reads. Triton's names are
    Triton's."""
    for text in texts:
        for line in promtool(program, "check", "metrics", given=exposition.older_format(text)):
            if not line.startswith("nv_inference_"):
                yield line


def shadowed(families):
    """Labels of ours that scraping would rename: it gives each series labels of the pod under these names."""
    for name, family in families.items():
        yield from (f"{name} has a label `{it}` of its own" for it in sorted(promql.TARGET & set(family.labels)))


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
    tally.refused("sides that never match", judged("sluice_queue_depth > sluice_rollout_step"), "differ in version")
    no_buckets = "histogram_quantile(0.9, sum by (model) (rate(sluice_request_duration_seconds_bucket[5m]))) > 1"
    tally.refused("a quantile without buckets", judged(no_buckets), "needs the label `le`")
    tally.refused(
        "a sum by a label that is not there", judged("sum by (node) (sluice_queue_depth) > 0"), "names `node`"
    )
    wrong = changed("SluiceNothingServes", "annotations", {"summary": "{{ $labels.pod }}"})
    tally.refused("a label in an annotation", expression_problems(wrong, families, documented), "shows the label `pod`")
    tally.refused("an alert without a runbook", form_problems(wrong), "SluiceNothingServes has no runbook")
    fewer = {"tests": [test for test in tests["tests"] if "SluiceValuesRefused" not in str(test)]}
    tally.refused("an alert without a test", untested(source, fewer), "no test in which SluiceValuesRefused fires")
    bare = "# TYPE sluice_made_up gauge\nsluice_made_up 1\n"
    tally.refused("a metric without help", metric_problems(program, [bare]), "no help text")
    own = exposition.families(['# TYPE sluice_made_up gauge\nsluice_made_up{pod="a"} 1\n'])
    tally.refused("a label that scraping adds", shadowed(own), "has a label `pod` of its own")
    for name in [rule["alert"] for rule in rules_of(source) if "alert" in rule]:
        silent = changed(name, "expr", "vector(0) == 1")
        tally.refused(f"{name} that never fires", tested(program, silent, about=name), name)


def planted_operator(tally, source, maker):
    """Faults of the operator's object."""

    def judged(change):
        bad = maker.rule(copy.deepcopy(source["groups"]))
        change(bad["spec"]["groups"])
        return operator_problems(maker.written(bad), maker.written(maker.rule(source["groups"])))

    misspelt = judged(lambda groups: groups[0]["rules"][0].update(exrp="1"))
    tally.refused("a PrometheusRule with a misspelling", misspelt, "exrp")
    mistyped = judged(lambda groups: groups[0].update(interval=30))
    tally.refused("a PrometheusRule with a wrong type", mistyped, "is not of type 'string'")
    tally.refused("another PrometheusRule", judged(lambda groups: groups.clear()), "is not what prometheus_rule.py makes")


def tested(program, source, about=""):
    """`promtool test rules` with another rule file, and of the tests those that name one alert."""
    with tempfile.TemporaryDirectory() as folder:
        rules, tests = Path(folder) / "rules.yaml", Path(folder) / "alerts.yaml"
        rules.write_text(yaml.safe_dump(source), encoding="utf-8")
        cases = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
        kept = [case for case in cases["tests"] if about in str(case)]
        tests.write_text(yaml.safe_dump({**cases, "rule_files": [str(rules)], "tests": kept}), encoding="utf-8")
        yield from promtool(program, "test", "rules", str(tests))


def main():
    given = arguments(__doc__, "--metrics", "--promtool", "--sluice")
    folder = given.deploy / FOLDER
    source = yaml.safe_load((folder / "rules.yaml").read_text(encoding="utf-8"))
    maker = programs.module(folder / "prometheus_rule.py")
    texts = exposition.expositions(given.sluice)
    families, documented = exposition.families(texts), exposition.documented_values(given.metrics)
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
    alerts = [rule["alert"] for rule in rules_of(source) if "alert" in rule]
    tally = Tally()
    names = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in families}
    tally.check(f"promtool lints {len(names)} real metrics", metric_problems(given.promtool, texts))
    checked = promtool(given.promtool, "check", "rules", str(folder / "rules.yaml"))
    tally.check(f"promtool takes {len(rules_of(source))} rules", checked)
    tally.check(f"promtool tests {len(alerts)} alerts", tested(given.promtool, source))
    tally.check("every alert is tested to fire and not to", untested(source, tests))
    tally.check("no label is one that scraping adds", shadowed(families))
    tally.check("every metric, label and type is real", expression_problems(source, families, documented))
    tally.check("every alert has a severity and a runbook", form_problems(source))
    held = (folder / "prometheus-rule.yaml").read_text(encoding="utf-8")
    made = maker.written(maker.rule(source["groups"]))
    tally.check("the PrometheusRule is strict, and the same", operator_problems(held, made))
    planted(tally, source, tests, families, documented, given.promtool)
    planted_operator(tally, source, maker)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
