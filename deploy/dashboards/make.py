#!/usr/bin/env python3
"""Makes `rollout.json` and `capacity.json`. Every panel answers one question, which is its title.

    make.py            writes both beside itself

The answers are read from one replica where one is enough, and over all replicas where they may differ. What a panel
shows must exist in /metrics: `tests/deploy/dashboards.py` parses every query.
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
WIDTH = 24

MODEL = 'namespace=~"$namespace", model=~"$model"'
NAMESPACE = 'namespace=~"$namespace"'
OWN = 'code!~"invalid_argument|not_found|cancelled"'
FAILED = 'code!~"ok|invalid_argument|not_found|cancelled"'

GREEN, BLUE, YELLOW, ORANGE, RED = "green", "blue", "yellow", "orange", "red"
PHASES = [("Healthy", GREEN), ("Progressing", BLUE), ("Paused", YELLOW), ("Degraded", RED)]
VERDICTS = [("Successful", GREEN), ("Running", BLUE), ("Inconclusive", YELLOW), ("Error", ORANGE), ("Failed", RED)]


def one_of(metric, label, states, by):
    """One series in place of one for each state: the number of the state that is in force, the worst over replicas."""
    numbered = [f'({metric}{{{MODEL}, {label}="{state}"}} * {number})' for number, (state, _) in enumerate(states)]
    return f"max by ({by}) ({' or '.join(numbered)})"


def share(variant):
    """Share of a role's requests that it failed, over all replicas."""
    failed = f'sum by (model) (rate(sluice_requests_total{{{MODEL}, variant="{variant}", {FAILED}}}[$__rate_interval]))'
    asked = f'sum by (model) (rate(sluice_requests_total{{{MODEL}, variant="{variant}", {OWN}}}[$__rate_interval]))'
    return f"{failed} / ({asked} > 0)"


def quantile(q, metric, by, also=""):
    """A quantile over all replicas."""
    buckets = f"rate({metric}_bucket{{{MODEL}{also}}}[$__rate_interval])"
    return f"histogram_quantile({q}, sum by ({by}, le) ({buckets}))"


def query(expr, legend):
    return {"expr": expr, "legendFormat": legend}


def panel(kind, title, description, unit, queries, height=8, width=12, **more):
    return {
        "kind": kind, "title": title, "description": description, "unit": unit,
        "queries": queries, "height": height, "width": width, **more,
    }  # fmt: skip


def mappings(states):
    options = {str(n): {"text": text, "color": color, "index": n} for n, (text, color) in enumerate(states)}
    return [{"type": "value", "options": options}]


def timeline(title, description, states, queries, **more):
    return panel("state-timeline", title, description, "none", queries, mappings=mappings(states), **more)


