#!/usr/bin/env python3
"""Checks the Grafana dashboards: that each panel is complete, and that every query asks for something that exists.

What exists is what running servers expose (`exposition.py`), and what rules.yaml records.
"""

import copy
import json
import re
import sys
import tempfile
from pathlib import Path

import promql_parser as ql
import yaml

import exposition
import programs
import promql
from rules import FOLDER, promtool, recorded_labels, rules_of
from tally import Tally
from tree import arguments

# What Grafana puts in for its own variables, as something that parses.
BUILT_IN = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
UNITS = {"none", "short", "s", "bytes", "percent", "percentunit", "reqps"}
PANELS_MAX = 10
WIDTH = 24


def made(folder):
    """What make.py would write."""
    maker = programs.module(folder / "make.py")
    return {name: maker.written(board) for name, board in maker.dashboards().items()}


def stale(folder):
    expected = made(folder)
    for name, text in expected.items():
        if (folder / name).read_text(encoding="utf-8") != text:
            yield f"{name} differs from what make.py makes: run it"
    kept = {path.name for path in folder.glob("*.json")}
    yield from (f"{name} is made by nobody" for name in sorted(kept - set(expected)))
    shipped = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    listed = {name for generator in shipped["configMapGenerator"] for name in generator["files"]}
    yield from (f"{name} is in one of kustomization.yaml and the folder only" for name in sorted(listed ^ kept))
    yield from (f"{name} is not there" for name in shipped["resources"] if not (folder / name).is_file())


def form_problems(board):
    panels = board["panels"]
    if len(panels) > PANELS_MAX:
        yield f"{len(panels)} panels; nobody reads more than {PANELS_MAX}"
    for panel in panels:
        name = f"panel {panel['id']} `{panel.get('title', '')}`"
        if not panel.get("title", "").endswith("?"):
            yield f"{name}: the title is no question"
        if len(panel.get("description", "")) < 20:
            yield f"{name}: no description"
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield f"{name}: the unit `{panel['fieldConfig']['defaults'].get('unit')}` is not one of {sorted(UNITS)}"
        if panel["datasource"].get("uid") != "${datasource}" or not panel["targets"]:
            yield f"{name}: no query of the chosen data source"
    if len({panel["id"] for panel in panels}) != len(panels):
        yield "two panels have one id"
    if not board.get("links"):
        yield "no link to the other dashboards"
    yield from overlaps(panels)


