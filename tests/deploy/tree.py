"""The deploy tree, and what the real programs make of it."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import helm_python
import yaml

from programs import paths

PRODUCTION = "production"


def arguments(description, *flags):
    """`--deploy` and `flags`, all paths."""
    return paths(description, "--deploy", *flags)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


class Tree:
    """A folder laid out like `deploy/`."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @contextlib.contextmanager
    def copy(self):
        """One that may be changed, with the chart's dependencies in place."""
        with tempfile.TemporaryDirectory(prefix="sluice-deploy-") as folder:
            copy = Path(folder) / "tree"
            shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
            copied = Tree(copy)
            copied.build_dependencies()
            yield copied

    def build_dependencies(self):
        """`helm dependency build`, as Argo CD does it."""
        for model in self.models():
            charts = self.folder / "models" / model / "charts"
            shutil.rmtree(charts, ignore_errors=True)
            helm_python.dependency_build(self.folder / "models" / model)
            if not list(charts.glob("sluice-*.tgz")):
                raise SystemExit(f"the chart of {model} did not get the base")

    def models(self):
        return sorted(path.parent.name for path in self.folder.glob("models/*/Chart.yaml"))

    def instances(self):
        """(model, environment) for each values file."""
        files = sorted(self.folder.glob("models/*/values-*.yaml"))
        return [(path.parent.name, path.stem.removeprefix("values-")) for path in files]

    def values(self, model, environment):
        return self.folder / "models" / model / f"values-{environment}.yaml"

    def overlay(self, model, environment):
        """Where Kustomize starts."""
        return self.folder / ("models" if environment == PRODUCTION else environment) / model

    def kustomize(self, kubectl, model, environment):
        """The text that `kubectl kustomize` prints, without any flag."""
        command = [kubectl, "kustomize", self.overlay(model, environment)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise SystemExit(f"kubectl kustomize {model} {environment}: {done.stderr}")
        return done.stdout

    def helm(self, model, environment, part="server", outranking=None):
        """The text that Helm renders for an Application; `outranking` is what parameters would say."""
        values = helm_python.values_from_yaml(self.values(model, environment).read_text(encoding="utf-8"))
        values["global"] = {**values.get("global", {}), "part": part}
        values.update(outranking or {})
        with helm_python.Chart.load(self.folder / "models" / model) as chart:
            rendered = chart.render(values, name=model, namespace=f"ml-{environment}")
        return "\n---\n".join(rendered.values())

    def application_sets(self):
        """The documents below argocd/platform."""
        return [
            document
            for path in sorted(self.folder.glob("argocd/platform/*.yaml"))
            for document in documents(path.read_text(encoding="utf-8"))
        ]