ROLLOUT = [
    timeline(
        "Where is each rollout, and is one stuck?",
        "The phase of each model, the worst over its replicas. Blue for long: it waits, see below. Yellow: a person is "
        "asked. Red: what Git asks for does not serve, and will not without a change.",
        PHASES,
        [query(one_of("sluice_rollout_phase", "phase", PHASES, "model"), "{{model}}")],
        height=6,
        width=WIDTH,
    ),
    panel(
        "timeseries",
        "Which version answers what share now?",
        "Of the requests that were answered or failed, by the version and the role in which it was asked.",
        "percentunit",
        [
            query(
                f"sum by (model, version, variant) (rate(sluice_requests_total{{{MODEL}, {OWN}}}[$__rate_interval]))"
                " / on (model) group_left () "
                f"(sum by (model) (rate(sluice_requests_total{{{MODEL}, {OWN}}}[$__rate_interval])) > 0)",
                "{{model}} {{version}} {{variant}}",
            )
        ],
        stack=True,
        max=1,
    ),
    panel(
        "timeseries",
        "What share was the canary given, and at which step?",
        "The weight that the strategy gives it, averaged over replicas. The step counts from 1, and is 0 without a trial.",
        "percent",
        [
            query(f'avg by (model) (sluice_rollout_weight{{{MODEL}, variant="canary"}})', "{{model}} weight"),
            query(f"max by (model) (sluice_rollout_step{{{MODEL}}})", "{{model}} step"),
        ],
        max=100,
        units={"step": "none"},
    ),
    panel(
        "timeseries",
        "Does the canary fail more than stable, and by how much?",
        "Share of requests that each failed: errors, deadlines, full queues; not callers' own errors. `more` over 0 is "
        "what the canary adds. With onFailure: stable callers do not see it.",
        "percentunit",
        [
            query(share("canary"), "{{model}} canary"),
            query(share("stable"), "{{model}} stable"),
            query(f"({share('canary')}) - on (model) ({share('stable')})", "{{model}} more"),
        ],
    ),
    panel(
        "timeseries",
        "Is the canary slower than stable, and by how much?",
        "From a request's arrival to its answer. The 99th percentile needs some hundred requests to mean anything.",
        "s",
        [
            query(
                quantile(q, "sluice_request_duration_seconds", "model, version, variant"),
                f"{{{{model}}}} {{{{version}}}} {{{{variant}}}} {name}",
            )
            for q, name in ((0.5, "p50"), (0.99, "p99"))
        ],
    ),
    timeline(
        "What is the rollout waiting for?",
        "The verdict on each metric of the analysis. Running: too few requests yet, or its time is not over. "
        "Inconclusive and Error wait for a person. Nothing here: a pause, or no analysis. `sluice status` says until when.",
        VERDICTS,
        [query(one_of("sluice_rollout_verdict", "verdict", VERDICTS, "model, metric"), "{{model}} {{metric}}")],
    ),
    panel(
        "timeseries",
        "What refused a version?",
        "Failed attempts to bring a version up, by what refused: pull (bucket, digest, signature), admit (memory), load, "
        "warm, gate. `rejected` stay away until they are retried; `values` is 1 while the file that was merged is not "
        "valid. The reason in words: `sluice history`.",
        "none",
        [
            query(
                f"sum by (model, phase) (increase(sluice_reload_failures_total{{{MODEL}}}[$__rate_interval]))",
                "{{model}} {{phase}}",
            ),
            query(f"max by (model) (sluice_rollout_rejected{{{MODEL}}})", "{{model}} rejected"),
            query(f"max by (model) (sluice_values_error{{{MODEL}}})", "{{model}} values"),
        ],
    ),
    timeline(
        "Do the replicas agree?",
        "The phase of each replica. They may be minutes apart. Differences that stay: each judged by its own requests, "
        "and they decided differently.",
        PHASES,
        [query(one_of("sluice_rollout_phase", "phase", PHASES, "model, pod"), "{{model}} {{pod}}")],
        width=WIDTH,
    ),
]

CAPACITY = [
    panel(
        "timeseries",
        "How many requests come, and how do they end?",
        "By code. ok and the callers' own codes are not our errors; resource_exhausted is a full queue.",
        "reqps",
        [
            query(
                f"sum by (model, code) (rate(sluice_requests_total{{{MODEL}}}[$__rate_interval])) > 0",
                "{{model}} {{code}}",
            )
        ],
        stack=True,
    ),
    panel(
        "timeseries",
        "Where does a slow request spend its time?",
        "99th percentiles of the whole, of the wait in the queue and of its batch on the device. Queue over compute: too "
        "little capacity. Compute over queue: the model.",
        "s",
        [
            query(quantile(0.99, f"sluice_{part}_duration_seconds", "model"), f"{{{{model}}}} {part}")
            for part in ("request", "queue", "compute")
        ],
    ),
    panel(
        "timeseries",
        "How large are the batches?",
        "Rows of a batch. A mean near 1 under load: too small a queueDelayMax, or a model so fast that nothing waits.",
        "short",
        [
            query(
                f"sum by (model) (rate(sluice_batch_size_sum{{{MODEL}}}[$__rate_interval]))"
                f" / (sum by (model) (rate(sluice_batch_size_count{{{MODEL}}}[$__rate_interval])) > 0)",
                "{{model}} mean",
            ),
            query(quantile(0.9, "sluice_batch_size", "model"), "{{model}} p90"),
        ],
        min=0,
    ),
    panel(
        "timeseries",
        "How many rows wait in each replica?",
        "The queue of each version. One replica alone over the others: its connections live too long, or its node is slow.",
        "short",
        [query(f"sum by (model, version, pod) (sluice_queue_depth{{{MODEL}}})", "{{model}} {{version}} {{pod}}")],
    ),
    panel(
        "timeseries",
        "How close is it to its limit?",
        "Requests in the server at once, on average: waiting, and being computed. When the waiting outgrow the computed, "
        "more load only means more waiting.",
        "short",
        [
            query(
                f"sum by (model) (rate(sluice_queue_duration_seconds_sum{{{MODEL}}}[$__rate_interval]))",
                "{{model}} waiting",
            ),
            query(
                f"sum by (model) (rate(sluice_compute_duration_seconds_sum{{{MODEL}}}[$__rate_interval]))",
                "{{model}} computed",
            ),
        ],
        units={},
    ),
    panel(
        "timeseries",
        "What share of requests is refused because a queue is full?",
        "Callers get 429 with Retry-After.",
        "percentunit",
        [
            query(
                f'sum by (model) (rate(sluice_requests_total{{{MODEL}, code="resource_exhausted"}}[$__rate_interval]))'
                f" / (sum by (model) (rate(sluice_requests_total{{{MODEL}}}[$__rate_interval])) > 0)",
                "{{model}}",
            )
        ],
        min=0,
    ),
    panel(
        "timeseries",
        "How full is the device's memory?",
        "What loaded models may take, of what all of them may take. Two versions must fit during a trial.",
        "percentunit",
        [
            query(
                f'max by (pod, device) (sluice_device_memory_bytes{{{NAMESPACE}, kind="reserved"}})'
                f' / (max by (pod, device) (sluice_device_memory_bytes{{{NAMESPACE}, kind="limit"}}) > 0)',
                "{{pod}} {{device}}",
            )
        ],
        min=0,
        max=1,
    ),
    panel(
        "timeseries",
        "How long does it take to bring a version up?",
        "Mean time in each phase, over the range that is shown: pull and verify, load, warm, gate.",
        "s",
        [
            query(
                f"sum by (model, phase) (increase(sluice_reload_phase_duration_seconds_sum{{{MODEL}}}[$__range]))"
                f" / (sum by (model, phase) (increase(sluice_reload_phase_duration_seconds_count{{{MODEL}}}[$__range])) > 0)",
                "{{model}} {{phase}}",
            )
        ],
    ),
]