def overlaps(panels):
    taken = {}
    for panel in panels:
        grid = panel["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if x >= WIDTH:
                    yield f"panel {panel['id']} is wider than the page"
                    return
                if (x, y) in taken:
                    yield f"panels {taken[x, y]} and {panel['id']} overlap"
                    return
                taken[x, y] = panel["id"]


def queries(board):
    """(where, expression, legend, unit) of every query."""
    for panel in board["panels"]:
        defaults = panel["fieldConfig"]["defaults"].get("unit")
        for target in panel["targets"]:
            unit = defaults
            for override in panel["fieldConfig"]["overrides"]:
                if re.search(override["matcher"]["options"].strip("/"), target["legendFormat"]):
                    unit = override["properties"][0]["value"]
            yield f"panel {panel['id']} {target['refId']}", target["expr"], target["legendFormat"], unit
    for annotation in board["annotations"]["list"]:
        yield f"annotation `{annotation['name']}`", annotation["expr"], annotation["titleFormat"], None


def with_values(expression):
    """The expression with something that parses in place of Grafana's own variables."""
    for name, value in BUILT_IN.items():
        expression = expression.replace(name, value)
    return expression


def parser_problems(board, program):
    """What Prometheus' own parser says: it is asked by way of recording rules."""
    rules = [
        {"record": f"query_{number}", "expr": with_values(expression), "labels": {"at": where.replace("`", "")}}
        for number, (where, expression, _, _) in enumerate(queries(board))
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queries.yaml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
        yield from promtool(program, "check", "rules", str(path))


def query_problems(board, families, documented, recorded):
    variables = {it["name"] for it in board["templating"]["list"]}
    for where, expression, legend, unit in queries(board):
        plain = with_values(expression)
        for name in re.findall(r"\$(\w+)", plain):
            if name not in variables:
                yield f"{where}: there is no variable `${name}`"
        problems, labels = promql.judge(plain, families, documented, recorded)
        yield from (f"{where}: {problem}" for problem in problems)
        if not problems:
            yield from (f"{where}: {problem}" for problem in unit_problems(plain, unit))
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            if label not in labels:
                yield f"{where}: the legend shows `{label}`, which the result does not have"
        if "model" in labels and "$model" not in expression:
            yield f"{where}: does not follow the variable `$model`"
        if "$namespace" not in expression:
            yield f"{where}: does not follow the variable `$namespace`"


def unit_problems(expression, unit):
    """A time is in seconds, memory in bytes, a weight in percent; what is divided by its like is a share."""
    tree = ql.parse(expression)
    metrics = set(re.findall(r"\b(?:sluice|nv)_\w+", expression))
    if isinstance(tree, ql.Call) and tree.func.name == "histogram_quantile":
        if any("_seconds" in it for it in metrics) and unit != "s":
            yield f"a duration in `{unit}`"
    elif isinstance(tree, ql.BinaryExpr) and str(tree.op) == "/":
        bases = {re.sub(r"_(total|bucket|sum|count)$", "", it) for it in metrics}
        mean = any(it.endswith("_sum") for it in metrics)
        if len(bases) == 1 and not mean and unit != "percentunit":
            yield f"a share in `{unit}`"
        if mean and all("_seconds" in it for it in metrics) and unit != "s":
            yield f"a mean duration in `{unit}`"
    elif metrics == {"sluice_rollout_weight"} and unit != "percent":
        yield f"a weight in `{unit}`"
    elif any(it.endswith("_bytes") for it in metrics) and unit != "bytes":
        yield f"memory in `{unit}`"
    elif metrics == {"sluice_requests_total"} and "rate(" in expression and unit not in ("reqps", "percentunit"):
        yield f"requests a second in `{unit}`"


def variable_problems(board, families):
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"]["query"])
        if match is None:
            yield f"variable `{variable['name']}`: no label_values(metric, label)"
        elif match.group(1) not in families:
            yield f"variable `{variable['name']}`: there is no metric `{match.group(1)}`"
        elif match.group(2) not in set(families[match.group(1)].labels) | promql.TARGET:
            yield f"variable `{variable['name']}`: `{match.group(1)}` has no label `{match.group(2)}`"


def referred(source, boards):
    """Panels that a runbook names."""
    titles = {panel["title"] for board in boards.values() for panel in board["panels"]}
    for rule in rules_of(source):
        text = " ".join(str(rule.get("annotations", {}).get("runbook", "")).split())
        for title in re.findall(r'"([^"]+)" of the \w+ dashboard', text):
            if title not in titles:
                yield f"the runbook of {rule['alert']} names the panel `{title}`"


def planted(tally, board, judged, program):
    def changed(change):
        copied = copy.deepcopy(board)
        change(copied)
        return copied

    def with_query(expression):
        return judged(changed(lambda it: it["panels"][1]["targets"][0].update(expr=expression)))

    def with_panel(**fields):
        return form_problems(changed(lambda it: it["panels"][1].update(fields)))

    ok = board["panels"][1]["targets"][0]["expr"]
    tally.refused("a query that does not parse", with_query(ok + ")"), "does not parse")
    broken = changed(lambda it: it["panels"][1]["targets"][0].update(expr=ok.replace("group_left ()", "group_left")))
    tally.refused("a query that Prometheus does not parse", parser_problems(broken, program), "parse error")
    tally.refused(
        "a metric that is not there", with_query(ok.replace("sluice_requests", "sluice_request")), "no metric"
    )
    tally.refused("a label that is not there", with_query(ok.replace("variant", "role")), "names `role`")
    gauge = (
        'sum by (model, version, variant) (rate(sluice_rollout_weight{namespace=~"$namespace", model=~"$model"}[5m]))'
    )
    tally.refused("a rate of a gauge", with_query(gauge), "is for counters")
    tally.refused("a variable that is not there", with_query(ok.replace("$model", "$modle")), "no variable `$modle`")
    tally.refused("a query for every namespace", with_query(ok.replace("$namespace", ".*")), "`$namespace`")
    legend = changed(lambda it: it["panels"][1]["targets"][0].update(legendFormat="{{pod}}"))
    tally.refused("a legend that would be empty", judged(legend), "the legend shows `pod`")
    unit = changed(lambda it: it["panels"][1]["fieldConfig"]["defaults"].update(unit="s"))
    tally.refused("a share in seconds", judged(unit), "a share in `s`")
    tally.refused("a title that is no question", with_panel(title="Traffic"), "is no question")
    tally.refused("a panel without a description", with_panel(description=""), "no description")
    tally.refused("panels that overlap", with_panel(gridPos=board["panels"][0]["gridPos"]), "overlap")


def main():
    given = arguments(__doc__, "--metrics", "--promtool", "--sluice")
    folder = given.deploy / FOLDER
    families = exposition.families(exposition.expositions(given.sluice))
    documented = exposition.documented_values(given.metrics)
    rules = yaml.safe_load((folder / "rules.yaml").read_text(encoding="utf-8"))
    recorded = recorded_labels(rules, families, documented)

    def judged(board):
        return query_problems(board, families, documented, recorded)

    tally = Tally()
    tally.check("the dashboards are what make.py makes, and are shipped", stale(folder))
    boards = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    for name, board in boards.items():
        tally.check(f"{name}: {len(board['panels'])} panels are complete", form_problems(board))
        count = len(list(queries(board)))
        tally.check(f"{name}: {count} queries ask for what exists, in its unit", judged(board))
        tally.check(f"{name}: Prometheus' parser takes them", parser_problems(board, given.promtool))
        tally.check(f"{name}: the variables have values", variable_problems(board, families))
    tally.check("the panels that runbooks name are there", referred(rules, boards))
    tally.refused("a runbook that names no panel", referred(rules, {}), "names the panel")
    uids = [board["uid"] for board in boards.values()]
    tally.check("every dashboard has its own uid", [] if len(set(uids)) == len(uids) else uids)
    planted(tally, boards["rollout.json"], judged, given.promtool)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
