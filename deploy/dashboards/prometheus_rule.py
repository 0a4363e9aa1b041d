#!/usr/bin/env python3
"""Makes `prometheus-rule.yaml`, which the Prometheus operator reads, of `rules.yaml`. Needs PyYAML.

Change a rule in `rules.yaml`, and run it. `tests/deploy/rules.py` refuses a file that is not what this makes.
"""

from pathlib import Path

import yaml

HERE = Path(__file__).parent

HEAD = """\
# The rules of rules.yaml for the Prometheus operator. Made by prometheus_rule.py; do not edit.
# yamllint disable rule:line-length
"""


def rule(groups):
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


def written(document):
    return HEAD + yaml.dump(document, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    source = yaml.safe_load((HERE / "rules.yaml").read_text(encoding="utf-8"))
    (HERE / "prometheus-rule.yaml").write_text(written(rule(source["groups"])), encoding="utf-8")