def place(panels):
    """Left to right, top to bottom."""
    x = y = row = 0
    for number, it in enumerate(panels, 1):
        if x + it["width"] > WIDTH:
            x, y, row = 0, y + row, 0
        yield number, it, {"x": x, "y": y, "w": it["width"], "h": it["height"]}
        x, row = x + it["width"], max(row, it["height"])


def drawn(number, it, grid):
    field = {"unit": it["unit"], **{key: it[key] for key in ("min", "max") if key in it}}
    if "mappings" in it:
        field["mappings"] = it["mappings"]
    overrides = [
        {
            "matcher": {"id": "byRegexp", "options": f"/{suffix}$/"},
            "properties": [{"id": "unit", "value": unit}, {"id": "custom.axisPlacement", "value": "right"}],
        }
        for suffix, unit in it.get("units", {}).items()
    ]
    if it["kind"] == "timeseries":
        stacking = {"mode": "normal" if it.get("stack") else "none", "group": "A"}
        field["custom"] = {"lineWidth": 1, "fillOpacity": 30 if it.get("stack") else 0, "stacking": stacking}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {"showValue": "auto", "mergeValues": True, "legend": {"displayMode": "list", "placement": "bottom"}}
    return {
        "id": number,
        "type": it["kind"],
        "title": it["title"],
        "description": it["description"],
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": grid,
        "fieldConfig": {"defaults": field, "overrides": overrides},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": {"type": "prometheus", "uid": "${datasource}"}, **target}
            for at, target in enumerate(it["queries"])
        ],
    }


def variable(name, label, metric, of, several):
    return {
        "type": "query", "name": of, "label": name, "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"qryType": 1, "query": f"label_values({metric}, {label})", "refId": of},
        "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
        **({"current": {"text": ["All"], "value": ["$__all"]}} if several else {}),
    }  # fmt: skip


def dashboard(uid, title, description, panels):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["sluice"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards", "title": "sluice", "tags": ["sluice"], "asDropdown": False,
                "includeVars": True, "keepTime": True,
            }
        ],
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
                # One: a model has one name in staging and in production, and their sums would mean nothing.
                variable("Namespace", "namespace", "sluice_build_info", "namespace", several=False),
                variable("Model", "model", f"sluice_rollout_phase{{{NAMESPACE}}}", "model", several=True),
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Steps of a rollout", "enable": True, "iconColor": "blue",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "expr": f"max by (model) (changes(sluice_rollout_step{{{MODEL}}}[$__rate_interval])) > 0",
                    "titleFormat": "{{model}}: another step", "useValueForTime": False,
                }
            ]
        },
        "panels": [drawn(*placed) for placed in place(panels)],
    }  # fmt: skip


def dashboards():
    return {
        "rollout.json": dashboard(
            "sluice-rollout", "sluice: rollout", "What a deployment is doing, and whether it is any good.", ROLLOUT
        ),
        "capacity.json": dashboard(
            "sluice-capacity",
            "sluice: capacity",
            "Whether there is enough of everything, and where it is short.",
            CAPACITY,
        ),
    }


def written(board):
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, board in dashboards().items():
        (HERE / name).write_text(written(board), encoding="utf-8")
