#!/usr/bin/env python3
"""Stands in for the program `helm`, as far as the tree uses it: the same Helm, as the library that Python has of it."""

import argparse
import sys
from pathlib import Path

import helm_python


def arguments():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    dependency = verbs.add_parser("dependency")
    dependency.add_argument("action", choices=["build"])
    dependency.add_argument("chart", type=Path)
    template = verbs.add_parser("template")
    template.add_argument("name")
    template.add_argument("chart", type=Path)
    template.add_argument("--namespace", required=True)
    template.add_argument("--values", type=Path, required=True)
    template.add_argument("--set", required=True)
    return parser.parse_args()


def main():
    given = arguments()
    try:
        if given.verb == "dependency":
            helm_python.dependency_build(given.chart)
            return 0
        values = helm_python.values_from_yaml(given.values.read_text(encoding="utf-8"))
        # A key of `global`, which is how the part is chosen.
        key, _, value = given.set.partition("=")
        values["global"] = {**values.get("global", {}), key.removeprefix("global."): value}
        with helm_python.Chart.load(given.chart) as chart:
            rendered = chart.render(values, name=given.name, namespace=given.namespace)
    except helm_python.HelmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print("\n---\n".join(rendered.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
