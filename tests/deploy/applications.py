"""The Applications that Argo CD would make of the tree: those that the app-of-apps deploys, and those written out."""

import copy
import re

import yaml

from tree import documents

PLACEHOLDER = re.compile(r"{{\s*\.([\w.]+)\s*}}")


def greedy(pattern):
    """A glob of the git generator. Unless Argo CD is told otherwise, its `*` crosses folders."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


def parameters(generator, tree):
    """What a generator finds, one dictionary for each."""
    if "list" in generator:
        return generator["list"]["elements"]
    if "git" in generator:
        patterns = [greedy(it["path"]) for it in generator["git"]["files"]]
        files = sorted(path.relative_to(tree.folder) for path in tree.folder.rglob("*") if path.is_file())
        wanted = [path for path in files if any(pattern.fullmatch(str(path)) for pattern in patterns)]
        return [from_file(tree, path) for path in wanted]
    if "matrix" in generator:
        first, second = (parameters(it, tree) for it in generator["matrix"]["generators"])
        return [{**one, **other} for one in first for other in second]
    raise SystemExit(f"no reading of the generator {sorted(generator)}")


def from_file(tree, path):
    normalized = re.sub(r"[^-a-z0-9.]", "-", path.parent.name.lower())
    own = {"path": str(path.parent), "filename": path.name, "basenameNormalized": normalized}
    return {**yaml.safe_load((tree.folder / path).read_text(encoding="utf-8")), "path": own}


def filled(node, values):
    if isinstance(node, dict):
        return {key: filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, values) for value in node]
    return PLACEHOLDER.sub(lambda match: look_up(match[1], values), node) if isinstance(node, str) else node


def look_up(path, values):
    """`missingkey=error`: a parameter that is not there is a mistake."""
    for key in path.split("."):
        if key not in values:
            raise KeyError(f"a template names .{path}, which a generator does not give")
        values = values[key]
    return str(values)


def generated(application_set, tree):
    """The Applications of an ApplicationSet."""
    for generator in application_set["spec"]["generators"]:
        for values in parameters(generator, tree):
            made = filled(copy.deepcopy(application_set["spec"]["template"]), values)
            yield {"apiVersion": application_set["apiVersion"], "kind": "Application", **made}


def deployed(tree):
    """Every document that the app-of-apps deploys, and what its ApplicationSets make."""
    for document in of_directory(tree, app_of_apps(tree)["spec"]["source"]):
        yield document
        if document["kind"] == "ApplicationSet":
            yield from generated(document, tree)


def app_of_apps(tree):
    [document] = documents((tree.folder / "argocd/app-of-apps.yaml").read_text(encoding="utf-8"))
    return document


def of_directory(tree, source):
    folder = tree.folder / source["path"]
    found = folder.rglob("*") if source["directory"].get("recurse") else folder.glob("*")
    for path in sorted(path for path in found if path.suffix in (".yaml", ".yml")):
        yield from documents(path.read_text(encoding="utf-8"))


def written_out(tree):
    """The explicit form: the documents of argocd/applications."""
    for path in sorted((tree.folder / "argocd/applications").glob("*.yaml")):
        for document in documents(path.read_text(encoding="utf-8")):
            yield path.stem, document
